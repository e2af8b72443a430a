"""From tables with any column names to one catalogue: which column is what, and every row's id, image, title, path, attributes.

Columns are found by name, ignoring case, spaces and underscores; options say otherwise. What is missing stays null.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from prodrec.core.data.tables import ROW, column_names, read_columns
from prodrec.core.errors import BadOption, BadTable, nearest

if TYPE_CHECKING:
    import polars as pl

IDS = ("id", "sku", "skuid", "productid", "itemid", "asin", "uid", "articleid")
IMAGES = (
    *("image", "photo", "picture", "img", "file", "filename", "imagepath", "imagefile", "imagename", "photopath"),
    *("imageid", "path", "images", "imageurl", "link"),
)
TITLES = ("title", "name", "productname", "productdisplayname", "producttitle", "itemname", "displayname")
LEVELS = (
    ("root", "middle", "leaf"),
    ("mastercategory", "subcategory", "articletype"),
    ("category", "subcategory", "subsubcategory"),
    ("leafcategory",),
    ("label",),
    ("class",),
)
NUMBERED_LEVELS = re.compile(r"(?:category|categorylevel|level|cat|lvl)(\d+)")


@dataclass(frozen=True)
class Columns:
    """Which column of the table is what; None and () where there is none.

    `path` is one column that holds the whole category path, split at `separator`.
    """

    image: str | None = None
    id: str | None = None
    title: str | None = None
    levels: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    split: str | None = None
    path: str | None = None
    separator: str = " > "

    def names(self) -> list[str]:
        """All columns that must be read."""
        single = [name for name in (self.id, self.image, self.title, self.split, self.path) if name]
        return list(dict.fromkeys([*single, *(() if self.path else self.levels), *self.attributes]))

    def describe(self) -> str:
        """`id ← id, image ← image_path, …` for the line that says what was found."""
        pairs = [("id", self.id), ("image", self.image), ("title", self.title), ("split", self.split)]
        levels = self.path or ", ".join(self.levels)
        pairs += [("levels", levels), ("attributes", ", ".join(self.attributes) or None)]
        return " · ".join(f"{what}: {column or '–'}" for what, column in pairs)


@dataclass(frozen=True)
class Catalogue:
    """Every row of every table, as text.

    frame: table (index), table_row, id, image, title, level_0…, attribute_0…, split; null where a value is missing.
           `depth`, only from paths: how many levels the row's path has.
    """

    frame: pl.DataFrame
    tables: tuple[str, ...]
    levels: tuple[str, ...]
    attributes: tuple[str, ...]
    has_titles: bool
    found: str


def find_columns(found: Sequence[str], given: Columns, *, table: Path) -> Columns:
    """Complete `given` by the names of the columns. Raises BadTable for a column that is not there, or no image column."""
    plain = {_plain(name): name for name in reversed(found)}

    def known(name: str, option: str) -> str:
        matches = [column for column in found if column == name] or [c for c in found if c.lower() == name.lower()]
        if len(matches) != 1:
            listed = ", ".join(found)
            raise BadTable(f"{table} has no column {name!r} ({option}){nearest(name, found)}; it has {listed}.")
        return matches[0]

    def first(names: Sequence[str]) -> str | None:
        return next((plain[name] for name in names if name in plain), None)

    columns = replace(
        given,
        image=known(given.image, "--image") if given.image else first(IMAGES),
        id=known(given.id, "--id") if given.id else first(IDS),
        title=known(given.title, "--title") if given.title else first(TITLES),
        split=known(given.split, "--split-column") if given.split else None,
        path=known(given.path, "--path-column") if given.path else None,
        attributes=tuple(known(name, "--attributes") for name in given.attributes),
    )
    if columns.image is None:
        raise BadTable(f"{table} has no image column; name one with --image: it has {', '.join(found)}.")
    if not columns.path:
        levels = tuple(known(name, "--levels") for name in given.levels) or _find_levels(plain)
        columns = replace(columns, levels=levels)
    if not columns.path and not columns.levels:
        raise BadTable(f"{table} has no category column; name them with --levels: it has {', '.join(found)}.")
    return columns


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())


def _find_levels(plain: dict[str, str]) -> tuple[str, ...]:
    numbered = [(int(match[1]), column) for name, column in plain.items() if (match := NUMBERED_LEVELS.fullmatch(name))]
    if numbered:
        return tuple(column for _, column in sorted(numbered))
    for family in LEVELS:
        present = tuple(plain[name] for name in family if name in plain)
        if present and (family[0] in plain or family[-1] in plain):
            return present
    return ()


def read_catalogue(
    tables: Sequence[Path], given: Columns, *, missing_values: Sequence[str] = (), advance: object = None
) -> Catalogue:
    """Read all tables; the columns found in the first one must be in all of them. Raises NotFound or BadTable."""
    import polars as pl

    _check_names(given)
    columns = find_columns(column_names(tables[0]), given, table=tables[0])
    frames = []
    for number, table in enumerate(tables):
        if number:
            other = find_columns(column_names(table), replace(columns, levels=columns.levels), table=table)
            assert other.names() is not None
            columns_here = other
        else:
            columns_here = columns
        frame = read_columns(table, columns_here.names())
        frames.append(_as_catalogue(frame, columns_here, missing_values).with_columns(table=pl.lit(number, pl.Int32)))
    frame = pl.concat(frames, rechunk=True)
    if not frame.height:
        raise BadTable(f"{', '.join(map(str, tables))}: zero rows below the header; expected one row for each product.")
    levels = columns.levels
    if columns.path:
        frame, levels = split_paths(frame, columns.separator, given.levels)
    return Catalogue(
        frame=frame,
        tables=tuple(map(str, tables)),
        levels=levels,
        attributes=columns.attributes,
        has_titles=columns.title is not None,
        found=columns.describe(),
    )


def _check_names(given: Columns) -> None:
    for what, names in (("--levels", given.levels), ("--attributes", given.attributes)):
        if len(set(names)) != len(names):
            raise BadOption(f"{what} {','.join(names)} names a column twice.")


def _as_catalogue(frame: pl.DataFrame, columns: Columns, missing_values: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    def text(column: str | None) -> pl.Expr:
        if column is None:
            return pl.lit(None, pl.String)
        value = pl.col(column).str.strip_chars()
        missing = value.is_in(["", *missing_values])
        return pl.when(missing).then(None).otherwise(value)

    image = text(columns.image)
    parts = [
        pl.col(ROW).cast(pl.Int64).alias("table_row"),
        (text(columns.id) if columns.id else image).alias("id"),
        image.alias("image"),
        text(columns.title).alias("title"),
        text(columns.split).alias("split"),
    ]
    if columns.path:
        parts.append(text(columns.path).alias("path"))
    else:
        parts += [text(name).alias(f"level_{i}") for i, name in enumerate(columns.levels)]
    parts += [text(name).alias(f"attribute_{i}") for i, name in enumerate(columns.attributes)]
    return frame.select(parts)


def split_paths(frame: pl.DataFrame, separator: str, names: Sequence[str]) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Replace the column `path` by level_0…, and `depth`; as many levels as named, else as most rows have.

    Without names the levels are level1, level2, …, leaf.
    """
    import polars as pl

    parts = pl.col("path").str.split(separator.strip() or separator).list.eval(pl.element().str.strip_chars())
    frame = frame.with_columns(parts=parts).with_columns(depth=pl.col("parts").list.len())
    if names:
        levels = tuple(names)
    else:
        depths = frame["depth"].drop_nulls().value_counts().sort("count", "depth", descending=True)
        levels = level_names(depths["depth"][0] if depths.height else 1)
    same = pl.col("depth") == len(levels)
    picked = [
        pl.when(same).then(pl.col("parts").list.get(i, null_on_oob=True)).alias(f"level_{i}")
        for i in range(len(levels))
    ]
    frame = frame.with_columns(picked)
    empty = [
        pl.when(pl.col(f"level_{i}") == "").then(None).otherwise(pl.col(f"level_{i}")).alias(f"level_{i}")
        for i in range(len(levels))
    ]
    return frame.with_columns(empty).drop("parts", "path"), levels


def level_names(depth: int) -> tuple[str, ...]:
    """level1, level2, …, leaf."""
    return (*(f"level{i + 1}" for i in range(depth - 1)), "leaf")


def catalogue_of_folders(names: Sequence[str], where: Path, levels: Sequence[str] = ()) -> Catalogue:
    """Every photo of `root/…/leaf/photo.jpg` is a product: its folders are its path, its name is its id.

    Raises BadTable where there are no photos or none is inside a folder.
    """
    import polars as pl

    if not names:
        raise BadTable(f"{where} holds no photos; expected root/…/leaf/photo.jpg.")
    image = pl.Series("image", names, dtype=pl.String)
    frame = pl.DataFrame({"image": image}).with_columns(
        table=pl.lit(0, pl.Int32),
        table_row=pl.int_range(1, len(names) + 1, dtype=pl.Int64),
        id=pl.col("image"),
        title=pl.lit(None, pl.String),
        split=pl.lit(None, pl.String),
        path=pl.when(pl.col("image").str.contains("/")).then(pl.col("image").str.replace(r"/[^/]*$", "")),
    )
    if not frame["path"].drop_nulls().len():
        raise BadTable(f"{where}: no photo is inside a folder; expected root/…/leaf/photo.jpg, or give a table.")
    frame, names_of_levels = split_paths(frame, "/", levels)
    found = f"{len(names):,} photos in folders · levels: {', '.join(names_of_levels)}"
    return Catalogue(frame, (str(where),), names_of_levels, (), has_titles=False, found=found)
