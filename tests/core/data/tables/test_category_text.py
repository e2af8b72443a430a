"""Names of categories are cleaned, and paths are cut into levels."""

from __future__ import annotations

import json
import random
import unicodedata

import pytest

from prodrec.core.data.tables.category_text import (
    ARROWS,
    SLASHES,
    PathFormat,
    clean_name,
    detect_path_format,
    suggest_slash,
)

SPELLINGS = [
    "Décor & Tea Cups",
    unicodedata.normalize("NFD", "Décor & Tea Cups"),
    "Décor\u00a0& Tea\u202fCups",
    "Décor &\u200b Tea Cups\ufeff",
    "D\u00adécor & Tea\u200d Cups\u200c",
    "D\u200cécor & Te\u200da Cups",
    "Décor &amp; Tea Cups",
    "Décor &amp;amp; Tea Cups",
    "D&eacute;cor &#38; Tea Cups",
    "  Décor  &\tTea \n Cups ",
    "<b>Décor</b> &amp; Tea<br/>Cups",
    "\u202aDécor & Tea Cups\u202c\u200e",
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_names_that_look_the_same_become_the_same(text: str) -> None:
    assert clean_name(text) == "Décor & Tea Cups"


@pytest.mark.parametrize("text", ["می\u200cخواهم", "क्\u200dष", "👩\u200d🎨", "H&M", "Size <S>", "A/B > C", "包邮 & 新"])
def test_what_is_meant_is_kept(text: str) -> None:
    """The zero-width joiner and non-joiner have a meaning in Persian, in Indic scripts and in emoji."""
    assert clean_name(text) == text


ALPHABET = [*"aé &;<>#x1/\\,|\"'", "e\u0301", "\u00a0", "\u200b", "\u200c", "\ufeff", "&amp;", "&lt;", "&nbsp;", "<b>"]
ALPHABET += ["</b>", "<br", "&#", "a\u0323\u0301", "ｆ", "م", "\u0600", "&amp", "&shy;", "  ", "\t", "字", "&#x26;"]


@pytest.mark.parametrize("seed", range(8))
def test_cleaning_is_idempotent(seed: int) -> None:
    generator = random.Random(seed)
    for _ in range(1_000):
        text = "".join(generator.choices(ALPHABET, k=generator.randrange(12)))
        name = clean_name(text)
        assert clean_name(name) == name, repr(text)
        assert name == " ".join(name.split()) and unicodedata.is_normalized("NFC", name), repr(text)


NAMES = ["Shoes", "Tea Cups", "Décor", "Food, Beverages & Tobacco", "H&M", "5 inch", "鞋子", "T-Shirts", "Dolls; Toys"]


def draw_path(generator: random.Random, names: list[str] = NAMES) -> tuple[str, ...]:
    return tuple(generator.choices(names, k=generator.randrange(1, 5)))


@pytest.mark.parametrize("separator", [*ARROWS, *SLASHES, "~", ".", " - "])
def test_joined_levels_come_back(separator: str) -> None:
    generator = random.Random(separator)
    names = [name for name in NAMES if separator.strip() not in name]
    for _ in range(200):
        path = draw_path(generator, names)
        blank = generator.choice(["", " "])
        text = f"{blank}{separator.strip()}{blank}".join(path)
        assert PathFormat(separator.strip()).parse(text) == [path], text
        assert PathFormat(separator.strip()).parse(f"{text}{separator} ") == [path], "an empty level"
        assert PathFormat(">").parse(json.dumps(path, ensure_ascii=generator.random() < 0.5)) == [path]
        assert PathFormat(">").parse(repr(list(path))) == [path]


@pytest.mark.parametrize("separator", [">", "/", "|", ","])
def test_escaped_separators_are_part_of_names(separator: str) -> None:
    generator = random.Random(separator)
    for _ in range(200):
        path = draw_path(generator, [f"A{separator}B", f"C {separator} D", "E", f"{separator}F"])
        text = f" {separator} ".join(name.replace(separator, f"\\{separator}") for name in path)
        assert PathFormat(separator).parse(text) == [path], text


@pytest.mark.parametrize("joiner", [", ", ",", "|", " ; ", "\n"])
def test_several_paths_in_a_cell_come_back(joiner: str) -> None:
    """All roots are known from other cells, and names below them contain commas."""
    generator = random.Random(joiner)
    roots = ["Food, Beverages & Tobacco", "Toys", "Home"]
    inner = ["Dolls, Playsets & Figures", "Tea", "Décor"]
    path_format = PathFormat(">", frozenset(roots))
    for _ in range(200):
        path = (generator.choice(roots), *generator.choices(inner, k=generator.randrange(4)))
        assert path_format.parse(" > ".join(path)) == [path]
        paths = [(generator.choice(roots[1:]), *draw_path(generator, ["Tea", "Décor"])) for _ in range(3)]
        assert path_format.parse(joiner.join(" > ".join(path) for path in paths)) == paths


@pytest.mark.parametrize(
    ("cells", "paths"),
    [
        (["Toys & Games > Toys > Dolls, Playsets & Toy Figures > Dolls"], [3 + 1]),
        (["Food, Beverages & Tobacco > Tea"], [2]),
        (["Default Category/Gear,Default Category/Gear/Bags"], [2, 3]),
        (["Clothing > Shirts, Sale", "Sale > Shirts"], [2, 1]),
        (["Clothing > Shirts, Sale", "Clothing"], [2]),  # `Shirts, Sale` may be a name
        (['["A >> B"]', "A >> C"], [2]),
        (['[["Sports", "Dance"], ["Clothing", "Girls", "Skirts"]]'], [2, 3]),
        (['["A > B", "C"]'], [2, 1]),
        (["A &gt; B &amp; C"], [2]),
        (["<b>A</b> > <i>B", "A > C"], [2]),
        (["Default Category/Gear|Default Category/Gear/Bags", "Default Category/A|Default Category/A/B"], [2, 3]),
        (["A > B|C > D", "A > B"], [2, 2]),
        (["A > B\nC > D", "A > B"], [2, 2]),
        (["A > Dolls; Toys", "A > B"], [2]),
        (["A > B > ", "> A"], [2]),
        (["[]", "A > B"], []),
        (["", "A > B"], []),
        (["[1, null]", "A > B"], []),
        (["[broken", "A > B"], [1]),
    ],
)
def test_the_first_cell_has_these_depths(cells: list[str], paths: list[int]) -> None:
    path_format = detect_path_format(cells, slashes=True)
    assert path_format is not None
    assert [len(path) for path in path_format.parse(cells[0])] == paths


def test_every_comma_separates_paths_of_woocommerce() -> None:
    path_format = PathFormat(">", joiner=",")
    assert path_format.parse("Clothing > Tops\\, Tees, New, Sale") == [("Clothing", "Tops, Tees"), ("New",), ("Sale",)]


@pytest.mark.parametrize(
    ("values", "suggested"),
    [
        (["A/B", "A/C"], "/"),
        (["A / B", "A / C"], " / "),
        (["A|B", "C|D", "E"], "|"),
        (["A/B|A/C", "D/E|D/F"], "/"),
        (["A", "B", "T-shirts/Tops"], None),
    ],
)
def test_slashes_are_suggested(values: list[str], suggested: str | None) -> None:
    assert suggest_slash(values) == suggested


def test_columns_without_paths() -> None:
    assert detect_path_format([]) is None
    assert detect_path_format(["Shoes", "Boots", "A/B"]) is None
    assert detect_path_format(["Size > 40", *"ABCDE"]) is None
    assert detect_path_format(["<b>Shoes</b>", "<p>Boots"]) is None


def test_numbers_before_paths_are_no_names() -> None:
    """Google's taxonomy with ids. A number that other paths lack is a name."""
    cells = ["1 - Animals", "3237 - Animals > Live Animals", "5 - Animals > Pets, Cats > 3 - 4 kg"]
    path_format = detect_path_format(cells)
    assert path_format
    assert [path_format.parse(cell) for cell in cells] == [
        [("Animals",)],
        [("Animals", "Live Animals")],
        [("Animals", "Pets, Cats", "3 - 4 kg")],
    ]
    assert (named := detect_path_format(["3 - 4 kg > Cats", "Dogs > Big"]))
    assert named.parse("3 - 4 kg > Cats") == [("3 - 4 kg", "Cats")]


@pytest.mark.parametrize(
    "cells", [["A -> B", "A->C"], ["A => B", "A => C"], ["A＞B", "A＞C"], ["A ❯ B", "A ❯ C"], ["A >> B", "A > C"]]
)
def test_arrows_of_several_signs_and_widths(cells: list[str]) -> None:
    path_format = detect_path_format(cells)
    assert path_format and [path_format.parse(cell) for cell in cells] == [[("A", "B")], [("A", "C")]]


@pytest.mark.parametrize("key", ["name", "value"])
def test_categories_of_an_api_are_objects(key: str) -> None:
    cells = [f'[{{"id": 9, "{key}": "Boots"}}, {{"id": 1, "{key}": "Sale"}}]', f'[{{"{key}": "Hats"}}]', '[{"id": 3}]']
    path_format = detect_path_format(cells)
    assert path_format is not None
    assert [path_format.parse(cell) for cell in cells] == [[("Boots",), ("Sale",)], [("Hats",)], []]
