"""The contents of a dataset directory, as `build` computes and `write_dataset` writes them.

Shapes: M rows of all tables, N kept rows, K rows with conflicting labels, L levels, A attributes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.ragged import Ragged
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.data.prepare.inputs import ModelInputs
from prodrec.core.data.prepare.labels import LabelledRows
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables.catalogue import Catalogue
from prodrec.core.data.tables.rejects import Rejects
from prodrec.core.data.titles.class_titles import ClassTitles
from prodrec.core.data.titles.vocabulary import TrimReport, Vocabulary


@dataclass(frozen=True, eq=False)
class DatasetContents:
    """Everything that is written to the dataset directory.

    rows_N:             int64, the kept rows of the catalogue, ascending
    conflict_rows_K:    int64, the rows of the catalogue whose photo or vector also occurs under another leaf
    conflict_group_K:   int64, equal for rows with the same photo or vector
    labelled:           the category tree and the classes of the kept rows
    attributes_NA:      int32, the state of every attribute; 0 where it is absent
    dropped_attributes: the attributes that too few photos have, with their numbers of photos
    split_N:            uint8, an index into SPLITS
    split_counts:       leaks_avoided and rows_moved_to_train, for dataset.json
    identical_N:        int64, group numbers of identical photos or vectors
    duplicate_N:        int64, group numbers of identical and near-identical ones
    product_N:          int64, the number of the product that every row shows
    group_N:            int64, group numbers of duplicates and products together; a group is in one split
    near_duplicates:    the decision on near-identical photos, for dataset.json
    tokens:             the word ids of every title
    class_titles:       those of --class-table for every leaf of the tree; None without it
    class_title_rows:   training rows that have the words of the title of their class
    notes:              sentences about what was found in the tables and what was done about it
    """

    options: PrepareOptions
    catalogue: Catalogue
    inputs: ModelInputs
    rejected: Rejects
    rows_N: NDArray[np.int64]
    conflict_rows_K: NDArray[np.int64]
    conflict_group_K: NDArray[np.int64]
    labelled: LabelledRows
    attributes: tuple[Attribute, ...]
    attributes_NA: NDArray[np.int32]
    dropped_attributes: dict[str, int]
    split_N: NDArray[np.uint8]
    split_counts: dict[str, int]
    identical_N: NDArray[np.int64]
    duplicate_N: NDArray[np.int64]
    product_N: NDArray[np.int64]
    group_N: NDArray[np.int64]
    near_duplicates: dict[str, Any]
    tokens: Ragged
    vocabulary: Vocabulary
    trim_report: TrimReport
    class_titles: ClassTitles | None = None
    class_title_rows: int = 0
    notes: tuple[str, ...] = ()

    @property
    def taxonomy(self) -> Taxonomy:
        """The category tree."""
        return self.labelled.taxonomy

    @property
    def labels_NL(self) -> NDArray[np.int32]:
        """The class of every kept row at every level."""
        return self.labelled.labels_NL
