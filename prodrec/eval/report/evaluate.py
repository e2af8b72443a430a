"""Evaluation of score files: counts their correct predictions and makes the report."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prodrec.core.base.errors import BadOption, Mismatch
from prodrec.core.scores.reader import Scores, open_scores
from prodrec.eval.report.attribute_table import attribute_rows, known_attributes
from prodrec.eval.report.class_counts import ProductCounts
from prodrec.eval.report.count_scores import ATTRIBUTE_TOP, count_scores
from prodrec.eval.report.end_classes import EndClasses
from prodrec.eval.report.hierarchy_table import hierarchy_rows
from prodrec.eval.report.leaf_groups import Thresholds, leaf_groups
from prodrec.eval.report.leaf_table import LeafRows
from prodrec.eval.report.report import Report
from prodrec.eval.report.report_notes import (
    HIERARCHY_NOTES,
    comparison_notes,
    early_end_notes,
    leaf_notes,
    level_notes,
    missing_attribute_notes,
    missing_level_notes,
    product_notes,
    refinement_notes,
    setting_notes,
)
from prodrec.eval.report.row_builder import RowBuilder
from prodrec.eval.report.run_groups import group_runs, paired_files

DEFAULT_TOPS = (1, 3, 5)
"""The k of the top-k accuracies if none are given."""


def evaluate_scores(
    paths: Sequence[Path],
    *,
    split: str = "test",
    tops: Sequence[int] | None = None,
    by_head_tail: bool = False,
    thresholds: Thresholds | None = None,
    by_root: bool = False,
    by_level: bool = False,
    by_leaf: bool = False,
    by_attribute: bool = False,
    hierarchy: bool = False,
    mean: bool = False,
    pool_photos: bool = False,
) -> Report:
    """Evaluate the score files `paths` on `split` in one pass over their rows.

    tops:         the k of the top-k accuracies. The default is 1, and of 3 and 5 those that are below the number of
                  leaves and for which every file stores enough scores.
    by_head_tail: add rows of head and tail, and of leaves with many, medium and few training images.
    thresholds:   the numbers of training images that divide the leaves for `by_head_tail`.
    by_root:      add rows of the leaves of every root, and the mean over roots.
    by_level:     add rows of every level.
    by_leaf:      add a row of every leaf with test images.
    by_attribute: add the rows of attribute_table.py.
    hierarchy:    add the rows of hierarchy_table.py.
    pool_photos:  count each product once, with the mean of the scores of its photos.
    mean:         show runs that differ in their seed alone as one column: mean ± sample standard deviation.

    Rows of levels are always added if a run lacks scores of the leaves, rows of attributes if it scored no level.
    Raise NotFound if a file does not exist, BadArtefact if it is damaged, Mismatch if the files have different classes
    or states of an attribute, and BadOption if a split, k, threshold or section does not suit them.
    """
    assert paths, "at least one score file"
    with ExitStack() as stack:
        files = _open_files(paths, stack)
        for file in files:
            if not file.count(split):
                raise BadOption(f"{file.path} has no row of split {split}; report another split, or score again.")
        taxonomy, train_images_C, leaf = files[0].taxonomy, files[0].train_images, files[0].levels[-1]
        by_level = by_level or any(leaf not in file.scored_levels for file in files)
        by_attribute = by_attribute or any(not file.scored_levels for file in files)
        attributes = known_attributes(files) if by_attribute else []
        if hierarchy and taxonomy.depth == 1:
            raise BadOption(f"--hierarchy: the classes have one level ({leaf}) and so no hierarchy; omit --hierarchy.")
        groups = leaf_groups(
            taxonomy,
            train_images_C,
            thresholds=thresholds or Thresholds(),
            by_head_tail=by_head_tail,
            by_root=by_root,
            by_level=by_level,
        )
        leaf_tops, notes = _resolve_tops(files, tops)
        # Top-k with k = number of classes is always correct; such rows of the upper levels are omitted.
        tops_by_level = {
            group.level: [k for k in leaf_tops if group.level == leaf or k < taxonomy.count(group.level)]
            for group in groups
        }
        run_groups = group_runs(files, mean=mean)
        pairs = [pair for group in run_groups[1:] for pair in paired_files(files, run_groups[0], group)]
        criteria = [(level, k) for level, level_tops in tops_by_level.items() for k in level_tops]
        if by_attribute and (leaf, ATTRIBUTE_TOP) not in criteria:
            criteria.append((leaf, ATTRIBUTE_TOP))
        names = [attribute.name for attribute in attributes]
        counts = count_scores(
            files, split, criteria, attributes=names, tree_measures=hierarchy, pairs=pairs, pool_photos=pool_photos
        )
        builder = RowBuilder(files, run_groups, counts)
        leaf_rows = LeafRows(builder, taxonomy, tuple(leaf_tops) if by_leaf else ())
        notes += product_notes(files, counts, split, pool_photos=pool_photos)
        notes += setting_notes(files, run_groups) + refinement_notes(files)
        notes += missing_level_notes(files) + comparison_notes(files, run_groups, counts, pairs, split)
        notes += early_end_notes(counts, taxonomy, split, hierarchy=hierarchy, pool_photos=pool_photos)
        notes += level_notes(files) if by_level else []
        notes += leaf_notes(leaf_rows, split) if by_leaf else []
        notes += [*missing_attribute_notes(files, names), *(HIERARCHY_NOTES if hierarchy else ())]
        rows = [row for group in groups for row in builder.accuracy_rows(group, tops_by_level[group.level])]
        rows += hierarchy_rows(builder, taxonomy) if hierarchy else []
        rows += attribute_rows(builder, attributes, groups[0]) if by_attribute else []
        return Report(
            split=split,
            run_groups=tuple(run_groups),
            rows=tuple(rows),
            leaf_rows=leaf_rows,
            runs=tuple(
                _run_json(file, EndClasses(taxonomy).images_by_level(file_counts.images_C), products)
                for file, file_counts, products in zip(files, counts.all_rows.files, counts.products, strict=True)
            ),
            notes=tuple(notes),
            builder=builder,
            taxonomy=taxonomy,
            train_images_C=train_images_C,
            pool_photos=pool_photos,
        )


def _open_files(paths: Sequence[Path], stack: ExitStack) -> list[Scores]:
    """Open the files until `stack` is closed. Raise Mismatch unless all have the same classes."""
    files: list[Scores] = []
    for path in paths:
        file = stack.enter_context(open_scores(path))
        files.append(file)
        difference = file.taxonomy.difference(files[0].taxonomy)
        if difference:
            raise Mismatch(
                f"{file.path} has other classes than {files[0].path}: {difference}; report them one by one, or score "
                "all runs on one dataset."
            )
        file.taxonomy = files[0].taxonomy  # one tree in memory for all files
    return files


def _resolve_tops(files: Sequence[Scores], tops: Sequence[int] | None) -> tuple[list[int], list[str]]:
    """Return the k to report, and a note on the default ones that are omitted.

    Raise BadOption if a given k is out of range, or if a top-k file stores fewer scores than k.
    """
    leaves = len(files[0].taxonomy.leaves)
    stored, limit = min(((_stored_scores(file) or leaves, file) for file in files), key=lambda pair: pair[0])
    if tops is None:
        reported = [k for k in DEFAULT_TOPS if k == 1 or k <= min(stored, leaves - 1)]
        omitted = ", ".join(str(k) for k in DEFAULT_TOPS if k not in reported)
        reason = f"{limit.path} keeps the {stored} best" if stored < leaves else f"there are {leaves} classes"
        return reported, [f"top-{omitted} omitted: {reason}."] if omitted else []
    for k in tops:
        if not 1 <= k <= leaves:
            raise BadOption(f"--top {k}: expected numbers from 1 to the number of classes, {leaves}.")
        if k > stored:
            raise BadOption(
                f"--top {k}: {limit.path} keeps the {stored} best scores only; score again with --top-k {k}."
            )
    return sorted(set(tops)), []


def _stored_scores(file: Scores) -> int | None:
    """Return how many of the best scores of a row are stored; None if all are."""
    complete = not file.scored_levels or file.top_k == file.taxonomy.count(file.scored_levels[-1])
    return None if complete else file.top_k


def _run_json(file: Scores, ends: dict[str, int], products: ProductCounts) -> dict[str, Any]:
    """Return a score file as plain values.

    ends:     number of rows whose category paths end at each level. If some end above the leaves, the result contains
              the number of rows with a label at each level.
    products: if some have several photos, the result contains the number of products and of photos.
    """
    levels, counts = list(ends), list(ends.values())
    labelled = {level: sum(counts[i:]) for i, level in enumerate(levels)}
    early = {"rows_by_level": labelled} if sum(counts[:-1]) else {}
    origin = asdict(file.origin)
    del origin["recipe"]
    return {
        "file": str(file.path),
        "fingerprint": file.fingerprint,
        **origin,
        "rows": sum(counts),
        **early,
        **({"products": products.products, "photos": products.photos} if products.has_several else {}),
        "top_k": file.top_k,
        "scored_levels": list(file.scored_levels),
        "scored_attributes": list(file.scored_attributes),
    }
