"""Print the plan of a training for `prodrec train --plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prodrec.core.base import console
from prodrec.core.base.memory import format_bytes

if TYPE_CHECKING:
    from prodrec.core.training.plan import ClassifierPlan, Plan


def print_plan(plan: Plan, *, epochs: float) -> None:
    """Print parameters, ranks, classifiers, memory and time of a training of `epochs` epochs."""
    parts = ", ".join(f"{name} {count:,}" for name, count in plan.parameters.items())
    console.print(f"parameters  {sum(plan.parameters.values()):,} ({parts}); {plan.trainable:,} are trained")
    if plan.ranks > 1:
        console.print(f"ranks       {plan.ranks}, with {plan.photos_per_rank:,} photos of a batch on each")
    for classifier in plan.classifiers:
        console.print(f"classifier  {_classifier_text(classifier)}")
    memory = {
        "weights": plan.state.weights,
        "copies of them": plan.state.copies,
        "gradients": plan.state.gradients,
        "optimiser": plan.state.optimizer,
        f"activations of {plan.photos_per_rank:,} photos": plan.activations_bytes,
        "their scores": plan.scores_bytes,
    }
    by_use = ", ".join(f"{name} {format_bytes(size)}" for name, size in memory.items() if size)
    each = " on each rank" if plan.ranks > 1 else ""
    free = f" of {format_bytes(plan.available_bytes)} free" if plan.available_bytes is not None else ""
    console.print(f"memory      {format_bytes(plan.total_bytes)}{free}{each}: {by_use}")
    console.print(
        f"time        {plan.seconds / 60:,.1f} min: {plan.steps:,} steps of {plan.seconds_per_step:.2f} s, "
        f"{epochs:g} epochs of {plan.seconds_per_epoch / 60:,.1f} min "
        f"({plan.train_photos:,} photos, validation {plan.validation_photos:,}), "
        f"and {(plan.seconds - epochs * plan.seconds_per_epoch) / 60:,.1f} min before and after them"
    )


def _classifier_text(classifier: ClassifierPlan) -> str:
    level = classifier.name.removeprefix("heads.level:").removesuffix(".classifier")
    update = "updated within backward"
    if classifier.not_fused is not None:
        update = f"updated after backward, as {classifier.not_fused}"
    return f"{level}: {classifier.description}; {update}"
