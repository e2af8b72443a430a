"""Notes of a report: one sentence for each fact without which its numbers may be misread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.core.base.wording import listed
from prodrec.core.scores.reader import Scores
from prodrec.eval.report.class_counts import ColumnPair, SplitCounts
from prodrec.eval.report.end_classes import EndClasses
from prodrec.eval.report.leaf_table import LeafRows
from prodrec.eval.report.row_results import source_level
from prodrec.eval.report.run_groups import RunGroup
from prodrec.eval.report.run_settings import NEVER_COMPARED, recipe_parts

MAX_SETTINGS = 6
"""Settings that a note lists."""
BACKBONE_SETTINGS = ("backbone", "weights", "freeze_until", "freeze_batch_norm", "embed", "logit_adjustment")

HIERARCHY_NOTES = (
    "distance: edges from the true leaf up to its lowest common ancestor with the predicted one; less is better.",
    "outside: the best class of one level is not under that of the other; less is better; n/a unless both were scored.",
)


def comparison_notes(
    files: Sequence[Scores], counts: SplitCounts, pairs: Sequence[ColumnPair], split: str
) -> list[str]:
    """Return notes on gains that are not paired, and on runs trained on other numbers of images of a leaf."""
    notes = []
    for first, second in pairs:
        if (first, second) in counts.all_rows.pairs:
            continue
        i, j = _files_with_other_rows(first, second, counts.same_rows)
        rows = [int(counts.all_rows.files[file].images_C.sum()) for file in (i, j)]
        difference = "other products" if rows[0] == rows[1] else f"{rows[1]:,} and {rows[0]:,}"
        notes.append(
            f"{files[j].path} and {files[i].path} do not contain the same {split} rows ({difference}); "
            "their gain is unpaired, with a wider interval."
        )
    notes += [
        f"{file.path} was trained on other images than {files[0].path}; head and tail follow those of {files[0].path}."
        for file in files[1:]
        if not np.array_equal(file.train_images, files[0].train_images)
    ]
    return notes


def seed_notes(run_groups: Sequence[RunGroup]) -> list[str]:
    """Return a note on what the intervals of gains cover."""
    single = [group.name for group in run_groups if len(group.files) == 1]
    if len(run_groups) > 1 and len(single) == len(run_groups):
        cause = "Each column is one run: the intervals cover the choice of the images, not what a seed changes"
        return [f"{cause}; train each with other seeds (--set seed=1) to compare recipes."]
    if len(run_groups) > 1 and single:
        return [f"{listed(single)}: one run, which is taken to vary over seeds like the column it is compared with."]
    return []


def _files_with_other_rows(first: tuple[int, ...], second: tuple[int, ...], same_rows: set[int]) -> tuple[int, int]:
    """Return the first file and one without its rows; if none is known to have other rows, the first of `second`."""
    others = [j for j in (*second, *first) if (j in same_rows) != (first[0] in same_rows)]
    return first[0], (others or second)[0]


def setting_notes(files: Sequence[Scores], run_groups: Sequence[RunGroup]) -> list[str]:
    """Return notes on runs with another dataset or other settings than those of the first column.

    Settings of titles and heads are not listed: families differ in them by design.
    """
    notes = []
    first = files[run_groups[0].files[0]]
    settings, dataset = _compared_settings(first), first.origin.made_from.get("dataset")
    for group in run_groups[1:]:
        file = files[group.files[0]]
        own = _compared_settings(file)
        different = [key for key in settings.keys() & own.keys() if settings[key] != own[key]]
        values = [f"{key} ({settings[key]} and {own[key]})" for key in sorted(different, key=list(settings).index)]
        if values:
            names = f"{run_groups[0].name} and {group.name}"
            notes.append(f"{names} also differ in {listed(values, most=MAX_SETTINGS)}.")
        if file.origin.made_from.get("dataset") != dataset:
            notes.append(f"{file.path} has scores of another dataset than {first.path}, with the same classes.")
    return notes


def refinement_notes(files: Sequence[Scores]) -> list[str]:
    """Return notes on refined runs whose raw scores are not reported beside them."""
    notes = []
    fingerprints = {file.fingerprint for file in files}
    for file in files:
        raw = file.origin.made_from.get(f"scores of {file.levels[-1]}")
        if raw is not None and raw not in fingerprints:
            name = file.origin.title
            notes.append(
                f"{name} is refined; report the scores that it was made from beside it to see what that changed."
            )
    return notes


def _compared_settings(file: Scores) -> dict[str, Any]:
    """Return the settings of a run's training, photos and backbone, or those of the run that was refined."""
    parts = recipe_parts(file)
    backbone = {key: value for key, value in parts["network"].items() if key in BACKBONE_SETTINGS}
    settings = {**parts["training"], **parts["photos"], **backbone}
    return {key: value for key, value in settings.items() if key not in NEVER_COMPARED}


def product_notes(files: Sequence[Scores], counts: SplitCounts, split: str, *, pool_photos: bool) -> list[str]:
    """Return notes on products with several photos: what was pooled, or how intervals count them."""
    notes: dict[str, list[str]] = {}
    for file, products in zip(files, counts.products, strict=True):
        numbers = f"{products.products:,} products, {products.photos:,} photos"
        texts = []
        if not pool_photos and products.has_several:
            texts.append(
                f"{numbers}: intervals count the photos of a product as one observation; --pool-photos counts products."
            )
        elif pool_photos and products.has_several:
            texts.append(f"{numbers} pooled: a product counts as one image, with the mean of the scores of its photos.")
            if file.is_top_k:
                texts.append("A class that the top-k list of a photo lacks has the smallest score of this list.")
            if products.mixed:
                texts.append(
                    f"{products.mixed:,} products have photos with different labels; the label of most photos counts."
                )
        elif pool_photos:
            texts.append(f"No product has several {split} photos: nothing was pooled.")
        for text in texts:
            notes.setdefault(text, []).append(file.origin.title)
    return [
        text if len(names) == len(files) else f"{', '.join(dict.fromkeys(names))}: {text}"
        for text, names in notes.items()
    ]


def early_end_notes(
    counts: SplitCounts, taxonomy: Taxonomy, split: str, *, hierarchy: bool = False, pool_photos: bool = False
) -> list[str]:
    """Return notes on the images whose category paths end above the leaves, by those of the first file.

    hierarchy:   whether the report has a hierarchy section.
    pool_photos: whether an image is a product, with the mean of the scores of its photos.
    """
    leaf = taxonomy.leaf_level
    images = EndClasses(taxonomy).images_by_level(counts.all_rows.files[0].images_C)
    early = {level: count for level, count in images.items() if count and level != leaf}
    if not early:
        return []
    one, several = ("A product", "products") if pool_photos else ("An image", "images")
    ends = ", ".join(f"{count:,} at {level}" for level, count in early.items())
    note = (
        f"{sum(early.values()):,} of {sum(images.values()):,} {split} {several} have no {leaf}: their category paths "
        f"end above it ({ends}). {one} is counted at the levels at which it has a label."
    )
    return [note, f"The hierarchy section counts the {several} with a {leaf} only."] if hierarchy else [note]


def level_notes(files: Sequence[Scores]) -> list[str]:
    """Return notes on which scores evaluate each level; runs with the same note share it."""
    runs: dict[str, list[str]] = {}
    for file in files:
        own = [level for level in file.levels[:-1] if level in file.scored_levels]
        summed = [level for level in file.levels if source_level(file, level) not in (None, level)]
        parts = [f"{', '.join(own)} by the run's own scores"] if own else []
        if summed:
            source = source_level(file, summed[0])
            below = "leaves" if source == file.levels[-1] else f"classes of {source}"
            parts.append(f"{', '.join(summed)} by the summed probabilities of the {below} below")
            if file.top_k is not None:
                parts.append(f"of these only the {file.top_k} best are in the file")
        if parts:
            runs.setdefault("; ".join(parts), []).append(file.origin.title)
    return [f"{', '.join(dict.fromkeys(names))}: {text}." for text, names in runs.items()]


def missing_level_notes(files: Sequence[Scores]) -> list[str]:
    """Return notes on runs for which a level is n/a."""
    runs: dict[str, list[str]] = {}
    for file in files:
        missing = [level for level in file.levels if source_level(file, level) is None]
        if missing:
            scored = ", ".join([*file.scored_levels, *file.scored_attributes])
            runs.setdefault(f"scores of {scored} only; {', '.join(missing)}", []).append(file.origin.title)
    return [f"{', '.join(dict.fromkeys(names))}: {text} read n/a." for text, names in runs.items()]


def missing_attribute_notes(files: Sequence[Scores], attributes: Sequence[str]) -> list[str]:
    """Return a note on the attributes that no run scored."""
    missing = [name for name in attributes if not any(name in file.scored_attributes for file in files)]
    return [f"no run scored {', '.join(missing)}: branA reads n/a."] if missing else []


def leaf_notes(rows: LeafRows, split: str) -> list[str]:
    """Return a note on the number of leaves that have no row."""
    without = len(rows.taxonomy.leaves) - len(rows.leaves)
    return [f"{without:,} leaves without {split} images are not listed by leaf."] if without else []
