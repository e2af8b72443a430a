"""Modules of `recognition.py`. The `train_…` modules run in the virtual environment of a peer, without prodrec."""
