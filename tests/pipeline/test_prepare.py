"""`prepare` as a whole, on the drawn catalogue with its known defects."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from prodrec.core.base.artefact import SPLITS
from prodrec.core.data.dataset import Dataset, open_dataset
from prodrec.core.data.photos import examine as photos
from prodrec.core.data.prepare import splits
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables.columns import ColumnNames
from prodrec.demo.catalogue import ATTRIBUTES, DrawnCatalogue
from prodrec.pipeline.prepare import prepare_dataset


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def prepared(drawn: DrawnCatalogue, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The drawn catalogue with all its defects, prepared with its attributes."""
    out = tmp_path_factory.mktemp("prepared") / "dataset"
    options = PrepareOptions(columns=ColumnNames(attributes=ATTRIBUTES), near_duplicates="off")
    prepare_dataset([drawn.table], images=drawn.photos, out=out, options=options, workers=1)
    return open_dataset(out)


def test_every_row_is_kept_or_rejected(drawn: DrawnCatalogue, prepared: Dataset) -> None:
    rows = prepared.header["counts"]["rows"]
    assert (rows["in"], rows["kept"], rows["by_reason"]) == (drawn.rows, drawn.usable_rows, drawn.rejected)
    table, rejected, products = read(drawn.table), read(prepared.path / "rejected.csv"), prepared.products()
    assert Counter(row["reason"] for row in rejected) == drawn.rejected
    for row in rejected:
        assert table[int(row["row"]) - 2]["id"] == row["id"] and row["detail"]  # the header is row 1
        assert row["table"] == drawn.table.name
    numbers = {int(row["row"]) for row in rejected} | set(products["table_row"])
    assert numbers == set(range(2, drawn.rows + 2))
    assert [table[row - 2]["id"] for row in products["table_row"]] == products["id"].to_list() == prepared.ids()


def test_labels_and_attributes_are_those_of_the_table(drawn: DrawnCatalogue, prepared: Dataset) -> None:
    assert Counter(prepared.taxonomy.leaves[leaf] for leaf in prepared.labels_NL[:, -1]) == drawn.leaf_sizes
    table = {row["id"]: row for row in read(drawn.table)}
    assert [a.name for a in prepared.attributes] == list(ATTRIBUTES)
    for row, id_ in enumerate(prepared.ids()):
        assert prepared.taxonomy.leaves[prepared.labels_NL[row, -1]] == table[id_]["leaf"]
        for attribute, code in zip(prepared.attributes, prepared.attributes_NA[row], strict=True):
            assert (attribute.states[code - 1] if code else "") == table[id_][attribute.name]


def test_leaves_under_two_parents(drawn: DrawnCatalogue, prepared: Dataset) -> None:
    parents = read(prepared.path / "parents.csv")
    assert {row["class"] for row in parents if row["level"] == "leaf"} == set(drawn.leaves_with_two_parents)
    for name in drawn.leaves_with_two_parents:
        chosen = [row for row in parents if row["class"] == name and row["taken"] == "yes"]
        others = [row for row in parents if row["class"] == name and row["taken"] == "no"]
        assert len(chosen) == 1 and all(int(row["rows"]) <= int(chosen[0]["rows"]) for row in others)
        assert prepared.taxonomy.path(prepared.taxonomy.leaves.index(name))[-2] == chosen[0]["parent"]
    assert prepared.header["counts"]["several_parents"]["classes"] == len({(r["level"], r["class"]) for r in parents})


def test_duplicates_and_conflicts(drawn: DrawnCatalogue, prepared: Dataset) -> None:
    counts = prepared.header["counts"]
    assert counts["duplicates"]["identical"]["groups"] == drawn.duplicate_groups
    assert counts["conflicts"]["groups"] == drawn.conflicting_groups
    assert not splits.crossing_rows(prepared.split_N, prepared.group_N).any()
    by_group: dict[str, list[dict[str, str]]] = {}
    for row in read(prepared.path / "duplicates.csv"):
        by_group.setdefault(row["group"], []).append(row)
    assert len(by_group) == drawn.duplicate_groups
    for group, rows in by_group.items():
        assert len(rows) > 1 and len({row["pixels"] for row in rows}) == 1 == len({row["split"] for row in rows})
        assert {int(row["row"]) for row in rows} == set(np.flatnonzero(prepared.group_N == int(group)))
    conflicts = read(prepared.path / "conflicts.csv")
    assert len({row["conflict"] for row in conflicts}) == drawn.conflicting_groups
    for number in {row["conflict"] for row in conflicts}:
        assert len({row["leaf"] for row in conflicts if row["conflict"] == number}) > 1


def test_photos_are_those_of_the_rows(drawn: DrawnCatalogue, prepared: Dataset) -> None:
    products = prepared.products()
    for row in range(0, len(prepared), 7):
        original, _ = photos.open_upright((drawn.photos / products["image"][row]).read_bytes())
        stored = prepared.photos.decode(row)
        assert stored.shape[1:] == (products["height"][row], products["width"][row]) == original.size[::-1]
        difference = stored.transpose(1, 2, 0).astype(int) - np.asarray(original.convert("RGB"))
        assert np.abs(difference).mean() < 3
    assert prepared.photos.all_jpeg


def test_the_vocabulary_counts_training_titles_only(drawn: DrawnCatalogue, tmp_path: Path) -> None:
    options = PrepareOptions(drop_frequent=0, drop_rare=0)
    prepare_dataset([drawn.table], images=drawn.photos, out=tmp_path / "all", options=options, workers=1)
    dataset = open_dataset(tmp_path / "all")
    train = dataset.tokens.take(dataset.rows("train"))
    assert (
        np.bincount(train.values, minlength=len(dataset.vocabulary) + 1)[1:].tolist()
        == dataset.vocabulary.counts.tolist()
    )
    assert dataset.vocabulary.counts.min() == 1  # words of test titles alone are not in it
    from prodrec.core.data.titles.tokenizer import choose_tokenizer

    tokenizer = choose_tokenizer()
    for row, title in enumerate(dataset.products()["title"]):
        known = [word for word in tokenizer(title or "") if dataset.vocabulary.id_of(word)]
        assert [dataset.vocabulary.words[word - 1] for word in dataset.tokens[row]] == known


def test_counts_agree_with_the_arrays(prepared: Dataset) -> None:
    counts = prepared.header["counts"]
    table_1 = counts["table_1"]
    assert [table_1[split] for split in SPLITS] == [len(prepared.rows(split)) for split in SPLITS]
    assert (table_1["classes"], table_1["vocabulary"]) == (len(prepared.taxonomy.leaves), len(prepared.vocabulary))
    head = prepared.train_images >= counts["head_tail"]["head_from"]
    head_rows = head[prepared.labels_NL[:, -1]]
    for part, leaves, rows in (("head", head, head_rows), ("tail", ~head, ~head_rows)):
        part_counts = counts["head_tail"][part]
        assert part_counts["classes"] == leaves.sum()
        assert [part_counts[split] for split in SPLITS] == [int(rows[prepared.rows(split)].sum()) for split in SPLITS]
    test_leaves = set(prepared.labels_NL[prepared.rows("test"), -1].tolist())
    assert counts["leaves_without"]["test"] == len(prepared.taxonomy.leaves) - len(test_leaves)
    words: dict[bool, set[int]] = {True: set(), False: set()}
    for row in prepared.rows("train"):
        words[bool(head_rows[row])] |= set(prepared.tokens[row].tolist())
    shared = words[True] & words[False]
    assert counts["words"]["shared"] == len(shared)
    assert counts["words"]["shared_share"] == pytest.approx(len(shared) / len(prepared.vocabulary))
    assert counts["words"]["rows_without_words"] == sum(len(prepared.tokens[row]) == 0 for row in range(len(prepared)))


def test_leaks_are_those_of_a_split_that_ignores_groups(prepared: Dataset) -> None:
    without_groups = splits.split_rows(
        prepared.labels_NL[:, -1],
        np.arange(len(prepared)),
        prepared.taxonomy.leaves,
        ratios=splits.Ratios(),
        seed=0,
    )
    leaks = splits.count_leaks(without_groups, prepared.group_N)
    assert prepared.header["counts"]["duplicates"]["leaks_avoided"] == leaks


def test_in_place_gives_the_same_dataset(drawn: DrawnCatalogue, prepared: Dataset, tmp_path: Path) -> None:
    options = PrepareOptions(columns=ColumnNames(attributes=ATTRIBUTES), near_duplicates="off", in_place=True)
    prepare_dataset([drawn.table], images=drawn.photos, out=tmp_path / "dataset", options=options, workers=1)
    dataset = open_dataset(tmp_path / "dataset")
    assert not list((tmp_path / "dataset" / "photos").glob("*.bin")) and dataset.header["photos"]["bytes"] == 0
    assert not dataset.photos.all_jpeg
    for name in ("labels_NL", "attributes_NA", "split_N", "group_N"):
        assert np.array_equal(getattr(dataset, name), getattr(prepared, name))
    products = dataset.products()
    for row in range(0, len(dataset), 11):
        assert dataset.photos.read(row) == (drawn.photos / products["image"][row]).read_bytes()
        assert dataset.photos.decode(row).shape == (3, products["height"][row], products["width"][row])


def test_real_catalogue(real_data: Path, tmp_path: Path) -> None:
    fashion = real_data / "fashion"
    if not (fashion / "products.csv").is_file():
        pytest.skip(f"{real_data} contains no fashion/products.csv")
    header = prepare_dataset([fashion / "products.csv"], images=fashion / "images.tar", out=tmp_path / "dataset")
    counts = header["counts"]
    assert counts["rows"] == {"in": 40946, "kept": 40946, "rejected": 0, "by_reason": {}, "repeated_ids": 0}
    assert counts["duplicates"]["identical"] == {"groups": 615, "rows": 1347}
    assert counts["conflicts"]["groups"] == 5 and counts["duplicates"]["near"]["bits"] == 0
    dataset = open_dataset(tmp_path / "dataset")
    assert not splits.crossing_rows(dataset.split_N, dataset.group_N).any()
