"""Several photos in a cell are separated, and names with commas are not cut."""

from __future__ import annotations

import json
import random

import pytest

from prodrec.core.data.tables.cells import parse_list, split_photos


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a.jpg", ["a.jpg"]),
        ("front, side.jpg", ["front, side.jpg"]),
        ("a.jpg, b.PNG;c.webp|d.jpeg", ["a.jpg", "b.PNG", "c.webp", "d.jpeg"]),
        ("a.jpg,", ["a.jpg"]),
        ("1001", ["1001"]),
        ("https://x/a.jpg?v=1, https://x/b", ["https://x/a.jpg?v=1", "https://x/b"]),
        ("https://x/w_1,h_2/a.jpg", ["https://x/w_1,h_2/a.jpg"]),
        ("https://x/w_1,h_2/a.jpg,https://x/w_1,h_2/b.jpg", ["https://x/w_1,h_2/a.jpg", "https://x/w_1,h_2/b.jpg"]),
        ("https://x/a http://x/b\n//x/c", ["https://x/a", "http://x/b", "//x/c"]),
        ('["a.jpg", "b.jpg"]', ["a.jpg", "b.jpg"]),
        ("['a.jpg', 'b, c.jpg']", ["a.jpg", "b, c.jpg"]),
        ("[]", []),
        ('[null, ""]', []),
        ("[broken", ["[broken"]),
        ('{"url": "a.jpg", "width": 3}', ["a.jpg"]),
        ('[{"thumb": "t.jpg", "large": "l.jpg", "hi_res": null}]', ["l.jpg"]),
        ('{"hi_res": [null, "h.jpg"], "large": ["l.jpg", "m.jpg"]}', ["l.jpg", "h.jpg"]),
        ("{broken", ["{broken"]),
    ],
)
def test_photos_of_a_cell(text: str, names: list[str]) -> None:
    assert split_photos(text) == names


@pytest.mark.parametrize("seed", range(5))
def test_joined_photos_come_back(seed: int) -> None:
    generator = random.Random(seed)
    for _ in range(300):
        names = [
            generator.choice(["{}.jpg", "sub/{} front.PNG", "{}-ü.webp", "https://cdn.example/{}.jpg?w=800"]).format(i)
            for i in range(generator.randrange(2, 5))
        ]
        if len({name.startswith("http") for name in names}) == 1:
            assert split_photos(generator.choice([",", ", ", ";", "|", "\n"]).join(names)) == names
        assert split_photos(json.dumps(names)) == names
        assert split_photos(repr(names)) == names


@pytest.mark.parametrize("text", ["", "a", "[", "[1", "{}", "[" * 100_000, "[1, x]", "[__import__('os')]"])
def test_what_is_no_list(text: str) -> None:
    assert parse_list(text) is None
