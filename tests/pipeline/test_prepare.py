"""The whole of `prepare`: on the drawn catalogue, whose dirt is known, and on small shops, each for one question."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from prodrec.core.base.artefact import SPLITS
from prodrec.core.base.errors import BadOption, BadTable, NotFound, OutputExists
from prodrec.core.data.dataset import Dataset, open_dataset
from prodrec.core.data.duplicates.perceptual_hash import SIDE, hash_grey
from prodrec.core.data.photos import examine as photos
from prodrec.core.data.prepare import splits
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables.columns import ColumnNames
from prodrec.demo.catalogue import ATTRIBUTES, DrawnCatalogue
from prodrec.pipeline.prepare import prepare_dataset

if TYPE_CHECKING:
    from conftest import Shop


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def prepared(drawn: DrawnCatalogue, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The dirty drawn catalogue, prepared with its attributes."""
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
        taken = [row for row in parents if row["class"] == name and row["taken"] == "yes"]
        others = [row for row in parents if row["class"] == name and row["taken"] == "no"]
        assert len(taken) == 1 and all(int(row["rows"]) <= int(taken[0]["rows"]) for row in others)
        assert prepared.taxonomy.path(prepared.taxonomy.leaves.index(name))[-2] == taken[0]["parent"]
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


def test_vocabulary_is_of_the_training_titles(drawn: DrawnCatalogue, tmp_path: Path) -> None:
    options = PrepareOptions(drop_frequent=0, drop_rare=0)
    prepare_dataset([drawn.table], images=drawn.photos, out=tmp_path / "all", options=options, workers=1)
    dataset = open_dataset(tmp_path / "all")
    train = dataset.tokens.take(dataset.rows("train"))
    assert (
        np.bincount(train.values, minlength=len(dataset.vocabulary) + 1)[1:].tolist()
        == dataset.vocabulary.counts.tolist()
    )
    assert dataset.vocabulary.counts.min() == 1  # of a word only in test titles it would be 0
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
        found = counts["head_tail"][part]
        assert found["classes"] == leaves.sum()
        assert [found[split] for split in SPLITS] == [int(rows[prepared.rows(split)].sum()) for split in SPLITS]
    test_leaves = set(prepared.labels_NL[prepared.rows("test"), -1].tolist())
    assert counts["leaves_without"]["test"] == len(prepared.taxonomy.leaves) - len(test_leaves)
    words: dict[bool, set[int]] = {True: set(), False: set()}
    for row in prepared.rows("train"):
        words[bool(head_rows[row])] |= set(prepared.tokens[row].tolist())
    shared = words[True] & words[False]
    assert counts["words"]["shared"] == len(shared)
    assert counts["words"]["shared_share"] == pytest.approx(len(shared) / len(prepared.vocabulary))
    assert counts["words"]["rows_without_words"] == sum(len(prepared.tokens[row]) == 0 for row in range(len(prepared)))


def test_leaks_are_those_of_the_split_without_groups(prepared: Dataset) -> None:
    alone = splits.split_rows(
        prepared.labels_NL[:, -1],
        np.arange(len(prepared)),
        prepared.taxonomy.leaves,
        ratios=splits.Ratios(),
        seed=0,
    )
    assert prepared.header["counts"]["duplicates"]["leaks_avoided"] == splits.count_leaks(alone, prepared.group_N)


@pytest.mark.parametrize("at_once", [100, 2])
def test_duplicates_are_listed_by_group_whatever_the_pieces(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("prodrec.core.data.prepare.write_lists.CHUNK_ROWS", at_once)
    rows = shop.products({"A/a": 7})
    for i, row in enumerate(rows):
        shop.photo(row["image"], seed=i % 2 if i < 6 else 5)
    found = read(shop.prepare(shop.table(rows)).path / "duplicates.csv")
    assert [(row["group"], row["row"], row["id"]) for row in found] == [
        (str(group), str(i), str(i)) for group in (0, 1) for i in (group, group + 2, group + 4)
    ]
    picture = shop.picture(1)
    of_pixels = hashlib.blake2b(repr(picture.size).encode() + picture.tobytes(), digest_size=16).hexdigest()
    grey = np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))
    assert found[3]["pixels"] == of_pixels and found[3]["perceptual"] == f"{int(hash_grey(grey[None])[0]):016x}"


def test_fingerprint(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for any number of workers, any pieces and any place; another for what a model could notice."""
    rows = shop.products({"A/a": 8, "A/b": 4}, colour="red")
    table = shop.table(rows)
    first = shop.prepare(table)
    with monkeypatch.context() as patch:
        patch.setattr("prodrec.core.data.photos.decoding.MIN_PHOTOS_FOR_WORKERS", 0)
        patch.setattr("prodrec.core.data.prepare.build.MIN_TITLES_FOR_WORKERS", 0)
        patch.setattr("prodrec.core.data.tables.catalogue.CHUNK_ROWS", 5)
        patch.setattr("prodrec.core.data.titles.encode._CHUNK", 3)
        patch.setattr("prodrec.core.base.ragged._ROWS_AT_ONCE", 2)
        header = prepare_dataset([table], images=shop.photos, out=shop.directory / "again", workers=2)
    assert header["fingerprint"] == first.fingerprint
    blobs = [shop.directory / out / "photos" / "00000.bin" for out in ("dataset", "again")]
    assert blobs[0].read_bytes() == blobs[1].read_bytes()
    assert shop.prepare(shop.table(rows, "other.csv")).fingerprint == first.fingerprint
    variants: list[dict[str, Any]] = [
        {"seed": 1},
        {"size": 16},
        {"in_place": True},
        {"drop_rare": 0.3},
        {"columns": ColumnNames(attributes=("colour",))},
        {"columns": ColumnNames(levels=("leaf",))},
    ]
    others = [shop.prepare(table, **options).fingerprint for options in variants]
    rows[0]["title"] += "!"  # no other words
    others.append(shop.prepare(shop.table(rows)).fingerprint)
    shop.photo(rows[0]["image"], seed=1000)
    others.append(shop.prepare(shop.table(rows)).fingerprint)
    assert len({first.fingerprint, *others}) == 9


def test_in_place_is_the_same_dataset(drawn: DrawnCatalogue, prepared: Dataset, tmp_path: Path) -> None:
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


def test_folders_are_categories(shop: Shop) -> None:
    for name in (
        "Tops/Shirts/1.png",
        "Tops/Shirts/2.PNG",
        "Tops/Vests/1.png",
        "Shoes/Boots/a.png",
        "Shoes/3.png",
        "4.png",
    ):
        shop.photo(name)
    (shop.photos / "Tops" / "notes.txt").write_text("no photo")
    dataset = shop.prepare()
    assert dataset.taxonomy.levels == ("level1", "leaf")
    assert dataset.ids() == ["Shoes/Boots/a.png", "Tops/Shirts/1.png", "Tops/Shirts/2.PNG", "Tops/Vests/1.png"]
    assert dataset.header["counts"]["rows"]["by_reason"] == {"category of another depth": 1, "no category": 1}
    assert shop.prepare(columns=ColumnNames(levels=("kind", "sort"))).taxonomy.levels == ("kind", "sort")


def test_path_identity(shop: Shop) -> None:
    rows = shop.products({"Men/Shirts": 2, "Women/Shirts": 1, "Women/Skirts": 1})
    table = shop.table(rows)
    assert shop.prepare(table).taxonomy.leaves == ("Shirts", "Skirts")
    dataset = shop.prepare(table, path_identity=True)
    assert dataset.taxonomy.leaves == ("Men / Shirts", "Women / Shirts", "Women / Skirts")
    assert dataset.taxonomy.path(1) == ("Women", "Women / Shirts")
    assert dataset.header["counts"]["several_parents"] == {"classes": 0, "rows_moved": 0}


def test_rows_that_miss_a_level(shop: Shop) -> None:
    rows = shop.products({"A/x": 3})
    rows[0]["root"], rows[1]["leaf"] = "  ", "NA"
    table = shop.table(rows)
    shop.prepare(table)
    rejected = read(shop.directory / "dataset" / "rejected.csv")
    assert [(row["row"], row["reason"], row["detail"]) for row in rejected] == [("2", "no category", "root empty")]
    assert len(shop.prepare(table, missing_values=("NA",))) == 1


def test_conflicts_can_be_dropped(shop: Shop) -> None:
    rows = shop.products({"a": 3, "b": 3})
    rows[0]["image"] = rows[3]["image"]  # one photo under a and b
    table = shop.table(rows)
    assert len(shop.prepare(table)) == 6
    dataset = shop.prepare(table, drop_conflicts=True)
    assert dataset.ids() == ["1", "2", "4", "5"]
    assert dataset.header["counts"]["rows"]["by_reason"] == {"conflicting labels": 2}
    assert len(read(dataset.path / "conflicts.csv")) == 2


def test_full_and_core_datasets(shop: Shop) -> None:
    """Paper S §4.1: rare leaves go, then rows without attributes, then rare attributes; not leaves once more."""
    rows = shop.products({"a": 6, "b": 4, "c": 3}, colour="", sleeve="", brand="")
    for i in (0, 1, 6, 10):
        rows[i]["colour"] = "red"
    rows[2]["sleeve"] = rows[7]["sleeve"] = "long"
    rows[7]["brand"] = "Z"
    rows[11]["sleeve"] = "short"
    (shop.photos / rows[9]["image"]).write_bytes(b"broken")  # b has 3 usable photos
    columns = ColumnNames(attributes=("colour", "sleeve", "brand"))
    table = shop.table(rows)
    dataset = shop.prepare(table, columns=columns, min_leaf_images=3, only_with_attributes=True, min_attribute_images=2)
    assert dataset.ids() == ["0", "1", "2", "6", "7", "10", "11"]
    assert [(a.name, a.states) for a in dataset.attributes] == [("colour", ("red",)), ("sleeve", ("long", "short"))]
    assert dataset.attributes_NA.tolist() == [[1, 0], [1, 0], [0, 1], [1, 0], [0, 1], [1, 0], [0, 2]]
    counts = dataset.header["counts"]
    assert counts["rows"]["by_reason"] == {"no attribute": 5, "undecodable": 1}
    assert counts["attributes_dropped"] == {"brand": 1}
    dataset = shop.prepare(table, columns=columns, min_leaf_images=4)
    assert dataset.taxonomy.leaves == ("a",)
    assert dataset.header["counts"]["rows"]["by_reason"] == {"leaf below --min-leaf-images": 6, "undecodable": 1}
    assert {row["detail"] for row in read(dataset.path / "rejected.csv")} >= {"b has 3", "c has 3"}


def test_states_that_no_row_has_are_left_out(shop: Shop) -> None:
    rows = shop.products({"a": 3, "b": 1})
    for row, colour in zip(rows, ("red", "blue", "", "green"), strict=True):
        row["colour"] = colour
    dataset = shop.prepare(shop.table(rows), columns=ColumnNames(attributes=("colour",)), min_leaf_images=2)
    assert dataset.attributes[0].states == ("blue", "red") and dataset.attributes_NA[:, 0].tolist() == [2, 1, 0]


def test_given_splits(shop: Shop) -> None:
    rows = shop.products({"a": 8})
    words = ("train", "TEST", "val", "Validation", "dev", "valid", "test", "holdout")
    for row, word in zip(rows, words, strict=True):
        row["fold"] = word
    rows[6]["image"] = rows[0]["image"]  # a test photo that is in train
    dataset = shop.prepare(shop.table(rows), columns=ColumnNames(split="fold"))
    assert [SPLITS[code] for code in dataset.split_N] == ["train", "test", *["validation"] * 4, "train"]
    found = dataset.header["counts"]["duplicates"]
    assert (found["rows_moved_to_train"], found["leaks_avoided"]) == (1, 1)
    rejected = read(dataset.path / "rejected.csv")
    assert [(row["id"], row["reason"]) for row in rejected] == [("7", "unknown split")] and "holdout" in rejected[0][
        "detail"
    ]


def test_balanced_test(shop: Shop) -> None:
    dataset = shop.prepare(shop.table(shop.products({"a": 30, "b": 12, "c": 5, "d": 1})), balanced_test=4)
    assert np.bincount(dataset.labels_NL[dataset.rows("test"), -1], minlength=4).tolist() == [4, 4, 2, 0]
    assert dataset.header["counts"]["leaves_without"]["test"] == 1


def test_wordless_rows(shop: Shop) -> None:
    rows = shop.products({"a": 4, "b": 1})
    rows[1]["title"], rows[4]["title"] = "", "！！"
    table = shop.table(rows)
    dataset = shop.prepare(table, drop_frequent=0, drop_rare=0)
    assert len(dataset) == 5 and dataset.header["counts"]["words"]["rows_without_words"] == 2
    dataset = shop.prepare(table, drop_frequent=0, drop_rare=0, drop_wordless=True)
    assert dataset.ids() == ["0", "2", "3"] and dataset.taxonomy.leaves == ("a",)
    assert dataset.header["counts"]["rows"]["by_reason"] == {"title without words": 2}
    assert dataset.group_N.tolist() == [0, 1, 2]


def test_a_table_without_titles(shop: Shop) -> None:
    rows = [{"image": shop.photo(f"{i}.png"), "leaf": "ab"[i % 2]} for i in range(6)]
    dataset = shop.prepare(shop.table(rows))
    assert len(dataset.vocabulary) == 0 and len(dataset.tokens) == 6 and dataset.tokens[3].tolist() == []
    assert dataset.ids()[0] == "0.png" and dataset.header["counts"]["words"]["shared_share"] is None


def test_several_tables_and_repeated_ids(shop: Shop) -> None:
    rows = shop.products({"a": 4})
    first, second = shop.table(rows[:2], "one.csv"), shop.table([*rows[2:], rows[0]], "two.csv")
    dataset = shop.prepare(first, second)
    products = dataset.products()
    assert list(zip(products["table"], products["table_row"], strict=True)) == [
        *(("one.csv", 2), ("one.csv", 3)),
        *(("two.csv", 2), ("two.csv", 3), ("two.csv", 4)),
    ]
    counts = dataset.header["counts"]
    assert counts["rows"]["repeated_ids"] == 1 and counts["photos"]["distinct"] == 4
    assert dataset.group_N.tolist() == [0, 1, 2, 3, 0]
    assert dataset.photos.read(0) == dataset.photos.read(4)


def test_photos_beside_the_table_need_no_option(shop: Shop) -> None:
    rows = shop.products({"a": 3})
    for row in rows:
        row["image"] = f"photos/{row['image']}"
    prepare_dataset([shop.table(rows)], out=shop.directory / "dataset", workers=1)
    assert len(open_dataset(shop.directory / "dataset")) == 3


def test_photos_of_dropped_rows_are_not_stored(shop: Shop) -> None:
    rows = shop.products({"a": 3, **{f"b{i}": 1 for i in range(12)}})
    everything = shop.prepare(shop.table(rows)).header["photos"]
    few = shop.prepare(shop.table(rows), min_leaf_images=2)
    assert few.header["photos"]["count"] == 3 and few.header["photos"]["bytes"] < everything["bytes"] / 3
    assert few.photos.decode(2).shape == (3, 30, 40)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": "gone.jpg"}, ["none of 3 rows", "3 missing photo", "row 2", "gone.jpg", "no such photo"]),
        ({"leaf": ""}, ["3 no category"]),
        ({"image": "https://shop.example/1.jpg"}, ["nothing is downloaded"]),
    ],
)
def test_no_usable_row(shop: Shop, change: dict[str, str], words: list[str]) -> None:
    table = shop.table([row | change for row in shop.products({"a": 3})])
    with pytest.raises(BadTable) as error:
        shop.prepare(table)
    assert all(word in str(error.value) for word in [str(table), *words]), error.value
    assert sorted(path.name for path in shop.directory.iterdir()) == ["photos", "products.csv"]


def test_what_is_there_stays_when_it_fails(shop: Shop) -> None:
    table = shop.table(shop.products({"a": 3}))
    before = shop.prepare(table).fingerprint
    with pytest.raises(OutputExists, match="add --force"):
        prepare_dataset([table], images=shop.photos, out=shop.directory / "dataset", workers=1)
    (shop.directory / "broken.csv").write_text("id,image\n1,a.png,x\n")
    with pytest.raises(BadTable):
        shop.prepare(shop.directory / "broken.csv")
    assert open_dataset(shop.directory / "dataset").fingerprint == before
    assert sorted(path.name for path in shop.directory.iterdir()) == ["broken.csv", "dataset", "photos", "products.csv"]


@pytest.mark.parametrize("function", ["examine_chunks", "write_dataset"])
def test_an_interrupt_leaves_no_partial_output(shop: Shop, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    modules = {"examine_chunks": "core.data.photos.decoding", "write_dataset": "pipeline.prepare"}
    monkeypatch.setattr(f"prodrec.{modules[function]}.{function}", interrupt)
    table = shop.table(shop.products({"a": 3}))
    with pytest.raises(KeyboardInterrupt):
        shop.prepare(table)
    assert sorted(path.name for path in shop.directory.iterdir()) == ["photos", "products.csv"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 8}, "--size 8"),
        ({"split": "7:2"}, "--split 7:2"),
        ({"near_duplicates": "maybe"}, "--near-duplicates maybe"),
        ({"only_with_attributes": True}, "needs --attributes"),
        ({"min_attribute_images": 5}, "needs --attributes"),
        ({"balanced_test": 0}, "--balanced-test 0"),
        ({"balanced_test": 3, "columns": ColumnNames(split="fold")}, "one of them"),
        ({"drop_frequent": 0.6, "drop_rare": 0.6}, "leaves none"),
        ({"trim_by": "letters"}, "letters"),
        ({"seed": -1}, "--seed -1"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(BadOption, match=words):
        PrepareOptions(**options)


def test_nothing_to_prepare(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="give a table"):
        prepare_dataset([], out=tmp_path / "dataset")
    with pytest.raises(NotFound, match=r"no\.csv does not exist"):
        prepare_dataset([tmp_path / "no.csv"], out=tmp_path / "dataset")
    assert list(tmp_path.iterdir()) == []


def test_real_catalogue(real_data: Path, tmp_path: Path) -> None:
    fashion = real_data / "fashion"
    if not (fashion / "products.csv").is_file():
        pytest.skip(f"{real_data} holds no fashion/products.csv")
    header = prepare_dataset([fashion / "products.csv"], images=fashion / "images.tar", out=tmp_path / "dataset")
    counts = header["counts"]
    assert counts["rows"] == {"in": 40946, "kept": 40946, "rejected": 0, "by_reason": {}, "repeated_ids": 0}
    assert counts["duplicates"]["identical"] == {"groups": 615, "rows": 1347}
    assert counts["conflicts"]["groups"] == 5 and counts["duplicates"]["near"]["bits"] == 0
    dataset = open_dataset(tmp_path / "dataset")
    assert not splits.crossing_rows(dataset.split_N, dataset.group_N).any()
