"""Jobs in worker processes: the order of the results, and how the work ends."""

from __future__ import annotations

import os
from functools import partial
from operator import floordiv

import pytest

from prodrec.core.base.errors import ProdrecError
from prodrec.core.base.workers import map_in_order


@pytest.mark.parametrize("workers", [1, 3])
def test_results_are_in_order(workers: int) -> None:
    jobs = [f"{'7' * (i % 5 + 1)}{i}" for i in range(40)]
    assert list(map_in_order(int, iter(jobs), workers=workers)) == [int(job) for job in jobs]
    assert list(map_in_order(int, [], workers=workers)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_are_raised(workers: int) -> None:
    results = map_in_order(partial(floordiv, 12), [3, 2, 0, 1], workers=workers)
    assert next(results) == 4
    assert next(results) == 6
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_a_dead_worker_is_an_error() -> None:
    with pytest.raises(ProdrecError, match="fewer --workers"):
        list(map_in_order(os._exit, [3], workers=2))


def test_closing_the_iterator_ends_the_work() -> None:
    results = map_in_order(int, ("1" for _ in iter(int, 1)), workers=2)  # endless
    assert next(results) == 1
    results.close()  # type: ignore[attr-defined]
