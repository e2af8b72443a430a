"""The weights of the active classes, those over which a loss or a top k is computed, in chunks.

Shapes: A rows of scores, N classes of this rank, S active ones among them, n of one chunk, D features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from prodrec.models.classifier.cosine import gradient_before_unit, unit_weights
from prodrec.models.classifier.threads import thread_count

# Limits on the weights (classes × features) and the scores (rows × classes) of a chunk. Measured on a CPU (100k x 512,
# batch 256), chunks of this size are as fast as those of a quarter of it, and faster if other processes run as well.
# Larger chunks need fresh pages of memory in every step. A GPU is fastest with large products.
MAX_CHUNK_WEIGHTS_CPU = 2**21
MAX_CHUNK_SCORES_CPU = 2**20
MAX_CHUNK_NUMBERS_GPU = 2**26
MIN_CHUNK_CLASSES = 64


def max_chunk_size(features: int, rows: int, device: torch.device) -> int:
    """Return the largest number of classes in a chunk, for the scores of `rows` rows."""
    if device.type == "cpu":
        weights, scores = MAX_CHUNK_WEIGHTS_CPU, MAX_CHUNK_SCORES_CPU
    else:
        weights = scores = MAX_CHUNK_NUMBERS_GPU
    return max(MIN_CHUNK_CLASSES, min(weights // features, scores // max(1, rows)))


RowIndex = slice | Tensor
"""Rows of a parameter: a slice, or a tensor of row numbers."""


def select_rows(values: Tensor, index: RowIndex) -> Tensor:
    """Return values[index]: a view for a slice, a copy for row numbers."""
    return values[index] if isinstance(index, slice) else values.index_select(0, index)


@dataclass(frozen=True)
class ClassChunk:
    """A chunk of classes.

    start, stop: its positions among the active classes
    index:       its rows among the classes of this rank
    weight_nD:   their weights, at length 1 if `length_n` is not None
    bias_n:      their biases, plus the logit adjustment if there is one; float32 or float64
    length_n:    with a cosine classifier, the lengths that the weights were divided by
    """

    start: int
    stop: int
    index: RowIndex
    weight_nD: Tensor
    bias_n: Tensor
    length_n: Tensor | None = None

    def weight_gradient(self, gradient_nD: Tensor) -> Tensor:
        """Return the gradient of the classifier's weights from that of `weight_nD`."""
        if self.length_n is None:
            return gradient_nD
        return gradient_before_unit(gradient_nD.to(self.weight_nD.dtype), self.weight_nD, self.length_n)

    def products(self, features_AD: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Return features times weights, A×n, in the features' number type. The scores are these plus `bias_n`."""
        return torch.mm(features_AD, self.weight_nD.to(features_AD.dtype).t(), out=out)

    def locate(self, position_A: Tensor) -> tuple[Tensor, Tensor]:
        """Return for each position among the active classes whether it is in this chunk [A], and its column A×1.

        The column is 0 for positions outside the chunk.
        """
        is_inside_A = (position_A >= self.start) & (position_A < self.stop)
        return is_inside_A, torch.where(is_inside_A, position_A - self.start, 0).unsqueeze(1)


@dataclass(frozen=True)
class ClassChunks:
    """The active classes in chunks of nearly equal size.

    weight_ND, bias_N: parameters of the classes of this rank
    rows:              number of rows whose scores are computed at once; it limits the size of a chunk
    active_S:          the active classes, ascending; None is all N
    adjustment_S:      logit adjustment of the active classes, added to their bias
    cosine:            whether chunks have the weights at length 1
    """

    weight_ND: Tensor
    bias_N: Tensor
    rows: int
    active_S: Tensor | None = None
    adjustment_S: Tensor | None = None
    cosine: bool = False

    @cached_property
    def active_count(self) -> int:
        """Number of active classes of this rank."""
        return len(self.weight_ND) if self.active_S is None else len(self.active_S)

    @cached_property
    def chunk_size(self) -> int:
        """Classes of a chunk; the last one may have fewer. Every thread gets the same number of chunks."""
        threads = thread_count(self.weight_ND.device)
        at_once = threads * max_chunk_size(self.weight_ND.shape[1], self.rows, self.weight_ND.device)
        rounds = -(-self.active_count // at_once)
        return max(1, -(-self.active_count // max(1, rounds * threads)))

    def positions(self, class_A: Tensor) -> Tensor:
        """Return the positions of classes among the active ones, -1 for classes of other ranks.

        class_A: indices among the classes of this rank, outside 0..N-1 for classes of other ranks. Those of this rank
                 must be active
        """
        is_local_A = (class_A >= 0) & (class_A < len(self.weight_ND))
        if self.active_S is None:
            return torch.where(is_local_A, class_A, -1)
        return torch.where(is_local_A, torch.searchsorted(self.active_S, class_A.contiguous()), -1)

    def __len__(self) -> int:
        return -(-self.active_count // self.chunk_size)

    @cached_property
    def _copies(self) -> dict[int, ClassChunk]:
        return {}

    def __getitem__(self, number: int) -> ClassChunk:
        """Return a chunk. With `active_S` its weights are a copy, which is made once."""
        if self.active_S is None:
            return self._chunk(number)
        if number not in self._copies:
            self._copies[number] = self._chunk(number)
        return self._copies[number]

    def _chunk(self, number: int) -> ClassChunk:
        start = number * self.chunk_size
        stop = min(start + self.chunk_size, self.active_count)
        index = slice(start, stop) if self.active_S is None else self.active_S[start:stop]
        bias_n = select_rows(self.bias_N, index)
        if self.adjustment_S is not None:
            bias_n = bias_n + self.adjustment_S[start:stop]
        weight_nD, length_n = select_rows(self.weight_ND, index), None
        if self.cosine:
            weight_nD, length_n = unit_weights(weight_nD)
        return ClassChunk(start, stop, index, weight_nD, bias_n, length_n)

    def __iter__(self) -> Iterator[ClassChunk]:
        return (self[number] for number in range(len(self)))
