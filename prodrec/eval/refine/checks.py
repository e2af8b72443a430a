"""Checks before a refinement: output paths, the splits to fit on, categories without rows, weights of another file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prodrec.core.base.artefact import SPLITS
from prodrec.core.base.errors import BadOption, Mismatch
from prodrec.core.base.outputs import refuse_if_taken
from prodrec.eval.refine.fit import Samples
from prodrec.eval.refine.score_files import MAX_LISTED, AlignedScores
from prodrec.eval.refine.settings import MCRSettings
from prodrec.eval.refine.weights import KIND, WeightsFile, check_same_classes


@dataclass(frozen=True)
class OutputPaths:
    """Where refined scores and their weights are written; `weights` is None if nothing is fitted."""

    scores: Path
    weights: Path | None


def default_output_path(main: Path) -> Path:
    """Return where refined scores go without --out: scores/NAME-mcr.h5 for a file NAME.h5 with the leaves."""
    return Path("scores") / f"{main.stem}-mcr.h5"


def choose_output_paths(
    aligned: AlignedScores, out: Path | None, save_weights: Path | None, *, fits: bool, force: bool
) -> OutputPaths:
    """Return the output paths. Raise OutputExists or BadOption if one of them cannot be written.

    fits: whether weights are fitted, and therefore written.
    """
    scores = out or default_output_path(aligned.main.path)
    weights = save_weights or scores.with_name(f"{scores.stem}.weights.hdf5")
    outputs = OutputPaths(scores, weights if fits else None)
    inputs = {file.path.resolve() for file in aligned.files}
    for path, kind in ((outputs.scores, "scores"), (outputs.weights, KIND)):
        if path is None:
            continue
        if path.resolve() in inputs:
            raise BadOption(f"{path} is one of the files to refine; give another place with --out.")
        refuse_if_taken(path, kind=kind, force=force)
    if scores.resolve() == weights.resolve():
        raise BadOption(
            f"{scores} is named twice, for the scores and for the weights; give another file with --save-weights."
        )
    return outputs


def check_k(settings: MCRSettings, aligned: AlignedScores) -> None:
    """Raise BadOption if a level has fewer categories than the K of the settings."""
    for j, level in enumerate(aligned.levels):
        count = aligned.tree.count(j)
        if isinstance(settings.k, int) and settings.k > count:
            raise BadOption(f"--k {settings.k}: level {level} has {count} categories; give at most {count}, or all.")


def check_fit_splits(aligned: AlignedScores, fit_on: tuple[str, ...], *, fit_on_judged: bool) -> None:
    """Raise BadOption if a split is unknown, empty, or the test split without `fit_on_judged`."""
    if not fit_on:
        raise BadOption(f"--fit names no split; there are {', '.join(SPLITS)}.")
    for split in fit_on:
        if split not in SPLITS:
            raise BadOption(f"--fit {','.join(fit_on)}: there is no split {split!r}; there are {', '.join(SPLITS)}.")
        if split == "test" and not fit_on_judged:
            raise BadOption(
                "--fit test: the test rows are those that runs are judged on; fit on validation or train, "
                "or add --fit-on-judged if you mean it."
            )
        if split not in aligned.main.splits or not aligned.main.count(split):
            raise BadOption(
                f"{aligned.main.path} has no rows of split {split} to fit on (it has "
                f"{', '.join(aligned.main.splits)}); score the run again with --split {split},test, or apply fitted "
                "weights with --weights."
            )


def empty_category_notes(
    aligned: AlignedScores, samples: Samples, settings: MCRSettings, fit_on: tuple[str, ...]
) -> list[str]:
    """Return one note if categories have no row to fit on, else none.

    With the normaliser "level", they keep their probabilities (`uncovered`). With "related", they occur in the softmax
    of the others, and no row raises their own scores: the penalty on W − I keeps their weights close to the identity,
    and the penalty on W would shrink them, so that they would never be predicted. Raise BadOption then.
    """
    tree, taxonomy = aligned.tree, aligned.main.taxonomy
    empty = np.flatnonzero(samples.category_counts(tree.n) == 0)
    if not len(empty):
        return []
    names = []
    for category in empty[:MAX_LISTED].tolist():
        j = int(tree.level_of(np.array(category)))
        name = taxonomy.names[taxonomy.levels.index(tree.levels[j])][category - int(tree.starts_L1[j])]
        names.append(f"{name!r} of level {tree.levels[j]}")
    more = f" and {len(empty) - MAX_LISTED:,} more" if len(empty) > MAX_LISTED else ""
    problem = (
        f"{', '.join(names)}{more} {'has' if len(empty) == 1 else 'have'} no {' or '.join(fit_on)} row in "
        f"{aligned.main.path}"
    )
    if settings.normaliser == "level":
        return [f"{problem}: they keep the probabilities that the scores gave them."]
    if settings.penalty == "weights":
        raise BadOption(
            f"{problem}; with the penalty on W and the normaliser over R_c they are never predicted: use --fit with a "
            "split that has all categories, or --penalty identity."
        )
    return [f"{problem}: their weights stay close to those that do not change the scores."]


def check_weights(weights: WeightsFile, path: Path, aligned: AlignedScores, *, fit_on_judged: bool) -> None:
    """Raise Mismatch if the weights of file `path` cannot refine these scores.

    They must be fitted on the same classes and levels, on the same kind of scores (all or top-k), and not on rows of
    these scores unless `fit_on_judged` is set.
    """
    model, main = weights.model, aligned.main
    check_same_classes(weights, path, main.taxonomy, main.path)
    if model.related.tree.levels != aligned.levels:
        raise Mismatch(
            f"{path} refines the levels {', '.join(model.related.tree.levels)} and the scores contain "
            f"{', '.join(aligned.levels)}; give scores of the same levels."
        )
    if model.top_k != (aligned.top_k is not None):
        kinds = ("all scores", "the best scores only (top-k)")
        raise Mismatch(
            f"{path} was fitted on {kinds[model.top_k]} and {main.path} contains "
            f"{kinds[aligned.top_k is not None]}; fit weights on scores of the same kind."
        )
    same_dataset = weights.made_from.get("dataset") == main.origin.made_from.get("dataset")
    fitted_splits = [split for split in weights.recipe["fit"] if split in main.splits]
    if same_dataset and fitted_splits and not fit_on_judged:
        raise Mismatch(
            f"{path} was fitted on the {', '.join(fitted_splits)} rows of this dataset, which {main.path} contains; "
            "refine scores without them, or add --fit-on-judged if you mean it."
        )
