"""The network of all model families. network.py is its forward pass and loss, assemble.py builds it, families.py is the
table of families.
"""
