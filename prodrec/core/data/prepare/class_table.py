"""Read the table of classes of --class-table: a line for each leaf, with its title and, if there is one, a description.

The leaf is named as `prepare` names it: with --path-identity by its whole path, `A / B / C`. A leaf without a line has
no title.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prodrec.core.base.errors import BadOption, BadTable, did_you_mean
from prodrec.core.base.texts import Texts
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables.lines import read_lines
from prodrec.core.data.tables.records import ROW_COLUMN
from prodrec.core.data.titles.class_titles import ClassTitles

FLAG = "--class-table"
TITLE, DESCRIPTION = "title", "description"


def read_class_titles(options: PrepareOptions, leaves: Texts, *, level: str) -> ClassTitles | None:
    """Return the titles and descriptions of `leaves`, in their order; None without --class-table.

    leaves: all leaves of the tables, also those whose rows are rejected later
    level:  name of their level, and of the column that names them

    Raise NotFound or BadTable if the table cannot be read, lacks a column, has no line, or names a leaf twice or one
    that no product has.
    """
    if options.class_table is None:
        return None
    path, ignore_case = Path(options.class_table), options.ignore_case
    if level in (TITLE, DESCRIPTION):
        raise BadOption(f"{FLAG} cannot be used with a leaf level called {level!r}; rename this column.")
    lines = read_lines(path, FLAG, (level, TITLE), optional=(DESCRIPTION,))
    if not lines.height:
        raise BadTable(f"{path} has no line; expected one for each {level} that has a title.")
    names = lines[level].to_list()
    rows = lines[ROW_COLUMN].to_list()
    index_of = {_key(name, ignore_case): i for i, name in enumerate(leaves)}
    titles: list[str | None] = [None] * len(leaves)
    descriptions: list[str | None] = [None] * len(leaves)
    row_of: dict[int, int] = {}
    texts = lines[DESCRIPTION].to_list() if DESCRIPTION in lines.columns else [None] * len(rows)
    for name, row, title, description in zip(names, rows, lines[TITLE], texts, strict=True):
        if name is None:
            raise BadTable(f"{path}, row {row}, has no {level}; expected the name of a class.")
        leaf = index_of.get(_key(name, ignore_case))
        if leaf is None:
            hint = did_you_mean(name, leaves)
            raise BadTable(f"{path}, row {row}: no product has the {level} {name!r}{hint}; correct or remove the row.")
        if leaf in row_of:
            raise BadTable(f"{path}, rows {row_of[leaf]} and {row}, are both about {name!r}; leave one for a class.")
        row_of[leaf], titles[leaf], descriptions[leaf] = row, title, description
    return ClassTitles(titles, descriptions)


def _key(name: str, ignore_case: bool) -> str:
    return name.casefold() if ignore_case else name


def in_order(given: ClassTitles, names: Texts, leaves: Sequence[str]) -> ClassTitles:
    """Return the titles of `leaves`, from those of `names`, which contain them."""
    return given.take(names.find(leaves).tolist())
