"""Evaluation of score files: reports and their plots, selections of photos, and MCR refinement."""
