"""What shapes a dataset: the options of `prodrec prepare`, without its inputs and output."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from prodrec.core.base.errors import BadOption
from prodrec.core.data.duplicates.near_duplicates import parse_near
from prodrec.core.data.prepare.splits import parse_ratios
from prodrec.core.data.tables.columns import Columns
from prodrec.core.data.titles.vocabulary import TrimBy, check_trim_shares

OF_PHOTOS = ("size", "pixel_limit", "in_place", "near_duplicates")
WITHOUT = {"features": "--features", "nothing": "--no-images"}
OFF = ("near_duplicates", "off")  # which is what happens


@dataclass(frozen=True)
class PrepareOptions:
    """The defaults are those of `prodrec prepare`. Raises BadOption for what cannot be.

    inputs: what the rows show: photos, feature vectors, or nothing but titles and categories
    """

    inputs: Literal["photos", "features", "nothing"] = "photos"
    columns: Columns = field(default_factory=Columns)
    missing_values: tuple[str, ...] = ()
    size: int = 256
    pixel_limit: int = 100_000_000
    in_place: bool = False
    path_identity: bool = False
    near_duplicates: str = "auto"
    drop_conflicts: bool = False
    min_leaf_images: int = 1
    only_with_attributes: bool = False
    min_attribute_images: int = 1
    split: str = "7:2:1"
    seed: int = 0
    balanced_test: int | None = None
    tokenizer: str | None = None
    drop_frequent: float = 0.05
    drop_rare: float = 0.05
    trim_by: TrimBy = "occurrences"
    drop_wordless: bool = False
    head_from: int = 100

    def __post_init__(self) -> None:
        least = {
            "size": 16,
            "pixel_limit": 1,
            "min_leaf_images": 1,
            "min_attribute_images": 1,
            "head_from": 1,
            "seed": 0,
        }
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                option = "--" + name.replace("_", "-")
                raise BadOption(f"{option} {getattr(self, name)} is too small; expected at least {smallest}.")
        if self.balanced_test is not None and self.balanced_test < 1:
            raise BadOption(f"--balanced-test {self.balanced_test} is too small; expected at least 1.")
        if self.balanced_test is not None and self.columns.split:
            raise BadOption("--balanced-test makes a split and --split-column takes a given one; use one of them.")
        if self.only_with_attributes and not self.columns.attributes:
            raise BadOption("--only-with-attributes needs --attributes.")
        if self.min_attribute_images > 1 and not self.columns.attributes:
            raise BadOption("--min-attribute-images needs --attributes.")
        if self.inputs != "photos":
            self._refuse_photo_options()
        parse_ratios(self.split)
        parse_near(self.near_duplicates)
        check_trim_shares(self.drop_frequent, self.drop_rare, self.trim_by)

    def _refuse_photo_options(self) -> None:
        names = OF_PHOTOS if self.inputs == "features" else (*OF_PHOTOS, "drop_conflicts")
        for name in names:
            if getattr(self, name) != getattr(PrepareOptions, name) and (name, getattr(self, name)) != OFF:
                option, why = "--" + name.replace("_", "-"), WITHOUT[self.inputs]
                raise BadOption(f"{option} is about photos and does nothing with {why}; leave it out.")
