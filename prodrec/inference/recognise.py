"""Recognises one photo: its bytes in, the best classes of every level and the states of every attribute out.

Shapes: B=1 rows, C classes of a level, H×W photo, h×w grid of the attention, T words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadOption, BadPhoto
from prodrec.core.data.titles.tokenizer import choose_tokenizer
from prodrec.inference.photo_inputs import Photo, as_list, encoded_bytes

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from prodrec.core.data.batches import Batch
    from prodrec.core.data.photos.config import PhotoConfig
    from prodrec.core.training.run import Run


class Scored(Protocol):
    """Unnormalised scores: 1×C by level, and 1×states by attribute."""

    @property
    def scores(self) -> dict[str, Tensor]: ...
    @property
    def attribute_scores(self) -> dict[str, Tensor]: ...


class Title(Protocol):
    """The weight of every word, 1×T."""

    @property
    def weights_BT(self) -> Tensor: ...


class Network(Protocol):
    """What recognising asks of a network; encode_titles and saliency only where their weights are asked for."""

    def score(self, batch: Batch, *, with_titles: bool = False) -> Scored: ...
    def encode_titles(self, tokens_BT: Tensor) -> Title: ...
    def saliency(self, images_BCHW: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Prediction:
    """A class by its path from the root, or a state of an attribute, which is a path of one; and its probability."""

    path: tuple[str, ...]
    confidence: float

    @property
    def name(self) -> str:
        return self.path[-1]


@dataclass(frozen=True)
class Word:
    """A word of a title and how much it counts; None where the vocabulary does not have it."""

    word: str
    weight: float | None


@dataclass(frozen=True)
class Saliency:
    """weights_hw: float32, of every cell of a grid over `rows` and `columns` of the photo (the part that is seen)."""

    weights_hw: NDArray[np.float32]
    rows: slice
    columns: slice


@dataclass(frozen=True, repr=False)
class Recognised:
    """What the network says of a photo (uint8 [3, H, W], upright); predictions most probable first."""

    photo_CHW: NDArray[np.uint8]
    levels: dict[str, list[Prediction]]
    attributes: dict[str, list[Prediction]]
    words: list[Word] | None = None
    saliency: Saliency | None = None

    def __repr__(self) -> str:
        """Return the best class of every level and the best state of every attribute, such as `leaf: Boots 93.1 %`."""
        best = {**self.levels, **self.attributes}
        texts = (f"{name}: {first.name} {first.confidence:.1%}" for name, (first, *_) in best.items())
        return f"Recognised({', '.join(texts)})"

    def as_json(self) -> dict[str, Any]:
        """Plain values, without the photo."""
        found: dict[str, Any] = {
            "levels": {
                level: [{"class": p.name, "path": list(p.path), "confidence": p.confidence} for p in best]
                for level, best in self.levels.items()
            },
            "attributes": {
                name: [{"state": p.name, "confidence": p.confidence} for p in best]
                for name, best in self.attributes.items()
            },
        }
        if self.words is not None:
            found["words"] = [vars(word) for word in self.words]
        if self.saliency is not None:
            rows, columns = self.saliency.rows, self.saliency.columns
            found["saliency"] = {
                "photo": list(self.photo_CHW.shape[1:]),
                "rows": [rows.start, rows.stop],
                "columns": [columns.start, columns.stop],
                "weights": self.saliency.weights_hw.tolist(),
            }
        return found


@dataclass(frozen=True)
class Recogniser:
    """A finished run, ready to recognise photos. Several threads may use one Recogniser.

    network: in evaluation mode, on `device`
    bfloat16, channels_last: number type and memory layout of training; others would change the scores
    """

    run: Run
    network: Network
    photos: PhotoConfig
    device: torch.device
    bfloat16: bool = False
    channels_last: bool = False

    def predict(
        self,
        photos: Photo | Sequence[Photo],
        *,
        titles: str | Sequence[str] | None = None,
        with_titles: bool = False,
        top: int = 5,
        batch_size: int = 32,
    ) -> list[Recognised]:
        """Recognise one photo or several and return a result for each.

        Args:
            photos: paths, bytes of image files, Pillow images or arrays (uint8 [H, W, 3], red first).
            titles: title of each product, of which each word is weighed.
            with_titles: let the titles count for the deepest level too.
            top: number of best classes of every level.
            batch_size: photos that the network sees at a time.

        Raises:
            NotFound: if a file does not exist.
            BadPhoto: if a photo cannot be decoded; the message has its number or its path.
            BadOption: if the run was trained without titles and `titles` are given, or their number is another.
        """
        inputs = as_list(photos)
        texts: list[str | None] = [None] * len(inputs)
        if titles is not None:
            texts = [titles] if isinstance(titles, str) else list(titles)
        if len(texts) != len(inputs):
            raise BadOption(f"{len(texts):,} titles for {len(inputs):,} photos; give one title for each photo.")
        if batch_size < 1 or top < 1:
            raise BadOption(f"batch_size={batch_size} and top={top} must be at least 1.")
        if with_titles and titles is None:
            raise BadOption("with_titles needs titles; give one for each photo.")
        results: list[Recognised] = []
        for first in range(0, len(inputs), batch_size):
            chunk = slice(first, first + batch_size)
            decoded = [self._decode(photo, first + i) for i, photo in enumerate(inputs[chunk])]
            results += self._recognise(decoded, texts[chunk], with_titles=with_titles, top=top, saliency=False)
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
        """Recognise the photo in the bytes of an image file; `saliency` adds the weights of the spatial attention.

        Raise BadPhoto, or BadOption if the network has no titles or no attention.
        """
        from prodrec.core.data.photos.views import read_photo

        photo_CHW = read_photo(data, stored_side=self.run.stored_side)
        (result,) = self._recognise([photo_CHW], [title], with_titles=with_titles, top=top, saliency=saliency)
        return result

    def _decode(self, photo: Photo, number: int) -> Tensor:
        from prodrec.core.data.photos.views import read_photo

        try:
            return read_photo(encoded_bytes(photo), stored_side=self.run.stored_side)
        except BadPhoto as error:
            name = str(photo) if isinstance(photo, str | Path) else f"photo {number} (from 0)"
            raise BadPhoto(f"{name}: {error}") from error

    def _recognise(
        self, photos: list[Tensor], titles: Sequence[str | None], *, with_titles: bool, top: int, saliency: bool
    ) -> list[Recognised]:
        """Recognise photos, uint8 [3, H, W] of any sizes, in one batch."""
        import torch

        from prodrec.core.data.photos.views import centre_crop

        tokenizer = choose_tokenizer(self.run.vocabulary.tokenizer)
        words = [None if title is None else tokenizer(title) for title in titles]
        batch = self._batch(photos, [self.run.vocabulary.encode(title_words or ()) for title_words in words])
        saliency_BHW = weights_BT = None
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bfloat16),
        ):
            scored = self.network.score(batch, with_titles=with_titles)
            if saliency:
                saliency_BHW = self.network.saliency(batch.inputs).float().cpu().numpy()
            if any(title_words is not None for title_words in words):
                weights_BT = self.network.encode_titles(batch.tokens_BT).weights_BT.float().cpu().numpy()
        taxonomy, attributes = self.run.taxonomy, {a.name: a for a in self.run.attributes}
        results = []
        for row, (photo_CHW, title_words) in enumerate(zip(photos, words, strict=True)):
            crop = centre_crop(photo_CHW.shape[1:], self.photos)
            results.append(
                Recognised(
                    photo_CHW=photo_CHW.numpy(),
                    levels={
                        level: [Prediction(taxonomy.path(i, level), p) for i, p in _best(scores_BC[row : row + 1], top)]
                        for level, scores_BC in scored.scores.items()
                    },
                    attributes={
                        name: [
                            Prediction((attributes[name].states[i],), p)
                            for i, p in _best(scores_BC[row : row + 1], top)
                        ]
                        for name, scores_BC in scored.attribute_scores.items()
                    },
                    words=(
                        None if title_words is None or weights_BT is None else self._weigh(title_words, weights_BT[row])
                    ),
                    saliency=None if saliency_BHW is None else Saliency(saliency_BHW[row], *crop),
                )
            )
        return results

    def _batch(self, photos: list[Tensor], titles: list[NDArray[np.int32]]) -> Batch:
        """Return the photos and the word ids of their titles, padded with 0, as a batch on the device."""
        import torch

        from prodrec.core.data.batches import Batch
        from prodrec.core.data.photos.views import centre_view

        tokens_BT = torch.zeros((len(photos), max(1, *(len(ids) for ids in titles))), dtype=torch.int64)
        for row, ids in enumerate(titles):
            tokens_BT[row, : len(ids)] = torch.from_numpy(ids.astype(np.int64))
        no_labels = torch.zeros((len(photos), 0), dtype=torch.int64)
        images_BCHW = torch.stack([centre_view(photo_CHW, self.photos) for photo_CHW in photos])
        batch = Batch(torch.zeros(len(photos), dtype=torch.int64), images_BCHW, no_labels, no_labels, tokens_BT)
        return batch.to_device(self.device, self.photos, channels_last=self.channels_last)

    def _weigh(self, words: Sequence[str], weights_T: NDArray[np.float32]) -> list[Word]:
        weights = iter(weights_T.tolist())
        known = [self.run.vocabulary.id_of(word) > 0 for word in words]
        return [Word(word, next(weights) if is_known else None) for word, is_known in zip(words, known, strict=True)]


def _best(scores_BC: Tensor, top: int) -> list[tuple[int, float]]:
    """(index, probability) of the `top` largest scores; of equal ones the lower index first."""
    scores_C = scores_BC[0].double().cpu().numpy()
    shares_C = np.exp(scores_C - scores_C.max())
    shares_C /= shares_C.sum()
    least = np.partition(shares_C, -top)[-top] if top < len(shares_C) else 0.0  # sorting a million takes 0.1 s
    able = np.flatnonzero(shares_C >= least)
    order = able[np.argsort(-shares_C[able], kind="stable")][:top]
    return [(int(i), float(shares_C[i])) for i in order]
