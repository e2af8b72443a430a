"""Names that are probably mistakes are reported, and spellings are merged on request."""

from __future__ import annotations

import random
import shlex
from collections import Counter

import numpy as np
import pytest

from prodrec.core.base.texts import Texts, factorize
from prodrec.core.data.prepare.category_names import doubtful_names, merge_spellings


@pytest.mark.parametrize("seed", range(20))
def test_spellings_are_merged_as_a_loop_would(seed: int) -> None:
    import polars as pl

    generator = random.Random(seed)
    rows = generator.choices(["Boots", "boots", "BOOTS", "Hats", "hats", "Élan", "élan", "Coats", None], k=60)
    names, code_M = factorize(pl.Series(rows, dtype=pl.String))
    merged, new_M = merge_spellings(names, code_M)
    counts = Counter(row for row in rows if row)
    best: dict[str, str] = {}
    for name in sorted(counts):
        kept = best.get(name.lower())
        if kept is None or counts[name] > counts[kept]:
            best[name.lower()] = name
    assert [None if code < 0 else merged[code] for code in new_M] == [row and best[row.lower()] for row in rows]
    assert list(merged) == sorted(best.values())


def test_what_is_doubtful() -> None:
    names = Texts.from_strings(["Boots", "N/A", "NULL", "boots", "nan"])
    code_M = np.array([0, 1, 2, 2, 3, 4, -1], np.int32)
    spellings, missing = doubtful_names("leaf", names, code_M)
    assert (
        spellings.startswith("1 class of leaf has")
        and "'Boots' and 'boots'" in spellings
        and "--ignore-case" in spellings
    )
    assert missing.startswith("4 rows have the leaf N/A,NULL,nan") and missing.endswith("--missing-values N/A,NULL,nan")
    assert doubtful_names("leaf", Texts.from_strings(["Boots", "Nano"]), np.array([0, 1], np.int32)) == []


@pytest.mark.parametrize("word", ["(blank)", "#N/A", "?", "-"])
def test_values_are_quoted_for_the_shell(word: str) -> None:
    (note,) = doubtful_names("leaf", Texts.from_strings([word]), np.array([0], np.int32))
    assert shlex.split(note)[-1] in (word, f"--missing-values={word}")


@pytest.mark.parametrize(
    ("spellings", "merged"),
    [
        (["IPEK", "ipek", "İPEK", "ıPEK"], ["IPEK", "ıPEK"]),  # the Turkish ı is another letter
        (["STRASSE", "Straße"], ["STRASSE"]),
        (["ΣΑΣ", "σας", "σασ"], ["ΣΑΣ"]),
        (["Élan", "ÉLAN", "elan"], ["elan", "ÉLAN"]),
    ],
)
def test_case_is_ignored_in_other_scripts(spellings: list[str], merged: list[str]) -> None:
    import polars as pl

    names, code_M = factorize(pl.Series(spellings))
    assert list(merge_spellings(names, code_M)[0]) == merged
    (note, *_) = doubtful_names("leaf", names, code_M)
    assert "several spellings" in note
