"""`prodrec import-scores`: make a scores file of the predictions of another tool.

Shapes: B rows of a batch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base.errors import BadOption, did_you_mean

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset
    from prodrec.core.scores.score_table import TableScores

ROWS_PER_BATCH = 8192
VALUES = ("auto", "probabilities", "logits")


@dataclass(frozen=True)
class ImportedScores:
    """A scores file of the predictions of another tool.

    path:     the scores file
    rows:     photos by split
    top_k:    number of best classes of each photo in the file; None if all are
    values:   probabilities or logits, which the table contains
    skipped:  number of rows of other photos
    rejected: the list of these rows; None without one
    notes:    facts without which the scores may be misread, one sentence each
    """

    path: Path
    rows: dict[str, int]
    top_k: int | None
    values: str
    skipped: int
    rejected: Path | None
    notes: tuple[str, ...]

    def __str__(self) -> str:
        rows = ", ".join(f"{count:,} {split}" for split, count in self.rows.items())
        classes = "all classes" if self.top_k is None else f"the {self.top_k} best classes"
        return "\n".join([f"{self.path}: {rows} photos, {classes}, from {self.values}", *self.notes])

    def as_json(self) -> dict[str, Any]:
        """Return plain values, as `prodrec import-scores --json` prints them."""
        return {
            "scores": str(self.path),
            "rows": self.rows,
            "top_k": self.top_k,
            "values": self.values,
            "skipped": self.skipped,
            "rejected": None if self.rejected is None else str(self.rejected),
            "notes": list(self.notes),
        }


def import_scores(
    table: str | Path,
    dataset: str | Path = "dataset",
    *,
    name: str | None = None,
    family: str | None = None,
    seed: int | None = None,
    out: str | Path | None = None,
    split: str | None = None,
    photo_column: str | None = None,
    class_column: str | None = None,
    score_column: str | None = None,
    values: str = "auto",
    force: bool = False,
) -> ImportedScores:
    """Make a scores file of the predictions of another tool, for `report`, `compare` and `gallery`.

    The table has a row for each photo and class, with the score of the class, or a row for each photo and a column for
    each class. All photos of a split must have scores. If photos have different numbers of classes, the smallest number
    is kept: reports then have the accuracies that all photos allow.

    Args:
        table: any table that `prepare` reads.
        dataset: directory that `prepare` wrote, which contains the photos.
        name: name of the run in reports; None is the name of the table.
        family: runs of one family that differ in the seed are repeats; None is `name`.
        seed: the seed of the run, to average over seeds and to compare recipes.
        out: scores file; None is `scores/NAME.h5`.
        split: names of splits, joined by commas, or all; None is every split of which the table has a photo.
        photo_column: column with ids of products or names of photo files; None looks for usual names.
        class_column: column with names of leaves or full paths.
        score_column: column with scores.
        values: probabilities, logits, or auto, which takes scores from 0 to 1 with sums up to 1 for probabilities.
        force: replace an existing scores file.

    Raises:
        NotFound: if the table or the dataset does not exist.
        BadTable: if the table cannot be read, a score is no number, or a photo has a class twice.
        Mismatch: if the table has a class that the dataset lacks, or lacks a photo of the split.
        BadOption: for a column that the table lacks, a split without photos, or unknown values.
        OutputExists: if the scores file, or its list of rejected rows, exists and `force` is not set.
    """
    from prodrec.core.base.outputs import refuse_if_taken
    from prodrec.core.data.dataset import open_dataset
    from prodrec.core.scores.score_table import read_score_table
    from prodrec.inference.scoring_checks import choose_splits

    if values not in VALUES:
        raise BadOption(f"--values {values}: expected one of {', '.join(VALUES)}{did_you_mean(values, VALUES)}.")
    source = Path(table)
    run = source.name.split(".")[0] if name is None else name
    if not re.fullmatch(r"[^/\\\x00-\x1f]+", run) or run.startswith("."):
        raise BadOption(f"--name {run!r}: expected a name without slashes or a leading dot.")
    path = Path("scores") / f"{run}.h5" if out is None else Path(out)
    rejected = path.with_suffix(".rejected.csv")
    refuse_if_taken(path, kind="scores", force=force)
    refuse_if_taken(rejected, kind="report", force=force)
    data = open_dataset(Path(dataset))
    scores = read_score_table(
        source,
        data,
        splits=None if split is None else choose_splits(data, split),
        photo_column=photo_column,
        class_column=class_column,
        score_column=score_column,
        values=None if values == "auto" else values,
    )
    is_listed = len(scores.skipped) > 0 or rejected.exists()  # a list of the scores that are replaced is emptied
    listed = rejected if is_listed else None
    rows = _write(path, data, scores, listed, run=run, family=family or run, seed=seed, force=force)
    kept, leaves = scores.classes_RK.shape[1], len(data.taxonomy.leaves)
    return ImportedScores(
        path=path,
        rows=rows,
        top_k=None if kept == leaves else kept,
        values=scores.values,
        skipped=len(scores.skipped),
        rejected=listed,
        notes=tuple(_notes(scores, rejected, kept)),
    )


def _write(
    path: Path,
    data: Dataset,
    scores: TableScores,
    rejected: Path | None,
    *,
    run: str,
    family: str,
    seed: int | None,
    force: bool,
) -> dict[str, int]:
    """Write the scores file, and the list of rejected rows. Return the number of photos by split."""
    import numpy as np

    from prodrec.core.base.artefact import SPLITS
    from prodrec.core.base.outputs import new_file
    from prodrec.core.scores.schema import Origin
    from prodrec.core.scores.score_table import write_skipped
    from prodrec.core.scores.writer import ScoresWriter
    from prodrec.inference.score import first_rows_of_products

    counts = np.bincount(data.split_N[scores.rows_R], minlength=len(SPLITS))
    rows = {name: int(count) for name, count in zip(SPLITS, counts, strict=True) if count}
    made_from = {"dataset": data.fingerprint}
    ids = data.ids()
    writer = ScoresWriter(
        path,
        origin=Origin(run=run, family=family, made_from=made_from, splits=tuple(rows), seed=seed),
        taxonomy=data.taxonomy,
        train_images=data.train_images,
        id_bytes=int(ids.lengths[scores.rows_R].max()),
        rows=len(scores.rows_R),
        attributes=data.attributes,
        force=force,
    )
    first_rows = first_rows_of_products(data, scores.rows_R)
    with writer:
        for start in range(0, len(scores.rows_R), ROWS_PER_BATCH):
            batch = slice(start, start + ROWS_PER_BATCH)
            rows_B = scores.rows_R[batch]
            writer.append(
                ids=ids.take(rows_B),
                rows_B=rows_B,
                split_B=data.split_N[rows_B],
                labels_BL=data.labels_NL[rows_B],
                products_B=None if first_rows is None else (first_rows[0][rows_B], first_rows[1][rows_B]),
                attributes_BA=data.attributes_NA[rows_B],
                features_BD=np.zeros((len(rows_B), 1), np.float16),  # another tool's are unknown
                **_leaf_scores(data, scores, batch),
            )
        if rejected is not None:
            with new_file(rejected, kind="report", force=force) as partial:
                write_skipped(scores.skipped, partial)
    return rows


def _leaf_scores(data: Dataset, scores: TableScores, batch: slice) -> dict[str, Any]:
    """Return the arguments `scores` and, unless every class has a score, `classes` of the writer."""
    import numpy as np

    leaf = data.taxonomy.leaf_level
    classes_BK, scores_BK = scores.classes_RK[batch], scores.scores_RK[batch]
    if classes_BK.shape[1] < len(data.taxonomy.leaves):
        return {"scores": {leaf: scores_BK}, "classes": {leaf: classes_BK}}
    scores_BC = np.empty_like(scores_BK)
    np.put_along_axis(scores_BC, classes_BK.astype(np.int64), scores_BK, axis=1)
    return {"scores": {leaf: scores_BC}}


def _notes(scores: TableScores, rejected: Path, kept: int) -> list[str]:
    from prodrec.core.base.wording import counted

    notes = []
    if len(scores.skipped):
        rows = counted(len(scores.skipped), "row names a photo", "rows name photos")
        notes.append(f"{rows} that the splits of the dataset do not have once; skipped, and listed in {rejected}")
    if scores.most > kept:
        notes.append(f"photos have {kept} to {scores.most} classes; the {kept} best of each are kept")
    return notes
