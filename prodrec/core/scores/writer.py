"""Writes scores.h5 batch by batch at constant memory; the file appears under its name only when it is complete.

Shapes: B rows of a batch; L levels, A attributes, D features, C classes of a level, K best classes kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from prodrec.core.artefact import Fingerprint, header, new_file
from prodrec.core.errors import ProdrecError
from prodrec.core.scores.schema import HDF5_VERSION, LARGEST, SPLITS, Origin, fixed_utf8, key, rows_per_chunk
from prodrec.core.taxonomy import Attribute, Taxonomy

ORDERED = 10
"""So many of a row's largest scores keep their order in float16."""


class ScoresWriter:
    """A scores file in the making.

        with ScoresWriter(out, origin=…, taxonomy=…, train_images=…, id_bytes=20) as writer:
            for batch in batches:
                writer.append(ids=…, rows_B=…, split_B=…, labels_BL=…, features_BD=…, scores={"leaf": …})

    train_images: images in the training split of every leaf; id_bytes: UTF-8 bytes of the longest id.
    Raises OutputExists where `out` is taken and `force` is not given, ProdrecError for scores that float16 cannot hold.
    """

    def __init__(
        self,
        out: Path,
        *,
        origin: Origin,
        taxonomy: Taxonomy,
        train_images: ArrayLike,
        id_bytes: int,
        attributes: Sequence[Attribute] = (),
        libraries: Mapping[str, str] | None = None,
        force: bool = False,
    ) -> None:
        self.out = Path(out)
        self.origin = origin
        self.taxonomy = taxonomy
        self.attributes = tuple(attributes)
        self.train_images = np.asarray(train_images, dtype=np.int64)
        self.n = 0
        self.fingerprint: str | None = None
        assert self.train_images.shape == (len(taxonomy.leaves),)
        self._id_bytes = id_bytes
        self._libraries = dict(libraries or {})
        self._force = force
        self._last_row = -1
        self._hashes: dict[str, Any] = {}
        self._stack = ExitStack()

    def __enter__(self) -> ScoresWriter:
        beside = self._stack.enter_context(new_file(self.out, kind="scores", force=self._force))
        try:
            self._file = self._stack.enter_context(h5py.File(beside, "w", libver=HDF5_VERSION, locking=False))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            self._stack.__exit__(kind, error, traceback)
            return
        with self._stack:
            self._finish()

    def append(
        self,
        *,
        ids: Sequence[str],
        rows_B: ArrayLike,
        split_B: ArrayLike,
        labels_BL: ArrayLike,
        features_BD: ArrayLike,
        scores: Mapping[str, ArrayLike],
        classes: Mapping[str, ArrayLike] | None = None,
        attributes_BA: ArrayLike | None = None,
    ) -> None:
        """Add the next rows; `rows_B` ascends within and across calls.

        scores: by level, B×C; or, with `classes` (B×K class indices by level), the B×K best.
        """
        rows = np.asarray(rows_B, dtype=np.int64)
        assert len(rows) and rows[0] > self._last_row and (np.diff(rows) > 0).all(), "rows must ascend"
        self._last_row = int(rows[-1])
        labels = np.asarray(labels_BL, dtype=np.int32)
        for level, column in zip(self.taxonomy.levels, labels.T, strict=True):
            assert ((column >= 0) & (column < self.taxonomy.count(level))).all(), f"a label of {level} is no class"
            self._put(f"labels/{key(level)}", column)
        self._put("id", fixed_utf8(list(ids), length=self._id_bytes))
        self._put("row", rows)
        split = np.asarray(split_B, dtype=np.uint8)
        assert set(np.unique(split)) <= {SPLITS.index(name) for name in self.origin.splits}
        self._put("split", split)
        if self.attributes:
            states = np.asarray(attributes_BA, dtype=np.int32)
            for attribute, column in zip(self.attributes, states.T, strict=True):
                self._put(f"attributes/{key(attribute.name)}", column)
        self._put("features", self._as_half(features_BD, "features", ids, rows))
        for level, values in scores.items():
            array = np.asarray(values)
            half = self._as_half(array, f"scores of level {level}", ids, rows)
            if classes is None:
                assert half.shape[1] == self.taxonomy.count(level)
                self._put(f"scores/{key(level)}", keep_order(array, half))
            else:
                best, which = _best_first(array, half, np.asarray(classes[level], dtype=np.int32))
                self._put(f"top_k/{key(level)}/scores", best)
                self._put(f"top_k/{key(level)}/classes", which)
        self.n += len(rows)

    def _put(self, name: str, values: NDArray[Any]) -> None:
        if name not in self._file:
            chunk = rows_per_chunk(values[:1].nbytes) if name.startswith(("scores/", "top_k/", "features")) else 16384
            self._file.create_dataset(
                name,
                shape=(0, *values.shape[1:]),
                maxshape=(None, *values.shape[1:]),
                chunks=(chunk, *values.shape[1:]),
                dtype=values.dtype,
            )
            self._hashes[name] = hashlib.blake2b(digest_size=16)
        dataset = self._file[name]
        assert dataset.shape[0] == self.n, f"{name} was left out of an earlier batch"
        dataset.resize(self.n + len(values), axis=0)
        dataset[self.n :] = values
        self._hashes[name].update(np.ascontiguousarray(values).data)

    def _as_half(
        self, values: ArrayLike, what: str, ids: Sequence[str], rows: NDArray[np.int64]
    ) -> NDArray[np.float16]:
        array = np.asarray(values)
        largest = np.abs(array).max(axis=1, initial=0.0)
        if not (largest <= LARGEST).all():
            i = int(np.argmin(largest <= LARGEST))
            where = f"the {what} of row {rows[i]} (id {ids[i]})"
            if np.isfinite(largest[i]):
                raise ProdrecError(
                    f"{where} reach {largest[i]:.4g} and float16 holds at most {LARGEST:.0f}; nothing was written. "
                    f"The run {self.origin.run} has most likely diverged: train it with a smaller learning rate."
                )
            raise ProdrecError(
                f"{where} are not finite (NaN or infinite); nothing was written. "
                f"The run {self.origin.run} has most likely diverged: train it with a smaller learning rate."
            )
        return array.astype(np.float16)

    def _finish(self) -> None:
        if not self.n:
            raise ProdrecError(f"no row was scored, so {self.out} was not written.")
        taxonomy = self.taxonomy
        counts = self.train_images
        ancestors = taxonomy.ancestors()
        for level, names, parents in zip(taxonomy.levels, taxonomy.names, taxonomy.parents, strict=True):
            at = taxonomy.levels.index(level)
            images = np.zeros(len(names), dtype=np.int64)
            np.add.at(images, ancestors[:, at], counts)
            group = self._file.create_group(f"classes/{key(level)}")
            _write_texts(group, "name", names)
            group["parent"] = parents.astype(np.int32)
            group["train_images"] = images
        for attribute in self.attributes:
            _write_texts(self._file.require_group("states"), key(attribute.name), attribute.states)
        origin = {
            "run": self.origin.run,
            "family": self.origin.family,
            "seed": self.origin.seed,
            "with_titles": self.origin.with_titles,
            "recipe": self.origin.recipe,
            "splits": list(self.origin.splits),
            "levels": list(taxonomy.levels),
            "attributes": [attribute.name for attribute in self.attributes],
        }
        content = Fingerprint().add("made_from", self.origin.made_from).add("origin", origin)
        content.add("taxonomy", taxonomy.as_json()).add("train_images", counts)
        content.add("states", [list(attribute.states) for attribute in self.attributes])
        for name in sorted(self._hashes):
            content.add(name, self._hashes[name].digest())
        self.fingerprint = content.hexdigest()
        head = header(
            "scores",
            fingerprint=self.fingerprint,
            made_from=self.origin.made_from,
            h5py=h5py.__version__,
            **self._libraries,
        )
        for name, value in {**head, **origin, "rows": self.n}.items():
            plain = isinstance(value, str | int | bool)
            self._file.attrs[name] = value if plain else json.dumps(value, ensure_ascii=False)


def keep_order(exact_BC: NDArray[Any], half_BC: NDArray[np.float16]) -> NDArray[np.float16]:
    """`half_BC` with the 10 largest scores of every row in the order that they had before rounding, above all others.

    Float16 has 11 bits: scores of 8 to 16 that are closer than 0.008 become equal, and the lower class index would win.
    Where rounding made two of the best equal, the smaller one is put one step of float16 lower.
    """
    best = min(ORDERED + 1, exact_BC.shape[1])
    which_BM = np.argpartition(-exact_BC, best - 1, axis=1)[:, :best].astype(np.int32)
    exact_BM, half_BM = np.take_along_axis(exact_BC, which_BM, axis=1), np.take_along_axis(half_BC, which_BM, axis=1)
    ordered_BM, ordered_which_BM = _best_first(exact_BM, half_BM, which_BM)
    moved = np.flatnonzero((np.take_along_axis(half_BC, ordered_which_BM, axis=1) != ordered_BM).any(axis=1))
    if len(moved):
        least_M1 = ordered_BM[moved, -1:]
        below = exact_BC[moved] < exact_BM[moved].min(axis=1, keepdims=True)
        rows = np.minimum(half_BC[moved], np.where(below, _step_down(least_M1), least_M1))
        np.put_along_axis(rows, ordered_which_BM[moved], ordered_BM[moved], axis=1)
        half_BC[moved] = rows
    return half_BC


def _best_first(
    exact_BK: NDArray[Any], half_BK: NDArray[np.float16], classes_BK: NDArray[np.int32]
) -> tuple[NDArray[np.float16], NDArray[np.int32]]:
    """Rounded scores and classes by falling exact score, then by rising class index; equal only where those were."""
    order = np.lexsort((classes_BK, -exact_BK), axis=-1)
    exact_BK, half_BK = np.take_along_axis(exact_BK, order, axis=1), np.take_along_axis(half_BK, order, axis=1)
    for k in range(1, half_BK.shape[1]):
        before_B, less_B = half_BK[:, k - 1], exact_BK[:, k] < exact_BK[:, k - 1]
        half_BK[:, k] = np.minimum(half_BK[:, k], np.where(less_B, _step_down(before_B), before_B))
    return half_BK, np.take_along_axis(classes_BK, order, axis=1)


def _step_down(values: NDArray[np.float16]) -> NDArray[np.float16]:
    """The next smaller finite float16."""
    with np.errstate(over="ignore"):
        lower: NDArray[np.float16] = np.nextafter(values, np.float16(-np.inf))
    return np.maximum(lower, np.float16(-LARGEST))


def _write_texts(group: Any, name: str, texts: tuple[str, ...]) -> None:
    group.create_dataset(name, data=fixed_utf8(texts), compression="gzip", shuffle=True)
