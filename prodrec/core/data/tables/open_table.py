"""Open a table of any format that prodrec reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prodrec.core.base.errors import BadOption, BadTable, NotFound
from prodrec.core.data.tables.columnar_table import ColumnarTable, open_parquet
from prodrec.core.data.tables.csv_table import CsvTable, open_csv
from prodrec.core.data.tables.decompress import open_decompressed, read_bytes, zipped_table
from prodrec.core.data.tables.excel_table import open_excel
from prodrec.core.data.tables.formats import ARCHIVES, COMPRESSED, EXPECTED, FORMATS, TEXT_FORMATS, format_of_content
from prodrec.core.data.tables.json_table import (
    HEADER_BYTES,
    PREVIEW_HEADER_BYTES,
    JsonLinesTable,
    open_json,
)
from prodrec.core.data.tables.records import Table
from prodrec.core.data.tables.text_file import open_text
from prodrec.core.data.tables.xml_table import XmlTable, open_xml

_BEGINNING_BYTES = 1 << 10


@dataclass(frozen=True)
class TableDescription:
    """How a table is read.

    format:    such as "CSV"
    separator: the text between two fields; None for a format without separators
    encoding:  the text encoding; None for a format that states its own
    columns:   all column names
    """

    path: str
    format: str
    separator: str | None
    encoding: str | None
    columns: tuple[str, ...]


def describe_table(table: Table) -> TableDescription:
    """Return how `table` is read."""
    separator = encoding = None
    if isinstance(table, CsvTable):
        separator, encoding = table.separator, table.file.encoding
        name = "TSV" if separator == "\t" else "CSV"
    elif isinstance(table, JsonLinesTable):
        name, encoding = "JSON lines", table.file.encoding
    elif isinstance(table, XmlTable):
        name = "XML"
    elif isinstance(table, ColumnarTable):
        name = table_format(table.path).capitalize()
    else:
        name = "JSON"
    return TableDescription(str(table.path), name, separator, encoding, tuple(table.header))


def open_table(path: Path, encoding: str | None = None, *, max_rows: int | None = None) -> Table:
    """Open a table and read its column names.

    encoding: of a text table; None is a guess, see `text_file.open_text`
    max_rows: rows that will be read; the column names of XML and JSON lines are then searched in the first rows only

    Raise NotFound if the file does not exist, BadTable if it is not readable as a table, and BadOption for an encoding
    that is unknown or of no use for the format.
    """
    file_format = table_format(path)
    with open_decompressed(path) as stream:
        file_format = format_of_content(path, read_bytes(stream, _BEGINNING_BYTES, path), file_format)
    if encoding is not None and file_format not in TEXT_FORMATS:
        raise BadOption(f"--encoding {encoding} is about text tables, and {path} is none; omit it.")
    if file_format == "parquet":
        return open_parquet(path)
    if file_format == "excel":
        return open_excel(path)
    if file_format == "xml":
        return open_xml(path, max_rows)
    file, note = open_text(path, encoding)
    table: Table
    if file_format in ("json", "jsonl"):
        header_bytes = HEADER_BYTES if max_rows is None else PREVIEW_HEADER_BYTES
        table = open_json(file, is_lines=file_format == "jsonl", header_bytes=header_bytes)
    else:
        table = open_csv(file, "\t" if file_format == "tsv" else None)
    if note:
        table.notes.append(note)
    return table


def table_format(path: Path) -> str:
    """Return the format of a table by the ending of its name. Raise NotFound or BadTable."""
    if not path.exists():
        raise NotFound(f"table {path} does not exist.")
    if path.is_dir():
        endings = [file.suffix for file in path.iterdir() if file.suffix.lower() in FORMATS]
        remedy = f"name the tables in it, as in {path}/*{max(endings, key=endings.count)}" if endings else EXPECTED
        raise BadTable(f"{path} is a directory, not a table; {remedy}.")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    is_zip, is_compressed = suffixes[-1:] == [".zip"], path.suffix.lower() in COMPRESSED
    endings = [suffix for suffix in suffixes if suffix not in COMPRESSED]
    file_format = FORMATS.get(endings[-1]) if endings else None
    found = str(path)
    if is_zip:
        member = zipped_table(path)
        ending = Path(member).suffix.lower()
        found = f"{path} contains {member}, which"
        if ending in COMPRESSED:
            raise BadTable(f"{found} is compressed itself; unpack it and name the table.")
        file_format = FORMATS.get(ending, file_format)
    if any(suffix in ARCHIVES for suffix in suffixes[-2:]):
        raise BadTable(f"{path} is an archive; unpack it and name the table.")
    if file_format is None:
        raise BadTable(f"{found} is not a table that prodrec reads; {EXPECTED}.")
    if is_compressed and file_format in ("parquet", "excel"):
        raise BadTable(f"{path} is a compressed {file_format.capitalize()} file; unpack it first.")
    return file_format
