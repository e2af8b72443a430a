"""The weights of the classes that take part in a loss, in pieces.

Shapes: A rows of the batch, N classes held here, S of them that take part, n of one piece, D features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from prodrec.models.classifier.threads import lanes

WEIGHTS_ON_CPU = 2**21
SCORES_ON_CPU = 2**20
ON_GPU = 2**26
"""Weights, and scores, of a piece, at most. On a CPU pieces of this size and of a quarter of it are equally fast alone
(100k x 512, batch 256); beside other processes the larger ones are, and still larger ones cost fresh pages of memory
every time. A GPU wants large products."""


def piece_size(features: int, rows: int, device: torch.device) -> int:
    """Classes of one piece, for scores of `rows` rows."""
    on_cpu = device.type == "cpu"
    weights, scores = (WEIGHTS_ON_CPU, SCORES_ON_CPU) if on_cpu else (ON_GPU, ON_GPU)
    return max(64, min(weights // features, scores // max(1, rows)))


Rows = slice | Tensor


def take(values: Tensor, rows: Rows) -> Tensor:
    """values[rows]: the rows of a slice themselves, or a copy of those that are numbered."""
    return values[rows] if isinstance(rows, slice) else values.index_select(0, rows)


@dataclass(frozen=True)
class Piece:
    """Classes `rows` of those held here, which are number `start` to `stop` of those that take part.

    weight_nD and shift_n (bias and what else is added to the scores) are float32, or float64.
    """

    start: int
    stop: int
    rows: Rows
    weight_nD: Tensor
    shift_n: Tensor

    def products(self, features_AD: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Features times weights, A×n, in the features' number type; without the shift."""
        return torch.mm(features_AD, self.weight_nD.to(features_AD.dtype).t(), out=out)

    def find(self, target_A: Tensor) -> tuple[Tensor, Tensor]:
        """Whether the label of a row is in this piece, and where in it (A×1; 0 where it is not)."""
        here_A = (target_A >= self.start) & (target_A < self.stop)
        return here_A, torch.where(here_A, target_A - self.start, 0).unsqueeze(1)


@dataclass(frozen=True)
class ClassPieces:
    """weight_ND and bias_N in pieces for scores of `rows` rows: all N classes, or only the classes rows_S (ascending).

    shift_S is added to the bias of those that take part.
    """

    weight_ND: Tensor
    bias_N: Tensor
    rows: int
    rows_S: Tensor | None = None
    shift_S: Tensor | None = None

    @cached_property
    def size(self) -> int:
        """Classes of a piece; the last one may have fewer. As many pieces as are worked on at once, or a multiple."""
        at_once = lanes(self.weight_ND.device)
        most = at_once * piece_size(self.weight_ND.shape[1], self.rows, self.weight_ND.device)
        rounds = -(-self.taking_part // most)
        return max(1, -(-self.taking_part // max(1, rounds * at_once)))

    @cached_property
    def taking_part(self) -> int:
        return len(self.weight_ND) if self.rows_S is None else len(self.rows_S)

    def target(self, class_A: Tensor) -> Tensor:
        """Numbers among the classes that take part, of classes counted among those held here; -1 if held elsewhere."""
        held_A = (class_A >= 0) & (class_A < len(self.weight_ND))
        if self.rows_S is None:
            return torch.where(held_A, class_A, -1)
        return torch.where(held_A, torch.searchsorted(self.rows_S, class_A.contiguous()), -1)

    def __len__(self) -> int:
        return -(-self.taking_part // self.size)

    @cached_property
    def _copied(self) -> dict[int, Piece]:
        return {}

    def __getitem__(self, number: int) -> Piece:
        """The piece of that number; asked for again, the same copies of classes that are numbered."""
        if self.rows_S is None:
            return self._cut(number)
        if number not in self._copied:
            self._copied[number] = self._cut(number)
        return self._copied[number]

    def _cut(self, number: int) -> Piece:
        start = number * self.size
        stop = min(start + self.size, self.taking_part)
        rows = slice(start, stop) if self.rows_S is None else self.rows_S[start:stop]
        shift_n = take(self.bias_N, rows)
        if self.shift_S is not None:
            shift_n = shift_n + self.shift_S[start:stop]
        return Piece(start, stop, rows, take(self.weight_ND, rows), shift_n)

    def __iter__(self) -> Iterator[Piece]:
        return (self[number] for number in range(len(self)))
