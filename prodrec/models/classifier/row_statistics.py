"""The numbers of every row that the forward pass of the softmax loss keeps.

Shapes: A rows of all ranks, D features, Q chunks, t threads.
"""

from __future__ import annotations

import torch
from torch import Tensor

from prodrec.models.classifier.threads import thread_count


class RowStatistics:
    """The numbers of every row that the forward pass keeps.

    By chunk: the maximum and the sum of exp(z − maximum). By thread: the score of the label and the sum of all scores,
    which soft labels weigh.
    """

    def __init__(self, chunks: int, x_AD: Tensor, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.max_QA = torch.full((chunks, len(x_AD)), -torch.inf, dtype=dtype, device=x_AD.device)
        self.exp_sum_QA = torch.zeros_like(self.max_QA)
        shape = (thread_count(x_AD.device), len(x_AD))
        self.label_score_tA, self.score_sum_tA = (torch.zeros(shape, dtype=dtype, device=x_AD.device) for _ in range(2))

    def over_chunks(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return maximum, sum of exp(z − maximum), score of the label and sum of all scores, each [A].

        Without chunks, on a rank that has no classes, they are −∞, 0, 0 and 0.
        """
        no_chunk_1A = self.max_QA.new_full((1, self.max_QA.shape[1]), -torch.inf)
        max_A = torch.cat([self.max_QA, no_chunk_1A]).amax(0)
        exp_sum_A = (self.exp_sum_QA * (self.max_QA - max_A).exp()).sum(0)
        return max_A, exp_sum_A, self.label_score_tA.sum(0), self.score_sum_tA.sum(0)
