"""Predictions of another tool from a table: both forms, the names of photos and classes, and what is refused.

Shapes: R photos of the test split, C leaves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from prodrec.core.base.errors import ProdrecError
from prodrec.core.data.dataset import Dataset, open_dataset
from prodrec.core.scores.score_table import read_score_table


@pytest.fixture(scope="module")
def data(drawn_dataset: Path) -> Dataset:
    return open_dataset(drawn_dataset)


def draw_logits(data: Dataset) -> Any:
    return np.random.default_rng(0).normal(size=(len(data.rows("test")), len(data.taxonomy.leaves)))


def names_of(data: Dataset, column: str) -> list[str]:
    return [data.products()[column].to_list()[row] for row in data.rows("test")]


def long(data: Dataset, scores_RC: Any, *, best: int, photos: list[str], joiner: str | None = None) -> pl.DataFrame:
    """Return the best classes of each photo, one per row."""
    best_RK = np.argsort(-scores_RC, axis=1)[:, :best]
    leaves = range(len(data.taxonomy.leaves))
    names = [data.taxonomy.leaves[c] if joiner is None else joiner.join(data.taxonomy.path(c)) for c in leaves]
    return pl.DataFrame(
        {
            "id": np.repeat(photos, best),
            "class": [names[c] for c in best_RK.ravel()],
            "score": np.take_along_axis(scores_RC, best_RK, axis=1).ravel(),
        }
    )


@pytest.mark.parametrize(("column", "joiner"), [("id", None), ("image", " > "), ("image", "/")])
def test_a_long_table_has_the_best_classes(data: Dataset, tmp_path: Path, column: str, joiner: str | None) -> None:
    logits_RC = draw_logits(data)
    table = long(data, logits_RC, best=3, photos=names_of(data, column), joiner=joiner)
    table.sample(fraction=1, shuffle=True, seed=1).write_csv(tmp_path / "t.csv")
    scores = read_score_table(tmp_path / "t.csv", data)
    assert scores.rows_R.tolist() == data.rows("test").tolist() and scores.values == "logits"
    assert scores.classes_RK.tolist() == np.argsort(-logits_RC, axis=1)[:, :3].tolist()
    assert scores.scores_RK == pytest.approx(-np.sort(-logits_RC, axis=1)[:, :3])


def test_a_wide_table_has_all_classes(data: Dataset, tmp_path: Path) -> None:
    """Photos by the name of their file, in directories of another machine; probabilities become logarithms."""
    shares_RC = np.exp(draw_logits(data))
    shares_RC /= shares_RC.sum(axis=1, keepdims=True)
    files = [f"C:\\x\\{Path(image).name}" for image in names_of(data, "image")]
    columns = {str(name): shares_RC[:, c] for c, name in enumerate(data.taxonomy.leaves)}
    pl.DataFrame({"file": files, **columns}).write_parquet(tmp_path / "t.parquet")
    scores = read_score_table(tmp_path / "t.parquet", data)
    assert scores.values == "probabilities" and scores.classes_RK.shape == shares_RC.shape
    assert scores.classes_RK.tolist() == np.argsort(-shares_RC, axis=1).tolist()
    assert scores.scores_RK == pytest.approx(-np.sort(-np.log(shares_RC), axis=1))


def test_the_smallest_number_of_classes_is_kept_and_other_photos_are_skipped(data: Dataset, tmp_path: Path) -> None:
    table = long(data, draw_logits(data), best=3, photos=names_of(data, "id"))
    other = table.head(1).with_columns(id=pl.lit("unknown photo"))
    pl.concat([table[:-1], other]).write_csv(tmp_path / "t.csv")
    scores = read_score_table(tmp_path / "t.csv", data)
    assert scores.classes_RK.shape[1] == 2 and scores.most == 3
    assert scores.skipped.rows() == [(len(table) + 1, "unknown photo")]
    with pytest.raises(ProdrecError, match="validation"):
        read_score_table(tmp_path / "t.csv", data, splits=("test", "validation"))


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda t: t.with_columns(score=pl.lit("nan")), {}, r"row 2: the score of .* is 'nan'; expected a finite num"),
        (lambda t: t.with_columns(score=pl.lit(None)), {}, r"is ''; expected a finite number \(\d+ more are wrong\)"),
        (lambda t: pl.concat([t, t[:1]]), {}, r"rows 2 and \d+: the photo .* has the class .* twice; keep one"),
        (lambda t: t.with_columns(**{"class": pl.lit("Bag")}), {}, r"has the class 'Bag', which .* does not have"),
        (lambda t: t[3:], {}, "has no score of 1 of the .* photos of the split test, such as that of the product"),
        (lambda t: t.with_columns(id=pl.lit("x")), {}, "names no photo of .*the first is 'x'.*such as"),
        (lambda t: t[:0], {}, "has no rows"),
        (lambda t: t.select("id"), {}, "has the column id alone"),
        (lambda t: t.rename({"id": "n"}), {}, "no column of photos by a usual name .*--photo-column"),
        (lambda t: t.rename({"class": "n"}), {}, "a column of score and none of class; name it with --class-column"),
        (lambda t: t, {"score_column": "scor"}, "--score-column scor: .*did you mean score?"),
        (lambda t: t.with_columns(score=2.5), {"values": "probabilities"}, "2.5 is no probability .*--values logits"),
    ],
)
def test_what_would_falsify_results_is_refused(
    data: Dataset, tmp_path: Path, change: Any, options: dict[str, str], message: str
) -> None:
    table = long(data, draw_logits(data), best=3, photos=names_of(data, "id"))
    change(table).write_csv(tmp_path / "t.csv")
    with pytest.raises(ProdrecError, match=message) as refused:
        read_score_table(tmp_path / "t.csv", data, **options)
    assert str(refused.value).endswith(".") and "\n" not in str(refused.value)


def test_the_remedies_for_column_names_and_values(data: Dataset, tmp_path: Path) -> None:
    table = long(data, draw_logits(data), best=3, photos=names_of(data, "id"))
    table.rename({"id": "n", "class": "c", "score": "s"}).write_csv(tmp_path / "t.csv")
    names = {"photo_column": "n", "class_column": "c", "score_column": "s"}
    assert len(read_score_table(tmp_path / "t.csv", data, **names, values="logits").rows_R) == len(data.rows("test"))
