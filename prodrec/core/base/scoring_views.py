"""The ways to look at a photo when it is scored; `core/data/photos/views.py` makes the views."""

from __future__ import annotations

CENTRE = "centre"
SCORING_VIEWS = {CENTRE: 1, "flip": 2, "five-crop": 5}
"""The number of views of each way: the centre crop, with its mirror image, or crops in the corners and the centre."""
