"""Scores with an index: those of `predict` with the same index, and no photo that votes for itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from prodrec.core.base.errors import BadOption, Mismatch, NotFound, OutputExists
from prodrec.core.data.dataset import open_dataset
from prodrec.core.scores.reader import open_scores
from prodrec.core.training.run import open_run
from prodrec.index.product_index import ProductIndex
from prodrec.pipeline.index_update import update_index
from prodrec.pipeline.index_voters import load_voters
from prodrec.pipeline.load_index import load_index
from prodrec.pipeline.score import score


@pytest.fixture(scope="module")
def place(indexed: Path) -> Path:
    return indexed


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with open_scores(path) as scores:
        chunk = next(scores.chunks())
        return chunk.rows_R, chunk.scores["leaf"]


@pytest.mark.parametrize("by", ["classes", "products", "both"])
def test_scores_are_those_of_predict(folder: Path, by: str) -> None:
    """`score` searches with code of its own, and knows which products are scored, and duplicates that are not equal."""
    torch.set_num_threads(1)
    data = open_dataset(Path("dataset"))
    is_single_N = np.bincount(data.group_N)[data.group_N] == 1
    update_index("index", remove=data.ids().to_polars().filter(~pl.Series(is_single_N)).to_list())
    files = score("visual", with_index="index", by=by, split="test", workers=0).files
    end = "" if by == "both" else f"-by-{by}"
    assert [path.name for path in files] == [f"visual-with-index{end}.h5", f"visual@balanced-with-index{end}.h5"]
    rows_R, scores_RC = read(files[0])
    update_index("index", remove=data.ids().to_polars()[data.rows("test")].to_list())
    recogniser = replace(load_index("index", by=by), calibration=None)
    photos = [data.photos.read(row) for row in rows_R.tolist()]  # type: ignore[union-attr]
    for result, scores_C in zip(recogniser.predict(photos, top=1000), scores_RC.astype(np.float64), strict=True):
        p_C = np.exp(scores_C - scores_C.max())
        found = {one.name: one.confidence for one in result.levels["leaf"]}
        for name, p in zip(data.taxonomy.leaves, p_C / p_C.sum(), strict=True):
            assert found[name] == pytest.approx(p, abs=5e-3), name


def test_no_photo_votes_for_itself_or_a_duplicate(place: Path) -> None:
    """The nearest voters of every row, against a plain search that knows the groups of the dataset."""
    data, index = open_dataset(place / "dataset"), ProductIndex.open(place / "index")
    run, rows = open_run(place / "runs/visual"), np.arange(len(data))
    voters = load_voters(index, run.taxonomy, data, rows, torch.device("cpu"))
    assert voters is not None and voters.own_group_R is not None
    by_sku = dict(zip(data.ids().to_polars(), data.group_N.tolist(), strict=True))
    frame, vectors_Nd = index.table.frame_and_vectors("sku")
    group_N = np.array([by_sku[sku] for sku in frame["sku"]])
    row_of = {sku: row for row, sku in enumerate(data.ids().to_polars())}
    queries_Nd = vectors_Nd.astype(np.float32)
    own_N = voters.own_group_R[[row_of[sku] for sku in frame["sku"]]]
    found = voters.searcher.nearest_to(torch.from_numpy(queries_Nd), 5, own_N)
    assert len(set(group_N.tolist())) < len(group_N), "there are duplicates"
    for query_d, own, index_k in zip(queries_Nd, group_N, found.index_Bk.numpy(), strict=True):
        order = [i for i in np.argsort(-(queries_Nd @ query_d), kind="stable") if group_N[i] != own]
        expected = list(dict.fromkeys(group_N[order].tolist()))[:5]
        names = voters.features.ids.to_polars()[index_k]
        assert [by_sku[sku] for sku in names] == expected


def test_products_of_the_scored_split_vote_only_if_wanted(folder: Path) -> None:
    data, index, run = open_dataset(Path("dataset")), ProductIndex.open(Path("index")), open_run(Path("runs/visual"))
    splits = dict(zip(data.ids().to_polars(), data.split_N.tolist(), strict=True))
    for without, expected in ((("test",), {0, 2}), ((), {0, 1, 2})):
        voters = load_voters(index, run.taxonomy, data, data.rows("test"), torch.device("cpu"), without_splits=without)
        assert voters is not None and {splits[sku] for sku in voters.features.ids.to_polars()} == expected
    (file,) = score("visual", with_index="index", out="s.h5", split="test", scored_products=True, workers=0).files
    (other,) = score("visual", with_index="index", out="t.h5", split="test", workers=0).files
    assert not np.array_equal(read(file)[1], read(other)[1])


def test_scores_of_an_older_version_are_not_up_to_date(folder: Path) -> None:
    options = {"with_index": "index", "split": "test", "operating_point": "natural", "workers": 0}
    (file,) = score("visual", **options).files  # type: ignore[arg-type]
    assert score("visual", **options).up_to_date == (file,)  # type: ignore[arg-type]
    update_index("index", remove=[str(ProductIndex.open(Path("index")).frame("sku")["sku"][0])])
    with pytest.raises(OutputExists, match="add --force to replace it"):
        score("visual", **options)  # type: ignore[arg-type]
    assert score("visual", force=True, **options).files == (file,)  # type: ignore[arg-type]


def test_mistakes(folder: Path) -> None:
    for options, message in (
        ({"by": "products"}, r"--by products is about the products of an index; add --with-index"),
        ({"scored_products": True}, "--scored-products is about the products of an index"),
        ({"with_index": "index", "by": "words"}, "--by words: expected classes, products or both"),
        ({"with_index": "index", "no_neighbours": True}, "--no-neighbours and --with-index exclude each other"),
        ({"with_index": "index", "with_titles": True}, "--with-titles and --with-index exclude each other"),
        ({"with_index": "index", "operating_point": "best"}, "--operating-point best: expected natural or balanced"),
        ({"with_index": "index", "split": "all"}, "are in the scored splits; .* add --scored-products"),
    ):
        with pytest.raises(BadOption, match=message):
            score("visual", **options)  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="none does not exist; expected the directory of a prodrec index"):
        score("visual", with_index="none")
    text = Path("index/index.json").read_text("utf-8")
    fingerprint = ProductIndex.open(Path("index")).run_fingerprint
    Path("index/index.json").write_text(text.replace(fingerprint, "other"), "utf-8")
    with pytest.raises(Mismatch, match="make the index again"):
        score("visual", with_index="index")
