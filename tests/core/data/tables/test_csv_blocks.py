from __future__ import annotations

import csv
import io
import random

import pytest

from prodrec.core.data.tables import csv_blocks
from prodrec.core.data.tables.csv_blocks import CsvLayout, parse_block
from prodrec.core.data.tables.csv_records import read_record
from prodrec.core.data.tables.records import PROBLEM_COLUMN
from prodrec.core.data.tables.text_file import LineBlock

Row = tuple[str | None, ...]


def parse(data: bytes, layout: CsvLayout) -> tuple[list[Row], list[int]]:
    parsed = parse_block(LineBlock(1, data), layout, is_complete=True)
    assert not parsed.unread.data
    values = parsed.frame.select(*layout.positions).rows()
    problems = parsed.frame[PROBLEM_COLUMN].to_list()
    rows = [
        (problem, *(value or None for value in row)) for row, problem in zip(values, problems, strict=True)
    ]  # "" and null are both empty
    return rows, parsed.lone_quotes


def parse_with_python(data: bytes, layout: CsvLayout) -> tuple[list[Row], list[int]]:
    """Apply the rule to every line, and check that every line belongs to one record."""
    lines = LineBlock(1, data).lines()
    rows, lone_quotes, line = list[Row](), list[int](), 0
    while line < len(lines):
        record = read_record(lines, line, layout.separator, layout.width, is_complete=True)
        assert record is not None and record.lines >= 1
        problem = None if record.problem is None else f"line {line + 1}: {record.problem}"
        values = [None] * len(layout.positions) if problem else [record.fields[i] for i in layout.positions.values()]
        rows.append((problem, *(value or None for value in values)))
        if record.has_lone_quote:
            lone_quotes.append(line + 1)
        line += record.lines
    assert line == len(lines)
    return rows, lone_quotes


FIELDS = ["", "a", "5", '"', '""', 'x"', '"x', '"a,b"', '"a""b"', 'a "b" c', " ", "é", '" ', '"\n"', "\ufeff"]


def mangled(rng: random.Random, separator: str) -> bytes:
    """Return lines of random fields, or of random characters."""
    if rng.random() < 0.3:
        return "".join(rng.choices(f'a"{separator}\n ', k=rng.randrange(40))).encode()
    lines = [
        separator.join(rng.choice(FIELDS).replace(",", separator) for _ in range(rng.choice([3, 3, 3, 3, 2, 4])))
        for _ in range(rng.randrange(12))
    ]
    return ("\n".join(lines) + rng.choice(["", "\n", "\n\n"])).encode()


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_polars_and_python_parse_the_same_rows(separator: str) -> None:
    rng = random.Random(ord(separator))
    layouts = [CsvLayout(separator, width, {"last": width - 1, "first": 0}) for width in (1, 2, 3)]
    for _ in range(600):
        data, layout = mangled(rng, separator), rng.choice(layouts)
        assert parse(data, layout) == parse_with_python(data, layout), data


def test_rows_of_csv_writer_come_back() -> None:
    """Without text that looks like rows: a text over several lines has no separators here."""
    rng = random.Random(1)
    for _ in range(800):
        width = rng.randrange(2, 6)
        rows = [
            [
                "".join(rng.choices('ab" ;', k=rng.randrange(6))) + rng.choice(["", ",b", "\n", "\nb"])
                for _ in range(width)
            ]
            for _ in range(rng.randrange(1, 8))
        ]
        for row in rows:
            if any("\n" in field for field in row):
                row[:] = [field.replace(",", "") for field in row]
            row[0] = row[0].strip() or "id"
        file = io.StringIO()
        csv.writer(file, lineterminator="\n", quoting=rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])).writerows(rows)
        layout = CsvLayout(",", width, {str(i): i for i in range(width)})
        expected = [(None, *(field or None for field in row)) for row in rows]
        assert parse(file.getvalue().encode(), layout) == (expected, []), file.getvalue()


def test_only_lines_that_need_it_are_read_by_python(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ['1,"a, b",x', '2,5" heel,y', '3,"say ""hi""",z', "4,plain,w", '5,"open,v']
    read = list[int]()

    def counting(lines: list[str], start: int, *args: object, **options: object) -> object:
        read.append(start)
        return read_record(lines, start, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(csv_blocks, "read_record", counting)
    rows, lone_quotes = parse("\n".join(lines).encode(), CsvLayout(",", 3, {"title": 1, "leaf": 2}))
    assert rows == [
        (None, "a, b", "x"),
        (None, '5" heel', "y"),
        (None, 'say "hi"', "z"),
        (None, "plain", "w"),
        (None, '"open', "v"),
    ]
    assert read == [4] and lone_quotes == [5]


def test_record_that_continues_beyond_the_block() -> None:
    layout = CsvLayout(",", 2, {"title": 1})
    block = LineBlock(7, b'1,a\n2,"b\nc', {})
    parsed = parse_block(block, layout, is_complete=False)
    assert parsed.frame["title"].to_list() == ["a"] and parsed.unread == LineBlock(8, b'2,"b\nc')
    whole = parse_block(LineBlock(8, b'2,"b\nc"\n'), layout, is_complete=True)
    assert whole.frame["title"].to_list() == ["b\nc"]


def test_lines_that_are_not_text() -> None:
    block = LineBlock(5, '1,a\n2,"b\n\ufffd"\n3,\ufffd\n4,d\n'.encode(), {2: "byte 0xff", 3: "byte 0xfe"})
    frame = parse_block(block, CsvLayout(",", 2, {"title": 1}), is_complete=True).frame
    assert frame.rows() == [("a", None), (None, "line 7: byte 0xff"), (None, "line 8: byte 0xfe"), ("d", None)]
