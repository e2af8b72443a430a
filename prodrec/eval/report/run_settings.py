"""The settings of the run that a scores file was made by."""

from __future__ import annotations

from typing import Any

from prodrec.core.scores.reader import Scores

PARTS = ("network", "training", "photos")
"""The parts of a recipe that contain settings."""

NEVER_COMPARED = ("seed", "checkpoint_minutes", "precision", "channels_last", "compile", "cache_frozen", "fused_update")
"""Settings that do not change what a run has learned, or that repeats differ in."""


def recipe_parts(file: Scores) -> dict[str, dict[str, Any]]:
    """Return the settings of each of PARTS, or those of the run that was refined; empty for scores of another tool."""
    recipe = file.origin.recipe
    inputs = recipe.get("inputs")
    if isinstance(inputs, dict) and inputs:
        recipe = inputs.get(file.levels[-1]) or next(iter(inputs.values()))
    values = {part: recipe.get(part) for part in PARTS}
    return {part: value if isinstance(value, dict) else {} for part, value in values.items()}


def all_settings(file: Scores) -> dict[str, Any]:
    """Return every setting that may change the scores: of the training, of the scoring and of a refinement, by key."""
    origin = file.origin
    settings: dict[str, Any] = {"family": origin.family}
    for values in recipe_parts(file).values():
        settings |= {key: value for key, value in values.items() if key not in NEVER_COMPARED}
    refinement = origin.recipe.get("mcr")
    if isinstance(refinement, dict):
        settings |= {f"mcr {key}": value for key, value in refinement.items()}
    return settings | {
        "scoring": origin.operating_point.get("name", "plain"),
        "views": origin.views,
        "tree_weight": origin.tree_weight,
        "with_titles": origin.with_titles,
        "top_k": file.top_k,
    }
