"""Turn the category column or columns of a catalogue into levels with clean names.

A path that is deeper than the levels is cut, and one that is shorter ends early: its deeper levels are null.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from prodrec.core.base.wording import counted
from prodrec.core.data.tables.catalogue_files import CatalogueFiles
from prodrec.core.data.tables.category_text import PathFormat, clean_name, detect_path_format, suggest_slash
from prodrec.core.data.tables.cells import parse_list
from prodrec.core.data.tables.columns import TableColumns

if TYPE_CHECKING:
    import polars as pl

TECHNICAL_ROOTS = frozenset(
    {"default category", "root catalog", "root category", "root", "home", "all categories", "all", "shop all"}
    | {"all products", "accueil", "startseite", "inicio"}
)
"""Names, in lower case, of a first level that all products of a shop share."""


def add_levels(
    frame: pl.LazyFrame,
    columns: TableColumns,
    names: Sequence[str],
    missing_values: Sequence[str],
    files: CatalogueFiles,
    notes: list[str],
) -> tuple[pl.LazyFrame, tuple[str, ...]]:
    """Return the catalogue with the columns level_0 … and clean values of attributes, and the names of the levels.

    names:          the names that the user gave to the levels of paths
    missing_values: levels that count as missing

    Sentences about what was changed are appended to `notes`.
    """
    attributes = [f"attribute_{i}" for i in range(len(columns.attributes))]
    frame = _clean_columns(frame, attributes, missing_values, files, "values of attributes", notes)[0]
    if columns.path:
        counts = count_texts(frame, "path")
        path_format = detect_path_format(counts, columns.separator, slashes=True, joiner=columns.joiner)
        path_format = path_format or PathFormat(">", joiner=columns.joiner)
        return add_path_levels(frame, counts, path_format, names, missing_values, files, notes)
    levels = [f"level_{i}" for i in range(len(columns.levels))]
    frame, texts = _clean_columns(frame, levels, missing_values, files, "names of categories", notes)
    if len(columns.levels) == 1 and (slash := suggest_slash(list(texts[0]))):
        column = columns.levels[0]
        notes.append(
            f"the names in {column} look like whole paths: --path-column {shlex.quote(column)} "
            f"--path-separator '{slash}' cuts them"
        )
    return frame, columns.levels


def add_path_levels(
    frame: pl.LazyFrame,
    counts: Mapping[str, int],
    path_format: PathFormat,
    names: Sequence[str],
    missing_values: Sequence[str],
    files: CatalogueFiles,
    notes: list[str],
) -> tuple[pl.LazyFrame, tuple[str, ...]]:
    """Replace the column `path` by level_0 …; see `add_levels`.

    counts: the distinct paths as text, with their numbers of rows
    """
    import polars as pl

    paths: dict[str, tuple[str, ...]] = {}
    several = 0
    for text, rows in counts.items():
        cell = [tuple(name for name in path if name not in missing_values) for path in path_format.parse(text)]
        several += rows * (len(cell) > 1)
        paths[text] = max(cell, key=len, default=())  # the first of the deepest
    if several:
        rows_named = counted(several, "row names", "rows name")
        notes.append(f"{rows_named} several category paths; the first of the deepest ones is taken")
    paths = _without_technical_root(paths, notes)
    depths: Counter[int] = Counter()
    for text, rows in counts.items():
        depths[len(paths[text])] += rows
    del depths[0]
    depth = len(names) or max(depths, key=lambda levels: (depths[levels], levels), default=1)
    levels = tuple(names) or (*(f"level{i + 1}" for i in range(depth - 1)), "leaf")
    _note_depths(depths, depth, notes)
    mapping = pl.DataFrame(
        {
            "path": list(paths),
            **{f"level_{i}": [path[i] if i < len(path) else None for path in paths.values()] for i in range(depth)},
        },
        schema={"path": pl.String, **{f"level_{i}": pl.String for i in range(depth)}},
    )

    def add(chunk: pl.DataFrame) -> pl.DataFrame:
        return chunk.join(mapping, on="path", how="left", maintain_order="left").drop("path")

    return files.map_chunks(frame, add), levels


def _note_depths(depths: Mapping[int, int], depth: int, notes: list[str]) -> None:
    """Report the rows whose path is deeper or shorter than the levels."""
    deeper = sum(rows for levels, rows in depths.items() if levels > depth)
    shorter = sum(rows for levels, rows in depths.items() if levels < depth)
    if not deeper and not shorter:
        return
    by_depth = ", ".join(f"{rows:,} of {levels}" for levels, rows in sorted(depths.items()))
    cut, ending = counted(deeper, "row is", "rows are"), counted(shorter, "row has", "rows have")
    notes.append(
        f"category paths have different numbers of levels ({by_depth}): {cut} cut to {depth}, and {ending} no deeper "
        "labels; --levels A,B names other levels, --require-leaf rejects the shorter ones"
    )


def _without_technical_root(paths: Mapping[str, tuple[str, ...]], notes: list[str]) -> dict[str, tuple[str, ...]]:
    """Remove the first level if all paths share it and its name is that of a shop's root category."""
    roots = {path[0] for path in paths.values() if path}
    root = next(iter(roots), "")
    if len(roots) == 1 and root.lower() in TECHNICAL_ROOTS and any(len(path) > 1 for path in paths.values()):
        notes.append(f"all category paths begin with {root!r}; this level is omitted")
        return {text: path[1:] for text, path in paths.items()}
    return dict(paths)


def count_texts(frame: pl.LazyFrame, column: str) -> dict[str, int]:
    """Return the distinct values of a column with their numbers of rows, in order of the values."""
    import polars as pl

    counts = frame.select(pl.col(column)).drop_nulls().group_by(column).agg(pl.len()).sort(column)
    return dict(counts.collect(engine="streaming").iter_rows())


def _clean_columns(
    frame: pl.LazyFrame,
    columns: Sequence[str],
    missing_values: Sequence[str],
    files: CatalogueFiles,
    what: str,
    notes: list[str],
) -> tuple[pl.LazyFrame, list[dict[str, int]]]:
    """Return the catalogue with clean names in `columns`, and the values of each of them before, with their rows."""
    texts = [count_texts(frame, column) for column in columns]
    cleaned = {
        column: changed
        for column, counts in zip(columns, texts, strict=True)
        if (changed := {text: name for text in counts if (name := _clean(text, missing_values)) != text})
    }
    if cleaned:
        frame = files.map_chunks(frame, lambda chunk: _replace(chunk, cleaned))
        rows = sum(
            counts[text] for column, counts in zip(columns, texts, strict=True) for text in cleaned.get(column, ())
        )
        notes.append(f"{rows:,} {what} were cleaned of invisible signs, HTML, brackets of lists or superfluous blanks")
    return frame, texts


def _clean(text: str, missing_values: Sequence[str]) -> str | None:
    """Return the clean name, or the names of a list with commas between them; None if it is missing."""
    values = parse_list(text)
    parts = values if values is not None and all(isinstance(value, str) for value in values) else [text]
    name = ", ".join(name for part in parts if (name := clean_name(part)) and name not in missing_values)
    return name or None


def _replace(chunk: pl.DataFrame, cleaned: Mapping[str, Mapping[str, str | None]]) -> pl.DataFrame:
    """Replace the values of columns that are keys of `cleaned`."""
    import polars as pl

    return chunk.with_columns(
        pl.col(column).replace_strict(list(names), list(names.values()), default=pl.col(column), return_dtype=pl.String)
        for column, names in cleaned.items()
    )
