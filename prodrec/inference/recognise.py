"""Recognise single photos: the best classes of every level and the best states of every attribute.

Shapes: B rows of a batch, C classes of a level or states of an attribute, H×W photo, h×w grid of the spatial attention,
T words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadOption, BadPhoto
from prodrec.core.base.scoring_views import CENTRE
from prodrec.core.data.tables.markup import clean_title
from prodrec.core.data.titles.tokenizer import recorded_tokenizer
from prodrec.inference.mean_scores import MeanScores
from prodrec.inference.photo_inputs import Photo, as_list, encoded_bytes
from prodrec.inference.protocols import RecognisingNetwork
from prodrec.inference.results import ATTENTION, GRAD_CAM, Neighbour, Prediction, Recognised, Saliency, Word

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from prodrec.core.data.batches import Batch
    from prodrec.core.data.photos.config import PhotoConfig
    from prodrec.core.training.run import Run
    from prodrec.inference.neighbours.fused import Voter

FLAT = 0.2
"""Weights of the attention that differ by less than this share of the largest are flat."""


@dataclass(frozen=True)
class Recogniser:
    """A finished run, ready to recognise photos. Several threads may use one Recogniser.

    network:                 in evaluation mode, on `device`
    bfloat16, channels_last: precision and memory format of the training; others would change the scores
    views:                   views of every photo whose scores are averaged, one of SCORING_VIEWS
    """

    run: Run
    network: RecognisingNetwork
    photos: PhotoConfig
    device: torch.device
    bfloat16: bool = False
    channels_last: bool = False
    views: str = CENTRE

    def predict(
        self,
        photos: Photo | Sequence[Photo],
        *,
        titles: str | Sequence[str] | None = None,
        with_titles: bool = False,
        pool: bool = False,
        top: int = 5,
        batch_size: int = 32,
    ) -> list[Recognised]:
        """Recognise one photo or several and return a result for each.

        With `pool`, the photos show one product, and the list has one result: that of the mean of their scores.

        Args:
            photos: paths, bytes of image files, Pillow images or arrays (uint8 [H, W, 3], red first).
            titles: title of each product, one for all photos with `pool`; the result has the weight of each word.
            with_titles: use the titles to score the deepest level.
            pool: treat the photos as photos of one product.
            top: number of classes of every level and of states of every attribute, most probable first.
            batch_size: photos per batch.

        Raises:
            NotFound: if a file does not exist.
            BadPhoto: if a photo cannot be read or decoded, or an array is not a photo; the message has its number or
                its path.
            BadOption: if titles are passed to a run without titles, if `titles` has another length than `photos` (with
                `pool`, than 1) or is missing with `with_titles`, if there is no photo to pool, or if `top` or
                `batch_size` is below 1.
        """
        inputs = as_list(photos)
        texts: list[str | None] = [None] * len(inputs)
        if titles is not None:
            texts = [titles] if isinstance(titles, str) else list(titles)
            if pool and len(texts) != 1:
                raise BadOption(f"{len(texts):,} titles for the photos of one product; give one title with pool=True.")
            texts = texts * len(inputs) if pool else texts
        if pool and not inputs:
            raise BadOption("there is no photo to pool; give at least one photo of the product.")
        if len(texts) != len(inputs):
            raise BadOption(f"{len(texts):,} titles for {len(inputs):,} photos; give one title for each photo.")
        if batch_size < 1 or top < 1:
            raise BadOption(f"batch_size={batch_size} and top={top} must be at least 1.")
        if with_titles and titles is None:
            raise BadOption("with_titles needs titles; give one for each photo.")
        results: list[Recognised] = []
        mean = MeanScores() if pool else None
        for first in range(0, len(inputs), batch_size):
            chunk = slice(first, first + batch_size)
            decoded = [self._decode(photo, first + i) for i, photo in enumerate(inputs[chunk])]
            results += self._recognise(
                decoded, texts[chunk], with_titles=with_titles, top=top, saliency=False, mean=mean
            )
            if mean is not None:
                del results[1:]  # with the photos that they contain
        if mean is None:
            return results
        levels = self._level_predictions(mean.scores, 0, top)
        attributes = self._attribute_predictions(mean.attribute_scores, 0, top)
        pooled = replace(results[0], levels=levels, attributes=attributes, pooled=mean.photos, neighbours=None)
        return [pooled]

    def recognise(
        self,
        data: bytes,
        *,
        title: str | None = None,
        with_titles: bool = False,
        top: int = 5,
        saliency: bool = False,
    ) -> Recognised:
        """Recognise the photo in the bytes of an image file; `saliency` adds where the network looks.

        That is the spatial attention. Without one, and where its weights differ by less than FLAT of the largest, it is
        Grad-CAM of the best class of the deepest level.

        Raise BadPhoto if the photo cannot be decoded, BadOption for a title if the network has no title encoder and for
        `saliency` if it predicts no level or has no feature map, or if several views are averaged.
        """
        from prodrec.core.data.photos.views import read_photo

        if saliency and self.views != CENTRE:
            raise BadOption(f"saliency shows one view of a photo, and views={self.views} averages several; omit one.")
        photo_CHW = read_photo(data, stored_side=self.run.stored_side)
        (result,) = self._recognise([photo_CHW], [title], with_titles=with_titles, top=top, saliency=saliency)
        return result

    def check(self, data: bytes) -> None:
        """Raise BadPhoto if the bytes of a photo file cannot be decoded."""
        from prodrec.core.data.photos.views import read_photo

        read_photo(data, stored_side=self.run.stored_side)

    def _decode(self, photo: Photo, number: int) -> Tensor:
        from prodrec.core.data.photos.views import read_photo

        try:
            return read_photo(encoded_bytes(photo), stored_side=self.run.stored_side)
        except BadPhoto as error:
            name = str(photo) if isinstance(photo, str | Path) else f"photo {number} (from 0)"
            raise BadPhoto(f"{name}: {error}") from error

    def _recognise(
        self,
        photos: list[Tensor],
        titles: Sequence[str | None],
        *,
        with_titles: bool,
        top: int,
        saliency: bool,
        mean: MeanScores | None = None,
    ) -> list[Recognised]:
        """Recognise photos, uint8 [3, H, W] of any sizes, in one batch. Their scores are added to `mean`."""
        import torch

        from prodrec.core.data.photos.views import centre_crop

        words = [None if title is None else self._split_title(title) for title in titles]
        batch = self._batch(photos, [self.run.vocabulary.encode(title_words or ()) for title_words in words])
        saliencies: list[tuple[NDArray[np.float32], str]] | None = None
        weights_BT = None
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bfloat16),
        ):
            scored, voters = self.network.recognise(batch, with_titles=with_titles)
            if mean is not None:
                mean.add(scored)
            if saliency:
                saliencies = self._saliency(batch.inputs, scored.scores)
            if any(title_words is not None for title_words in words):
                weights_BT = self.network.encode_titles(batch.tokens_BT).weights_BT.float().cpu().numpy()
        results = []
        for row, (photo_CHW, title_words) in enumerate(zip(photos, words, strict=True)):
            word_weights = None
            if title_words is not None and weights_BT is not None:
                word_weights = self._word_weights(title_words, weights_BT[row])
            saliency_map = None
            if saliencies is not None:
                saliency_map = Saliency(*saliencies[row], *centre_crop(photo_CHW.shape[1:], self.photos))
            result = Recognised(
                photo_CHW=photo_CHW.numpy(),
                levels=self._level_predictions(scored.scores, row, top),
                attributes=self._attribute_predictions(scored.attribute_scores, row, top),
                words=word_weights,
                saliency=saliency_map,
                neighbours=None if voters is None else self._neighbours(voters[row][:top]),
            )
            results.append(result)
        return results

    def _saliency(self, images_BCHW: Tensor, scores: dict[str, Tensor]) -> list[tuple[NDArray[np.float32], str]]:
        """Return for every photo where the network looks (h×w), and the method: its attention unless that is flat."""
        attention_Bhw = self.network.attention_weights(images_BCHW)
        found = [] if attention_Bhw is None else [(weights_hw, ATTENTION) for weights_hw in _to_numpy(attention_Bhw)]
        if found and not any(is_flat(weights_hw) for weights_hw, _ in found):
            return found
        activation_Bhw = None
        if scores:
            *_, best_level = scores.values()
            activation_Bhw = self.network.class_activation(images_BCHW, best_level.argmax(1))
        if activation_Bhw is None:
            if not found:
                problem = "has no feature map of several cells" if scores else "predicts attributes alone"
                raise BadOption(f"the run does not show where it looks: it has no attention, and {problem}.")
            return found
        by_class = [(weights_hw, GRAD_CAM) for weights_hw in _to_numpy(activation_Bhw)]
        pairs = zip(found or by_class, by_class, strict=True)
        return [of_class if is_flat(attention[0]) else attention for attention, of_class in pairs]

    def _neighbours(self, voters: Sequence[Voter]) -> list[Neighbour]:
        level = self.network.voters_level
        assert level is not None
        return [
            Neighbour(voter.id, self.run.taxonomy.path(voter.class_index, level), voter.cosine, voter.share)
            for voter in voters
        ]

    def _split_title(self, title: str) -> list[str]:
        """Return the words of `title`, without HTML, as `prodrec prepare` split those of the training data."""
        vocabulary = self.run.vocabulary
        return recorded_tokenizer(vocabulary.tokenizer, vocabulary.tokenizer_version)(clean_title(title))

    def _level_predictions(self, scores: dict[str, Tensor], row: int, top: int) -> dict[str, list[Prediction]]:
        return {
            level: [Prediction(self.run.taxonomy.path(i, level), p) for i, p in _top_probabilities(scores_BC[row], top)]
            for level, scores_BC in scores.items()
        }

    def _attribute_predictions(self, scores: dict[str, Tensor], row: int, top: int) -> dict[str, list[Prediction]]:
        states = {attribute.name: attribute.states for attribute in self.run.attributes}
        return {
            name: [Prediction((states[name][i],), p) for i, p in _top_probabilities(scores_BC[row], top)]
            for name, scores_BC in scores.items()
        }

    def _batch(self, photos: list[Tensor], titles: list[NDArray[np.int32]]) -> Batch:
        """Return the photos and the word ids of their titles, padded with 0, as a batch on the device."""
        import torch

        from prodrec.core.data.batches import Batch
        from prodrec.core.data.photos.views import scoring_views

        tokens_BT = torch.zeros((len(photos), max(1, *(len(ids) for ids in titles))), dtype=torch.int64)
        for row, ids in enumerate(titles):
            tokens_BT[row, : len(ids)] = torch.from_numpy(ids.astype(np.int64))
        no_labels = torch.zeros((len(photos), 0), dtype=torch.int64)
        views = [scoring_views(photo_CHW, self.photos, self.views) for photo_CHW in photos]
        images = torch.stack([view_CHW for of_all_photos in zip(*views, strict=True) for view_CHW in of_all_photos])
        batch = Batch(torch.zeros(len(photos), dtype=torch.int64), images, no_labels, no_labels, tokens_BT)
        return batch.to_device(self.device, self.photos, channels_last=self.channels_last)

    def _word_weights(self, words: Sequence[str], weights_T: NDArray[np.float32]) -> list[Word]:
        """Return every word with its weight. `weights_T` has no weights of words outside the vocabulary."""
        weights = iter(weights_T.tolist())
        is_known = [self.run.vocabulary.id_of(word) > 0 for word in words]
        return [Word(word, next(weights) if known else None) for word, known in zip(words, is_known, strict=True)]


def is_flat(weights_hw: NDArray[np.float32]) -> bool:
    """Return whether the weights of the attention hardly differ, and therefore say nothing."""
    return bool(weights_hw.max() - weights_hw.min() < FLAT * np.abs(weights_hw).max())


def _to_numpy(values: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.float().cpu().numpy()
    return array


def _top_probabilities(scores_C: Tensor, top: int) -> list[tuple[int, float]]:
    """Return index and probability (softmax over C) of the `top` largest scores, largest first.

    Equal scores are in the order of their indices.
    """
    values_C = scores_C.double().cpu().numpy()
    probabilities_C = np.exp(values_C - values_C.max())
    probabilities_C /= probabilities_C.sum()
    # only the candidates are sorted: sorting a million classes takes 0.1 s
    smallest = np.partition(probabilities_C, -top)[-top] if top < len(probabilities_C) else 0.0
    candidates = np.flatnonzero(probabilities_C >= smallest)
    best = candidates[np.argsort(-probabilities_C[candidates], kind="stable")][:top]
    return [(int(i), float(probabilities_C[i])) for i in best]
