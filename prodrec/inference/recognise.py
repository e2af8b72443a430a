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

from prodrec.core.base.errors import BadPhoto, NotFound
from prodrec.core.data.titles.tokenizer import choose_tokenizer

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


@dataclass(frozen=True)
class Recognised:
    """What the network says of a photo (uint8 [3, H, W], upright); predictions most probable first."""

    photo_CHW: NDArray[np.uint8]
    levels: dict[str, list[Prediction]]
    attributes: dict[str, list[Prediction]]
    words: list[Word] | None = None
    saliency: Saliency | None = None

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
    """A run's network, ready on `device`, and how it computes: as in training, or the scores would be others."""

    run: Run
    network: Network
    photos: PhotoConfig
    device: torch.device
    bfloat16: bool = False
    channels_last: bool = False

    def recognise(
        self,
        data: bytes,
        *,
        title: str | None = None,
        with_titles: bool = False,
        top: int = 5,
        saliency: bool = False,
    ) -> Recognised:
        """The `top` best of every level and attribute of the photo in the file of bytes `data`.

        title: its words are weighed, for a network with titles; with_titles: and it counts in the deepest level too
        saliency: also the weights of the spatial attention
        Raises BadPhoto, and BadOption where the network has no titles or no attention.
        """
        import torch

        from prodrec.core.data.batches import read_photo, seen_part

        photo_CHW = read_photo(data, stored_side=self.run.stored_side)
        words = None if title is None else choose_tokenizer(self.run.vocabulary.tokenizer)(title)
        batch = self._batch(photo_CHW, self.run.vocabulary.encode(words or ()))
        seen = None
        arithmetic = torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bfloat16)
        with torch.inference_mode(), arithmetic:
            scored = self.network.score(batch, with_titles=with_titles)
            if saliency:
                weights_BHW = self.network.saliency(batch.inputs)
                rows, columns = seen_part(photo_CHW.shape[1:], self.photos)
                seen = Saliency(weights_BHW[0].float().cpu().numpy(), rows, columns)
            weighed = None if words is None else self._weigh(words, batch.tokens_BT)
        taxonomy, attributes = self.run.taxonomy, {a.name: a for a in self.run.attributes}
        return Recognised(
            photo_CHW=photo_CHW.numpy(),
            levels={
                level: [Prediction(taxonomy.path(number, level), share) for number, share in _best(values, top)]
                for level, values in scored.scores.items()
            },
            attributes={
                name: [Prediction((attributes[name].states[state],), share) for state, share in _best(values, top)]
                for name, values in scored.attribute_scores.items()
            },
            words=weighed,
            saliency=seen,
        )

    def _batch(self, photo_CHW: Tensor, tokens_T: NDArray[np.int32]) -> Batch:
        import torch

        from prodrec.core.data.batches import Batch, whole_view

        tokens_BT = torch.zeros((1, max(1, len(tokens_T))), dtype=torch.int64)
        tokens_BT[0, : len(tokens_T)] = torch.from_numpy(tokens_T.astype(np.int64))
        nothing = torch.zeros((1, 0), dtype=torch.int64)
        images_BCHW = whole_view(photo_CHW, self.photos)[None]
        batch = Batch(torch.zeros(1, dtype=torch.int64), images_BCHW, nothing, nothing, tokens_BT)
        return batch.to_device(self.device, self.photos, channels_last=self.channels_last)

    def _weigh(self, words: Sequence[str], tokens_BT: Tensor) -> list[Word]:
        weights = iter(self.network.encode_titles(tokens_BT).weights_BT[0].float().tolist())
        known = [self.run.vocabulary.id_of(word) > 0 for word in words]
        return [Word(word, next(weights) if is_known else None) for word, is_known in zip(words, known, strict=True)]


def read_bytes(path: Path) -> bytes:
    """The bytes of a photo's file. Raises NotFound, BadPhoto."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"photo {path} does not exist.") from error
    except OSError as error:
        raise BadPhoto(f"photo {path} cannot be read: {error.strerror}.") from error


def _best(scores_BC: Tensor, top: int) -> list[tuple[int, float]]:
    """(index, probability) of the `top` largest scores; of equal ones the lower index first."""
    scores_C = scores_BC[0].double().cpu().numpy()
    shares_C = np.exp(scores_C - scores_C.max())
    shares_C /= shares_C.sum()
    least = np.partition(shares_C, -top)[-top] if top < len(shares_C) else 0.0  # sorting a million takes 0.1 s
    able = np.flatnonzero(shares_C >= least)
    order = able[np.argsort(-shares_C[able], kind="stable")][:top]
    return [(int(i), float(shares_C[i])) for i in order]
