"""The network of all model families: its forward pass, its loss and its scores.

    image_BCHW ─ trunk ─ [spatial attention] ─ neck ─ embed ─► visual_BD
    tokens_BT ─ word vectors ─ title encoder ────────────────► semantic_BD
    mixing of visual_BD and semantic_BD, by default max ─────► mixed_BD

    visual_BD, mixed_BD ─► head of the deepest level
    visual_BD ───────────► heads of the other levels, head of the attributes
    output of the neck ──► head of the words

`models/assemble.py` builds a network from a NetworkConfig.

Shapes: B rows, C=3 channels, H×W photo, h×w feature map, D feature, T words, L levels, A attributes, K best classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from prodrec.core.base.errors import BadOption
from prodrec.core.base.top_k_options import BEST_ALONE, TopKOptions
from prodrec.models.heads import LevelHead
from prodrec.models.losses import network_loss
from prodrec.models.network_parts import NetworkParts
from prodrec.models.outputs import BatchScores, BatchTopK, Features, Losses, mean_features
from prodrec.models.stages import stages
from prodrec.models.title_encoders import EncodedTitles, drop_photos, drop_titles, drop_words

if TYPE_CHECKING:
    from prodrec.core.data.batches import Batch


class RecognitionNetwork(NetworkParts):
    """Maps photos, and titles in training, to scores of the levels of the category tree and of attributes."""

    # --- forward pass and loss

    def last_maps(self, inputs: Tensor, *, stage: str | None = None) -> Tensor:
        """Return the last feature maps, after the attention. `stage` is that of `forward`."""
        maps_BDhw = self.backbone.maps(inputs, after=stage, until=self.config.attention_at)
        if self.attention is not None:
            maps_BDhw = self.backbone.maps_after(self.attention(maps_BDhw), self.config.attention_at)
        return maps_BDhw

    def forward(self, inputs: Tensor, tokens_BT: Tensor | None = None, *, stage: str | None = None) -> Features:
        """Return the features of photos (or feature vectors) and titles; without titles only the visual ones.

        stage: the stage of the backbone whose feature maps `inputs` are, see `frozen_maps`

        With `photo_features`, `inputs` are photos of uint8, which are not normalised.
        """
        pooled_BD, visual_BD = None, None
        if self.photo_features is not None:
            visual_BD = self.photo_features(inputs)
        else:
            pooled_BD = self.backbone.neck(self.last_maps(inputs, stage=stage))
            visual_BD = self.embed(pooled_BD)
        if tokens_BT is None or self.title_encoder is None or self.mixing is None:
            return Features(visual_BD, pooled_BD=pooled_BD)
        semantic_BD = self.encode_titles(tokens_BT).semantic_BD.to(visual_BD.dtype)
        titled_B = (tokens_BT != 0).any(1)
        # A §3.3; mixed = visual for a row without a title
        visual_part_BD = visual_BD if self.config.mixed_trains_backbone else visual_BD.detach()
        seen_BD = visual_part_BD
        if self.training and self.config.photo_dropout:
            seen_BD = drop_photos(visual_part_BD, self.config.photo_dropout)
        mixed_BD = torch.where(titled_B.unsqueeze(1), self.mixing(seen_BD, semantic_BD), visual_part_BD)
        return Features(visual_BD, mixed_BD, titled_B, pooled_BD)

    def loss(self, batch: Batch) -> Losses:
        """Return the loss of a batch, `models/losses.py`."""
        tokens_BT = self._drop_words(batch.tokens_BT)
        if batch.partners is not None:  # a title would describe one of the two products in the photo
            tokens_BT = torch.zeros_like(tokens_BT)
        return network_loss(self, self(batch.inputs, tokens_BT, stage=batch.stage), batch)

    def _drop_words(self, tokens_BT: Tensor) -> Tensor:
        """Apply word and title dropout; does nothing in evaluation mode."""
        if self.training and self.config.word_dropout:
            tokens_BT = drop_words(tokens_BT, self.config.word_dropout)
        if self.training and self.config.title_dropout:
            tokens_BT = drop_titles(tokens_BT, self.config.title_dropout)
        return tokens_BT

    # --- scores

    def features(self, batch: Batch, *, with_titles: bool = False) -> Features:
        """Return the features of a batch. Raise BadOption if `with_titles` and the network has no title encoder.

        With several views of each photo, visual and mixed features are the means over the views. The scores of the
        mean by a linear classifier are the mean of its scores, for any number of classes: one code path serves all
        scores, top k, shards and neighbours. With private layers, for attributes, and for a cosine classifier, the
        layers see the mean.
        """
        if with_titles and self.title_encoder is None:
            raise BadOption("scoring with titles needs a network with titles (family sicot); this one has photos only.")
        tokens_BT = batch.tokens_BT if with_titles else None
        return mean_features([self(inputs, tokens_BT, stage=batch.stage) for inputs in batch.inputs.chunk(batch.views)])

    @property
    def frozen_stage(self) -> str | None:
        """The last stage of the backbone that is frozen, if everything up to it does not change in training."""
        frozen, attention_at = self.backbone.frozen_until, self.config.attention_at
        if frozen is None or attention_at is None:
            return frozen
        order = [name for name, _ in stages(self.backbone.trunk, frozen, attention_at)]
        return frozen if order.index(frozen) <= order.index(attention_at) else None

    def frozen_maps(self, images_BCHW: Tensor) -> Tensor:
        """Return the feature maps of `frozen_stage`, from which training continues with `Batch.stage`."""
        return self.backbone.maps(images_BCHW, until=self.frozen_stage)

    def score(self, batch: Batch, *, with_titles: bool = False) -> BatchScores:
        """Return features and unnormalised scores. Raise BadOption as `features` does.

        With titles, the deepest level is scored from the mixed features.
        """
        return self.scores_of(self.features(batch, with_titles=with_titles))

    def top_k(self, batch: Batch, k: int, *, with_titles: bool = False) -> BatchTopK:
        """Return features and the k largest scores of every level. Raise BadOption as `features` does."""
        return self.top_k_of(self.features(batch, with_titles=with_titles), k)

    def scores_of(self, features: Features, *, tau: float | None = None) -> BatchScores:
        """Return unnormalised scores of all classes, with logit adjustment `tau` (`Classifier.adjusted_bias`)."""
        scores = {head.level: head.scores(inputs_BD, tau=tau) for head, inputs_BD in self._head_inputs(features)}
        return BatchScores(features.deepest_level_BD.float(), scores, self._attribute_scores(features))

    def upper_scores_of(self, features: Features, *, tau: float | None = None) -> dict[str, Tensor]:
        """Return the unnormalised scores of the levels above the deepest one, by level, as `scores_of` does."""
        upper = list(self._head_inputs(features))[:-1]
        return {head.level: head.scores(inputs_BD, tau=tau) for head, inputs_BD in upper}

    def top_k_of(
        self,
        features: Features,
        k: int,
        *,
        tau: float | None = None,
        options: TopKOptions = BEST_ALONE,
    ) -> BatchTopK:
        """Return the k largest scores of every level, with logit adjustment `tau`.

        options: those of the deepest level
        """
        best = {}
        for head, inputs_BD in self._head_inputs(features):
            of_head = options if head is self.level_heads[-1] else BEST_ALONE
            best[head.level] = head.top_k(inputs_BD, k, tau=tau, options=of_head)
        deepest = next(reversed(best.values()), None)
        return BatchTopK(
            features.deepest_level_BD.float(),
            {level: level_best.scores_BK for level, level_best in best.items()},
            {level: level_best.classes_BK for level, level_best in best.items()},
            self._attribute_scores(features),
            None if deepest is None else deepest.logsumexp_B,
            None if deepest is None else deepest.also_BJ,
            None if deepest is None else deepest.among,
        )

    def classifier_inputs(self, features: Features) -> Tensor:
        """Return the inputs of the deepest level's classifier, B×D, from the photos alone."""
        inputs_BD: Tensor = self.level_heads[-1].private(features.visual_BD)
        return inputs_BD

    def search_vectors(self, features: Features) -> Tensor:
        """Return the vectors by which photos are compared: the classifier's inputs, B×D float32 of length 1."""
        return F.normalize(self.classifier_inputs(features).float(), dim=1)

    def _head_inputs(self, features: Features) -> list[tuple[LevelHead, Tensor]]:
        """Return the head of every level with the features that it scores."""
        heads = self.level_heads
        return [(head, features.deepest_level_BD if head is heads[-1] else features.visual_BD) for head in heads]

    def _attribute_scores(self, features: Features) -> dict[str, Tensor]:
        return {} if self.attribute_head is None else self.attribute_head.scores(features.visual_BD)

    def encode_titles(self, tokens_BT: Tensor) -> EncodedTitles:
        """Return the semantic features of titles and the weights of their words.

        Raise BadOption if the network has no title encoder.
        """
        if self.word_vectors is None or self.title_encoder is None:
            raise BadOption("titles need a network with titles (family sicot); this one was trained on photos alone.")
        titles: EncodedTitles = self.title_encoder(self.word_vectors(tokens_BT), tokens_BT)
        return titles

    def attention_weights(self, images_BCHW: Tensor) -> Tensor | None:
        """Return the spatial attention's weight of every cell of the feature map, B×h×w (S fig. 2); None without."""
        if self.attention is None:
            return None
        return self.attention.weights(self.backbone.maps(images_BCHW, until=self.config.attention_at))

    def class_activation(self, images_BCHW: Tensor, class_B: Tensor) -> Tensor | None:
        """Return how much every cell of the last feature map A speaks for a class of the deepest level, B×h×w.

        Grad-CAM (Selvaraju et al. 2017, eq. 1 and 2), with y_c the score of class c before the softmax:

            α_d = mean over the cells of ∂y_c / ∂A_d        L = max(0, Σ_d α_d · A_d)

        None if the network has no feature map of several cells. It must predict a level.
        """
        with torch.inference_mode(False), torch.enable_grad():
            maps_BDhw = self.last_maps(images_BCHW.clone()).detach().requires_grad_()
            if maps_BDhw.ndim != 4 or maps_BDhw.shape[2:].numel() == 1:
                return None
            scores_BC = self.level_heads[-1].scores(self.embed(self.backbone.neck(maps_BDhw)))
            scores_B = scores_BC.gather(1, class_B.clone()[:, None])
            (gradient_BDhw,) = torch.autograd.grad(scores_B.sum(), maps_BDhw)
        alpha_BD11 = gradient_BDhw.mean(dim=(2, 3), keepdim=True)
        return (alpha_BD11 * maps_BDhw.detach()).sum(1).clamp(min=0)
