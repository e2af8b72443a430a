"""Read the predictions of another tool from a table, for the photos of a dataset.

A table has one of two forms:

    long    one row for each photo and class: a photo, a class and its score
    wide    one row for each photo: a photo, and one column of scores for each class

A photo is named by the id of its product or by its file, with or without directories. A class is named by its leaf or
by its full path, with the names joined by ` > ` or `/`. The whole table is in memory.

Whatever would falsify the results is refused. Rows of other photos are skipped.

Shapes: R photos, K classes of a photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.artefact import SPLITS
from prodrec.core.base.errors import BadOption, BadTable, Mismatch, did_you_mean
from prodrec.core.base.wording import counted
from prodrec.core.data.dataset import Dataset
from prodrec.core.data.tables.open_table import open_table
from prodrec.core.data.tables.records import PROBLEM_COLUMN, ROW_COLUMN

if TYPE_CHECKING:
    import polars as pl

PHOTO_COLUMNS = ("id", "photo", "image", "file", "filename", "file_name", "path", "product", "sku")
CLASS_COLUMNS = ("class", "label", "category", "prediction", "leaf")
SCORE_COLUMNS = ("score", "probability", "prob", "confidence", "logit")
"""Names by which a column is found if none is given, whatever their case; the first that the table has."""

PROBABILITIES, LOGITS = "probabilities", "logits"
SMALLEST_PROBABILITY = 1e-20
"""Probabilities below it become this one: float16 has no logarithm of 0."""

LARGEST_SUM = 1.01
"""Probabilities of a photo may exceed 1 by rounding."""


@dataclass(frozen=True, eq=False)
class TableScores:
    """The K best classes of every photo, in descending order of their scores.

    rows_R:     rows of the dataset, ascending
    classes_RK: their leaves; all of them if K is the number of leaves
    scores_RK:  unnormalised scores
    values:     what the table contains, PROBABILITIES or LOGITS
    most:       number of classes of the photo with the most
    skipped:    rows of other photos: number of the row, photo
    """

    rows_R: NDArray[np.int64]
    classes_RK: NDArray[np.int32]
    scores_RK: NDArray[np.float64]
    values: str
    most: int
    skipped: pl.DataFrame


def read_score_table(
    path: Path,
    dataset: Dataset,
    *,
    splits: Sequence[str] | None = None,
    photo_column: str | None = None,
    class_column: str | None = None,
    score_column: str | None = None,
    values: str | None = None,
) -> TableScores:
    """Return the scores of the photos of `splits`; None is every split of which the table has a photo.

    Raise NotFound or BadTable if the table cannot be read, has a row that is no score, or a class of a photo twice;
    BadOption for a column that it lacks; Mismatch if it has another class than the dataset, or lacks a photo.
    """
    import polars as pl

    scores = _read_long(path, photo_column, class_column, score_column)
    scores = scores.join(_number_photos(path, dataset, scores["photo"].unique()), on="photo", how="left")
    chosen = SPLITS if splits is None else splits
    row_splits = pl.DataFrame({"row": np.arange(len(dataset)), "split": dataset.split_N})
    scores = scores.join(row_splits, on="row", how="left")
    is_chosen = pl.col("split").is_in([SPLITS.index(name) for name in chosen]).fill_null(value=False)
    skipped = scores.filter(~is_chosen).select("table_row", "photo").unique(maintain_order=True)
    scores = scores.filter(is_chosen).join(_number_classes(dataset), on="class", how="left")
    _check_scores(path, dataset, scores, chosen if splits else [SPLITS[i] for i in scores["split"].unique().sort()])
    kind = values or _kind_of_values(scores)
    if kind == PROBABILITIES:
        _check_probabilities(path, scores)
        scores = scores.with_columns(pl.col("score").clip(SMALLEST_PROBABILITY).log())
    _, counts_R = np.unique(scores["row"].to_numpy(), return_counts=True)
    fewest = int(counts_R.min())
    best = scores.sort("row", "score", "leaf", descending=[False, True, False]).group_by("row", maintain_order=True)
    kept = best.head(fewest)
    return TableScores(
        rows_R=kept["row"].unique(maintain_order=True).to_numpy(),
        classes_RK=kept["leaf"].to_numpy().astype(np.int32).reshape(-1, fewest),
        scores_RK=kept["score"].to_numpy().reshape(-1, fewest),
        values=kind,
        most=int(counts_R.max()),
        skipped=skipped,
    )


def _read_long(path: Path, photo: str | None, class_: str | None, score: str | None) -> pl.DataFrame:
    """Return the table in long form: table_row, photo, class and score. Raise BadTable or BadOption."""
    import polars as pl

    table = open_table(path)
    photo_column = _find_column(path, table.header, photo, PHOTO_COLUMNS, "--photo-column", "of photos")
    assert photo_column is not None, "a missing column of photos is refused"
    found = [
        _find_column(path, table.header, name, names, option, None)
        for name, names, option in (
            (class_, CLASS_COLUMNS, "--class-column"),
            (score, SCORE_COLUMNS, "--score-column"),
        )
    ]
    if (found[0] is None) != (found[1] is None):
        named, missing = ("class", "score") if found[1] is None else ("score", "class")
        raise BadOption(
            f"{path} has a column of {named} and none of {missing}; name it with --{missing}-column, or rename the "
            "columns so that each class has one."
        )
    is_long = found[0] is not None
    others = [name for name in found if name is not None] if is_long else [n for n in table.header if n != photo_column]
    if not others:
        raise BadTable(f"{path} has the column {photo_column} alone; expected a class and a score, or all classes.")
    frame = pl.concat([chunk.collect() for chunk in table.chunks([photo_column, *others])])
    if not len(frame):
        raise BadTable(f"{path} has no rows; expected one for each photo, or for each photo and class.")
    malformed = frame.filter(pl.col(PROBLEM_COLUMN).is_not_null())
    if len(malformed):
        first = malformed.row(0, named=True)
        raise BadTable(f"{path}, row {first[ROW_COLUMN]}: {first[PROBLEM_COLUMN]}; correct the table.")
    frame = frame.drop(PROBLEM_COLUMN).rename({ROW_COLUMN: "table_row", photo_column: "photo"})
    if is_long:
        frame = frame.rename({others[0]: "class", others[1]: "score"})
    else:
        frame = frame.unpivot(index=["table_row", "photo"], variable_name="class", value_name="score")
    number = pl.col("score").cast(pl.Float64, strict=False)
    wrong = frame.filter(~number.is_finite().fill_null(value=False))
    if len(wrong):
        first = wrong.row(0, named=True)
        place = f"row {first['table_row']}: the score of {first['class']!r} is {first['score'] or ''!r}"
        raise BadTable(f"{path}, {place}; expected a finite number{_and_more(len(wrong))}.")
    return frame.with_columns(number, pl.col("photo").fill_null(""), pl.col("class").fill_null("").str.strip_chars())


def _find_column(
    path: Path, header: Sequence[str], name: str | None, known: Sequence[str], option: str, required: str | None
) -> str | None:
    """Return the column `name`, or the first of `known`. Raise BadOption if there is none and it is `required`."""
    if name is not None:
        if name not in header:
            raise BadOption(f"{option} {name}: {path} has no such column{did_you_mean(name, header)}.")
        return name
    by_name = {column.lower(): column for column in reversed(header)}
    column = next((by_name[candidate] for candidate in known if candidate in by_name), None)
    if column is None and required:
        raise BadOption(f"{path} has no column {required} by a usual name ({', '.join(known)}); name it with {option}.")
    return column


def _number_photos(path: Path, dataset: Dataset, photos: pl.Series) -> pl.DataFrame:
    """Return the row of the dataset for every photo that it has: `photo` and `row`.

    All photos are named in one way: by id, by file as in the dataset, or by the name of the file without directories;
    the one by which most are found. A name of several rows names none of them. Raise Mismatch if none is found.
    """
    import polars as pl

    products = dataset.products()
    ways = {"id": (pl.col("id"), pl.col("photo"))}
    if dataset.photos is not None:
        file_name = r"([^/\\]+)$"
        ways["file"] = (pl.col("image"), pl.col("photo"))
        ways["name of a file"] = (pl.col("image").str.extract(file_name), pl.col("photo").str.extract(file_name))
    wanted = pl.DataFrame({"photo": photos})
    best: pl.DataFrame | None = None
    for of_dataset, of_table in ways.values():
        known = products.select(key=of_dataset, row=pl.col("row").cast(pl.Int64))
        known = known.filter(pl.col("key").is_not_null() & pl.col("key").is_unique())
        found = wanted.with_columns(key=of_table).join(known, on="key", how="inner").select("photo", "row")
        if best is None or len(found) > len(best):
            best = found
    assert best is not None, "there is at least one way"
    if not len(best):
        example = products.row(0, named=True)
        names = " or ".join(repr(example[name]) for name in ("id", "image") if example.get(name))
        raise Mismatch(
            f"{path} names no photo of {dataset.path} (the first is {photos.sort()[0]!r}); expected ids of products "
            f"with one photo, or names of photo files, such as {names}."
        )
    return best


def _number_classes(dataset: Dataset) -> pl.DataFrame:
    """Return the leaf of every name of a class: `class` and `leaf`."""
    import polars as pl

    leaves = [(dataset.taxonomy.leaves[leaf], leaf) for leaf in range(len(dataset.taxonomy.leaves))]
    paths = [(dataset.taxonomy.path(leaf), leaf) for _, leaf in leaves]
    names = leaves + [(joiner.join(path), leaf) for joiner in (" > ", "/") for path, leaf in paths]
    frame = pl.DataFrame(names, schema={"class": pl.String, "leaf": pl.Int32}, orient="row")
    return frame.unique("class", keep="first", maintain_order=True)


def _check_scores(path: Path, dataset: Dataset, scores: pl.DataFrame, splits: Sequence[str]) -> None:
    """Raise Mismatch for a class that the dataset lacks or a photo that the table lacks, BadTable for one twice."""
    import polars as pl

    unknown = scores.filter(pl.col("leaf").is_null())["class"].unique().sort()
    if len(unknown):
        raise Mismatch(
            f"{path} has the class {unknown[0]!r}, which {dataset.path} does not have"
            f"{did_you_mean(unknown[0], dataset.taxonomy.leaves)}; expected names of leaves or full paths"
            f"{_and_more(len(unknown))}."
        )
    repeated = scores.filter(pl.struct("row", "leaf").is_duplicated()).sort("row", "leaf", "table_row")
    if len(repeated):
        first, second = repeated.row(0, named=True), repeated.row(1, named=True)
        raise BadTable(
            f"{path}, rows {first['table_row']} and {second['table_row']}: the photo {first['photo']!r} has the class "
            f"{first['class']!r} twice; keep one of them."
        )
    for split in splits:
        rows = dataset.rows(split)
        missing = np.setdiff1d(rows, scores["row"].unique().to_numpy())
        if len(missing):
            raise Mismatch(
                f"{path} has no score of {len(missing):,} of the {counted(len(rows), 'photo', 'photos')} of the split "
                f"{split}, such as that of the product {dataset.ids()[int(missing[0])]}; predict all of them, or name "
                "complete splits with --split."
            )


def _kind_of_values(scores: pl.DataFrame) -> str:
    """Return PROBABILITIES if no score is outside 0 to 1, and those of no photo sum to more than 1; else LOGITS."""
    import polars as pl

    sums = scores.group_by("row").agg(pl.col("score").sum())["score"]
    in_range = scores["score"].is_between(0, 1).all()
    return PROBABILITIES if in_range and (sums <= LARGEST_SUM).all() else LOGITS


def _check_probabilities(path: Path, scores: pl.DataFrame) -> None:
    import polars as pl

    wrong = scores.filter(~pl.col("score").is_between(0, 1)).sort("table_row")
    if len(wrong):
        first = wrong.row(0, named=True)
        raise BadTable(
            f"{path}, row {first['table_row']}: the score {first['score']:g} is no probability from 0 to 1; import it "
            f"with --values {LOGITS}."
        )


def _and_more(count: int) -> str:
    return f" ({count - 1:,} more are wrong)" if count > 1 else ""


def write_skipped(skipped: pl.DataFrame, path: Path) -> None:
    """Write the rows that were skipped as CSV."""
    from prodrec.core.base.csv_cells import write_csv

    write_csv(skipped, path)
