"""The options of some of the rows.

Shapes: B rows, C classes, P groups of classes, J further classes.
"""

from __future__ import annotations

import torch

from prodrec.core.base.top_k_options import BEST_ALONE, TopKOptions


def test_options_of_rows() -> None:
    also_BJ, added_BP, group_C = torch.arange(10).view(5, 2), torch.rand(5, 3), torch.tensor([0, 2, 1, 1])
    options = TopKOptions(logsumexp=True, also_BJ=also_BJ, added=(added_BP, group_C)).of_rows(slice(1, 3))
    assert options.logsumexp and options.also_BJ is not None and options.added is not None
    assert options.also_BJ.tolist() == [[2, 3], [4, 5]]
    assert torch.equal(options.added[0], added_BP[1:3]) and options.added[1] is group_C
    assert BEST_ALONE.of_rows(slice(1, 3)) == BEST_ALONE
