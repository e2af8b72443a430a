"""Which column of a table is what: found by its name, ignoring case, spaces and underscores, or named by an option."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prodrec.core.base.errors import BadOption, BadTable, nearest

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
            "id": self.id or ("(the image name)" if self.image else "(the number of the row)"),
            "image": self.image,
            "title": self.title or "(none)",
            "levels": f"{self.path} cut at {self.separator!r}" if self.path else ", ".join(self.levels),
            "attributes": ", ".join(self.attributes) or "(none)",
            "split": self.split,
        }
        return " · ".join(f"{what}: {column}" for what, column in found.items() if column)


def refuse_repeated(given: Columns) -> None:
    """Raise BadOption where an option names a column twice."""
    for option, names in (("--levels", given.levels), ("--attributes", given.attributes)):
        if len(set(names)) != len(names):
            raise BadOption(f"{option} {','.join(names)} names a column twice.")


def find_columns(found: Sequence[str], given: Columns, *, table: Path, shows_photos: bool = True) -> Columns:
    """Complete `given` by the columns' names. Raises BadTable where a named, image or category column is missing.

    shows_photos: whether there must be an image column
    """
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
    if columns.image is None and shows_photos:
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
