"""Writes scores.h5 batch by batch at constant memory; the file appears under its name only when it is complete.

Shapes: B rows of a batch; L levels, A attributes, D features, C classes of a level, K best classes kept.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from prodrec.core.base.artefact import SPLITS, Fingerprint, header, new_file
from prodrec.core.base.errors import ProdrecError
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.base.texts import Texts
from prodrec.core.scores.rounding import Where, best_first, keep_order, to_half
from prodrec.core.scores.schema import HDF5_VERSION, Origin, fixed_utf8, key, rows_per_chunk

Columns = dict[str, NDArray[Any]]
ROWS_BETWEEN_FLUSHES = 8192
ID_BYTES = 64
"""Wider columns of ids are compressed: one id of two kilobytes makes all others as wide, mostly with zeros."""


class ScoresWriter:
    """A scores file in the making.

        with ScoresWriter(out, origin=…, taxonomy=…, train_images=…, id_bytes=20) as writer:
            for batch in batches:
                writer.append(ids=…, rows_B=…, split_B=…, labels_BL=…, features_BD=…, scores={"leaf": …})

    train_images: images in the training split of every leaf; id_bytes: UTF-8 bytes of the longest id; rows: how many
    there will be, so that a disk too small for them is told at once.
    Raises OutputExists where `out` is taken and `force` is not given, ProdrecError for scores that float16 cannot hold
    or that the disk cannot.
    """

    def __init__(
        self,
        out: Path,
        *,
        origin: Origin,
        taxonomy: Taxonomy,
        train_images: ArrayLike,
        id_bytes: int,
        rows: int | None = None,
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
        self._rows = rows
        self._libraries = dict(libraries or {})
        self._force = force
        self._last_row = -1
        self._hashes: dict[str, Any] = {}
        self._datasets: dict[str, Any] = {}
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

    def append(self, **rows: Any) -> None:
        """Encode the next rows, given as `encode` wants them, and take them."""
        self.take(self.encode(**rows))

    def encode(
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
        attribute_scores: Mapping[str, ArrayLike] | None = None,
    ) -> Columns:
        """Some rows as the file holds them, by column. Needs no open file: one process encodes what another takes.

        scores: by level, B×C; or, with `classes` (B×K class indices by level), the B×K best; any levels, even none.
        attribute_scores: by attribute, B×m for its m states; none where the run scores no attribute.
        """
        rows = np.asarray(rows_B, dtype=np.int64)
        split = np.asarray(split_B, dtype=np.uint8)
        assert set(np.unique(split)) <= {SPLITS.index(name) for name in self.origin.splits}
        columns: Columns = {"row": rows, "split": split}
        columns["id"] = fixed_utf8(list(ids), length=self._id_bytes)
        labels = np.asarray(labels_BL, dtype=np.int32)
        for level, column in zip(self.taxonomy.levels, labels.T, strict=True):
            assert ((column >= 0) & (column < self.taxonomy.count(level))).all(), f"a label of {level} is no class"
            columns[f"labels/{key(level)}"] = column
        if self.attributes:
            states = np.asarray(attributes_BA, dtype=np.int32)
            for attribute, column in zip(self.attributes, states.T, strict=True):
                columns[f"attributes/{key(attribute.name)}"] = column
        where = Where(self.origin.run, ids, rows)
        columns["features"] = to_half(np.asarray(features_BD), "features", where)
        for level, values in scores.items():
            exact = np.asarray(values)
            half = to_half(exact, f"scores of level {level}", where)
            if classes is None:
                assert half.shape[1] == self.taxonomy.count(level)
                columns[f"scores/{key(level)}"] = keep_order(exact, half)
            else:
                best, which = best_first(exact, half, np.asarray(classes[level], dtype=np.int32))
                columns[f"top_k/{key(level)}/scores"] = best
                columns[f"top_k/{key(level)}/classes"] = which
        states_of = {attribute.name: len(attribute.states) for attribute in self.attributes}
        for name, values in (attribute_scores or {}).items():
            exact = np.asarray(values)
            assert exact.shape == (len(rows), states_of[name]), f"scores of {name}"
            half = to_half(exact, f"scores of attribute {name}", where)
            columns[f"attribute_scores/{key(name)}"] = keep_order(exact, half)
        assert scores or attribute_scores, "at least one level or attribute is scored"
        return columns

    def take(self, columns: Columns) -> None:
        """Add encoded rows; `row` ascends within and across calls."""
        rows = columns["row"]
        assert len(rows) and rows[0] > self._last_row and (np.diff(rows) > 0).all(), "rows must ascend"
        self._last_row = int(rows[-1])
        if not self._datasets:
            self._check_room(columns)
            self._datasets = {name: self._new_dataset(name, column) for name, column in columns.items()}
        assert columns.keys() == self._datasets.keys(), "every batch has the same columns"
        self._write(columns, len(rows))

    def _new_dataset(self, name: str, column: NDArray[Any]) -> Any:
        wide = name.startswith(("scores/", "top_k/", "attribute_scores/", "features"))
        shape, how = column.shape[1:], {}
        chunk = rows_per_chunk(column[:1].nbytes) if wide else 16384
        if name == "id" and self._id_bytes > ID_BYTES:
            chunk, how = max(1, 2**19 // self._id_bytes), {"compression": "gzip", "shuffle": True}
        self._hashes[name] = hashlib.blake2b(digest_size=16)
        return self._file.create_dataset(
            name, shape=(0, *shape), maxshape=(None, *shape), chunks=(chunk, *shape), dtype=column.dtype, **how
        )

    def _check_room(self, columns: Columns) -> None:
        """Before hours of work: whether the disk can take all rows, where their number is known."""
        of_row = {name: column[:1].nbytes for name, column in columns.items()}
        of_row["id"] = min(of_row["id"], ID_BYTES)
        needed = (self._rows or 0) * sum(of_row.values())
        free = shutil.disk_usage(self.out.parent).free
        if needed > free:
            raise ProdrecError(
                f"{self.out} would take {needed / 2**30:.1f} GiB and its disk has {free / 2**30:.1f} GiB free; "
                "free some, give another place, or keep the best scores only with --top-k."
            )

    def _write(self, columns: Columns, count: int) -> None:
        """Hand the rows to HDF5; to the disk now and then, so that a full one is found while it happens."""
        before, self.n = self.n, self.n + count
        try:
            for name, column in columns.items():
                self._datasets[name].resize(self.n, axis=0)
                self._datasets[name][before:] = column
                self._hashes[name].update(np.ascontiguousarray(column).data)
            if before // ROWS_BETWEEN_FLUSHES != self.n // ROWS_BETWEEN_FLUSHES:
                self._file.flush()
        except OSError as error:
            detail = " ".join(str(error).split())
            raise ProdrecError(f"{self.out} could not be written after {before:,} rows ({detail}).") from error

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
            names.write_hdf5(group, "name")
            group["parent"] = parents.astype(np.int32)
            group["train_images"] = images
        for attribute in self.attributes:
            Texts.of(attribute.states).write_hdf5(self._file.require_group("states"), key(attribute.name))
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
        taxonomy.add_to(content)
        content.add("train_images", counts)
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
