"""Counts of the images that columns predict correctly, for runs that were scored on the same images."""

from __future__ import annotations

from collections.abc import Sequence

from prodrec.core.base.errors import BadOption, Mismatch
from prodrec.core.scores.reader import Scores
from prodrec.eval.report.class_counts import ColumnPair, SplitCounts
from prodrec.eval.report.count_scores import count_scores
from prodrec.eval.report.evaluate import resolve_tops
from prodrec.eval.report.run_groups import RunGroup, paired_files


def count_columns(
    files: Sequence[Scores],
    run_groups: Sequence[RunGroup],
    pairs: Sequence[tuple[int, int]],
    split: str,
    *,
    top: int = 1,
    pool_photos: bool = False,
) -> SplitCounts:
    """Count the images of `split` whose leaf is among the `top` best, of all files, of pairs of columns and of files.

    pairs:       the columns to compare; of each, the files with the same seed are counted as a pair too
    pool_photos: whether the photos of a product count as one image, with the mean of their scores

    Raise BadOption if a file lacks the split or stores too few scores, Mismatch if a file has no scores of the leaves
    or other images than the first one, and BadArtefact if one is damaged.
    """
    leaf = files[0].levels[-1]
    for file in files:
        if not file.count(split):
            raise BadOption(f"{file.path} has no row of split {split}; compare another split, or score again.")
        if leaf not in file.scored_levels:
            raise Mismatch(f"{file.path} has no scores of level {leaf}, which is compared; omit it.")
    resolve_tops(files, [top])
    compared: list[ColumnPair] = []
    for a, b in pairs:
        compared.append((run_groups[a].files, run_groups[b].files))
        compared += [((i,), (j,)) for i, j in paired_files(files, run_groups[a], run_groups[b])]
    counts = count_scores(files, split, [(leaf, top)], pairs=list(dict.fromkeys(compared)), pool_photos=pool_photos)
    for i, file in enumerate(files):
        if i not in counts.same_rows:
            raise Mismatch(
                f"{file.path} and {files[0].path} do not contain the same {split} rows; score both runs on one "
                "dataset, and compare what they have in common."
            )
    return counts
