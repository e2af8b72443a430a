"""prodrec: recognise products in photos when classes are many, long-tailed and come with side information."""

__version__ = "0.1.0"
