"""Categories of a prepared dataset: spellings, ragged paths, identities, and the remedies that `prepare` names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import Result

from prodrec.core.data.dataset import Dataset, open_dataset
from prodrec.core.data.tables.columns import ColumnNames

if TYPE_CHECKING:
    from conftest import Shop


def table_of(shop: Shop, *categories: str, **more: str) -> Path:
    rows = [
        {"id": f"{i}", "image": shop.photo(f"{i}.png"), "category": text, **more} for i, text in enumerate(categories)
    ]
    return shop.table(rows)


def paths(dataset: Dataset) -> list[tuple[str, ...]]:
    """Return the category path of every row."""
    return [
        tuple(names[code] for names, code in zip(dataset.taxonomy.names, row, strict=True) if code >= 0)
        for row in dataset.labels_NL.tolist()
    ]


def test_names_that_look_the_same_are_one_class(shop: Shop) -> None:
    spellings = ["Décor", unicodedata.normalize("NFD", "Décor"), "Décor\u200b", "\u00a0Décor ", "D&eacute;cor"]
    table = table_of(shop, *spellings, *(f"Tea{blank}Cups" for blank in (" ", "  ", "\u00a0", " &#8203;")))
    assert paths(shop.prepare(table)) == [("Décor",)] * 5 + [("Tea Cups",)] * 4


def test_mixed_text_and_lists(shop: Shop) -> None:
    cells = [
        "A > B > C",
        '["A", "B", "C"]',
        '["A > B > C"]',
        "[['X'], ['A', 'B', 'C']]",
        "['A', 'B']",
        "[]",
        " ",
        "A > > ",
    ]
    dataset = shop.prepare(table_of(shop, *cells, *["A > B > C"] * 3))
    assert paths(dataset) == [("A", "B", "C")] * 4 + [("A", "B"), ("A",)] + [("A", "B", "C")] * 3
    assert dataset.header["counts"]["rows"]["by_reason"] == {"no category": 2}


def test_the_first_of_the_deepest_paths_is_taken(shop: Shop) -> None:
    cells = ["Sale, Food, Drinks & Co > Tea", "Food, Drinks & Co > Milk, Sale > New", "Food, Drinks & Co", "Sale"]
    dataset = shop.prepare(table_of(shop, *cells, "Toys > Dolls, Playsets > Dolls", "Toys > Cars|Sale > Shoes > Red"))
    assert paths(dataset) == [
        *[("Food, Drinks & Co", "Tea"), ("Food, Drinks & Co", "Milk"), ("Food, Drinks & Co",), ("Sale",)],
        *[("Toys", "Dolls, Playsets", "Dolls"), ("Sale", "Shoes", "Red")],
    ]
    assert any("3 rows name several category paths" in note for note in dataset.header["notes"])


def test_ragged_paths(shop: Shop) -> None:
    table = table_of(shop, "A > B > C > D", "A > B > C", "A > B > C", "A > B", "E", "F > G > H")
    assert paths(shop.prepare(table)) == [("A", "B", "C")] * 3 + [("A", "B"), ("E",), ("F", "G", "H")]
    two = shop.prepare(table, columns=ColumnNames(levels=("a", "b")))
    assert two.taxonomy.levels == ("a", "b")
    assert paths(two) == [("A", "B")] * 4 + [("E",), ("F", "G")]
    assert shop.prepare(table, require_leaf=True).ids() == ["0", "1", "2", "5"]


def test_the_technical_root_is_omitted(shop: Shop) -> None:
    table = table_of(shop, "Default Category > A > B", "Default Category > C", "Default Category")
    dataset = shop.prepare(table)
    assert paths(dataset) == [("A", "B"), ("C",)]
    assert dataset.header["counts"]["rows"]["by_reason"] == {"no category": 1}
    other = table_of(shop, "Root > A", "Shop > A")
    assert paths(shop.prepare(other))[0] == ("Root", "A"), "not all paths begin with it"


def test_identity_by_path_is_that_of_the_levels(shop: Shop) -> None:
    """The joined texts of both paths are equal."""
    rows = [
        {"image": shop.photo(f"{i}.png"), "root": root, "leaf": leaf}
        for i, (root, leaf) in enumerate([("A / B", "C"), ("A", "B / C"), ("A", "C"), ("B", "C"), ("A / B", "C")])
    ]
    dataset = shop.prepare(shop.table(rows), path_identity=True)
    assert len(dataset.taxonomy.leaves) == 4 and len(set(dataset.labels_NL[:, 1].tolist())) == 4
    assert dataset.labels_NL[0].tolist() == dataset.labels_NL[4].tolist()
    assert dataset.header["counts"]["several_parents"]["classes"] == 0


Prodrec = Callable[[str], Result]


def printed(result: Result) -> str:
    """Return the output of a command that succeeded, on one line."""
    assert result.exit_code == 0, f"{result.output}{result.exception!r}"
    return " ".join(result.output.split())


@pytest.mark.parametrize(
    ("categories", "remedy", "expected"),
    [
        (["A/B", "A/C", "D/E"], r"--path-column category --path-separator '/'", {("A", "B"), ("A", "C"), ("D", "E")}),
        (["A / B", "A / C"], r"--path-column category --path-separator ' / '", {("A", "B"), ("A", "C")}),
        (["A|B", "A|C"], r"--path-column category --path-separator '\|'", {("A", "B"), ("A", "C")}),
        (["Boots", "boots", "Boots", "Hats"], r"--ignore-case", {("Boots",), ("Hats",)}),
        (["Boots", "NULL", "nan", "N/A", "Hats"], r"--missing-values \S+", {("Boots",), ("Hats",)}),
        (["Boots", "--", "(blank)", "?", "Hats"], r"--missing-values '[^']+'", {("Boots",), ("Hats",)}),
        (["A > B", "A > NULL", "A > B"], r"--missing-values NULL", {("A", "B"), ("A",)}),
        (["A > B > C", "A > B", "D > E > F"], r"--levels A,B", {("A", "B"), ("D", "E")}),
        (["A > B > C", "A > B", "D > E > F"], r"--require-leaf", {("A", "B", "C"), ("D", "E", "F")}),
    ],
)
def test_remedies_do_what_they_promise(
    shop: Shop, prodrec: Prodrec, categories: list[str], remedy: str, expected: set[tuple[str, ...]]
) -> None:
    line = f"prodrec prepare {table_of(shop, *categories)} --images {shop.photos} --out {shop.directory / 'd'} --force"
    match = re.search(remedy, first := printed(prodrec(line)))
    assert match, first
    printed(prodrec(f"{line} {match[0]}"))
    assert set(paths(open_dataset(shop.directory / "d"))) == expected


def test_a_remedy_quotes_the_name_of_a_column(shop: Shop, prodrec: Prodrec) -> None:
    texts = ["A\\B", "A\\C"]
    table = shop.table([{"image": shop.photo(f"{i}.png"), "Product Type": text} for i, text in enumerate(texts)])
    line = f"prodrec prepare {table} --images {shop.photos} --out {shop.directory / 'd'} --force"
    match = re.search(r"--path-column 'Product Type' --path-separator '\\'", first := printed(prodrec(line)))
    assert match, first
    printed(prodrec(f"{line} {match[0]}"))
    assert paths(open_dataset(shop.directory / "d")) == [("A", "B"), ("A", "C")]


@pytest.mark.parametrize(("remedy", "products"), [("--group-by none", 130), ("--group-by sku", 130)])
def test_remedies_for_a_column_that_is_no_product(shop: Shop, prodrec: Prodrec, remedy: str, products: int) -> None:
    photo = shop.photo("0.png")
    rows: list[dict[str, Any]] = [
        {"id": "shop", "sku": f"{i}", "image": photo if i else shop.photo("1.png"), "leaf": "Boots"} for i in range(130)
    ]
    line = f"prodrec prepare {shop.table(rows)} --images {shop.photos} --out {shop.directory / 'd'} --force"
    first = printed(prodrec(line))
    assert "130 rows are the product 'shop'" in first and "--group-by none" in first and "--group-by COLUMN" in first
    again = printed(prodrec(f"{line} {remedy}"))
    assert "are the product" not in again
    assert open_dataset(shop.directory / "d").product_count == products


def test_values_of_attributes_that_look_the_same_are_one_state(shop: Shop) -> None:
    values = ["Décor", unicodedata.normalize("NFD", "Décor"), " D&eacute;cor\u200b", '["Décor"]', "['Décor']"]
    values += ["red, blue", '["red", "blue"]', "[5] red", "", "[]"]
    rows = [
        {"id": f"{i}", "image": shop.photo(f"{i}.png"), "leaf": "Boots", "colour": value}
        for i, value in enumerate(values)
    ]
    dataset = shop.prepare(shop.table(rows), columns=ColumnNames(attributes=("colour",)))
    (colour,) = dataset.attributes
    states = [None if code == 0 else colour.states[code - 1] for code in dataset.attributes_NA[:, 0].tolist()]
    assert states == ["Décor"] * 5 + ["red, blue"] * 2 + ["[5] red", None, None]


@pytest.mark.parametrize("word", ["NULL", "-", "n/a"])
def test_words_for_missing_ids_and_attributes_are_named_with_a_remedy(shop: Shop, prodrec: Prodrec, word: str) -> None:
    """Products without an id would be one product, and take each other's category."""
    rows = [
        {
            "sku": word if i % 2 else f"{i}",
            "image": shop.photo(f"{i}.png"),
            "leaf": "Boots",
            "colour": word if i < 3 else "red",
        }
        for i in range(8)
    ]
    out = shop.directory / "d"
    line = f"prodrec prepare {shop.table(rows)} --images {shop.photos} --out {out} --force --attributes colour"
    first = printed(prodrec(line))
    assert f"4 rows have the sku {word}: if it means that the id is missing" in first
    assert f"3 rows have the colour {word}: if it means that the attribute is missing" in first
    assert open_dataset(out).product_count == 5
    remedy = re.search(r"--missing-values[= ]\S+", first)
    assert remedy, first
    second = printed(prodrec(f"{line} {remedy[0]}"))
    assert open_dataset(out).product_count == 8 and "is missing, add" not in second
    assert open_dataset(out).attributes[0].states == ("red",)
