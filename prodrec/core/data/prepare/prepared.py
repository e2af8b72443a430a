"""What `prepare` has built and `write` writes.

Shapes: M rows of all tables, N rows that are kept, L levels, A attributes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.ragged import Ragged
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.data.prepare.inputs import Inputs
from prodrec.core.data.prepare.labels import Labelled
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables.catalogue import Catalogue
from prodrec.core.data.tables.rejects import Rejects
from prodrec.core.data.titles.vocabulary import TrimReport, Vocabulary


@dataclass(eq=False)
class Prepared:
    """Everything that goes into the dataset directory.

    rows_N:          int64, the rows that are kept, ascending, among the M rows of the catalogue
    conflict_rows:   those of the M rows whose very photo or vector stands under several leaves; conflict_groups: which
                     of them share it
    split_report:    leaks_avoided, rows_moved_to_train
    """

    options: PrepareOptions
    catalogue: Catalogue
    inputs: Inputs
    rejected: Rejects
    conflict_rows: NDArray[np.int64]
    conflict_groups: NDArray[np.int64]
    rows_N: NDArray[np.int64]
    labelled: Labelled
    attributes: tuple[Attribute, ...]
    attributes_NA: NDArray[np.int32]
    attributes_dropped: dict[str, int]
    split_N: NDArray[np.uint8]
    split_report: dict[str, int]
    exact_N: NDArray[np.int64]
    group_N: NDArray[np.int64]
    near: dict[str, Any]
    tokens: Ragged
    vocabulary: Vocabulary
    trim: TrimReport

    @property
    def taxonomy(self) -> Taxonomy:
        return self.labelled.taxonomy

    @property
    def labels_NL(self) -> NDArray[np.int32]:
        """The class of every row at every level."""
        return self.labelled.labels_NL

    @property
    def table_names(self) -> list[str]:
        """The file names of the tables."""
        return [Path(table).name for table in self.catalogue.tables]
