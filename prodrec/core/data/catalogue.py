"""From tables with any column names to one catalogue: every row's id, image, title, category path and attributes.

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
    *("image", "photo", "picture", "img", "file", "filename", "imagepath", "imagefile", "imagename", "imagefilename"),
    *("photopath", "photofile", "photoname", "path", "images", "photos", "imageurl", "photourl"),
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
NUMBERED_LEVEL = re.compile(r"(?:category|categorylevel|level|cat|lvl)(\d+)")


@dataclass(frozen=True)
class Columns:
    """Which column of the table is what; None and () where it is to be found by name, or is not there.

    levels: columns from the shallowest level to the leaf; with `path` the names to give the levels
    path:   one column that holds the whole category path, cut at `separator`
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
        """`image: photo · id: sku · …` for the line that says what was found."""
        found = {
            "id": self.id or "(the image name)",
            "image": self.image,
            "title": self.title or "(none)",
            "levels": f"{self.path} cut at {self.separator!r}" if self.path else ", ".join(self.levels),
            "attributes": ", ".join(self.attributes) or "(none)",
            "split": self.split,
        }
        return " · ".join(f"{what}: {column}" for what, column in found.items() if column)


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Every row of every table, as text.

    frame: table (index), table_row, id, image, title, split, level_0 …, attribute_0 …; null where a value is missing.
           `depth`, only where levels come from paths: how many levels the row's path has.
    found: one line that says which column was taken for what
    """

    frame: pl.DataFrame
    tables: tuple[str, ...]
    levels: tuple[str, ...]
    attributes: tuple[str, ...]
    found: str


def read_catalogue(tables: Sequence[Path], given: Columns, *, missing_values: Sequence[str] = ()) -> Catalogue:
    """Read all tables; the columns found in the first one must be in all of them. Raises NotFound or BadTable."""
    import polars as pl

    _refuse_repeated(given)
    columns = find_columns(column_names(tables[0]), given, table=tables[0])
    frames = []
    for number, table in enumerate(tables):
        here = find_columns(column_names(table), columns, table=table)
        frame = _select(read_columns(table, here.names()), here, ("", *missing_values))
        frames.append(frame.with_columns(table=pl.lit(number, pl.Int32)))
    frame = pl.concat(frames, rechunk=True)
    if not frame.height:
        raise BadTable(f"{', '.join(map(str, tables))}: zero rows of products; expected one row for each product.")
    levels, found = columns.levels, columns.describe()
    if columns.path:
        frame, levels = _split_paths(frame, columns.separator, given.levels)
    elif not given.levels and len(levels) == 1 and (separator := _separator_of_paths(frame["level_0"])):
        found += f" (these look like whole paths: --path-column {levels[0]} --path-separator {separator!r} cuts them)"
    return Catalogue(frame, tuple(map(str, tables)), levels, columns.attributes, found)


def find_columns(found: Sequence[str], given: Columns, *, table: Path) -> Columns:
    """Complete `given` by the columns' names. Raises BadTable where a named, image or category column is missing."""
    plain = {_plain(name): name for name in reversed(found)}
    listed = ", ".join(found)

    def known(name: str, option: str) -> str:
        matches = [column for column in found if column == name] or [c for c in found if c.lower() == name.lower()]
        if len(matches) != 1:
            raise BadTable(
                f"{table} has no column {name!r} ({option}){nearest(name, found)}; its columns are {listed}."
            )
        return matches[0]

    def one(name: str | None, option: str, usual: Sequence[str] = ()) -> str | None:
        return known(name, option) if name else next((plain[usual] for usual in usual if usual in plain), None)

    columns = replace(
        given,
        image=one(given.image, "--image", IMAGES),
        id=one(given.id, "--id", IDS),
        title=one(given.title, "--title", TITLES),
        split=one(given.split, "--split-column"),
        path=one(given.path, "--path-column"),
        attributes=tuple(known(name, "--attributes") for name in given.attributes),
    )
    if columns.image is None:
        raise BadTable(f"{table} has no image column; name it with --image: the columns are {listed}.")
    if not columns.path:
        levels = tuple(known(name, "--levels") for name in given.levels) or _find_levels(plain)
        columns = replace(columns, levels=levels)
        if not levels:
            raise BadTable(f"{table} has no category column; name them with --levels: the columns are {listed}.")
    return columns


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())


def _find_levels(plain: dict[str, str]) -> tuple[str, ...]:
    numbered = [(int(match[1]), column) for name, column in plain.items() if (match := NUMBERED_LEVEL.fullmatch(name))]
    if numbered:
        return tuple(column for _, column in sorted(numbered))
    families = (tuple(plain[name] for name in family if name in plain) for family in LEVELS)
    return next((family for family in families if family), ())


def _separator_of_paths(leaves: pl.Series) -> str | None:
    """What stands between levels where most leaves look like whole paths."""
    distinct = leaves.drop_nulls().unique()
    marks = (" > ", ">", "|", " / ", "/")
    return next((m for m in marks if distinct.str.contains(m, literal=True).sum() > 0.5 * len(distinct)), None)


def _refuse_repeated(given: Columns) -> None:
    for option, names in (("--levels", given.levels), ("--attributes", given.attributes)):
        if len(set(names)) != len(names):
            raise BadOption(f"{option} {','.join(names)} names a column twice.")


def _select(frame: pl.DataFrame, columns: Columns, missing: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    def text(column: str | None, name: str) -> pl.Expr:
        value = pl.lit(None, pl.String) if column is None else pl.col(column).str.strip_chars()
        return pl.when(value.is_in(list(missing))).then(None).otherwise(value).alias(name)

    parts = [
        pl.col(ROW).cast(pl.Int64).alias("table_row"),
        text(columns.id or columns.image, "id"),
        text(columns.image, "image"),
        text(columns.title, "title"),
        text(columns.split, "split"),
    ]
    if columns.path:
        parts.append(text(columns.path, "path"))
    else:
        parts += [text(column, f"level_{i}") for i, column in enumerate(columns.levels)]
    return frame.select(*parts, *(text(column, f"attribute_{i}") for i, column in enumerate(columns.attributes)))


def catalogue_of_folders(names: Sequence[str], where: Path, levels: Sequence[str] = ()) -> Catalogue:
    """Every photo of `root/…/leaf/photo.jpg` is a product: its folders are its path, its name is its id.

    Raises BadTable where there are no photos or none is inside a folder.
    """
    import polars as pl

    if not names:
        raise BadTable(f"{where} holds no photos; expected root/…/leaf/photo.jpg, or give a table.")
    image = pl.Series("image", names, dtype=pl.String)
    inside = pl.col("image").str.contains("/", literal=True)
    frame = pl.DataFrame({"image": image}).select(
        pl.int_range(1, len(names) + 1, dtype=pl.Int64).alias("table_row"),
        pl.col("image").alias("id"),
        pl.col("image"),
        pl.lit(None, pl.String).alias("title"),
        pl.lit(None, pl.String).alias("split"),
        pl.when(inside).then(pl.col("image").str.replace(r"/[^/]*$", "")).alias("path"),
        pl.lit(0, pl.Int32).alias("table"),
    )
    if frame["path"].null_count() == frame.height:
        raise BadTable(f"{where}: no photo is inside a folder; expected root/…/leaf/photo.jpg, or give a table.")
    frame, found = _split_paths(frame, "/", levels)
    return Catalogue(frame, (str(where),), found, (), f"photos in folders · levels: {', '.join(found)}")


def _split_paths(frame: pl.DataFrame, separator: str, names: Sequence[str]) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Replace the column `path` by level_0 …, and `depth`; as many levels as named, else as most rows have.

    Without names the levels are level1, level2, …, leaf.
    """
    import polars as pl

    parts = pl.col("path").str.split(separator.strip() or separator).list.eval(pl.element().str.strip_chars())
    frame = frame.with_columns(path=parts).with_columns(depth=pl.col("path").list.len())
    depths = frame["depth"].drop_nulls().value_counts().sort("count", "depth", descending=True)
    depth = len(names) or (depths["depth"][0] if depths.height else 1)
    levels = tuple(names) or (*(f"level{i + 1}" for i in range(depth - 1)), "leaf")

    def level(i: int) -> pl.Expr:
        value = pl.col("path").list.get(i, null_on_oob=True)
        return pl.when((pl.col("depth") == depth) & (value != "")).then(value).alias(f"level_{i}")

    return frame.with_columns(level(i) for i in range(depth)).drop("path"), levels
