"""Print the summary of a run, for `prodrec inspect`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from prodrec.core.base import console

if TYPE_CHECKING:
    from prodrec.core.training.run import Run

JSON_KEYS = ("fingerprint", "family", "status", "made_from", "made_by", "recipe", "arithmetic", "origin", "result")


def print_run(run: Run) -> None:
    """Print what the run was trained on, with which result, and of a second stage how its classifier was fitted."""
    for name, text in _lines(run):
        console.print(f"{name:<14}{text}")


def run_json(run: Run) -> dict[str, Any]:
    """Return the summary as plain values, as `--json` prints it."""
    return {"run": str(run.path), **{key: run.header[key] for key in JSON_KEYS if key in run.header}}


def _lines(run: Run) -> Iterator[tuple[str, str]]:
    from prodrec.core.base.config import format_value

    yield "run", f"{run.path}, {run.family}, {run.header['status']}"
    yield "dataset", run.dataset_fingerprint
    yield "levels", " · ".join(f"{level} {run.taxonomy.count(level):,}" for level in run.taxonomy.levels)
    epochs = run.header["result"].get("epochs", [])
    if epochs:
        validated = {key: value for key, value in run.kept_row.items() if key.startswith("validation_")}
        measures = "".join(f", {key.replace('_', ' ')} {value:.2%}" for key, value in validated.items() if value)
        kept = int(run.kept_row["epoch"])
        weights = f", weights of epoch {kept}" if kept != len(epochs) else ""
        yield "training", f"{len(epochs)} epochs{weights}{measures}"
    if run.origin is not None:
        kind = "made by" if run.has_added_classes else "second stage"
        yield kind, f"{run.origin['method']}, on the network of {run.origin['run']}"
        settings = {
            key: value
            for key, value in run.origin.items()
            if key not in ("method", "run", "fingerprint", "fit", "typical_images") and value is not None
        }
        if settings:
            yield "", ", ".join(f"{key} {format_value(value)}" for key, value in settings.items())
        for key, value in run.origin["fit"].items():
            if isinstance(value, float | int):
                yield "", f"{key.replace('_', ' ')} {value:.4g}"
    changed = _changed_settings(run)
    if changed:
        yield "settings", changed


def _changed_settings(run: Run) -> str:
    """Return the settings that differ from the defaults of the family, in the form of --set."""
    from prodrec.core.base.config import format_value
    from prodrec.models.families import Recipe, make_recipe

    pairs = zip(Recipe.from_json(run.recipe).parts(), make_recipe(run.family).parts(), strict=True)
    values = [(key, value, getattr(default, key)) for part, default in pairs for key, value in vars(part).items()]
    return " ".join(f"{key}={format_value(value)}" for key, value, default in values if value != default)
