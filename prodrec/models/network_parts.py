"""The parts of the network of all model families, and their parameters as training and scoring address them.

`network.py` connects the parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from prodrec.core.base.dist import Shard
from prodrec.models.attention import SpatialAttention
from prodrec.models.backbone import Backbone
from prodrec.models.classifier.classifier import Classifier
from prodrec.models.heads import AttributeHead, LevelHead
from prodrec.models.low_rank import merge_adapters
from prodrec.models.network_config import NetworkConfig
from prodrec.models.stages import rate_stages
from prodrec.models.word_head import WordHead

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class NetworkParts(nn.Module):
    """The modules of a network. The names of the attributes are those of the weights in model.safetensors.

    attention, word_vectors, title_encoder, mixing, attribute_head and word_head are None in networks without them.

    photo_features: computes visual_BD of photos, uint8 B×3×H×W, in place of backbone, attention and embed, where the
                    network only recognises; None computes it by these modules
    """

    def __init__(
        self,
        config: NetworkConfig,
        *,
        backbone: Backbone,
        attention: SpatialAttention | None,
        embed: nn.Module,
        heads: Sequence[LevelHead],
        attribute_head: AttributeHead | None,
        word_head: WordHead | None = None,
        word_vectors: nn.Embedding | None = None,
        title_encoder: nn.Module | None = None,
        mixing: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.attention = attention
        self.embed = embed
        self.word_vectors = word_vectors
        self.title_encoder = title_encoder
        self.mixing = mixing
        self.heads = nn.ModuleDict({head.module_name: head for head in heads})
        self.attribute_head = attribute_head
        self.word_head = word_head
        self.photo_features: Callable[[Tensor], Tensor] | None = None

    @property
    def level_heads(self) -> list[LevelHead]:
        """The heads of the levels, shallowest level first."""
        return list(self.heads.values())  # type: ignore[arg-type]

    def set_train_images(
        self,
        train_images: Mapping[str, NDArray[np.int64]],
        sampled_images: Mapping[str, NDArray[np.float64]] | None = None,
    ) -> None:
        """Set the number of training images of every class, by level, which logit adjustment and the like need.

        sampled_images: numbers in proportion to the images of every class in an epoch; None if they are the same
        """
        for head in self.level_heads:
            sampled_C = None if sampled_images is None else torch.tensor(sampled_images[head.level])
            head.classifier.set_prior(torch.tensor(train_images[head.level]), sampled_C)

    def classifiers(self) -> dict[str, Classifier]:
        """Return the classifier of every level by its module name."""
        return {f"heads.{name}.classifier": head.classifier for name, head in self.heads.items()}  # type: ignore[misc]

    def shards(self) -> dict[str, Shard]:
        """Return by name the shards of the parameters whose rows are divided among the ranks."""
        return {
            f"{name}.{parameter}": classifier.shard
            for name, classifier in self.classifiers().items()
            if classifier.shard is not None
            for parameter in ("weight", "bias")
        }

    def update_in_backward(self, optimizer: torch.optim.Optimizer) -> None:
        """Let the backward pass update classifiers chunk by chunk, as `optimizer` would.

        These are the classifiers that `optimizer` trains and whose whole gradient is on this rank.
        """
        trained = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        for classifier in self.classifiers().values():
            if classifier.can_update_in_backward and id(classifier.weight) in trained:
                classifier.update_in_backward(optimizer)

    def backbone_stages(self) -> list[list[nn.Parameter]]:
        """Return the parameters of the backbone by stage, in the order in which the stages run; frozen ones too."""
        return [parameters for _, parameters in rate_stages(self.backbone.trunk, self.backbone.neck)]

    def hold_backbone(self, held: bool) -> None:
        """Keep the backbone as it is and in evaluation mode from now on, or train again what was trained before."""
        self.backbone.hold(held)

    def finished_weights(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights of a finished run, in which adapters are added to the weights that they adapt."""
        return merge_adapters(self, weights)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Return the trainable parameters by part: backbone, attention, embed, word_vectors, …

        Parts without trainable parameters are omitted.
        """
        groups = {
            name: [parameter for parameter in part.parameters() if parameter.requires_grad]
            for name, part in self.named_children()
        }
        return {name: parameters for name, parameters in groups.items() if parameters}
