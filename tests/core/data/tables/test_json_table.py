from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables import text_file
from prodrec.core.data.tables.json_table import open_json
from prodrec.core.data.tables.json_values import as_text
from prodrec.core.data.tables.records import PROBLEM_COLUMN, ROW_COLUMN, Table
from prodrec.core.data.tables.text_file import open_text

Row = tuple[int | str | None, ...]
DEEP = "[" * 100_000 + "]" * 100_000


def open_lines(path: Path, content: str | bytes) -> Table:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_json(open_text(path)[0], is_lines=True)


def open_array(path: Path, content: str | bytes) -> Table:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_json(open_text(path)[0])


def read(table: Table, *columns: str) -> list[Row]:
    frames = [chunk.select(ROW_COLUMN, PROBLEM_COLUMN, *columns).collect() for chunk in table.chunks(columns)]
    return [row for frame in frames for row in frame.rows()]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("7", "7"),
        ('"a"', "a"),
        ("2.5", "2.5"),
        ("3.0", "3"),
        ("1e300", "1e+300"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("true", "true"),
        ("false", "false"),
        ("null", None),
        ("NaN", None),
        ("Infinity", None),
        ("-Infinity", None),
        ("1e999", None),
        ('["A", "é"]', '["A", "é"]'),
        ('[1, NaN, {"a": Infinity}]', '[1, null, {"a": null}]'),
        ('{"a": 1, "a": 2}', '{"a": 2}'),
        ('"\\ud83d\\ude00"', "😀"),
    ],
)
def test_values(tmp_path: Path, value: str, text: str | None) -> None:
    assert as_text(json.loads(value)) == text
    assert read(open_lines(tmp_path / "t.jsonl", f'{{"v": {value}}}\n'), "v") == [(1, None, text)]
    assert read(open_array(tmp_path / "t.json", f'[{{"v": {value}}}]'), "v") == [(1, None, text)]


BAD_VALUES = [
    ('{"v": ', "not JSON (Expecting value)"),
    ("[1]", "not a JSON object"),
    ("", "blank"),
    ('{"v": "\\ud800"}', "half of a surrogate pair, which is not a character"),
    ('{"\\udc00": 1}', "half of a surrogate pair, which is not a character"),
    (f'{{"v": {DEEP}}}', "not JSON (nested too deeply)"),
]


@pytest.mark.parametrize(("line", "problem"), BAD_VALUES, ids=range(len(BAD_VALUES)))
def test_malformed_lines(tmp_path: Path, line: str, problem: str) -> None:
    table = open_lines(tmp_path / "t.jsonl", f'{{"v": 1}}\n{line}\n{{"v": 2}}')
    assert table.header == ["v"]
    assert read(table, "v") == [(1, None, "1"), (2, f"line 2: {problem}", None), (3, None, "2")]


def test_numbers_that_are_too_long(tmp_path: Path) -> None:
    (_, problem, value), second = read(open_lines(tmp_path / "t.jsonl", f'{{"v": {"9" * 5000}}}\n{{"v": 2}}\n'), "v")
    assert isinstance(problem, str) and problem.startswith("line 1: not JSON (Exceeds the limit") and value is None
    assert second == (2, None, "2")


def test_lines_that_are_not_text(tmp_path: Path) -> None:
    good = "".join(f'{{"v": "é{i}"}}\n' for i in range(3)).encode()
    rows = read(open_lines(tmp_path / "t.jsonl", good + b'{"v": "\xff"}\n'), "v")
    assert rows[2:] == [(3, None, "é2"), (4, "line 4: byte 0xff is not UTF-8 text", None)]


def test_columns_of_all_lines(tmp_path: Path) -> None:
    table = open_lines(tmp_path / "t.jsonl", '\ufeff{"id": 1}\r\n{"id": 2, "late": "x"}\r\n')
    assert table.header == ["id", "late"]
    assert read(table, "late", "id") == [(1, None, None, "1"), (2, None, "x", "2")]
    assert read(table) == [(1, None), (2, None)]


@pytest.mark.parametrize(
    "text",
    [
        '[{"id": 1}, {"id": 2}]',
        '{"products": [{"id": 1}, {"id": 2}], "count": 2}',
        '{"id": 1}\n{"id": 2}\n',
        '{"id": {"0": 1, "1": 2}, "leaf": {"0": "x", "1": "y"}}',
        '{\n "id": 1\n}\n{\n "id": 2\n}\n',
        '{"id": 1}{"id": 2}',
        '[\n{"id": 1},\n{"id": 2},\n]\n',
        '{"id": 1},\n{"id": 2},\n',
        "{'id': 1}\n {'id': 2}\n",
    ],
)
def test_layouts_of_json_files(tmp_path: Path, text: str) -> None:
    expected = [(1, None, "1"), (2, None, "2")]
    assert read(open_array(tmp_path / "t.json", text), "id") == expected
    if "\n" in text:
        assert read(open_lines(tmp_path / "t.jsonl", text), "id") == expected


def test_several_tables_in_one_line_are_no_product(tmp_path: Path) -> None:
    with pytest.raises(BadTable, match="contains several arrays of objects"):
        open_array(tmp_path / "t.json", '{"images": [{"id": 1}], "annotations": [{"id": 2}]}')


def test_a_json_lines_file_that_is_an_array(tmp_path: Path) -> None:
    assert read(open_lines(tmp_path / "t.jsonl", '[{"id": 1},\n{"id": 2}]\n'), "id") == [(1, None, "1"), (2, None, "2")]
    assert read(open_lines(tmp_path / "t.jsonl", '[1]\n{"id": 2}\n'), "id")[1] == (2, None, "2")


def test_one_object(tmp_path: Path) -> None:
    assert read(open_array(tmp_path / "t.json", '{"id": 1, "tags": ["a"]}'), "tags") == [(1, None, '["a"]')]


def test_malformed_elements(tmp_path: Path) -> None:
    text = '[{"v": "é"}, 5, null, {"v": "\\ud800"}, {"v": 2}]'
    assert read(open_array(tmp_path / "t.json", text), "v") == [
        (1, None, "é"),
        (2, "element 2: not a JSON object", None),
        (3, "element 3: not a JSON object", None),
        (4, "element 4: half of a surrogate pair, which is not a character", None),
        (5, None, "2"),
    ]
    text = "[\n" + '{"v": "é"},\n' * 3 + '{"v": "?"}]'
    rows = read(open_array(tmp_path / "t.json", text.encode().replace(b"?", b"\xff")), "v")
    assert rows[2:] == [(3, None, "é"), (4, "element 4: bytes that are not text in the encoding of the file", None)]


def test_a_malformed_first_line(tmp_path: Path) -> None:
    assert read(open_array(tmp_path / "t.json", '{"v": 1\n{"v": 2}\n{"v": 3}\n'), "v")[1:] == [
        (2, None, "2"),
        (3, None, "3"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[{"id": 1}, {"id":', r"is not JSON \(Expecting value: line 1 column 19 \(char 18\)\); expected an array"),
        ("[1, 2]", "contains no array of objects"),
        ('"text"', "contains no array of objects"),
        (DEEP, "nested too deeply"),
        ("{\n", "is not JSON"),
    ],
    ids=range(5),
)
def test_other_content(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadTable, match=rf"t\.json.*{words}"):
        open_array(tmp_path / "t.json", text)


def test_no_line_is_an_object(tmp_path: Path) -> None:
    with pytest.raises(BadTable, match=r"t\.jsonl, line 2: not JSON.*; expected JSON lines: one object per line\.$"):
        open_lines(tmp_path / "t.jsonl", "\n{\n[1]\n")
    with pytest.raises(BadTable, match=r"t\.jsonl contains no array of objects; expected one object for each product"):
        open_lines(tmp_path / "t.jsonl", "\n[1]\n")


def test_mangled_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line is one row; lines that were not changed have their values; blocks of any size give the same rows."""
    rng, path = random.Random(5), tmp_path / "t.jsonl"
    for _ in range(200):
        lines = [json.dumps({"id": i, "title": rng.choice(['5" heel', "é", "", "a,b"])}) for i in range(8)]
        mangled = dict[int, str]()
        for _ in range(rng.randrange(5)):
            line = lines[number := rng.randrange(1, 8)]
            place = rng.randrange(len(line) + 1)
            accident = rng.choice(['"', "{", "}", "\\", "\\ud800", "NaN", "", "\0"])
            mangled[number] = line[:place] + accident + line[place + rng.randrange(4) :]
        changed = [mangled.get(i, line) for i, line in enumerate(lines)]
        data = rng.choice(["\n", "\r\n"]).join(changed).encode()
        results = []
        for block_bytes in (rng.choice([1, 9]), 1 << 20):
            monkeypatch.setattr(text_file, "BLOCK_BYTES", block_bytes)
            results.append(read(open_lines(path, data), "id", "title"))
        assert results[0] == results[1] and [row[0] for row in results[0]] == list(range(1, 9))
        for i, line in enumerate(lines):
            if i not in mangled:
                assert results[0][i][1:] == (None, str(i), json.loads(line)["title"])


def test_lines_that_python_printed(tmp_path: Path) -> None:
    """The Amazon reviews of 2014 are dicts of Python; `{'` never begins JSON."""
    lines = """{'asin': "1", 'title': "It's", 'price': 3.5, 'none': None}\n{'asin': nan}\n{"asin": "3"}\n"""
    table = open_lines(tmp_path / "t.json", lines)
    assert [(row[0], *row[2:]) for row in read(table, "asin", "title")] == [
        (1, "1", "It's"),
        (2, None, None),
        (3, "3", None),
    ]
    assert [row[1] is not None for row in read(table, "asin")] == [False, True, False]
