"""The modules that become graphs, see the package.

Shapes: B photos, C=3 channels, H×W the size of the network's input, D feature, C classes of the deepest level, U
classes of a level above it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor, nn

from prodrec.core.data.photos.config import PhotoConfig
from prodrec.inference.export.vote_graph import VoteGraph
from prodrec.inference.neighbours.operating_points import OperatingPoint
from prodrec.inference.neighbours.protocols import FusibleNetwork

if TYPE_CHECKING:
    from prodrec.core.base.taxonomy import Attribute, Taxonomy

INPUT = "photos"
FEATURE, VECTOR, SCORES, PROBABILITIES, ATTRIBUTE = "feature", "vector", "scores", "probabilities", "attribute"
"""Names of outputs. The last three are followed by the level or the attribute."""
CAN_BE_PART_OF_A_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class ExportableNetwork(FusibleNetwork, Protocol):
    """A network that can be called with normalised photos, float32 [B, 3, H, W]; the result has `visual_BD`."""

    def __call__(self, inputs: Tensor) -> Any: ...


class FeatureGraph(nn.Module):
    """Photos become visual features: the part of the network that an engine computes for `prodrec predict`."""

    mean_C11: Tensor
    std_C11: Tensor

    def __init__(self, network: ExportableNetwork, photos: PhotoConfig) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean_C11", torch.tensor(photos.mean).view(3, 1, 1) * 255)
        self.register_buffer("std_C11", torch.tensor(photos.std).view(3, 1, 1) * 255)

    def features(self, photos_BCHW: Tensor) -> Any:
        """Return the features of the network."""
        return self.network((photos_BCHW.float() - self.mean_C11) / self.std_C11)

    def named_outputs(self, photos_BCHW: Tensor) -> dict[str, Tensor]:
        """Return the outputs by name, in their order."""
        return {FEATURE: self.features(photos_BCHW).visual_BD}

    def forward(self, photos_BCHW: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.named_outputs(photos_BCHW).values())


class CompleteGraph(FeatureGraph):
    """Photos become features, scores at an operating point, probabilities and states of attributes.

    deepest:     the deepest level that the network predicts; None if it predicts attributes alone
    temperature: T of the calibration
    vote:        None if no neighbours vote at the operating point
    """

    def __init__(
        self,
        network: ExportableNetwork,
        photos: PhotoConfig,
        *,
        taxonomy: Taxonomy,
        attributes: Sequence[Attribute],
        deepest: str | None,
        point: OperatingPoint,
        temperature: float,
        vote: VoteGraph | None,
    ) -> None:
        super().__init__(network, photos)
        self.levels = taxonomy.levels
        self.attributes = [attribute.name for attribute in attributes]
        self.deepest = deepest
        self.tau = point.tau
        self.temperature = temperature
        self.vote = vote
        upper = () if deepest is None else self.levels[: self.levels.index(deepest)]
        self.class_counts = {level: taxonomy.count(level) for level in upper}
        for level in upper:
            ancestor_C = torch.from_numpy(taxonomy.ancestors_of_level(cast(str, deepest), level)).long()
            self.register_buffer(self._ancestors(level), ancestor_C)

    def _ancestors(self, level: str) -> str:
        return f"ancestors_{self.levels.index(level)}"  # a name of a buffer may not contain dots

    def named_outputs(self, photos_BCHW: Tensor) -> dict[str, Tensor]:
        """Return the outputs by name, in their order."""
        network: ExportableNetwork = self.network
        features = self.features(photos_BCHW)
        outputs = {FEATURE: features.visual_BD}
        scored = network.scores_of(features, tau=self.tau)
        scores = dict(scored.scores)
        if self.deepest is not None:
            vector_BD = outputs[VECTOR] = network.search_vectors(features)
            if self.vote is not None:
                scores[self.deepest] = self.vote(vector_BD, scores[self.deepest])
        for level, scores_BC in scores.items():
            outputs[output_name(SCORES, level, self.levels.index(level))] = scores_BC
        if self.deepest is not None:
            p_BC = (scores[self.deepest] / self.temperature).softmax(1)
            for level, count in self.class_counts.items():
                ancestor_C = self.get_buffer(self._ancestors(level))
                p_BU = p_BC.new_zeros(p_BC.shape[0], count).scatter_add(1, ancestor_C.expand_as(p_BC), p_BC)
                outputs[output_name(PROBABILITIES, level, self.levels.index(level))] = p_BU
            outputs[output_name(PROBABILITIES, self.deepest, self.levels.index(self.deepest))] = p_BC
        for name, scores_Bm in scored.attribute_scores.items():
            outputs[output_name(ATTRIBUTE, name, self.attributes.index(name))] = scores_Bm
        return outputs


def output_name(kind: str, name: str, number: int) -> str:
    """Return the name of an output: with the name of its level or attribute, or its number where servers refuse it."""
    return f"{kind}_{name if CAN_BE_PART_OF_A_NAME.fullmatch(name) else number}"
