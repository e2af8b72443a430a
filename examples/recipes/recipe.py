"""What the recipes share: the command line, readers of published lists and tables, and the table that is written.

A recipe is a function that returns the `Contents` of a table for a folder with published files. Rows are read and
written as a stream. Photos stay where they are: the column `image` has their names.
"""

from __future__ import annotations

import argparse
import csv
import json
import shlex
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from prodrec.core.base import console
from prodrec.core.base.csv_cells import harmless
from prodrec.core.base.errors import BadTable, NotFound, ProdrecError
from prodrec.core.base.json_types import JSON_ERRORS
from prodrec.core.base.outputs import new_file
from prodrec.core.data.tables.header import Header
from prodrec.core.data.tables.open_table import open_table

VALIDATION_SHARE = 20
"""One of so many training photos validates, where the only published labels besides train are used as the test split:
5 % of a million photos are plenty to choose epochs by."""

NAMES = ("image", "url")
"""Columns that must be written as they are, since files and addresses are found by them."""

Row = Sequence[str]
Json = TypeVar("Json")


@dataclass(frozen=True)
class Contents:
    """A table and how to prepare it.

    columns: the names of the columns
    rows:    their values, row by row
    prepare: the options that `prodrec prepare TABLE` needs
    """

    columns: Sequence[str]
    rows: Iterable[Row]
    prepare: Sequence[str]


def run(doc: str | None, read: Callable[[Path], Contents], arguments: Sequence[str] | None = None) -> None:
    """Run a recipe as a command: write the table, and print the next command. Exit with code 2 for a wrong input.

    doc:       the docstring of the recipe, which is its help
    read:      returns the contents for the published folder or file
    arguments: those of the command line; None is sys.argv
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="the published folder or file that is named above")
    parser.add_argument("--out", type=Path, default=Path("products.csv"), help="table to write (products.csv)")
    parser.add_argument("--force", action="store_true", help="replace an existing table")
    options = parser.parse_args(arguments)
    with mistakes_end():
        contents = read(options.source)
        count = write_table(options.out, contents, force=options.force)
    line = shlex.join(["prodrec", "prepare", str(options.out), *contents.prepare])
    console.info(f"wrote {options.out}: {count:,} rows; next: {line}")


@contextmanager
def mistakes_end() -> Iterator[None]:
    """End the program with the sentence and the exit code of an error of prodrec that the block raises."""
    try:
        yield
    except ProdrecError as error:
        console.error(str(error))
        raise SystemExit(error.exit_code) from error


def write_table(path: Path, contents: Contents, *, force: bool = False) -> int:
    """Write a CSV file and return the number of its rows. Raise OutputExists, or what reading the rows raises."""
    is_name = [column in NAMES for column in contents.columns]
    count = 0
    with (
        new_file(path, kind="table", force=force) as partial,
        partial.open("w", encoding="utf-8", newline="") as stream,
        console.progress(f"writing {path}", total=None) as advance,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(contents.columns)
        for row in contents.rows:
            writer.writerow([cell if as_it_is else harmless(cell) for cell, as_it_is in zip(row, is_name, strict=True)])
            count += 1
            advance()
    return count


def need(path: Path, what: str) -> Path:
    """Return `path` if it exists. Raise NotFound: `what` describes it."""
    if not path.exists():
        raise NotFound(f"{path} does not exist; expected {what}, as --help shows it.")
    return path


def read_lines(path: Path, fields: int, *, separator: str | None = None, skip: int = 0) -> Iterator[list[str]]:
    """Yield the fields of every line that is not blank.

    A line with more fields is cut at its last separators, since names of photos may contain blanks.

    separator: the text between fields; None is any blanks
    skip:      lines above the rows

    Raise NotFound if the file does not exist, and BadTable for a line with fewer fields.
    """
    with need(path, "a published list").open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if number <= skip or not line.strip():
                continue
            found = [field.strip() for field in line.strip().rsplit(separator, fields - 1)]
            if len(found) != fields:
                raise BadTable(
                    f"{path}, line {number} has {len(found)} fields; expected {fields}, as --help shows them."
                )
            yield found


def read_records(path: Path, *columns: str) -> Iterator[tuple[str, ...]]:
    """Yield `columns` of a CSV file or of a JSON file with one array of objects, as `prepare` reads them.

    A missing value is an empty text. The whole of a JSON file is in memory. Raise NotFound or BadTable.
    """
    table = open_table(path)
    exact = [Header(table.header, path).exact(column, "as published") for column in columns]
    for chunk in table.chunks(exact):
        for record in chunk.select(exact).collect().iter_rows():
            yield tuple(value or "" for value in record)


def read_json(path: Path, kind: type[Json], *, expected: str, remedy: str) -> Json:
    """Return the content of a JSON file, which is in memory as a whole.

    kind:     list, dict, or object for any content
    expected: what the file should contain
    remedy:   what to do if it is not JSON

    Raise BadTable.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except JSON_ERRORS as error:
        raise BadTable(f"{path} is not JSON ({error}); {remedy}.") from error
    if not isinstance(content, kind):
        raise BadTable(f"{path} contains no {'array' if kind is list else 'object'}; expected {expected}.")
    return content


def look_up(names: Sequence[str], number: str, where: Path) -> str:
    """Return the name of a class by its number, counted from 0. Raise BadTable if there is none."""
    if not number.isdecimal() or int(number) >= len(names):
        raise BadTable(f"{where} contains the class {number!r}; expected a number below {len(names)}.")
    return names[int(number)]


def train_or_validation(photo: str) -> str:
    """Return the split of a training photo: always the same one for a name, `validation` for 1 of VALIDATION_SHARE."""
    return "validation" if zlib.crc32(photo.encode()) % VALIDATION_SHARE == 0 else "train"
