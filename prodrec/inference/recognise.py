"""Recognise single photos: the best classes of every level and the best states of every attribute.

Shapes: B rows of a batch, C classes of a level or states of an attribute, H×W photo, h×w grid of the spatial attention,
T words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadOption
from prodrec.core.base.scoring_views import CENTRE
from prodrec.inference.answers import Thresholds, answer_of
from prodrec.inference.calibration import Calibration
from prodrec.inference.mean_scores import MeanScores
from prodrec.inference.photo_inputs import Photo, as_list, decode_photo
from prodrec.inference.predictions import attribute_predictions, level_predictions, voting_photos
from prodrec.inference.protocols import RecognisingNetwork
from prodrec.inference.results import Recognised, Saliency
from prodrec.inference.saliency import find_saliency
from prodrec.inference.title_inputs import split_title, titles_of_photos, weigh_words

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from prodrec.core.base.taxonomy import Taxonomy
    from prodrec.core.data.photos.config import PhotoConfig
    from prodrec.core.training.run import Run

    Chunk = tuple[list[Tensor], list[list[Tensor]] | None]
    """Some photos, and the views of each if they are made already."""


@dataclass(frozen=True)
class Recogniser:
    """A finished run, ready to recognise photos. Several threads may use one Recogniser.

    network:                 in evaluation mode, on `device`
    bfloat16, channels_last: precision and memory format of the training; others would change the scores
    views:                   views of every photo whose scores are averaged, one of SCORING_VIEWS
    calibration:             how far probabilities can be trusted; None if it is not known at this operating point
    normalise:               whether photos are normalised for the network; an engine does it itself
    merged:                  the classes of the run and those that only an index has; None if there are no others
    top_products:            products of an index that a result has, if `network` finds products
    """

    run: Run
    network: RecognisingNetwork
    photos: PhotoConfig
    device: torch.device
    bfloat16: bool = False
    channels_last: bool = False
    views: str = CENTRE
    calibration: Calibration | None = None
    normalise: bool = True
    merged: Taxonomy | None = None
    top_products: int = 5

    @property
    def taxonomy(self) -> Taxonomy:
        """The classes that are recognised."""
        return self.run.taxonomy if self.merged is None else self.merged

    def thresholds(self, min_confidence: float = 0.0, precision: float | None = None) -> Thresholds:
        """Return the probability that the answer of every level must have.

        min_confidence: smallest probability of an answer
        precision:      share of the answers that shall be right, as far as validation photos tell

        Raise BadOption for values out of range, or a precision for a run without a calibration.
        """
        return Thresholds.choose(self.taxonomy.levels, self.calibration, min_confidence, precision)

    def predict(
        self,
        photos: Photo | Sequence[Photo],
        *,
        titles: str | Sequence[str] | None = None,
        with_titles: bool = False,
        pool: bool = False,
        top: int = 5,
        batch_size: int = 32,
        min_confidence: float = 0.0,
        precision: float | None = None,
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
            min_confidence: the answer for a photo is the class of the deepest level with at least this probability.
            precision: the answer is that of the deepest level at which this share of the answers is right, as far as
                validation photos tell.

        Raises:
            NotFound: if a file does not exist.
            BadPhoto: if a photo cannot be read or decoded, or an array is not a photo; the message has its number or
                its path.
            BadOption: if titles are passed to a run without titles, if `titles` has another length than `photos` (with
                `pool`, than 1) or is missing with `with_titles`, if there is no photo to pool, if `top` or
                `batch_size` is below 1, and the errors of `thresholds`.
        """
        thresholds = self.thresholds(min_confidence, precision)
        inputs = as_list(photos)
        if pool and not inputs:
            raise BadOption("there is no photo to pool; give at least one photo of the product.")
        texts = titles_of_photos(titles, len(inputs), pool=pool)
        if batch_size < 1 or top < 1:
            raise BadOption(f"batch_size={batch_size} and top={top} must be at least 1.")
        if with_titles and titles is None:
            raise BadOption("with_titles needs titles; give one for each photo.")
        chunks = [range(len(inputs))[first : first + batch_size] for first in range(0, len(inputs), batch_size)]
        batches = ([decode_photo(inputs[i], i, stored_side=self.run.stored_side) for i in chunk] for chunk in chunks)
        options: dict[str, Any] = {"with_titles": with_titles, "saliency": False}
        if pool:
            pooled = self._pool(((photos, None) for photos in batches), thresholds, texts[0], top=top, **options)
            assert pooled is not None
            return [pooled]
        results: list[Recognised] = []
        for decoded, chunk in zip(batches, chunks, strict=True):
            results += self._recognise(decoded, [texts[i] for i in chunk], thresholds, top=top, **options)
        return results

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
        (result,) = self._recognise(
            [photo_CHW], [title], self.thresholds(), with_titles=with_titles, top=top, saliency=saliency
        )
        return result

    def recognise_views(
        self,
        views: Sequence[Sequence[NDArray[np.uint8]]],
        thresholds: Thresholds,
        *,
        titles: Sequence[str | None] | None = None,
        top: int = 1,
        saliency: bool = False,
    ) -> list[Recognised]:
        """Recognise photos of which the views are made already, in one batch.

        views:  of every photo, what `read_views` returns; the result has the first view in place of the photo
        titles: of the products; the results have the weight of each word
        """
        photos, tensors = _tensors(views)
        texts = titles or [None] * len(photos)
        return self._recognise(photos, texts, thresholds, with_titles=False, top=top, saliency=saliency, views=tensors)

    def recognise_product(
        self,
        batches: Iterable[Sequence[Sequence[NDArray[np.uint8]]]],
        thresholds: Thresholds,
        *,
        title: str | None = None,
        with_titles: bool = False,
        top: int = 1,
        saliency: bool = False,
    ) -> Recognised | None:
        """Recognise a product by the mean of the scores of its photos; return None if there is no photo.

        batches:  the views of its photos, some at a time, each as in `recognise_views`
        saliency: where the network looks in the first photo
        """
        tensors = (_tensors(views) for views in batches if views)
        return self._pool(tensors, thresholds, title, top=top, with_titles=with_titles, saliency=saliency)

    def _recognise(
        self,
        photos: list[Tensor],
        titles: Sequence[str | None],
        thresholds: Thresholds,
        *,
        with_titles: bool,
        top: int,
        saliency: bool,
        mean: MeanScores | None = None,
        views: Sequence[Sequence[Tensor]] | None = None,
    ) -> list[Recognised]:
        """Recognise photos, uint8 [3, H, W] of any sizes, in one batch. Their scores are added to `mean`.

        views: those of every photo, if they are made already
        """
        import torch

        from prodrec.core.data.photos.views import centre_crop, scoring_views
        from prodrec.inference.photo_batches import make_batch

        if views is None:
            views = [scoring_views(photo_CHW, self.photos, self.views) for photo_CHW in photos]
        words = [None if title is None else split_title(title, self.run.vocabulary) for title in titles]
        loaded = make_batch(views, [self.run.vocabulary.encode(title_words or ()) for title_words in words])
        batch = loaded.to_device(self.device, self.photos, channels_last=self.channels_last, normalise=self.normalise)
        saliencies: list[tuple[NDArray[np.float32], str]] | None = None
        weights_BT = None
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bfloat16),
        ):
            found = self.network.recognise(batch, with_titles=with_titles)
            scored = found.scored
            if mean is not None:
                mean.add(scored, found.products)
            if saliency:
                shown = batch if self.normalise else loaded.to_device(self.device, self.photos)  # by torch
                saliencies = find_saliency(self.network, shown.inputs, scored.scores)
            if any(title_words is not None for title_words in words):
                weights_BT = self.network.encode_titles(batch.tokens_BT).weights_BT.float().cpu().numpy()
        vectors_BD = None if found.vectors_BD is None else found.vectors_BD.float().cpu().numpy()
        results = []
        for row, (photo_CHW, title_words) in enumerate(zip(photos, words, strict=True)):
            word_weights = None
            if title_words is not None and weights_BT is not None:
                word_weights = weigh_words(title_words, weights_BT[row], self.run.vocabulary)
            saliency_map = None
            if saliencies is not None:
                saliency_map = Saliency(*saliencies[row], *centre_crop(photo_CHW.shape[1:], self.photos))
            result = Recognised(
                photo_CHW=photo_CHW.numpy(),
                levels=level_predictions(scored.scores, row, top, self.taxonomy, self._temperature),
                attributes=attribute_predictions(scored.attribute_scores, row, top, self.run.attributes),
                words=word_weights,
                saliency=saliency_map,
                neighbours=None
                if found.voters is None
                else voting_photos(found.voters[row][:top], self.taxonomy, self.network.voters_level),
                answer=answer_of(scored.scores, row, self.taxonomy, thresholds, self._temperature),
                vector_D=None if vectors_BD is None else vectors_BD[row],
                products=None if found.products is None else list(found.products[row][: self.top_products]),
            )
            results.append(result)
        return results

    def _pool(
        self, batches: Iterable[Chunk], thresholds: Thresholds, title: str | None, *, top: int, **options: bool
    ) -> Recognised | None:
        """Return the result for the photos of a product, or None without one; `options` are those of `_recognise`."""
        mean, first = MeanScores(), None
        for photos, views in batches:
            texts = [title] * len(photos)
            results = self._recognise(photos, texts, thresholds, top=top, mean=mean, views=views, **options)
            first = first or results[0]
        if first is None:
            return None
        return replace(
            first,
            levels=level_predictions(mean.scores, 0, top, self.taxonomy, self._temperature),
            attributes=attribute_predictions(mean.attribute_scores, 0, top, self.run.attributes),
            pooled=mean.photos,
            neighbours=None,
            answer=answer_of(mean.scores, 0, self.taxonomy, thresholds, self._temperature),
            vector_D=None,
            products=None if mean.products is None else mean.products[: self.top_products],
        )

    @property
    def _temperature(self) -> float:
        return 1.0 if self.calibration is None else self.calibration.temperature


def _tensors(views: Sequence[Sequence[NDArray[np.uint8]]]) -> tuple[list[Tensor], list[list[Tensor]]]:
    """Return the first view of every photo in its place, and all views."""
    import torch

    tensors = [[torch.from_numpy(view_CHW) for view_CHW in of_photo] for of_photo in views]
    return [of_photo[0] for of_photo in tensors], tensors
