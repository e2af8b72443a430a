"""What training requires of a network. Any nn.Module with these methods can be trained.

Shapes: B rows, K best classes, m states of an attribute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from prodrec.core.base.dist import Shard
from prodrec.core.data.batches import Batch


class Losses(Protocol):
    """The result of `Network.loss`: the scalar to minimise, and its terms by name, detached.

    They are means over the `global_size` rows of the batch on all ranks. On several ranks, each rank has the part of
    its own rows, and the parts sum to the mean.
    """

    @property
    def total(self) -> Tensor: ...
    @property
    def terms(self) -> dict[str, Tensor]: ...


class TopK(Protocol):
    """The result of `Network.top_k`.

    scores:           best scores of each level, by the name of the level, B×K, in decreasing order
    classes:          the classes of these scores, int64 B×K
    attribute_scores: scores of the states of each attribute, by the name of the attribute, B×m
    """

    @property
    def scores(self) -> dict[str, Tensor]: ...
    @property
    def classes(self) -> dict[str, Tensor]: ...
    @property
    def attribute_scores(self) -> dict[str, Tensor]: ...


class Classifier(Protocol):
    """A classifier of a network, as the training plan describes it.

    shard:                  the rows of the weights that this rank stores; None if it stores all of them
    can_update_in_backward: whether `Network.update_in_backward` applies to it
    describe:               returns in one line how the loss of `rows` rows is computed
    buffer_bytes:           returns the memory in bytes that the scores of `rows` rows take
    """

    shard: Shard | None

    @property
    def can_update_in_backward(self) -> bool: ...
    def describe(self, rows: int, dtype: torch.dtype) -> str: ...
    def buffer_bytes(self, rows: int, dtype: torch.dtype) -> int: ...


class Network(Protocol):
    """A network that can be trained. It returns losses and best classes, never the scores of all classes.

    parameter_groups:   returns the parameters by part of the network; a part may have its own learning rate
    backbone_stages:    returns the parameters of the part "backbone" by stage, in the order in which they run
    hold_backbone:      makes later steps keep the part "backbone" as it is, in evaluation mode, or train it again
    finished_weights:   returns the weights to save in the end, from a state dict of the network or its moving average
    classifiers:        returns the classifiers by name, that of the deepest level last
    shards:             returns, by name, this rank's shard of every parameter whose rows are divided among the ranks
    frozen_stage:       the last stage of a backbone that does not change in training; None if there is none
    frozen_maps:        returns the output of this stage for photos; batches of it name the stage in `Batch.stage`
    update_in_backward: makes every later backward pass update the classifiers with `optimizer` (fused update)

    The other methods are those of nn.Module.
    """

    @property
    def frozen_stage(self) -> str | None: ...
    def frozen_maps(self, images_BCHW: Tensor) -> Tensor: ...
    def loss(self, batch: Batch) -> Losses: ...
    def top_k(self, batch: Batch, k: int) -> TopK: ...
    def parameter_groups(self) -> dict[str, list[nn.Parameter]]: ...
    def backbone_stages(self) -> list[list[nn.Parameter]]: ...
    def hold_backbone(self, held: bool) -> None: ...
    def finished_weights(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]: ...
    def classifiers(self) -> Mapping[str, Classifier]: ...
    def shards(self) -> Mapping[str, Shard]: ...
    def update_in_backward(self, optimizer: torch.optim.Optimizer) -> None: ...
    def train(self) -> Any: ...
    def eval(self) -> Any: ...
    def modules(self) -> Iterator[nn.Module]: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...
    def state_dict(self) -> dict[str, Tensor]: ...
