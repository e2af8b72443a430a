"""A prepared dataset opened: its arrays, splits, products and samples, and errors for damaged files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.base.artefact import SPLITS
from prodrec.core.base.errors import BadArtefact, BadOption, NotFound
from prodrec.core.data.dataset import Dataset, open_dataset
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables.columns import ColumnNames
from prodrec.demo.catalogue import ATTRIBUTES, DrawnCatalogue
from prodrec.pipeline.prepare import prepare_dataset


@pytest.fixture(scope="module")
def path(drawn_dozen: DrawnCatalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dozen") / "dataset"
    options = PrepareOptions(columns=ColumnNames(attributes=ATTRIBUTES))
    prepare_dataset([drawn_dozen.table], images=drawn_dozen.photos, out=out, options=options, workers=1)
    return out


@pytest.fixture
def broken(path: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(path, tmp_path / "dataset"))


def test_shapes_and_kinds(path: Path) -> None:
    dataset = open_dataset(path)
    n = len(dataset)
    assert n == 12 == len(dataset.photos) == len(dataset.tokens) == dataset.products().height
    assert dataset.labels_NL.shape == (n, 3) and dataset.labels_NL.dtype == np.int32
    assert dataset.attributes_NA.shape == (n, 3) and dataset.attributes_NA.dtype == np.int32
    assert dataset.split_N.dtype == np.uint8 and dataset.group_N.dtype == np.int64
    assert isinstance(dataset.labels_NL, np.memmap)
    assert dataset.train_images.sum() == len(dataset.rows("train"))
    assert np.array_equal(dataset.labels_NL, dataset.taxonomy.ancestors()[dataset.labels_NL[:, -1]])


def test_it_prints_as_one_line(path: Path) -> None:
    dataset = open_dataset(path)
    text = repr(dataset)
    assert text.startswith(f"Dataset('{path}': 12 rows of photos (train ") and "\n" not in text
    assert f"leaf {len(dataset.taxonomy.leaves)}" in text and ", ".join(ATTRIBUTES) in text


def test_without_products_each_row_is_a_product(path: Path) -> None:
    dataset = open_dataset(path)
    assert not (path / "arrays/product.npy").exists()
    assert dataset.product_N.tolist() == list(range(12)) and dataset.product_count == 12
    assert "products" not in repr(dataset)


def test_products_of_several_photos(broken: Path) -> None:
    product_N = np.arange(12, dtype=np.int64) // 3
    np.save(broken / "arrays/product.npy", product_N)
    dataset = open_dataset(broken)
    assert dataset.product_N.tolist() == product_N.tolist() and dataset.product_count == 4
    assert "; 4 products; classes: " in repr(dataset)


@pytest.mark.parametrize(
    ("product_N", "message"),
    [
        (np.arange(11), r"contains int64 \[11\], expected int64 \[12\]"),
        (np.arange(12, dtype=np.int32), r"contains int32 \[12\], expected int64 \[12\]"),
        (np.arange(12) + 1, r"contains the products 1 to 12, expected 0 to 11"),
        (np.arange(12) - 1, r"contains the products -1 to 10, expected 0 to 11"),
    ],
)
def test_wrong_products_are_damage(broken: Path, product_N: Any, message: str) -> None:
    np.save(broken / "arrays/product.npy", product_N)
    with pytest.raises(BadArtefact, match=rf"product.npy {message}; prepare the dataset again"):
        open_dataset(broken)


def test_rows_of_splits(path: Path) -> None:
    dataset = open_dataset(path)
    rows = [dataset.rows(split) for split in SPLITS]
    assert sorted(np.concatenate(rows).tolist()) == list(range(12))
    assert all(np.array_equal(r, np.sort(r)) and r.dtype == np.int64 for r in rows)
    assert dataset.products()["split"].to_list() == [SPLITS[code] for code in dataset.split_N]
    with pytest.raises(BadOption, match="dev"):
        dataset.rows("dev")


def test_names_of_products(path: Path) -> None:
    dataset = open_dataset(path)
    products = dataset.products()
    columns = ["row", "table", "table_row", "id", "image", "title", "split", "group", "width", "height"]
    columns += ["level_root", "level_middle", "level_leaf", *(f"attribute_{name}" for name in ATTRIBUTES)]
    assert products.columns == columns
    assert products["row"].to_list() == list(range(12)) and products["id"].to_list() == dataset.ids()


def test_leaves_and_samples(path: Path) -> None:
    dataset = open_dataset(path)
    listed = dataset.leaf_counts()
    assert sum(leaf[split] for leaf in listed for split in SPLITS) == 12
    assert [leaf["train"] for leaf in listed] == sorted(dataset.train_images.tolist(), reverse=True)
    samples = dataset.samples(5, seed=3)
    assert samples == dataset.samples(5, seed=3) and len(dataset.samples(99)) == 12
    for sample in samples:
        row = sample["row"]
        assert sample["path"][-1] == dataset.taxonomy.leaves[dataset.labels_NL[row, -1]]
        assert len(sample["words"]) == len(dataset.tokens[row])
        assert sample["attributes"].keys() <= set(ATTRIBUTES)


def test_rows_whose_category_path_ends_early(broken: Path, path: Path) -> None:
    labels_NL = np.load(broken / "arrays" / "labels.npy")
    complete, train_NL = open_dataset(path), labels_NL.copy()
    train = np.flatnonzero(complete.split_N == SPLITS.index("train"))
    labels_NL[train[0], 1:], labels_NL[train[1], 2] = -1, -1
    np.save(broken / "arrays" / "labels.npy", labels_NL)
    dataset = open_dataset(broken)
    assert "12 rows of photos" in repr(dataset) and "; 2 without a label at level leaf; classes" in repr(dataset)
    assert "without a label" not in repr(complete)
    expected = complete.train_images.copy()
    np.subtract.at(expected, train_NL[train[:2], -1], 1)
    assert dataset.train_images.tolist() == expected.tolist()
    assert sum(leaf["train"] for leaf in dataset.leaf_counts()) == len(train) - 2
    sums = {level: int(images_C.sum()) for level, images_C in dataset.train_images_by_level.items()}
    assert sums == {"root": len(train), "middle": len(train) - 1, "leaf": len(train) - 2}
    for level, images_C in complete.train_images_by_level.items():
        of_leaves_C = np.bincount(complete.taxonomy.ancestors_of_level("leaf", level), complete.train_images)
        assert images_C.tolist() == of_leaves_C.tolist()
    paths = {sample["row"]: sample["path"] for sample in dataset.samples(12)}
    full = {sample["row"]: sample["path"] for sample in complete.samples(12)}
    assert [paths[row] for row in train[:2]] == [full[train[0]][:1], full[train[1]][:2]]
    assert all(paths[row] == full[row] for row in paths if row not in train[:2])


def test_moves_with_its_directory(broken: Path, path: Path) -> None:
    moved = broken.rename(broken.with_name("moved"))
    assert open_dataset(moved).photos.read(7) == open_dataset(path).photos.read(7)


def test_a_path_that_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        open_dataset(tmp_path / "nothing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadArtefact, match="is a file"):
        open_dataset(tmp_path / "file")
    with pytest.raises(BadArtefact, match=r"no dataset\.json"):
        open_dataset(tmp_path)


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-5])


def _replace(array: np.ndarray[Any, Any]) -> Callable[[Path], None]:
    return lambda file: np.save(file, array)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("dataset.json", _truncate),
        ("arrays/labels.npy", _truncate),
        ("arrays/labels.npy", Path.unlink),
        ("arrays/labels.npy", _replace(np.zeros((12, 2), np.int32))),
        ("arrays/split.npy", _replace(np.zeros(12, np.int64))),
        ("arrays/group.npy", _replace(np.zeros(11, np.int64))),
        ("arrays/tokens.npy", _replace(np.zeros(1000, np.int32))),
        ("arrays/token_offsets.npy", lambda file: file.write_text("no array")),
        ("photos/index.npy", _replace(np.zeros((11, 3), np.int64))),
        ("photos/00000.bin", _truncate),
        ("vocabulary.tsv", _truncate),
        ("products.parquet", Path.unlink),
    ],
)
def test_a_broken_file_is_named(broken: Path, name: str, damage: Callable[[Path], object]) -> None:
    damage(broken / name)
    with pytest.raises(BadArtefact) as error:
        open_dataset(broken)
    assert name.partition("/")[0] in str(error.value) and "again" in str(error.value)


def test_a_broken_table_of_products_is_named(broken: Path) -> None:
    """It is read when it is needed."""
    _truncate(broken / "products.parquet")
    data = open_dataset(broken)
    for read in (data.ids, data.products, lambda: data.photo_files([0]), lambda: data.samples(2)):
        with pytest.raises(BadArtefact, match=r"products\.parquet cannot be read .*; prepare the dataset again"):
            read()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("labels", 10**6, "expected -1 to"),
        ("labels", -2, "numbers from -2"),
        ("attributes", -1, "numbers from -1"),
        ("split", 3, "numbers from 0 to 3, expected 0 to 2"),
        ("group", 2**40, "expected 0 to"),
        ("tokens", 0, "numbers from 0"),
        ("token_offsets", 2**40, "does not ascend from 0"),
    ],
)
def test_values_that_stand_for_nothing_are_damage(broken: Path, name: str, value: int, expected: str) -> None:
    file = broken / "arrays" / f"{name}.npy"
    array = np.load(file)
    array.reshape(-1)[3 if name != "labels" else -1] = value
    np.save(file, array)
    with pytest.raises(BadArtefact, match=rf"arrays/{name}\.npy .*{expected}.*; prepare the dataset again\.$"):
        open_dataset(broken)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"prodrec": "dataset", "format_version": 2}', "[]", "1"])
def test_json_of_any_content_is_named(broken: Path, text: str) -> None:
    (broken / "dataset.json").write_text(text)
    with pytest.raises(BadArtefact, match=r"dataset\.json"):
        open_dataset(broken)


@pytest.mark.parametrize("key", ["taxonomy", "attributes", "counts", "photos", "vocabulary", "inputs"])
@pytest.mark.parametrize("value", [None, 1, "text", [1], {"a": 1}])
def test_a_header_of_another_type_is_named(broken: Path, key: str, value: object) -> None:
    content = json.loads((broken / "dataset.json").read_text())
    (broken / "dataset.json").write_text(json.dumps({**content, key: value}))
    with pytest.raises(BadArtefact, match=r"dataset"):
        open_dataset(broken)


def test_unknown_versions_and_incomplete_headers(broken: Path) -> None:
    header = json.loads((broken / "dataset.json").read_text())
    for change, words in (
        ({"format_version": 99}, "format version 99"),
        ({"taxonomy": {}}, "is damaged: taxonomy.levels is missing"),
    ):
        (broken / "dataset.json").write_text(json.dumps(header | change))
        with pytest.raises(BadArtefact, match=words):
            open_dataset(broken)


def test_same_tree(path: Path) -> None:
    first, second = open_dataset(path), open_dataset(path)
    assert isinstance(first, Dataset) and first.taxonomy.difference(second.taxonomy) is None
    assert first.fingerprint == second.fingerprint
