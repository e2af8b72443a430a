"""The columns of a table by their role: id, image, title, split, attributes; detected by name or named by an option.

`column_names` has the usual names, `category_columns` finds the categories, and `product_columns` the products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from prodrec.core.base.errors import BadOption, BadTable
from prodrec.core.base.options import option
from prodrec.core.data.tables.column_names import (
    ID_NAMES,
    LOCAL_TITLE,
    TITLE_NAMES,
    normalise,
)
from prodrec.core.data.tables.header import Header
from prodrec.core.data.tables.image_columns import further_images, usual_image_names

AUTO_GROUPS, NO_GROUPS = "auto", "none"
"""Values of --group-by that detect the column, and that make every row a product of its own."""

NO_SPLITS = "off"
"""Value of --split-column that ignores tables and folders that are named as splits."""

COLUMNS = "Columns"
"""Heading of these options in the help of `prodrec prepare`."""


@dataclass(frozen=True)
class ColumnNames:
    """The columns of a table as the user names them; None and () mean "detect by name".

    levels:    the category columns from the shallowest level to the leaf; with `path`, the names to give its levels
    path:      one column with the whole category path, split at `separator`
    separator: the text between two levels in `path`
    """

    image: str | None = option(
        None, "The photo's name; several names in a cell are several photos.", group=COLUMNS, metavar="COLUMN"
    )
    further_images: tuple[str, ...] = option(
        (), "More columns with photos of the same product.", group=COLUMNS, metavar="NAMES"
    )
    id: str | None = option(
        None, "The product's id; the photo's name if there is none.", group=COLUMNS, metavar="COLUMN"
    )
    group_by: str = option(
        AUTO_GROUPS,
        "Rows with the same value are one product, whose photos stay in one split. auto is the id, and the parent that "
        "shops name for variants; none makes every row a product.",
        group=COLUMNS,
        metavar="COLUMN",
    )
    title: str | None = option(None, "The title.", group=COLUMNS, metavar="COLUMN")
    levels: tuple[str, ...] = option(
        (),
        "The categories from the shallowest to the leaf, such as root,middle,leaf. For --path-column and folders: "
        "names to give the levels; deeper paths are cut.",
        group=COLUMNS,
        metavar="NAMES",
    )
    attributes: tuple[str, ...] = option((), "Attributes, such as gender,colour.", group=COLUMNS, metavar="NAMES")
    split: str | None = option(
        None,
        "The split of each row: train, test, validation (val, valid, dev). Duplicates in several splits all go to "
        "train. off splits all rows anew, whatever the names of tables and folders.",
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
    separator: str | None = option(
        None,
        "The text between the levels of --path-column. [default: the one that most paths contain]",
        name="path_separator",
        group=COLUMNS,
    )


class CategoryColumns(NamedTuple):
    """The columns of the levels, or the column of whole paths; see `TableColumns`."""

    levels: tuple[str, ...]
    path: str | None = None
    separator: str | None = None
    joiner: str | None = None


class ProductColumns(NamedTuple):
    """The columns by which rows belong to a product; see `TableColumns`."""

    group: str | None = None
    second_id: str | None = None
    variants: str | None = None
    kind: str | None = None


@dataclass(frozen=True)
class TableColumns:
    """The columns of one table by role; None and () mean that the table has no such column.

    images:    the columns of photos, the main one first
    levels:    the category columns, shallowest first; empty if `path` is given
    path:      the column of whole category paths
    separator: the text between two levels in `path`; None if it is detected from all values
    joiner:    the text that always separates two paths; None if names may contain such texts
    group:     the column whose value identifies the product; None is the id
    second_id: another column of ids, by which `group` may name a product
    variants:  the column in which a product of Magento 2 lists its variants, which are rows of their own
    kind:      the column with the kind of a row, by which shops mark the variants and photos of the product above
    """

    id: str | None
    images: tuple[str, ...]
    group: str | None
    title: str | None
    levels: tuple[str, ...]
    path: str | None
    separator: str | None
    attributes: tuple[str, ...]
    split: str | None
    joiner: str | None = None
    second_id: str | None = None
    variants: str | None = None
    kind: str | None = None

    def to_read(self) -> list[str]:
        """Return every column that has a role, once."""
        roles = (self.id, self.second_id, self.variants, self.kind, self.group, self.title, self.split, self.path)
        single = [name for name in roles if name]
        return list(dict.fromkeys([*single, *self.images, *self.levels, *self.attributes]))

    def by_role(self) -> dict[str, list[str]]:
        """Return the columns of every role; empty for a role without a column."""
        single = {"id": self.id, "product": self.group, "title": self.title, "split": self.split}
        roles = {role: [name] if name else [] for role, name in single.items()}
        categories = [self.path] if self.path else list(self.levels)
        return roles | {"images": list(self.images), "categories": categories, "attributes": list(self.attributes)}

    def describe(self) -> str:
        """Return one line for the user: `id: sku · image: photo · …`."""
        is_image_id = self.images == (self.id,)
        path = f"{self.path} cut at {self.separator!r}" if self.separator else self.path
        columns = {
            "id": self.id or ("(the image name)" if self.images else "(the number of the row)"),
            "image": f"(the id, {self.id})" if is_image_id else ", ".join(self.images),
            "product": self.group,
            "title": self.title or "(none)",
            "levels": path or ", ".join(self.levels),
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
    header: Header,
    requested: ColumnNames,
    categories: CategoryColumns,
    products: ProductColumns,
    *,
    photo_columns: Sequence[str] = (),
    needs_image: bool = True,
) -> TableColumns:
    """Return the requested columns, with the roles that were not requested detected by name.

    photo_columns: the columns that contain photos themselves, or names of photos by their values
    needs_image:   whether rows must have a photo; without an image column the id is taken as its name

    Raise BadTable if a requested column is missing or ambiguous, or no column of categories or images is found.
    """
    id_column = header.find(requested.id, "--id", ID_NAMES)
    image = header.find(requested.image, "--image", [*map(normalise, photo_columns), *usual_image_names(header)])
    title = header.find(requested.title, "--title", TITLE_NAMES) or _local_title(header)
    title = None if title == image and requested.title is None else title
    if image is None and needs_image:
        image = id_column
    if image is None and needs_image:
        raise BadTable(f"{header.table} has no image column; name it with --image: the columns are {header}.")
    further = tuple(header.exact(name, "--further-images") for name in requested.further_images)
    if not further and requested.image is None and image is not None:
        further = tuple(name for name in further_images(header) if name != image)
    return TableColumns(
        id=id_column,
        images=() if image is None or not needs_image else (image, *further),
        group=None if products.group == id_column else products.group,
        title=title,
        levels=categories.levels,
        path=categories.path,
        separator=categories.separator,
        joiner=categories.joiner,
        second_id=products.second_id,
        variants=products.variants,
        kind=products.kind,
        attributes=tuple(header.exact(name, "--attributes") for name in requested.attributes),
        split=None if requested.split == NO_SPLITS else header.find(requested.split, "--split-column"),
    )


def _local_title(header: Header) -> str | None:
    """Return the title in English if there are titles in several languages, or else the first one."""
    titles = {match[1].lower(): name for name in reversed(header.names) if (match := LOCAL_TITLE.fullmatch(name))}
    return titles.get("en") or next(reversed(titles.values()), None)


def match_columns(header: Header, columns: TableColumns) -> TableColumns:
    """Return the columns of a further table by the names in the first one. Raise BadTable if one is missing."""

    def exact(name: str | None) -> str | None:
        return None if name is None else header.exact(name, "as in the first table")

    def exact_all(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(header.exact(name, "as in the first table") for name in names)

    return TableColumns(
        id=exact(columns.id),
        images=exact_all(columns.images),
        group=exact(columns.group),
        title=exact(columns.title),
        levels=exact_all(columns.levels),
        path=exact(columns.path),
        separator=columns.separator,
        joiner=columns.joiner,
        second_id=exact(columns.second_id),
        variants=exact(columns.variants),
        kind=exact(columns.kind),
        attributes=exact_all(columns.attributes),
        split=exact(columns.split),
    )
