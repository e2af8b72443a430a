"""Details of whole score files, as the pass of a report counts them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from prodrec.core.scores.reader import Scores
from prodrec.eval.page.details import Details, DetailsCounter


@pytest.fixture
def count_details() -> Callable[..., Details]:
    """A function that returns the details of a split of an open file."""

    def count(
        file: Scores, split: str = "test", *, temperature: float = 1.0, rows_per_chunk: int | None = None
    ) -> Details:
        counter = DetailsCounter(file, temperature=temperature)
        leaf = (file.levels[-1],)
        for chunk in file.chunks(split, rows=rows_per_chunk, levels=leaf, attributes=bool(file.attributes)):
            counter.add(chunk)
        return counter.result()

    return count
