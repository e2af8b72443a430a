"""What a reader of a report must know beside its figures: one sentence each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prodrec.core.scores.reader import Scores
from prodrec.eval.report.columns import Column, pairs_of
from prodrec.eval.report.counting import Counted, Pair
from prodrec.eval.report.metrics import own_scores, source_of


def row_notes(
    files: Sequence[Scores], columns: Sequence[Column], counted: Counted, pairs: Sequence[Pair], split: str
) -> list[str]:
    """Where the runs were not judged on the same rows, or not trained on the same number of images."""
    notes = []
    for i, j in pairs:
        if (i, j) in counted.pairs:
            continue
        rows = [int(counted.tallies[n].images.sum()) for n in (i, j)]
        how = "other products" if rows[0] == rows[1] else f"{rows[1]:,} and {rows[0]:,}"
        notes.append(
            f"{files[j].path} and {files[i].path} do not hold the same {split} rows ({how}); "
            "their gain is unpaired, with a wider interval."
        )
    notes += [
        f"{columns[0].name} and {column.name} have other seeds; their gain is unpaired."
        for column in columns[1:]
        if not pairs_of(files, columns[0], column)
    ]
    notes += [
        f"{file.path} was trained on other images than {files[0].path}; head and tail follow those of {files[0].path}."
        for file in files[1:]
        if not np.array_equal(file.train_images, files[0].train_images)
    ]
    return notes


def level_notes(files: Sequence[Scores]) -> list[str]:
    """Which levels the runs scored themselves; one note for all runs of which the same is true."""
    told: dict[str, list[str]] = {}
    for file in files:
        own = [level for level in file.levels[:-1] if own_scores(file, level)]
        summed = [level for level in file.levels if source_of(file, level) not in (None, level)]
        parts = [f"{', '.join(own)} by the run's own scores"] if own else []
        if summed:
            source = source_of(file, summed[0])
            below = "leaves" if source == file.levels[-1] else f"classes of {source}"
            parts.append(f"{', '.join(summed)} by the summed probabilities of the {below} below")
            if file.top_k is not None:
                parts.append(f"of these only the {file.top_k} best are in the file")
        if parts:
            told.setdefault("; ".join(parts), []).append(file.origin.run)
    return [f"{', '.join(dict.fromkeys(runs))}: {text}." for text, runs in told.items()]


def absence_notes(files: Sequence[Scores]) -> list[str]:
    """Runs of which a level reads n/a."""
    runs: dict[str, list[str]] = {}
    for file in files:
        absent = [level for level in file.levels if source_of(file, level) is None]
        if absent:
            scored = ", ".join([*file.scored_levels, *file.scored_attributes])
            runs.setdefault(f"scores of {scored} only; {', '.join(absent)}", []).append(file.origin.run)
    return [f"{', '.join(dict.fromkeys(who))}: {what} read n/a." for what, who in runs.items()]
