"""Find names of categories that are probably mistakes: spellings that differ in case, and words for missing values.

Shapes: M rows of all tables, C classes of one level.
"""

from __future__ import annotations

import shlex

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.texts import Texts
from prodrec.core.data.tables.category_text import MISSING_WORDS

_EXAMPLES = 3


def merge_spellings(names: Texts, code_M: NDArray[np.int32]) -> tuple[Texts, NDArray[np.int32]]:
    """Return the classes after merging names that differ in case only; the most frequent spelling remains.

    names:  the C names in code point order
    code_M: the class of every row; -1 for a row without one
    """
    lower = names.to_polars().str.to_lowercase()
    if not lower.is_duplicated().any():
        return names, code_M
    _, spelling_C = np.unique(lower.to_numpy().astype(str), return_inverse=True)
    rows_C = np.bincount(code_M[code_M >= 0], minlength=len(names))
    by_rows = np.lexsort((np.arange(len(names)), -rows_C, spelling_C))
    is_first = np.diff(spelling_C[by_rows], prepend=-1) != 0
    representative_C = by_rows[is_first][spelling_C[np.arange(len(names))]]
    kept, new_C = np.unique(representative_C, return_inverse=True)
    return names.take(kept), np.append(new_C, -1).astype(np.int32)[code_M]


def doubtful_names(level: str, names: Texts, code_M: NDArray[np.int32]) -> list[str]:
    """Return sentences about names that differ in case only, and about names that usually mean a missing value."""
    import polars as pl

    table = pl.DataFrame({"name": names.to_polars()}).with_columns(lower=pl.col("name").str.to_lowercase())
    notes = []
    variants = table.filter(pl.col("lower").is_duplicated())
    if variants.height:
        pairs = variants.group_by("lower", maintain_order=True).agg("name").head(_EXAMPLES)["name"].to_list()
        examples = ", ".join(" and ".join(repr(name) for name in pair) for pair in pairs)
        notes.append(
            f"{_classes(variants['lower'].n_unique(), level)} several spellings that differ in case only, such as "
            f"{examples}; --ignore-case merges the spellings of a class"
        )
    missing = table.with_row_index("code").filter(pl.col("lower").is_in(list(MISSING_WORDS)))
    if missing.height:
        rows = int(np.isin(code_M, missing["code"].to_numpy()).sum())
        values = ",".join(missing["name"])
        flag = f"--missing-values{'=' if values.startswith('-') else ' '}{shlex.quote(values)}"
        notes.append(f"{rows:,} rows have the {level} {values}: if it means that the category is missing, add {flag}")
    return notes


def _classes(count: int, level: str) -> str:
    return f"1 class of {level} has" if count == 1 else f"{count:,} classes of {level} have"
