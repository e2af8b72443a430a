"""The result of `prodrec prepare --dry-run`: what the first rows of the tables show, as an object, text or JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal

from prodrec.core.base.wording import counted
from prodrec.core.data.tables.open_table import TableDescription

TITLE_WIDTH = 48
"""Characters of a title in the text."""

_ARROW = " > "
_SEPARATOR_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SPLIT_SOURCES = {
    "column": "a column of the table",
    "folders": "the names of the folders",
    "tables": "the names of the tables",
}
_LISTED_COLUMNS = 12


@dataclass(frozen=True)
class LevelPreview:
    """A level of categories: its classes among the kept rows, and the kept rows that have one."""

    name: str
    classes: int
    rows: int


@dataclass(frozen=True)
class AttributePreview:
    """An attribute: its states among the kept rows, some of them as examples, and the kept rows that have one."""

    name: str
    states: int
    rows: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class SplitPreview:
    """Where the split comes from; with `ratios` their text, otherwise the kept rows of every split."""

    source: Literal["ratios", "column", "folders", "tables"]
    ratios: str | None = None
    rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class InputsPreview:
    """What a network receives for a row: its photo, its vector, or nothing.

    source:      the folder, archive or file; None for photos inside the tables
    count:       photos that were listed, or vectors; None without inputs
    is_complete: whether these are all photos; photos that a table names are found without listing others
    width:       numbers of a vector
    found, missing, not_reached: rows whose photo is there, is not there, or is not among those that were listed
    matched:     rows whose photo is there, by how their name was matched
    """

    kind: Literal["photos", "features", "nothing"]
    source: str | None = None
    count: int | None = None
    is_complete: bool = True
    width: int | None = None
    found: int = 0
    missing: int = 0
    not_reached: int = 0
    matched: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ExampleRow:
    """One kept row. `has_photo` is None if there are no photos, or the photo is not among those that were listed."""

    table: str
    row: int
    id: str
    title: str | None
    path: tuple[str, ...]
    photo: str | None
    has_photo: bool | None


@dataclass(frozen=True)
class RejectPreview:
    """The rows that would be rejected for one reason, and some of them with their detail."""

    reason: str
    rows: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Preview:
    """What `prepare` understands of the first rows. `print` shows it as text, `as_json` returns plain values.

    tables:         how every table is read; empty for photos in folders
    rows_read:      rows of all tables that were read
    photo_rows:     rows after those with several photos became several
    is_whole:       whether all rows were read
    columns:        the columns by role
    column_summary: the same as one line
    unused_columns: columns of the first table without a role
    levels:         the category levels, shallowest first
    example_paths:  the most frequent category paths
    products:       products among the kept rows, and those with several photos
    notes:          sentences about what was found in the tables, and what looks wrong
    kept:           rows that would be kept, as far as their photos are not decoded
    not_checked:    sentences about what only `prepare` itself finds
    next_command:   the command that prepares the dataset; None if no row can be used
    """

    tables: tuple[TableDescription, ...]
    rows_read: int
    photo_rows: int
    is_whole: bool
    columns: Mapping[str, Sequence[str]]
    column_summary: str
    unused_columns: tuple[str, ...]
    levels: tuple[LevelPreview, ...]
    example_paths: tuple[tuple[str, ...], ...]
    attributes: tuple[AttributePreview, ...]
    products: Mapping[str, int]
    split: SplitPreview
    inputs: InputsPreview
    examples: tuple[ExampleRow, ...]
    notes: tuple[str, ...]
    kept: int
    rejected: tuple[RejectPreview, ...]
    not_checked: tuple[str, ...]
    next_command: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the object that `prodrec prepare --dry-run --json` prints."""
        values = asdict(self)
        del values["column_summary"]
        return values

    def __str__(self) -> str:
        return "\n".join(f"{name:<12}{text}" for name, text in _lines(self))


def _lines(preview: Preview) -> Iterator[tuple[str, str]]:
    for table in preview.tables:
        yield "table", f"{table.path}: {_format(table)}"
    whole = "all" if preview.is_whole else "only the first ones; every number below is about these"
    photos = (
        f", with {counted(preview.photo_rows, 'photo', 'photos')}" if preview.photo_rows != preview.rows_read else ""
    )
    yield "rows", f"{preview.rows_read:,} read{photos} ({whole})"
    yield "columns", preview.column_summary
    if preview.unused_columns:
        unused = preview.unused_columns
        more = f" and {len(unused) - _LISTED_COLUMNS} more" if len(unused) > _LISTED_COLUMNS else ""
        yield "", f"not used: {', '.join(unused[:_LISTED_COLUMNS])}{more}"
    yield "levels", " · ".join(f"{x.name} {counted(x.classes, 'class', 'classes')}" for x in preview.levels)
    yield from _headed("paths", [_ARROW.join(path) for path in preview.example_paths])
    yield from _headed("attributes", [_attribute(attribute) for attribute in preview.attributes])
    if preview.products["with_several_photos"]:
        several = counted(preview.products["with_several_photos"], "has several rows", "have several rows")
        several += ", which go to one split"
        yield "products", f"{preview.products['count']:,}; {several}"
    yield "split", _split(preview.split)
    yield preview.inputs.kind if preview.inputs.kind != "nothing" else "photos", _inputs(preview.inputs)
    yield from _headed("examples", [_example(example, len(preview.tables)) for example in preview.examples])
    yield from _headed("notes", preview.notes)
    rejected = sum(reject.rows for reject in preview.rejected)
    rows = counted(preview.photo_rows, "row", "rows")
    yield "result", f"{rows} = {preview.kept:,} kept + {rejected:,} rejected"
    for reject in preview.rejected:
        yield "", f"{reject.rows:,} {reject.reason}, such as {reject.examples[0]}"
        yield from (("", f"    {example}") for example in reject.examples[1:])
    yield from _headed("not checked", preview.not_checked)
    if preview.next_command is None:
        yield "next", "none of these rows can be used: mend the table or the options first"
    else:
        yield "next", preview.next_command


def _headed(name: str, texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the texts, the first one with a name."""
    for i, text in enumerate(texts):
        yield "" if i else name, text


def _format(table: TableDescription) -> str:
    separator = _SEPARATOR_NAMES.get(table.separator, repr(table.separator)) if table.separator else None
    parts = [f"{table.format} with {separator}" if separator and table.format == "CSV" else table.format]
    if table.encoding:
        parts.append(table.encoding.upper())
    return f"{', '.join(parts)}, {counted(len(table.columns), 'column', 'columns')}"


def _attribute(attribute: AttributePreview) -> str:
    examples = ", ".join(attribute.examples) + (" …" if attribute.states > len(attribute.examples) else "")
    states, rows = counted(attribute.states, "state", "states"), counted(attribute.rows, "row", "rows")
    return f"{attribute.name}: {states} on {rows} ({examples})"


def _split(split: SplitPreview) -> str:
    if split.source == "ratios":
        return f"{split.ratios} for train:test:validation, in every leaf"
    counts = " · ".join(f"{name} {rows:,}" for name, rows in split.rows.items())
    return f"from {_SPLIT_SOURCES[split.source]}: {counts}"


def _inputs(inputs: InputsPreview) -> str:
    if inputs.kind == "nothing":
        return "none: titles and categories alone, to train word vectors"
    if inputs.kind == "features":
        return f"{inputs.source}: {inputs.count:,} vectors of {inputs.width:,} numbers"
    place = inputs.source or "inside the tables"
    rules = ", ".join(f"{rows:,} {rule}" for rule, rows in inputs.matched.items())
    count = inputs.count or 0
    listed = f"{counted(count, 'file', 'files')}; " if inputs.is_complete else ""
    if inputs.not_reached:
        files = counted(count, "file was", "files were")
        listed = f"{files} listed in the seconds of a preview, and more follow; "
    found = counted(inputs.found, "row has its photo", "rows have their photo")
    text = f"{place}: {listed}{found}" + (f" ({rules})" if rules else "")
    text += f", {counted(inputs.missing, 'has', 'have')} no photo" if inputs.missing else ""
    return text + (f", {counted(inputs.not_reached, 'is', 'are')} not among those listed" if inputs.not_reached else "")


def _example(example: ExampleRow, tables: int) -> str:
    place = f"row {example.row}" if tables < 2 else f"{Path(example.table).name}, row {example.row}"
    state = {True: "found", False: "missing", None: "not listed"}[example.has_photo]
    photo = f"{example.photo} ({state})" if example.photo and example.has_photo is not None else example.photo
    title = shorten(example.title, TITLE_WIDTH, placeholder=" …") if example.title else None
    parts = (place, example.id if example.id != example.photo else None, title, _ARROW.join(example.path), photo)
    return " · ".join(part for part in parts if part)
