"""Excel workbooks: all cells as the text that a user sees, and the rows with the numbers that the program shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prodrec.core.base.errors import BadTable
from prodrec.core.base.wording import counted
from prodrec.core.data.tables.column_names import ID_NAMES, IMAGE_NAMES, SINGLE_NAMES, TITLE_NAMES, normalise
from prodrec.core.data.tables.columnar_table import ColumnarTable
from prodrec.core.data.tables.csv_header import SAMPLE_LINES, rows_above
from prodrec.core.data.tables.csv_records import BLANK
from prodrec.core.data.tables.encodings import is_binary
from prodrec.core.data.tables.records import ROW_COLUMN

if TYPE_CHECKING:
    import polars as pl


def open_excel(path: Path) -> ColumnarTable:
    """Open the first sheet of a workbook (.xlsx, .xls, .xlsb, .ods) that has columns with usual names.

    Without any, it is the first one that has rows below a header. The header is the first row that is not blank, apart
    from those of `rows_above`. Raise BadTable if there is no sheet with a header, or the file is no workbook.
    """
    import polars as pl

    try:
        sheets = pl.read_excel(
            path,
            sheet_id=0,
            engine="calamine",
            has_header=False,
            read_options={"header_row": None, "skip_rows": 0},  # so that blank rows at the top are counted
            infer_schema_length=0,  # text; a guessed type would lose the cells of another one
            drop_empty_rows=False,
            drop_empty_cols=False,
            raise_if_empty=False,
        )
    except Exception as error:  # the reader raises errors of its own library
        raise _not_a_workbook(path, error) from error
    tables = {name: _table(path, sheet) for name, sheet in sheets.items()}
    filled = {name: table for name, table in tables.items() if table is not None}
    if not filled:
        raise BadTable(f"{path} has no sheet with a header and rows.")
    name, table = next(((n, t) for n, t in filled.items() if _has_usual_names(t)), next(iter(filled.items())))
    if len(filled) > 1:
        others = "1 other sheet is" if len(filled) == 2 else f"{len(filled) - 1} other sheets are"
        table.notes.append(f"{path}: the sheet {name!r} is read; {others} ignored")
    return table


def _table(path: Path, sheet: pl.DataFrame) -> ColumnarTable | None:
    """Return the table in a sheet, or None if it has no row below a header."""
    import polars as pl

    if not sheet.width:
        return None
    filled_rows = sheet.select(~pl.all_horizontal(_is_empty(pl.all()))).to_series().arg_true()
    if len(filled_rows) < 2:
        return None
    first = filled_rows[: SAMPLE_LINES + 1].to_list()
    above = rows_above([[cell or "" for cell in sheet.row(i)] for i in first])
    if above + 2 > len(filled_rows):
        return None
    start = int(filled_rows[above])
    names = [(name or "").strip() for name in sheet.row(start)]
    rows = sheet[start + 1 :]
    rows.columns = [name if names.count(name) == 1 else f"{name}\0{i}" for i, name in enumerate(names)]
    blank = pl.all_horizontal(_is_empty(pl.col(rows.columns)))
    problem = pl.when(blank).then(pl.format(f"row {{}}: {BLANK}", pl.col(ROW_COLUMN)))
    table = ColumnarTable(path, rows.lazy(), start + 2, problem=problem, header=names)
    if above:
        rows_text = counted(above, "row above it is skipped", "rows above it are skipped")
        table.notes.append(f"{path}: the header is row {start + 1}; {rows_text}")
    return table


def _has_usual_names(table: ColumnarTable) -> bool:
    """Return whether several columns of a sheet are named as those of products are; sheets of instructions are not."""
    usual = {*ID_NAMES, *IMAGE_NAMES, *TITLE_NAMES, *SINGLE_NAMES}
    return len(usual & {normalise(name) for name in table.header}) > 1


def _is_empty(column: pl.Expr) -> pl.Expr:
    return (column.str.strip_chars() == "").fill_null(True)


def _not_a_workbook(path: Path, error: Exception) -> BadTable:
    """Return the error for a file that is not a workbook; shops give text this name too."""
    try:
        with path.open("rb") as stream:
            beginning = stream.read(1 << 16)
    except OSError as unreadable:
        return BadTable(f"{path} cannot be read: {unreadable.strerror}.")
    if not beginning.strip():
        return BadTable(f"{path} is empty; expected a workbook.")
    if beginning.lstrip().startswith(b"<"):
        return BadTable(f"{path} contains HTML or XML, not a workbook; save it as .xlsx in a spreadsheet program.")
    if not is_binary(beginning):
        return BadTable(f"{path} contains text, not a workbook; give it a name with .csv at the end.")
    return BadTable(f"{path} is not readable as an Excel workbook: {str(error).splitlines()[0].rstrip('.')}.")
