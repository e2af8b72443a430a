from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from prodrec.core.data.dataset import open_dataset
from prodrec.demo.catalogue import DrawnCatalogue
from prodrec.models.families import make_recipe
from prodrec.pipeline.prepare import prepare
from prodrec.pipeline.training_notes import report_gaps

SPLITS = ("train", "train", "train", "validation", "test")


@pytest.fixture
def warnings(
    drawn_dozen: DrawnCatalogue, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., list[str]]:
    """Return the warnings for the dozen products with changed columns."""

    def warnings_of(family: str = "visual", **columns: pl.Series) -> list[str]:
        table = pl.read_csv(drawn_dozen.table, infer_schema_length=0)
        split = pl.Series([SPLITS[i % 5] for i in range(len(table))])
        table.with_columns(**{"split": split, **columns}).write_csv(tmp_path / "table.csv")
        prepare(tmp_path / "table.csv", images=drawn_dozen.photos, out=tmp_path / "ds", split_column="split")
        capsys.readouterr()
        report_gaps(open_dataset(tmp_path / "ds"), make_recipe(family))
        text = " ".join(capsys.readouterr().err.split())
        return [part.strip() for part in text.split("warning:") if part.strip()]

    return warnings_of


def leaves(data: DrawnCatalogue) -> pl.Series:
    return pl.read_csv(data.table, infer_schema_length=0)["leaf"]


def test_a_whole_dataset_has_no_gap(drawn_dozen: DrawnCatalogue, warnings: Callable[..., list[str]]) -> None:
    leaf = leaves(drawn_dozen)
    position = pl.Series([(leaf[:i] == name).sum() for i, name in enumerate(leaf)])
    assert warnings("sicot", split=pl.Series([SPLITS[i % 5] for i in position])) == []


def test_a_class_without_training_photos(drawn_dozen: DrawnCatalogue, warnings: Callable[..., list[str]]) -> None:
    leaf = leaves(drawn_dozen)
    first, _ = leaf.unique(maintain_order=True)
    split = [("test" if name == first else SPLITS[i % 4]) for i, name in enumerate(leaf)]
    (sentence,) = warnings(split=pl.Series(split))
    assert sentence == (
        f"1 of 2 classes of leaf has no training photo and cannot be predicted: {first}; prepare the dataset with "
        "another split, or without them."
    )


def test_a_class_without_validation_photos(drawn_dozen: DrawnCatalogue, warnings: Callable[..., list[str]]) -> None:
    leaf = leaves(drawn_dozen)
    first, _ = leaf.unique(maintain_order=True)
    split = np.where(leaf.to_numpy() == first, "train", [SPLITS[i % 4] for i in range(len(leaf))])
    (sentence,) = warnings(split=pl.Series(split))
    assert sentence.startswith("1 of 2 classes of leaf has no validation photo, ") and sentence.endswith(f": {first}.")


def test_no_validation_photo(drawn_dozen: DrawnCatalogue, warnings: Callable[..., list[str]]) -> None:
    (sentence,) = warnings(split=pl.Series([("train", "test")[i % 4 == 3] for i in range(12)]))
    assert "there is no validation photo" in sentence and "--split 8:1:1" in sentence


def test_one_class(drawn_dozen: DrawnCatalogue, warnings: Callable[..., list[str]]) -> None:
    same = {name: pl.Series(["x"] * 12) for name in ("root", "middle", "leaf")}
    (sentence,) = warnings(**same)
    assert sentence == "there is one class at level leaf, so every prediction is right and nothing can be learned."


@pytest.mark.parametrize(("family", "expected"), [("visual", 0), ("sicot", 1), ("words", 1)])
def test_missing_titles(
    drawn_dozen: DrawnCatalogue, warnings: Callable[..., list[str]], family: str, expected: int
) -> None:
    table = pl.read_csv(drawn_dozen.table, infer_schema_length=0)
    titles = [title if i % 2 else None for i, title in enumerate(table["title"])]
    found = warnings(family, title=pl.Series(titles))
    missing = [sentence for sentence in found if "training photos have no title with a known word" in sentence]
    assert len(missing) == expected


def test_the_remedies(drawn_dozen: DrawnCatalogue, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A split by shares has photos of all classes in all splits."""
    out = tmp_path / "ds"
    prepare(drawn_dozen.table, images=drawn_dozen.photos, out=out, split="8:1:1")
    capsys.readouterr()
    data = open_dataset(out)
    report_gaps(data, make_recipe("sicot"))
    assert "no training photo" not in capsys.readouterr().err and len(data.rows("validation"))
