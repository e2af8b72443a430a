"""Tables of photos are put together in order, and each problem is stored once."""

from __future__ import annotations

import numpy as np

from prodrec.core.data.photos.photo_table import NO_PROBLEM, PhotoTable


def test_parts_are_put_in_place_and_problems_are_numbered_in_order_of_first_occurrence() -> None:
    first, second = PhotoTable.empty(2), PhotoTable.empty(3)
    first.sizes_P2[:], second.sizes_P2[:] = [[3, 4], [5, 6]], 7
    first.digests_PD[1], second.hashes_P[2], second.index_P3[0] = 9, 8, [1, 2, 3]
    first.set_problem(0, "truncated", "early")
    second.set_problem(2, "undecodable", "not a photo")
    second.set_problem(0, "truncated", "early")
    table = PhotoTable.empty(5)
    table.put(0, first)
    table.put(2, second)
    assert len(table) == 5
    assert table.sizes_P2.tolist() == [[3, 4], [5, 6], [7, 7], [7, 7], [7, 7]]
    assert table.digests_PD[:, 0].tolist() == [0, 9, 0, 0, 0] and table.hashes_P.tolist() == [0, 0, 0, 0, 8]
    assert np.flatnonzero(table.index_P3[:, 2]).tolist() == [2]
    assert list(table.problems) == [NO_PROBLEM, ("truncated", "early"), ("undecodable", "not a photo")]
    assert table.problem_P.tolist() == [1, 0, 1, 0, 2]
