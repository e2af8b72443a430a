"""Numbers in sentences agree with their nouns and verbs."""

from __future__ import annotations

import pytest

from prodrec.core.base.wording import counted


@pytest.mark.parametrize(("count", "expected"), [(0, "0 rows have"), (1, "1 row has"), (1234, "1,234 rows have")])
def test_counts(count: int, expected: str) -> None:
    assert counted(count, "row has", "rows have") == expected
