"""Find values that are probably mistakes: categories that differ in case, and words for missing values.

Shapes: M rows of all tables, C classes of one level.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.texts import Texts
from prodrec.core.base.wording import counted
from prodrec.core.data.tables.catalogue import Catalogue
from prodrec.core.data.tables.category_text import MISSING_WORDS

if TYPE_CHECKING:
    import polars as pl

_EXAMPLES = 3


def merge_spellings(names: Texts, code_M: NDArray[np.int32]) -> tuple[Texts, NDArray[np.int32]]:
    """Return the classes after merging names that differ in case only; the most frequent spelling remains.

    names:  the C names in code point order
    code_M: the class of every row; -1 for a row without one
    """
    folded = _folded(names)
    if not folded.is_duplicated().any():
        return names, code_M
    _, spelling_C = np.unique(folded.to_numpy().astype(str), return_inverse=True)
    rows_C = np.bincount(code_M[code_M >= 0], minlength=len(names))
    by_rows = np.lexsort((np.arange(len(names)), -rows_C, spelling_C))
    is_first = np.diff(spelling_C[by_rows], prepend=-1) != 0
    representative_C = by_rows[is_first][spelling_C[np.arange(len(names))]]
    kept, new_C = np.unique(representative_C, return_inverse=True)
    return names.take(kept), np.append(new_C, -1).astype(np.int32)[code_M]


def doubtful_names(level: str, names: Texts, code_M: NDArray[np.int32]) -> list[str]:
    """Return sentences about names that differ in case only, and about names that usually mean a missing value."""
    import polars as pl

    table = pl.DataFrame({"name": names.to_polars(), "lower": _folded(names)})
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
        notes.append(_missing_note(level, "category", missing["name"].to_list(), rows))
    return notes


def doubtful_values(catalogue: Catalogue) -> list[str]:
    """Return sentences about ids and attributes that usually mean a missing value; such ids join different products."""
    import polars as pl

    kinds = {f"attribute_{i}": (name, "attribute") for i, name in enumerate(catalogue.attributes)}
    if catalogue.has_products and catalogue.columns:
        kinds = {"product": (catalogue.columns.group or catalogue.columns.id or "product", "id")} | kinds
    notes = []
    for column, (name, kind) in kinds.items():
        words = pl.col(column).str.to_lowercase().is_in(list(MISSING_WORDS))
        found = catalogue.frame.select(column).filter(words).group_by(column).agg(rows=pl.len()).sort(column)
        values = found.filter(pl.col("rows") > (1 if kind == "id" else 0)).collect(engine="streaming")
        if values.height:
            notes.append(_missing_note(name, kind, values[column].to_list(), int(values["rows"].sum())))
    return notes


def _missing_note(name: str, kind: str, words: list[str], rows: int) -> str:
    values = ",".join(words)
    flag = f"--missing-values{'=' if values.startswith('-') else ' '}{shlex.quote(values)}"
    have = counted(rows, "row has", "rows have")
    return f"{have} the {name} {values}: if it means that the {kind} is missing, add {flag}"


def _folded(names: Texts) -> pl.Series:
    """Return the names as they are compared without case, also that of the German ß, the Greek ς and the Turkish İ."""
    import polars as pl

    names_C = names.to_polars()
    lower = names_C.str.to_lowercase()
    others = (names_C.str.len_bytes() != names_C.str.len_chars()).arg_true()
    folded = [name.casefold().replace("\u0307", "") for name in names_C.gather(others)]
    return lower.scatter(others, pl.Series(folded, dtype=pl.String)) if folded else lower


def _classes(count: int, level: str) -> str:
    return f"1 class of {level} has" if count == 1 else f"{count:,} classes of {level} have"
