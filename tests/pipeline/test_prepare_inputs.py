"""`prepare` without photos: with feature vectors, or with titles and categories alone."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from prodrec.core.base.errors import BadArtefact, BadFeatures, BadOption, NotFound
from prodrec.core.data.batches import RowBatches
from prodrec.core.data.dataset import Dataset, open_dataset
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.pipeline.prepare import prepare_dataset

if TYPE_CHECKING:
    from conftest import Shop


def product_rows(leaves: dict[str, int]) -> list[dict[str, str]]:
    """Return rows for some products of every leaf, without an image column."""
    names = [path for path, count in leaves.items() for _ in range(count)]
    return [{"id": f"p{i}", "title": f"red {name} {i}", "root": name[0], "leaf": name} for i, name in enumerate(names)]


def prepare_vectors(shop: Shop, vectors: NDArray[Any], *tables: Path, name: str = "v.npy", **options: Any) -> Dataset:
    if name.endswith(".npy"):
        np.save(shop.directory / name, vectors)
    else:
        with h5py.File(shop.directory / name, "w") as file:
            file["features"] = vectors
    out = shop.directory / "dataset"
    prepare_dataset(
        tables, features=shop.directory / name, out=out, options=PrepareOptions(**options), workers=1, force=True
    )
    return open_dataset(out)


@pytest.fixture
def vectors() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)


@pytest.mark.parametrize("name", ["v.npy", "v.h5"])
def test_the_vectors_of_kept_rows_are_stored(
    shop: Shop, vectors: NDArray[np.float32], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vector i of the file belongs to row i of all tables. It is stored as float16. Chunks do not matter."""
    rows = product_rows({"ax": 12, "by": 8})
    rows[3]["root"] = rows[3]["leaf"] = ""
    first, second = shop.table(rows[:9], "one.csv"), shop.table(rows[9:], "two.csv")
    dataset = prepare_vectors(shop, vectors, first, second, name=name)
    kept = [i for i in range(20) if i != 3]
    assert dataset.ids() == [f"p{i}" for i in kept] and dataset.photos is None and dataset.feature_width == 5
    assert dataset.features_ND is not None and dataset.features_ND.dtype == np.float16
    assert np.array_equal(dataset.features_ND, vectors[kept].astype(np.float16))
    assert dataset.header["features"] == {"width": 5, "count": 19, "bytes": 128 + 19 * 5 * 2}
    assert dataset.products().columns == [
        *("row", "table", "table_row", "id", "image", "title", "split", "group", "level_root", "level_leaf"),
    ]
    monkeypatch.setattr("prodrec.core.data.photos.features._CHUNK_BYTES", 60)
    assert prepare_vectors(shop, vectors, first, second, name=name).fingerprint == dataset.fingerprint
    vectors[4, 2] += 1
    assert prepare_vectors(shop, vectors, first, second, name=name).fingerprint != dataset.fingerprint


def test_batches_give_vectors(shop: Shop, vectors: NDArray[np.float32]) -> None:
    dataset = prepare_vectors(shop, vectors.astype(np.float16), shop.table(product_rows({"ax": 20})))
    batch = RowBatches(dataset, PhotoConfig(), augment=True).batch(np.array([7, 2, 2]))
    assert batch.inputs.dtype == torch.float16 and batch.labels_BL.tolist() == [[0, 0]] * 3
    ready = batch.to_device(torch.device("cpu"), PhotoConfig(), channels_last=True)
    assert ready.inputs.dtype == torch.float32
    np.testing.assert_array_equal(ready.inputs.numpy(), vectors.astype(np.float16)[[7, 2, 2]].astype(np.float32))


def test_equal_vectors_are_duplicates(shop: Shop, vectors: NDArray[np.float32]) -> None:
    """Equal vectors are in one split, and listed if their labels differ, as photos are. float16 is compared."""
    vectors[11] = vectors[2] * np.float32(1 + 1e-6)
    vectors[19] = vectors[0]
    table = shop.table(product_rows({"ax": 12, "by": 8}))
    dataset = prepare_vectors(shop, vectors, table)
    assert [(a, b) for a, b in [(2, 11), (0, 19)] if dataset.group_N[a] == dataset.group_N[b]] == [(2, 11), (0, 19)]
    assert len(np.unique(dataset.group_N)) == 18 == dataset.header["counts"]["features"]["distinct"]
    assert dataset.split_N[2] == dataset.split_N[11] and dataset.split_N[0] == dataset.split_N[19]
    with (dataset.path / "conflicts.csv").open(encoding="utf-8") as stream:
        assert {(row["id"], row["leaf"]) for row in csv.DictReader(stream)} == {("p0", "ax"), ("p19", "by")}
    with (dataset.path / "duplicates.csv").open(encoding="utf-8") as stream:
        assert {row["vector"] for row in csv.DictReader(stream) if row["id"] in ("p2", "p11")} & {""} == set()
    assert prepare_vectors(shop, vectors, table, drop_conflicts=True).ids() == [f"p{i}" for i in range(1, 19)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v[:-1], ["19 vectors", "20 rows", "t.csv"]),
        (lambda v: v.astype(np.float64), ["float64 [20, 5]", "float32"]),
        (lambda v: v[:, 0], ["float32 [20]", "[rows, numbers]"]),
        (
            lambda v: np.where(np.arange(20)[:, None] == 17, np.nan, v),
            ["vector 17", "t.csv, row 19", "number 0 is nan"],
        ),
        (lambda v: np.where(np.arange(20)[:, None] == 3, 1e6, v), ["vector 3", "t.csv, row 5", "1e+06", "too large"]),
    ],
)
@pytest.mark.parametrize("name", ["v.npy", "v.h5"])
def test_invalid_vectors(shop: Shop, vectors: NDArray[np.float32], change: Any, words: list[str], name: str) -> None:
    wrong = change(vectors)
    wrong = wrong.astype(np.float32) if "vector" in words[0] and wrong.ndim == 2 else wrong
    with pytest.raises(BadFeatures) as error:
        prepare_vectors(shop, wrong, shop.table(product_rows({"ax": 20}), "t.csv"), name=name)
    assert all(word in str(error.value) for word in [name, *words]), error.value
    assert not (shop.directory / "dataset").exists()


def test_files_without_vectors(shop: Shop, vectors: NDArray[np.float32]) -> None:
    table, out = shop.table(product_rows({"ax": 20})), shop.directory / "dataset"
    with h5py.File(shop.directory / "other.h5", "w") as file:
        file["embedding"] = vectors
    (shop.directory / "text.npy").write_text("no array")
    np.savez(shop.directory / "several.npz", a=vectors, b=vectors)
    for name, words in (("other.h5", "only embedding"), ("text.npy", "cannot be read"), ("several.npz", "several")):
        with pytest.raises(BadFeatures, match=words):
            prepare_dataset([table], features=shop.directory / name, out=out)
    with pytest.raises(NotFound, match=r"no\.npy does not exist"):
        prepare_dataset([table], features=shop.directory / "no.npy", out=out)


def test_titles_and_categories_alone(shop: Shop) -> None:
    rows = product_rows({"ax": 12, "by": 8})
    header = prepare_dataset(
        [shop.table(rows)], out=shop.directory / "dataset", options=PrepareOptions(inputs="nothing", drop_rare=0)
    )
    assert "photos" not in header and "features" not in header and header["counts"]["rows"]["kept"] == 20
    dataset = open_dataset(shop.directory / "dataset")
    assert dataset.photos is None and dataset.features_ND is None and dataset.vocabulary.id_of("red") > 0
    assert dataset.group_N.tolist() == list(range(20)) and not (dataset.path / "photos").exists()
    with pytest.raises(BadArtefact, match="nothing to recognise"):
        RowBatches(dataset, PhotoConfig(), augment=False)


def test_without_an_id_column_the_row_number_is_the_id(shop: Shop) -> None:
    rows = [{"title": row["title"], "leaf": row["leaf"]} for row in product_rows({"ax": 3})]
    out = shop.directory / "dataset"
    prepare_dataset([shop.table(rows)], out=out, options=PrepareOptions(inputs="nothing"))
    assert open_dataset(out).ids() == ["2", "3", "4"]


def test_contradictions(shop: Shop) -> None:
    out, table = shop.directory / "dataset", shop.table(product_rows({"ax": 3}))
    with pytest.raises(BadOption, match="exclude each other"):
        prepare_dataset([table], images=shop.photos, features=Path("v.npy"), out=out)
    with pytest.raises(BadOption, match="--no-images needs a table"):
        prepare_dataset([], out=out, options=PrepareOptions(inputs="nothing"))
