"""Evaluation of score files: counts their correct predictions in one pass, and makes reports from the counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prodrec.core.base.errors import BadOption, Mismatch
from prodrec.core.scores.chunk import ScoreChunk
from prodrec.core.scores.reader import Scores, open_scores
from prodrec.eval.report.attribute_table import attribute_rows, known_attributes
from prodrec.eval.report.class_counts import ProductCounts
from prodrec.eval.report.count_scores import ATTRIBUTE_TOP, count_scores
from prodrec.eval.report.end_classes import EndClasses
from prodrec.eval.report.hierarchy_table import hierarchy_rows
from prodrec.eval.report.leaf_groups import LeafGroup, Thresholds, leaf_groups
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
    seed_notes,
    setting_notes,
)
from prodrec.eval.report.row_builder import RowBuilder
from prodrec.eval.report.run_groups import group_runs
from prodrec.eval.report.sections import Sections

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

    The arguments are the fields of `Sections` and those of `Evaluation`. Raise the errors of `open_score_files` and of
    `Evaluation`.
    """
    sections = Sections(
        by_head_tail=by_head_tail,
        by_root=by_root,
        by_level=by_level,
        by_leaf=by_leaf,
        by_attribute=by_attribute,
        hierarchy=hierarchy,
    )
    with open_score_files(paths) as files:
        evaluation = Evaluation(
            files, sections, split=split, tops=tops, thresholds=thresholds, mean=mean, pool_photos=pool_photos
        )
        return evaluation.report(sections)


@contextmanager
def open_score_files(paths: Sequence[Path]) -> Iterator[list[Scores]]:
    """Open score files of one comparison, and close them at the end.

    Raise NotFound if a file does not exist, BadArtefact if it is damaged, and Mismatch if the files have different
    classes.
    """
    assert paths, "at least one score file"
    with ExitStack() as stack:
        files: list[Scores] = []
        for path in paths:
            file = stack.enter_context(open_scores(path))
            files.append(file)
            difference = file.taxonomy.difference(files[0].taxonomy)
            if difference:
                raise Mismatch(
                    f"{file.path} has other classes than {files[0].path}: {difference}; report them one by one, or "
                    "score all runs on one dataset."
                )
            file.taxonomy = files[0].taxonomy  # one tree in memory for all files
        yield files


class Evaluation:
    """The counts of a split of open score files, read in one pass, from which reports are made.

    files:       from `open_score_files`.
    sections:    the sections to count; a report has all or some of them.
    tops:        the k of the top-k accuracies. The default is 1, and of 3 and 5 those that are below the number of
                 leaves and for which every file stores enough scores.
    thresholds:  the numbers of training images that divide the leaves for `by_head_tail`.
    mean:        show runs that differ in their seed alone as one column: mean ± sample standard deviation, with
                 intervals over images and seeds.
    pool_photos: count each product once, with the mean of the scores of its photos.
    observers:   functions by index of a file that are called with every chunk of its rows that is counted; with
                 `pool_photos` of its products.

    Raise BadArtefact if a file is damaged, Mismatch if the files have different states of an attribute, and BadOption
    if a split, k, threshold or section does not suit them.
    """

    def __init__(
        self,
        files: Sequence[Scores],
        sections: Sections,
        *,
        split: str = "test",
        tops: Sequence[int] | None = None,
        thresholds: Thresholds | None = None,
        mean: bool = False,
        pool_photos: bool = False,
        observers: Mapping[int, Callable[[ScoreChunk], None]] | None = None,
    ) -> None:
        self._files, self._split, self._mean, self._pool_photos = files, split, mean, pool_photos
        self._taxonomy, self._train_images_C = files[0].taxonomy, files[0].train_images
        self._thresholds = thresholds or Thresholds()
        for file in files:
            if not file.count(split):
                raise BadOption(f"{file.path} has no row of split {split}; report another split, or score again.")
        leaf = files[0].levels[-1]
        # Without them, a report on runs that lack the leaves, or every level, would have no row with a value.
        self._always = Sections(
            by_level=any(leaf not in file.scored_levels for file in files),
            by_attribute=any(not file.scored_levels for file in files),
        )
        sections |= self._always
        if sections.hierarchy and self._taxonomy.depth == 1:
            raise BadOption(f"--hierarchy: the classes have one level ({leaf}) and so no hierarchy; omit --hierarchy.")
        self._attributes = known_attributes(files) if sections.by_attribute else []
        self._leaf_tops, self._top_notes = resolve_tops(files, tops)
        criteria = [(g.level, k) for g in self._groups(sections) for k in self._tops(g)]
        criteria = list(dict.fromkeys(criteria))
        if sections.by_attribute and (leaf, ATTRIBUTE_TOP) not in criteria:
            criteria.append((leaf, ATTRIBUTE_TOP))
        self._run_groups = group_runs(files, mean=mean)
        first, *others = self._run_groups
        self._pairs = [(first.files, group.files) for group in others]
        self._counts = count_scores(
            files,
            split,
            criteria,
            attributes=[attribute.name for attribute in self._attributes],
            tree_measures=sections.hierarchy,
            pairs=self._pairs,
            pool_photos=pool_photos,
            observers=observers,
        )

    def report(self, sections: Sections) -> Report:
        """Return the report with these sections, which have been counted.

        Rows of levels are always added if a run lacks scores of the leaves, rows of attributes if it scored no level.
        """
        sections |= self._always
        files, counts, taxonomy, split = self._files, self._counts, self._taxonomy, self._split
        attributes = self._attributes if sections.by_attribute else []
        builder = RowBuilder(files, self._run_groups, counts)
        leaf_rows = LeafRows(builder, taxonomy, tuple(self._leaf_tops) if sections.by_leaf else ())
        notes = list(self._top_notes)
        notes += product_notes(files, counts, split, pool_photos=self._pool_photos)
        notes += setting_notes(files, self._run_groups) + refinement_notes(files)
        notes += missing_level_notes(files) + comparison_notes(files, counts, self._pairs, split)
        notes += seed_notes(self._run_groups) if self._mean else []
        notes += early_end_notes(counts, taxonomy, split, hierarchy=sections.hierarchy, pool_photos=self._pool_photos)
        notes += level_notes(files) if sections.by_level else []
        notes += leaf_notes(leaf_rows, split) if sections.by_leaf else []
        notes += missing_attribute_notes(files, [attribute.name for attribute in attributes])
        notes += HIERARCHY_NOTES if sections.hierarchy else ()
        groups = self._groups(sections)
        rows = [row for group in groups for row in builder.accuracy_rows(group, self._tops(group))]
        rows += hierarchy_rows(builder, taxonomy) if sections.hierarchy else []
        rows += attribute_rows(builder, attributes, groups[0]) if sections.by_attribute else []
        return Report(
            split=split,
            run_groups=tuple(self._run_groups),
            rows=tuple(rows),
            leaf_rows=leaf_rows,
            runs=tuple(
                _run_json(file, EndClasses(taxonomy).images_by_level(file_counts.images_C), products)
                for file, file_counts, products in zip(files, counts.all_rows.files, counts.products, strict=True)
            ),
            notes=tuple(notes),
            builder=builder,
            taxonomy=taxonomy,
            train_images_C=self._train_images_C,
            thresholds=self._thresholds,
            pool_photos=self._pool_photos,
        )

    def _groups(self, sections: Sections) -> list[LeafGroup]:
        return leaf_groups(
            self._taxonomy,
            self._train_images_C,
            thresholds=self._thresholds,
            by_head_tail=sections.by_head_tail,
            by_root=sections.by_root,
            by_level=sections.by_level,
        )

    def _tops(self, group: LeafGroup) -> list[int]:
        """Return the k of a group. Top-k with k = number of classes is always correct; such k are omitted."""
        is_leaf, classes = group.level == self._taxonomy.leaf_level, self._taxonomy.count(group.level)
        return [k for k in self._leaf_tops if is_leaf or k < classes]


def resolve_tops(files: Sequence[Scores], tops: Sequence[int] | None) -> tuple[list[int], list[str]]:
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
