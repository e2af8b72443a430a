from __future__ import annotations

import pytest

from prodrec.core.data.tables.csv_records import BLANK, MAX_RECORD_LINES, Record, read_record


def read_all(text: str, width: int | None = 3, separator: str = ",") -> list[Record]:
    lines, records, line = text.split("\n"), list[Record](), 0
    while line < len(lines):
        record = read_record(lines, line, separator, width, is_complete=True)
        assert record is not None
        records.append(record)
        line += record.lines
    return records


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("1,a,b", ["1", "a", "b"]),
        ("1,,", ["1", "", ""]),
        ('1,"a,b",c', ["1", "a,b", "c"]),
        ('1,"a ""b""",c', ["1", 'a "b"', "c"]),
        ('1,5" heel,c', ["1", '5" heel', "c"]),
        ('1,a "b" c,d', ["1", 'a "b" c', "d"]),
        ("1,a,b,,", ["1", "a", "b"]),
        ("1,a,b, ", ["1", "a", "b"]),
        ('1,"a,b', ["1", '"a', "b"]),  # not closed: text
        ('1,a,"b', ["1", "a", '"b']),
        ('1,"red, big","5', ["1", "red, big", '"5']),
        ('1,"5" heel, red",b', ["1", '5" heel, red', "b"]),  # a quote inside that is not doubled
        ('1,"a" b,c', ["1", '"a" b', "c"]),
        ('1,"a""b,c', ["1", '"a""b', "c"]),
        (r'1,"a 5\"",b', ["1", 'a 5"', "b"]),  # a backslash makes quotes text
        (r'1,"a \"b\", c",d', ["1", 'a "b", c', "d"]),
        (r'"1","\"a\"","b"', ["1", '"a"', "b"]),
        (r'1,"c:\a\\",b', ["1", "c:\\a\\\\", "b"]),
    ],
)
def test_one_line(line: str, fields: list[str]) -> None:
    (record,) = read_all(line)
    assert (record.fields, record.problem) == (fields, None)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", BLANK),
        ("  ", BLANK),
        ("1", "1 field where the header has 3"),
        ("1,a", "2 fields where the header has 3"),
        ("1,a,b,c", "4 fields where the header has 3"),
        ('1,"a,b","c,d",e', "4 fields where the header has 3"),
        ('1,"a,b,c,d', "5 fields where the header has 3"),
    ],
)
def test_malformed_lines(line: str, problem: str) -> None:
    assert [record.problem for record in read_all(line)] == [problem]


def test_quotes_after_a_backslash_swallow_no_rows() -> None:
    records = read_all('1,"a 5\\"",x\n2,b,y\n3,"c \\"6\\"",z\n4,d,"w"')
    assert [record.fields for record in records] == [
        ["1", 'a 5"', "x"],
        ["2", "b", "y"],
        ["3", 'c "6"', "z"],
        ["4", "d", "w"],
    ]
    assert not any(record.has_lone_quote for record in records)


def test_fields_over_several_lines() -> None:
    first, second = read_all('1,"two\nlines, and\n\na blank one",b\n2,c,d')
    assert (first.fields, first.lines) == (["1", "two\nlines, and\n\na blank one", "b"], 4)
    assert second.fields == ["2", "c", "d"]


def test_lone_quotes_do_not_swallow_rows() -> None:
    """Nor if the second one closes the first, whether the number of fields is right or not."""
    for text in ('1,"a,x\n2,b,y\n3,c",z\n4,d,w', '1,a,"x\n2,b,y\n3,c,z"\n4,d,w', '1,"a,x\n2,b,y\n3,c,z'):
        records = read_all(text)
        assert [record.fields[0] for record in records] == text.replace("\n", ",").split(",")[::3]
        assert all(record.problem is None for record in records)


def test_most_lines_decide_whether_rows_are_swallowed() -> None:
    """A malformed row among them does not hide them, and a line of text with commas does not end a text."""
    swallowed = read_all('1,a,"x\n2,b,y\n3,c\n4,d,z\n5,e,w"')
    assert [record.fields[0] for record in swallowed] == ["1", "2", "3", "4", "5"]
    (text,) = read_all('1,a,"soft\nwarm\nred, green, blue\nwashable"')
    assert text.fields[2] == "soft\nwarm\nred, green, blue\nwashable"


def test_one_column() -> None:
    assert [record.fields for record in read_all('"a\nb"\nc', 1)] == [["a\nb"], ["c"]]


def test_records_that_continue() -> None:
    lines = ['1,"a', "b"]
    assert read_record(lines, 0, ",", 3, is_complete=False) is None
    record = read_record(lines, 0, ",", 2, is_complete=True)
    assert record is not None and (record.fields, record.lines, record.has_lone_quote) == (["1", '"a'], 1, True)
    too_long = ['1,"a', *["b"] * MAX_RECORD_LINES]
    record = read_record(too_long, 0, ",", 2, is_complete=False)
    assert record is not None and record.lines == 1


@pytest.mark.parametrize("length", [200_000, 20_000_000])
def test_long_fields(length: int) -> None:
    record = read_record([f'1,"{"x" * length}, and more",b'], 0, ",", 3, is_complete=True)
    assert record is not None and len(record.fields[1]) == length + 10
    assert read_all(f'1,"{"x" * length}')[0].problem == "2 fields where the header has 3"
