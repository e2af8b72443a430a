"""Read categories and splits of all rows, and reject the rows that lack them: the first step of `build` and a preview.

Shapes: M rows of all tables, L levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.texts import Texts
from prodrec.core.data.prepare import selection
from prodrec.core.data.prepare.category_names import doubtful_names, doubtful_values
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables import rejects
from prodrec.core.data.tables.catalogue import Catalogue
from prodrec.core.data.tables.rejects import Rejects
from prodrec.core.data.tables.split_names import refuse_options_of_new_splits


@dataclass(frozen=True, eq=False)
class RowLabels:
    """The categories and splits that the tables give to their rows.

    rejected: the rows that are malformed, or have no category or an unknown split
    names:    the class names of every level
    codes_ML: int32, the class of every row at every level; -1 where it has none
    split_M:  uint8, the split of every row; None if the tables give none
    notes:    sentences about the tables and about doubtful names of categories
    """

    rejected: Rejects
    names: list[Texts]
    codes_ML: NDArray[np.int32]
    split_M: NDArray[np.uint8] | None
    notes: tuple[str, ...]


def read_labels(catalogue: Catalogue, options: PrepareOptions, *, from_folders: bool) -> RowLabels:
    """Return the labels of all rows.

    from_folders: whether the catalogue is one of photos in folders, without a table

    Raise BadOption if an option would split rows anew that are splits by the names of their tables or folders.
    """
    if catalogue.has_split and options.columns.split is None:
        refuse_options_of_new_splits(
            split=options.split if options.has_ratios else None, balanced_test=options.balanced_test
        )
    rejected = Rejects.for_rows(catalogue.row_count)
    selection.reject_malformed_rows(catalogue, rejected, from_folders=from_folders)
    if catalogue.corrections is not None:
        removed_R, file = catalogue.corrections.removed_R, catalogue.corrections.file
        rejected.add(rejects.REMOVED, removed_R, f"{file} removes it")
    names, codes_ML = selection.encode_categories(catalogue, rejected, options)
    notes = [*catalogue.notes]
    for level, level_names, code_M in zip(catalogue.levels, names, codes_ML.T, strict=True):
        notes += doubtful_names(level, level_names, code_M)
    notes += doubtful_values(catalogue)
    split_M = selection.read_split_column(catalogue, rejected) if catalogue.has_split else None
    return RowLabels(rejected, names, codes_ML, split_M, tuple(notes))
