"""The option `--tree-weight` of `prodrec score`: its checks, and the ancestors of the classes of a run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from prodrec.core.base.errors import BadOption

if TYPE_CHECKING:
    import torch

    from prodrec.core.training.run import Run
    from prodrec.inference.neighbours.tree_scores import TreeScores


def check_tree_weight(weight: float) -> None:
    """Raise BadOption for a weight that is out of range."""
    if not 0 <= weight < math.inf:
        raise BadOption(f"--tree-weight {weight:g}: expected at least 0.")


def check_run_has_upper_level(run: Run, weight: float) -> None:
    """Raise BadOption if a run predicts no level above its deepest one, so that a tree weight has no effect."""
    levels = _levels_of(run)
    if not weight or len(levels) > 1:
        return
    if run.taxonomy.depth == 1:
        raise BadOption(f"--tree-weight {weight:g}: the classes of {run.path} have one level only; omit it.")
    predicted = f"the level {levels[0]}" if levels else "attributes"
    raise BadOption(
        f"--tree-weight {weight:g}: {run.path} predicts {predicted} alone; omit it, or train with --set heads=levels."
    )


def load_tree_scores(run: Run, weight: float, device: torch.device) -> TreeScores | None:
    """Return the ancestors of the classes that a run predicts; None for the weight 0."""
    from prodrec.inference.neighbours.tree_scores import TreeScores

    return TreeScores.of_levels(run.taxonomy, _levels_of(run), weight, device=device) if weight else None


def _levels_of(run: Run) -> tuple[str, ...]:
    """Return the levels that a run predicts, shallowest first."""
    from prodrec.models.families import Recipe
    from prodrec.models.tasks import choose_tasks

    return choose_tasks(Recipe.from_json(run.recipe).network, run.taxonomy, run.attributes).levels
