"""The options of `prodrec prepare` that shape a dataset, without its inputs and output.

`prodrec --help` imports this module, so it imports nothing slow at its top.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from prodrec.core.base.errors import BadOption
from prodrec.core.base.options import check_ranges, option
from prodrec.core.data.tables.columns import COLUMNS, NO_SPLITS, ColumnNames

PHOTO_OPTIONS = ("size", "pixel_limit", "in_place", "near_duplicates")
"""Options that have no effect on a dataset without photos."""

WITHOUT_PHOTOS = {"features": "--features", "nothing": "--no-images"}
"""The option that chooses inputs other than photos."""

PHOTOS, ROWS, TITLES = "Photos", "Rows and splits", "Titles"
"""Headings of the help."""


@dataclass(frozen=True)
class PrepareOptions:
    """The options of `prodrec prepare`: defaults, bounds and help texts. Contradicting values raise BadOption.

    inputs:  what a network receives for a row: its photo, its feature vector, or nothing
    columns: which column of the table has which role
    """

    inputs: Literal["photos", "features", "nothing"] = "photos"
    columns: ColumnNames = field(default_factory=ColumnNames)
    encoding: str | None = option(
        None,
        "Encoding of text tables, such as gb18030 or cp1252. [default: UTF-8, or a guess if most lines are not]",
        group=COLUMNS,
        metavar="NAME",
    )
    missing_values: tuple[str, ...] = option(
        (),
        "Values that mean missing, such as NA,null. An empty cell is always missing.",
        group=COLUMNS,
        metavar="VALUES",
    )
    size: int = option(
        256, "Short side of stored photos in pixels; larger photos are resized once.", group=PHOTOS, minimum=16
    )
    pixel_limit: int = option(
        100_000_000, "Reject photos with more pixels, before they are decoded.", group=PHOTOS, minimum=1
    )
    in_place: bool = option(False, "Do not copy photos; training decodes them at their place each time.", group=PHOTOS)
    path_identity: bool = option(
        False,
        "A class is its whole path: a leaf under two parents is two classes. By default a leaf is one class, which "
        "belongs to the parent that most rows name.",
        group=COLUMNS,
    )
    require_leaf: bool = option(
        False,
        "Reject rows whose category path ends before the last level. By default they keep the labels they have, and "
        "count at these levels.",
        group=COLUMNS,
    )
    ignore_case: bool = option(
        False,
        "Categories whose names differ in case only are one class, with the most frequent spelling.",
        group=COLUMNS,
    )
    near_duplicates: str = option(
        "auto",
        "Photos whose 64-bit perceptual hashes differ in at most BITS bits are duplicates. auto is 4, or off if the "
        "labels show that it would join different products.",
        group=PHOTOS,
        metavar="auto|off|BITS",
    )
    corrections: str | None = option(
        None,
        "Table of corrections of `prodrec audit`: rows whose decision is change get its category path, rows with "
        "remove are rejected.",
        group=ROWS,
        metavar="FILE",
    )
    borrowed_titles: str | None = option(
        None,
        "Table of `prodrec borrow-titles`: photos without a title take that of the photo nearest to them.",
        group=TITLES,
        metavar="FILE",
    )
    class_table: str | None = option(
        None,
        "Table of the leaves: their names, in a column with the name of the leaf level, title and perhaps description.",
        group=TITLES,
        metavar="FILE",
    )
    class_titles: bool = option(
        False,
        "Train rows without a title with that of their class in --class-table; validation and test rows never get it.",
        group=TITLES,
    )
    drop_conflicts: bool = option(
        False, "Reject rows whose photo, pixel by pixel, has another leaf in another row.", group=PHOTOS
    )
    min_leaf_images: int = option(
        1, "Reject leaves with fewer usable photos (paper S: 1000, the full dataset).", group=ROWS, minimum=1
    )
    only_with_attributes: bool = option(
        False,
        "Then reject rows without any attribute (paper S: the core dataset). A leaf that falls below "
        "--min-leaf-images by this stays, as in the paper: see `prodrec inspect --leaves`.",
        group=ROWS,
    )
    min_attribute_images: int = option(
        1, "Then omit attributes that fewer photos have (paper S: 10000).", group=ROWS, minimum=1
    )
    split: str = option("7:2:1", "Ratios train:test:validation, in every leaf.", group=ROWS, metavar="RATIOS")
    seed: int = option(0, "Seed of the split.", group=ROWS, minimum=0)
    balanced_test: int | None = option(
        None, "N test photos of every leaf, at most half of them (paper A).", group=ROWS, metavar="N", minimum=1
    )
    tokenizer: str | None = option(
        None, "Library that cuts Chinese: jieba or rjieba. [default: rjieba if it is installed]", group=TITLES
    )
    drop_frequent: float = option(
        0.05, "Share of the most frequent words to drop (paper A: 0.05).", group=TITLES, minimum=0, maximum=1
    )
    drop_rare: float = option(
        0.05, "Share of the least frequent words to drop (paper A: 0.05).", group=TITLES, minimum=0, maximum=1
    )
    trim_by: Literal["words", "occurrences"] = option(
        "occurrences",
        "Whether the two shares count distinct words (words) or the running text (occurrences).",
        group=TITLES,
        metavar="words|occurrences",
    )
    drop_wordless: bool = option(False, "Reject rows without a word left (as paper A does).", group=TITLES)
    head_from: int = option(
        100, "Training images from which a leaf belongs to the head, for counts and plot.", group=ROWS, minimum=1
    )

    def __post_init__(self) -> None:
        from prodrec.core.data.duplicates.near_duplicates import parse_near_duplicates
        from prodrec.core.data.prepare.splits import parse_ratios
        from prodrec.core.data.titles.vocabulary import check_trim_shares

        check_ranges(self)
        if self.columns.split not in (None, NO_SPLITS):
            for flag, is_given in (("--balanced-test", self.balanced_test is not None), ("--split", self.has_ratios)):
                if is_given:
                    raise BadOption(
                        f"{flag} computes a split and --split-column reads it from the table; use one of them."
                    )
        if self.only_with_attributes and not self.columns.attributes:
            raise BadOption("--only-with-attributes needs --attributes.")
        if self.min_attribute_images > 1 and not self.columns.attributes:
            raise BadOption("--min-attribute-images needs --attributes.")
        if self.class_titles and self.class_table is None:
            raise BadOption("--class-titles needs --class-table.")
        if self.inputs != "photos":
            self._refuse_photo_options()
        parse_ratios(self.split)
        parse_near_duplicates(self.near_duplicates)
        check_trim_shares(self.drop_frequent, self.drop_rare, self.trim_by)

    @property
    def has_ratios(self) -> bool:
        """Whether --split differs from its default."""
        return self.split != type(self).split

    def _refuse_photo_options(self) -> None:
        """Raise BadOption if an option for photos is set but the dataset has no photos."""
        names = PHOTO_OPTIONS if self.inputs == "features" else (*PHOTO_OPTIONS, "drop_conflicts")
        for name in names:
            value = getattr(self, name)
            is_default = value == getattr(PrepareOptions, name)
            if not is_default and (name, value) != ("near_duplicates", "off"):  # off has no effect
                flag, inputs = "--" + name.replace("_", "-"), WITHOUT_PHOTOS[self.inputs]
                raise BadOption(f"{flag} is about photos and does nothing with {inputs}; omit it.")
