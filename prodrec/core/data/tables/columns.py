"""Decide which column of a table contains the id, image, title and categories, from its name or from an option.

Names are compared without case, spaces, underscores and other punctuation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prodrec.core.base.errors import BadOption, BadTable, did_you_mean
from prodrec.core.base.options import option

ID_NAMES = ("id", "sku", "skuid", "productid", "itemid", "asin", "uid", "articleid")
IMAGE_NAMES = (
    *("image", "photo", "picture", "img", "file", "filename", "imagepath", "imagefile", "imagename", "imagefilename"),
    *("photopath", "photofile", "photoname", "path", "images", "photos", "imageurl", "photourl"),
)
TITLE_NAMES = ("title", "name", "productname", "productdisplayname", "producttitle", "itemname", "displayname")
LEVEL_NAMES = (
    ("root", "middle", "leaf"),
    ("mastercategory", "subcategory", "articletype"),
    ("category", "subcategory", "subsubcategory"),
    ("leafcategory",),
    ("label",),
    ("class",),
)
"""Sets of category columns, shallowest level first. The first set with any column in the table is used."""

NUMBERED_LEVEL = re.compile(r"(?:category|categorylevel|level|cat|lvl)(\d+)")
"""A level by its depth: category1, level_2, lvl3."""

COLUMNS = "Columns"
"""Heading of these options in the help of `prodrec prepare`."""


@dataclass(frozen=True)
class ColumnNames:
    """The columns of a table by their role.

    Before `resolve_columns`, None and () mean "detect by name"; afterwards they mean that the table has no such column.

    levels:    the category columns from the shallowest level to the leaf; with `path`, the names to give its levels
    path:      one column with the whole category path, split at `separator`
    separator: the text between two levels in `path`
    """

    image: str | None = option(None, "The photo's name.", group=COLUMNS, metavar="COLUMN")
    id: str | None = option(
        None, "The product's id; the photo's name if there is none.", group=COLUMNS, metavar="COLUMN"
    )
    title: str | None = option(None, "The title.", group=COLUMNS, metavar="COLUMN")
    levels: tuple[str, ...] = option(
        (),
        "The categories from the shallowest to the leaf, such as root,middle,leaf. For --path-column and folders: "
        "names to give the levels.",
        group=COLUMNS,
        metavar="NAMES",
    )
    attributes: tuple[str, ...] = option((), "Attributes, such as gender,colour.", group=COLUMNS, metavar="NAMES")
    split: str | None = option(
        None,
        "The split of each row: train, test, validation (val, valid, dev). Duplicates in several splits all go to "
        "train.",
        name="split_column",
        group=COLUMNS,
        metavar="COLUMN",
    )
    path: str | None = option(
        None,
        "The whole category path in one column, such as A > B > C.",
        name="path_column",
        group=COLUMNS,
        metavar="COLUMN",
    )
    separator: str = option(
        " > ", "The text between the levels of --path-column.", name="path_separator", group=COLUMNS
    )

    def columns_to_read(self) -> list[str]:
        """Return every column that has a role, once."""
        single = [name for name in (self.id, self.image, self.title, self.split, self.path) if name]
        return list(dict.fromkeys([*single, *(() if self.path else self.levels), *self.attributes]))

    def describe(self) -> str:
        """Return one line for the user: `id: sku · image: photo · …`."""
        columns = {
            "id": self.id or ("(the image name)" if self.image else "(the number of the row)"),
            "image": self.image,
            "title": self.title or "(none)",
            "levels": f"{self.path} cut at {self.separator!r}" if self.path else ", ".join(self.levels),
            "attributes": ", ".join(self.attributes) or "(none)",
            "split": self.split,
        }
        return " · ".join(f"{role}: {column}" for role, column in columns.items() if column)


def refuse_repeated_names(requested: ColumnNames) -> None:
    """Raise BadOption if an option names a column twice."""
    for flag, names in (("--levels", requested.levels), ("--attributes", requested.attributes)):
        if len(set(names)) != len(names):
            raise BadOption(f"{flag} {','.join(names)} names a column twice.")


def resolve_columns(
    header: Sequence[str], requested: ColumnNames, *, table: Path, needs_image: bool = True
) -> ColumnNames:
    """Return `requested` as columns of `header`, with the roles that were not requested detected by name.

    Raise BadTable if a requested column is missing or ambiguous, if no category column is found, or if no image column
    is found and `needs_image` is set. `table` is used in messages only.
    """
    normalised = {_normalise(name): name for name in reversed(header)}  # of equal names, the first column counts
    all_columns = ", ".join(header)

    def exact(name: str, flag: str) -> str:
        matches = [column for column in header if column == name] or [c for c in header if c.lower() == name.lower()]
        if not matches:
            hint = did_you_mean(name, header)
            raise BadTable(f"{table} has no column {name!r} ({flag}){hint}; its columns are {all_columns}.")
        if len(matches) > 1:
            raise BadTable(
                f"{table} has {len(matches)} columns that match {name!r} ({flag}): {', '.join(matches)}; "
                "rename all but one."
            )
        return matches[0]

    def find(name: str | None, flag: str, usual_names: Sequence[str] = ()) -> str | None:
        if name:
            return exact(name, flag)
        return next((normalised[usual] for usual in usual_names if usual in normalised), None)

    columns = replace(
        requested,
        image=find(requested.image, "--image", IMAGE_NAMES),
        id=find(requested.id, "--id", ID_NAMES),
        title=find(requested.title, "--title", TITLE_NAMES),
        split=find(requested.split, "--split-column"),
        path=find(requested.path, "--path-column"),
        attributes=tuple(exact(name, "--attributes") for name in requested.attributes),
    )
    if columns.image is None and needs_image:
        raise BadTable(f"{table} has no image column; name it with --image: the columns are {all_columns}.")
    if not columns.path:
        levels = tuple(exact(name, "--levels") for name in requested.levels) or _detect_levels(normalised)
        columns = replace(columns, levels=levels)
        if not levels:
            raise BadTable(f"{table} has no category column; name them with --levels: the columns are {all_columns}.")
    return columns


def _normalise(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())


def _detect_levels(normalised: dict[str, str]) -> tuple[str, ...]:
    """Return the columns `category1`, `category2`, … in numeric order, else the first usual set of level names."""
    matches = [
        (int(match[1]), column) for name, column in normalised.items() if (match := NUMBERED_LEVEL.fullmatch(name))
    ]
    if matches:
        return tuple(column for _, column in sorted(matches))
    candidates = (tuple(normalised[name] for name in names if name in normalised) for names in LEVEL_NAMES)
    return next((levels for levels in candidates if levels), ())
