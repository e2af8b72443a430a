"""`prepare --corrections` as a whole: what a table of corrections changes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from prodrec.core.base.errors import BadTable
from prodrec.core.data.dataset import Dataset, open_dataset
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables.catalogue import read_catalogue
from prodrec.core.data.tables.columns import ColumnNames
from prodrec.core.data.tables.corrections import apply_corrections
from prodrec.pipeline.prepare import prepare_dataset

PRODUCTS = 12


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Twelve products: the first half under A / a, the others under B / b."""
    lines = [f"p{i},title {i},{'A,a' if i < 6 else 'B,b'}" for i in range(PRODUCTS)]
    path = tmp_path / "products.csv"
    path.write_text("\n".join(["id,title,root,leaf", *lines]) + "\n", "utf-8")
    np.save(tmp_path / "vectors.npy", np.random.default_rng(0).normal(size=(PRODUCTS, 3)).astype(np.float32))
    return path


def prepare(table: Path, text: str) -> Dataset:
    corrections, out = table.with_name("corrections.csv"), table.with_name("dataset")
    corrections.write_text(text, "utf-8")
    options = PrepareOptions(inputs="features", corrections=str(corrections))
    prepare_dataset([table], features=table.with_name("vectors.npy"), out=out, options=options, force=True)
    return open_dataset(out)


def leaf_of(data: Dataset) -> dict[str, str]:
    products = data.products()
    return dict(zip(products["id"], products["level_leaf"], strict=True))


def test_decisions_are_applied_and_accounted_for(table: Path) -> None:
    data = prepare(
        table,
        "decision,id,image,title,root,leaf,why\n"
        "change,p0,,,B,b,label\nchange,p1,,,C,new,label\nChange,p2,,,A,a,label\n"
        "remove,p3,,,,,dark\nkeep,p4,,,B,b,label\n,p5,,,B,b,label\nchange,stranger,,,A,a,label\n",
    )
    leaves = leaf_of(data)
    assert [leaves[f"p{i}"] for i in (0, 1, 2, 4, 5)] == ["b", "new", "a", "a", "a"] and "p3" not in leaves
    counts = {"changed": 2, "confirmed": 1, "kept": 1, "removed": 1, "undecided": 1, "unknown": 1}
    assert data.header["counts"]["corrections"] == counts
    assert data.header["counts"]["rows"]["by_reason"] == {"removed by a correction": 1}
    rejected = pl.read_csv(data.path / "rejected.csv")
    assert rejected["id"].to_list() == ["p3"] and "corrections.csv removes it" in rejected.rows()[0]
    note = "corrections.csv: rows 2 changed, 1 removed, 1 kept, 1 as they were; 1 line is undecided; "
    assert f"{note}1 line names no product of the tables" in data.header["notes"]


def test_a_table_without_decisions_is_decided(table: Path) -> None:
    """As `serve --corrections` writes it."""
    assert leaf_of(prepare(table, "id,image,title,root,leaf\np0,,,B,b\n"))["p0"] == "b"


def test_apostrophes_before_formulas_are_removed(table: Path) -> None:
    table.write_text(table.read_text("utf-8").replace("p0,", "=p0,"), "utf-8")
    assert leaf_of(prepare(table, "id;root;leaf\n'=p0;B;'-b\n"))["=p0"] == "-b"


def test_a_path_may_end_early(table: Path) -> None:
    assert leaf_of(prepare(table, "id,root,leaf\np0,B,\n"))["p0"] is None


def test_without_a_table_nothing_is_recorded(table: Path) -> None:
    options = PrepareOptions(inputs="features")
    out = table.with_name("plain")
    header = prepare_dataset([table], features=table.with_name("vectors.npy"), out=out, options=options)
    assert header["counts"]["corrections"] is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,root\np0,A\n", "no column 'leaf' .--corrections.*its columns are id, root"),
        ("id,decision,root,leaf\np0,maybe,A,a\n", "row 2, has the decision 'maybe'; expected keep, change, remove, or"),
        ("id,decision,root,leaf\n,keep,A,a\n", "row 2, has a decision and no id"),
        ("id,decision,root,leaf\np0,change,,\n", "row 2, changes p0 to no class; fill in its category path, or write"),
        ("id,decision,root,leaf\np0,keep,,\np0,remove,,\n", "decides p0 in two ways; leave one line"),
    ],
)
def test_what_cannot_be_applied_is_refused(table: Path, text: str, message: str) -> None:
    with pytest.raises(BadTable, match=message):
        prepare(table, text)


def test_one_photo_of_a_product_can_be_removed(table: Path, tmp_path: Path) -> None:
    lines = [f"p{i // 2},{i}.jpg,A,a{i // 6}" for i in range(PRODUCTS)]
    table.write_text("\n".join(["id,image,root,leaf", *lines]) + "\n", "utf-8")
    (tmp_path / "scratch").mkdir()
    catalogue = read_catalogue([table], ColumnNames(), scratch=tmp_path / "scratch")
    corrections = tmp_path / "corrections.csv"
    corrections.write_text("decision,id,image,root,leaf\nremove,p0,1.jpg,,\nchange,p0,,B,b\n", "utf-8")
    corrected = apply_corrections(catalogue, corrections, tmp_path / "scratch")
    assert corrected.corrections is not None and corrected.corrections.removed_R.tolist() == [1]
    assert corrected.read_column("level_1").to_list()[:3] == ["b", "a0", "a0"]
    assert corrected.read_column("image").to_list() == catalogue.read_column("image").to_list()
