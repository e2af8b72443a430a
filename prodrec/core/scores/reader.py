"""Reads scores.h5 in pieces: memory does not grow with the rows.

Shapes: R rows of a piece; L levels, A attributes, D features, C classes of a level, K best classes kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.artefact import SPLITS, check_header
from prodrec.core.base.errors import BadArtefact, BadOption, NotFound
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.base.texts import Texts
from prodrec.core.scores.chunk import ScoreChunk, check
from prodrec.core.scores.schema import Origin, key

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
ROWS = 4096
BYTES_PER_PIECE = 8 * 2**20


class Scores:
    """An open scores file; use `open_scores`. Its tree, counts and origin are in memory, its rows are not."""

    def __init__(self, path: Path, file: Any) -> None:
        self.path = path
        self._file = file
        head = {name: _plain(file.attrs[name]) for name in file.attrs}
        check_header(head, kind="scores", path=path)
        for name in ("made_from", "made_by", "recipe", "splits", "levels", "attributes", "seed"):
            head[name] = json.loads(head[name]) if isinstance(head[name], str) else head[name]
        self.header: dict[str, Any] = head
        self.fingerprint: str = head["fingerprint"]
        self.n = int(head["rows"])
        self.levels: tuple[str, ...] = tuple(head["levels"])
        self.origin = Origin(
            run=head["run"],
            family=head["family"],
            made_from=head["made_from"],
            splits=tuple(head["splits"]),
            seed=head["seed"],
            recipe=head["recipe"],
            with_titles=bool(head["with_titles"]),
        )
        kept = "top_k" if "top_k" in file else "scores"
        self.scored_levels = tuple(level for level in self.levels if key(level) in file.get(kept, ()))
        of_attributes = file.get("attribute_scores", ())
        self.scored_attributes: tuple[str, ...] = tuple(
            name for name in head["attributes"] if key(name) in of_attributes
        )
        self.top_k: int | None = (
            max(file[f"top_k/{key(level)}/scores"].shape[1] for level in self.scored_levels)
            if kept == "top_k" and self.scored_levels
            else None
        )
        self.taxonomy = self._read_taxonomy()
        self.attributes = tuple(
            Attribute(name, tuple(Texts.read_hdf5(file, f"states/{key(name)}"))) for name in head["attributes"]
        )
        self.train_images = self.train_images_of(self.levels[-1])
        self._check_lengths()

    def __enter__(self) -> Scores:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that were scored."""
        return self.origin.splits

    def train_images_of(self, level: str) -> NDArray[np.int64]:
        """Training images of every class of `level`, int64 [C]."""
        images: NDArray[np.int64] = self._file[f"classes/{key(level)}/train_images"][:]
        return images

    def count(self, split: str | None = None) -> int:
        """Number of rows of one split, or of all."""
        if split is None:
            return self.n
        code, column = self._code(split), self._file["split"]
        return sum(int((column[at : at + 2**20] == code).sum()) for at in range(0, self.n, 2**20))

    def chunks(
        self,
        split: str | None = None,
        *,
        rows: int | None = None,
        levels: tuple[str, ...] | None = None,
        attributes: bool = False,
        features: bool = False,
        attribute_scores: bool = False,
    ) -> Iterator[ScoreChunk]:
        """The rows of `split` (or all), at most `rows` at a time, with the scores of `levels` (or of all scored ones).

        attributes, features, attribute_scores: read the codes of the attributes, the features, the scores of all scored
        attributes as well. Without `rows`, 4,096 or as many as keep a piece's scores below 8 MiB. Raises BadOption for
        a split that was not scored, BadArtefact for a value that the schema forbids.
        """
        wanted = self.scored_levels if levels is None else levels
        code = None if split is None else self._code(split)
        states = tuple(f"attribute_scores/{key(name)}" for name in self.scored_attributes if attribute_scores)
        stored = [self._file[name] for level in wanted for name in self._score_names(level)]
        stored += [self._file[name] for name in states]
        width = sum(dataset.shape[1] * dataset.dtype.itemsize for dataset in stored)
        step = rows or max(1, min(ROWS, BYTES_PER_PIECE // max(1, width)))
        last = -1
        for start in range(0, self.n, step):
            with _reading(self.path):
                at = slice(start, min(start + step, self.n))
                split_R = self._file["split"][at]
                pick = slice(None) if code is None else np.flatnonzero(split_R == code)
                if code is not None and not len(pick):  # type: ignore[arg-type]
                    continue
                chunk = self._read(at, pick, split_R, wanted, states, attributes=attributes, features=features)
            check(chunk, last, taxonomy=self.taxonomy, attributes=self.attributes, path=self.path)
            last = int(chunk.rows_R[-1])
            yield chunk

    def _read(
        self,
        at: slice,
        pick: Any,
        split_R: NDArray[np.uint8],
        levels: tuple[str, ...],
        attribute_scores: tuple[str, ...],
        *,
        attributes: bool,
        features: bool,
    ) -> ScoreChunk:
        def read(name: str) -> Any:
            return self._file[name][at][pick]

        labels = np.stack([read(f"labels/{key(level)}") for level in self.levels], axis=1)
        states = [read(f"attributes/{key(attribute.name)}") for attribute in self.attributes] if attributes else []
        scores, classes = {}, {}
        for level in levels:
            names = self._score_names(level)
            scores[level] = read(names[0]).astype(np.float32)
            if self.top_k is not None:
                classes[level] = read(names[1])
        return ScoreChunk(
            rows_R=read("row"),
            ids_R=read("id"),
            split_R=split_R[pick],
            labels_RL=labels,
            scores=scores,
            classes=classes if self.top_k is not None else None,
            attributes_RA=np.stack(states, axis=1) if states else None,
            features_RD=read("features") if features else None,
            attribute_scores={
                name: read(place).astype(np.float32)
                for name, place in zip(self.scored_attributes, attribute_scores, strict=False)
            },
        )

    def _code(self, split: str) -> int:
        if split not in self.splits:
            raise BadOption(
                f"{self.path} has no rows of split {split!r} (it has {', '.join(self.splits)}); "
                "score the run again with --split, or ask for another split."
            )
        return SPLITS.index(split)

    def _score_names(self, level: str) -> tuple[str, ...]:
        if self.top_k is None:
            return (f"scores/{key(level)}",)
        return (f"top_k/{key(level)}/scores", f"top_k/{key(level)}/classes")

    def _read_taxonomy(self) -> Taxonomy:
        names, parents = [], []
        for level in self.levels:
            names.append(Texts.read_hdf5(self._file, f"classes/{key(level)}/name"))
            parents.append(self._file[f"classes/{key(level)}/parent"][:])
        try:
            return Taxonomy(levels=self.levels, names=tuple(names), parents=tuple(parents))
        except AssertionError as error:
            raise BadArtefact(f"{self.path}: {error}; score the run again.") from error

    def _check_lengths(self) -> None:
        names = ["id", "row", "split", "features"]
        names += [f"labels/{key(level)}" for level in self.levels]
        names += [f"attributes/{key(attribute.name)}" for attribute in self.attributes]
        names += [name for level in self.scored_levels for name in self._score_names(level)]
        names += [f"attribute_scores/{key(name)}" for name in self.scored_attributes]
        if not self.scored_levels and not self.scored_attributes:
            raise BadArtefact(f"{self.path}: no level and no attribute is scored in it; score the run again.")
        for name in names:
            found = self._file[name].shape[0]
            if found != self.n:
                raise BadArtefact(f"{self.path}: {name} has {found} rows, expected {self.n}; score the run again.")
        for level in self.scored_levels:
            width, classes = self._file[self._score_names(level)[0]].shape[1], self.taxonomy.count(level)
            if width > classes or (self.top_k is None and width != classes):
                raise BadArtefact(f"{self.path}: level {level} has {classes} classes and {width} scores a row.")
        for attribute in self.attributes:
            if attribute.name in self.scored_attributes:
                width, states = self._file[f"attribute_scores/{key(attribute.name)}"].shape[1], len(attribute.states)
                if width != states:
                    raise BadArtefact(
                        f"{self.path}: attribute {attribute.name} has {states} states and {width} scores a row."
                    )


def open_scores(path: Path) -> Scores:
    """Open a scores file for reading; close it after use, or use it in a `with`.

    Raises NotFound where there is no such file, BadArtefact where it is truncated, damaged, of another kind or version.
    """
    path = Path(path)
    if not path.exists():
        raise NotFound(f"scores file {path} does not exist; make it with `prodrec score`.")
    if path.is_dir():
        raise BadArtefact(f"{path} is a directory; expected a scores file (.h5).")
    with path.open("rb") as raw:
        start = raw.read(len(HDF5_SIGNATURE))
    if not start or not HDF5_SIGNATURE.startswith(start):
        raise BadArtefact(f"{path} is {'empty' if not start else 'not an HDF5 file'}; expected a prodrec scores file.")
    with _reading(path):
        file = h5py.File(path, "r", locking=False)
        try:
            return Scores(path, file)
        except BaseException:
            file.close()
            raise


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what h5py and the parsing of a damaged file raise into BadArtefact."""
    try:
        yield
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        detail = " ".join(str(error).split()).rstrip(".")
        raise BadArtefact(f"{path} is truncated or damaged ({detail}); score the run again.") from error


def _plain(value: Any) -> Any:
    """An attribute's value as Python has it."""
    return value.item() if isinstance(value, np.generic) else value
