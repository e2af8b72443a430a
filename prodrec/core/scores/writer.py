"""Write scores.h5 batch by batch, with constant memory. The file appears under its name when it is complete.

Shapes: B rows of a batch; L levels, A attributes, D features, C classes of a level, K largest scores, m states.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from prodrec.core.base.artefact import SPLITS, Fingerprint, make_header
from prodrec.core.base.engine_names import TORCH
from prodrec.core.base.errors import ProdrecError
from prodrec.core.base.hdf5 import LIBVER, object_name, write_attributes, write_level
from prodrec.core.base.outputs import new_file
from prodrec.core.base.scoring_views import CENTRE
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.base.texts import Texts
from prodrec.core.scores.rounding import BatchRows, restore_order, sort_descending, to_float16
from prodrec.core.scores.schema import (
    PRODUCT_DATASETS,
    Origin,
    fixed_length_utf8,
    rows_per_chunk,
    score_datasets,
    wrong_labels,
)

EncodedBatch = dict[str, NDArray[Any]]
"""Rows as the file contains them: an array for each dataset of the schema, by its name."""

ROWS_BETWEEN_FLUSHES = 8192
"""Rows after which HDF5 writes to the disk. A full disk is then detected at the rows that do not fit."""

NARROW_CHUNK_ROWS = 16384
"""Rows of a chunk of the datasets with one value per row."""

MAX_PLAIN_ID_BYTES = 64
"""Wider ids are compressed: one id of two kilobytes makes the column as wide, and the other ids are mostly zeros."""

COMPRESSED_CHUNK_BYTES = 2**19
"""Bytes of a chunk of compressed ids, before compression."""


class ScoresWriter:
    """Writer of a scores file, used as a context manager.

        with ScoresWriter(out, origin=…, taxonomy=…, train_images=…, id_bytes=20) as writer:
            for batch in batches:
                writer.append(ids=…, rows_B=…, split_B=…, labels_BL=…, features_BD=…, scores={"leaf": …})

    train_images: number of images of every leaf in the training split
    id_bytes:     length of the longest id in bytes of UTF-8
    rows:         number of rows that will be written, if known, to check that the disk has enough space
    libraries:    versions of libraries, for the header
    force:        replace an existing file

    After the block, `n` is the number of rows that were written, and `fingerprint` that of the file.

    Raise OutputExists if `out` exists and `force` is not set; ProdrecError for scores that float16 cannot represent,
    if the disk is full, and if no row was appended.
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
        self._expected_rows = rows
        self._libraries = dict(libraries or {})
        self._force = force
        self._last_row = -1
        self._hashes: dict[str, Any] = {}
        self._datasets: dict[str, Any] = {}
        self._stack = ExitStack()

    def __enter__(self) -> ScoresWriter:
        partial = self._stack.enter_context(new_file(self.out, kind="scores", force=self._force))
        try:
            self._file = self._stack.enter_context(h5py.File(partial, "w", libver=LIBVER, locking=False))
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
        """Append rows, with the arguments of `encode`."""
        self.append_encoded(self.encode(**rows))

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
        products_B: tuple[ArrayLike, ArrayLike] | None = None,
        attributes_BA: ArrayLike | None = None,
        attribute_scores: Mapping[str, ArrayLike] | None = None,
    ) -> EncodedBatch:
        """Convert rows to the types of the file. The writer need not be open: one rank can encode for another.

        rows_B:           rows of the dataset, ascending
        split_B:          index in artefact.SPLITS
        labels_BL:        class at each level; -1 below the end of the row's category path
        scores:           by level [B, C], or the K largest [B, K] together with `classes`; levels may be omitted
        classes:          by level, the classes of the K largest scores [B, K]
        products_B:       first row of the product, and of the duplicate group; None if every row is a group of its own
        attributes_BA:    codes of the attributes
        attribute_scores: by attribute [B, m]; attributes may be omitted

        Raise ProdrecError, which names the row, for scores and features that float16 cannot represent.
        """
        rows = np.asarray(rows_B, dtype=np.int64)
        split = np.asarray(split_B, dtype=np.uint8)
        assert set(np.unique(split)) <= {SPLITS.index(name) for name in self.origin.splits}
        encoded: EncodedBatch = {"row": rows, "split": split}
        if products_B is not None:
            for name, first_B in zip(PRODUCT_DATASETS, products_B, strict=True):
                encoded[name] = np.asarray(first_B, dtype=np.int64)
                assert (encoded[name] >= 0).all() and (encoded[name] <= rows).all(), f"{name} is a row before the row"
        encoded["id"] = fixed_length_utf8(list(ids), self._id_bytes)
        labels = np.asarray(labels_BL, dtype=np.int32)
        is_wrong = wrong_labels(labels, [len(names) for names in self.taxonomy.names])
        assert not is_wrong.any(), f"labels {labels[is_wrong.any(axis=1)][0].tolist()} are no path of classes"
        for level, label_B in zip(self.taxonomy.levels, labels.T, strict=True):
            encoded[f"labels/{object_name(level)}"] = label_B
        if self.attributes:
            codes = np.asarray(attributes_BA, dtype=np.int32)
            for attribute, code_B in zip(self.attributes, codes.T, strict=True):
                encoded[f"attributes/{object_name(attribute.name)}"] = code_B
        batch = BatchRows(self.origin.run, ids, rows)
        encoded["features"] = to_float16(np.asarray(features_BD), "features", batch)
        for level, values in scores.items():
            exact = np.asarray(values)
            half = to_float16(exact, f"scores of level {level}", batch)
            names = score_datasets(level, is_top_k=classes is not None)
            if classes is None:
                assert half.shape[1] == self.taxonomy.count(level)
                encoded[names[0]] = restore_order(exact, half)
            else:
                class_BK = np.asarray(classes[level], dtype=np.int32)
                encoded[names[0]], encoded[names[1]] = sort_descending(exact, half, class_BK)
        state_counts = {attribute.name: len(attribute.states) for attribute in self.attributes}
        for name, values in (attribute_scores or {}).items():
            exact = np.asarray(values)
            assert exact.shape == (len(rows), state_counts[name]), f"scores of {name}"
            half = to_float16(exact, f"scores of attribute {name}", batch)
            encoded[f"attribute_scores/{object_name(name)}"] = restore_order(exact, half)
        assert scores or attribute_scores, "at least one level or attribute is scored"
        return encoded

    def append_encoded(self, batch: EncodedBatch) -> None:
        """Append rows that `encode` returned. Their `row` must ascend, also from one call to the next.

        Raise ProdrecError if the disk has too little space.
        """
        rows = batch["row"]
        assert len(rows) and rows[0] > self._last_row and (np.diff(rows) > 0).all(), "rows must ascend"
        self._last_row = int(rows[-1])
        if not self._datasets:
            self._check_disk_space(batch)
            self._datasets = {name: self._create_dataset(name, values) for name, values in batch.items()}
        assert batch.keys() == self._datasets.keys(), "every batch has the same columns"
        self._write(batch, len(rows))

    def _create_dataset(self, name: str, values: NDArray[Any]) -> Any:
        is_wide = name.startswith(("scores/", "top_k/", "attribute_scores/", "features"))
        row_shape, options = values.shape[1:], {}
        chunk_rows = rows_per_chunk(values[:1].nbytes) if is_wide else NARROW_CHUNK_ROWS
        if name == "id" and self._id_bytes > MAX_PLAIN_ID_BYTES:
            chunk_rows = max(1, COMPRESSED_CHUNK_BYTES // self._id_bytes)
            options = {"compression": "gzip", "shuffle": True}
        self._hashes[name] = hashlib.blake2b(digest_size=16)
        return self._file.create_dataset(
            name,
            shape=(0, *row_shape),
            maxshape=(None, *row_shape),
            chunks=(chunk_rows, *row_shape),
            dtype=values.dtype,
            **options,
        )

    def _check_disk_space(self, batch: EncodedBatch) -> None:
        """Raise ProdrecError if the disk has no space for the expected number of rows."""
        row_bytes = {name: values[:1].nbytes for name, values in batch.items()}
        row_bytes["id"] = min(row_bytes["id"], MAX_PLAIN_ID_BYTES)
        needed = (self._expected_rows or 0) * sum(row_bytes.values())
        free = shutil.disk_usage(self.out.parent).free
        if needed > free:
            raise ProdrecError(
                f"{self.out} would take {needed / 2**30:.1f} GiB and its disk has {free / 2**30:.1f} GiB free; "
                "free some, give another place, or keep the best scores only with --top-k."
            )

    def _write(self, batch: EncodedBatch, count: int) -> None:
        """Write the rows and add them to the fingerprint. Raise ProdrecError if the disk is full."""
        start, self.n = self.n, self.n + count
        try:
            for name, values in batch.items():
                self._datasets[name].resize(self.n, axis=0)
                self._datasets[name][start:] = values
                self._hashes[name].update(np.ascontiguousarray(values).data)
            if start // ROWS_BETWEEN_FLUSHES != self.n // ROWS_BETWEEN_FLUSHES:
                self._file.flush()
        except OSError as error:
            detail = " ".join(str(error).split())
            raise ProdrecError(f"{self.out} could not be written after {start:,} rows ({detail}).") from error

    def _finish(self) -> None:
        """Write the classes, the states and the root attributes. Raise ProdrecError if no row was appended."""
        if not self.n:
            raise ProdrecError(f"no row was scored, so {self.out} was not written.")
        for depth, level in enumerate(self.taxonomy.levels):
            images = np.zeros(self.taxonomy.count(level), dtype=np.int64)
            np.add.at(images, self.taxonomy.ancestors()[:, depth], self.train_images)
            write_level(self._file, self.taxonomy, level)["train_images"] = images
        for attribute in self.attributes:
            group = self._file.require_group("states")
            Texts.from_strings(attribute.states).write_hdf5(group, object_name(attribute.name))
        description = {
            "run": self.origin.run,
            "family": self.origin.family,
            "seed": self.origin.seed,
            "with_titles": self.origin.with_titles,
            "recipe": self.origin.recipe,
            **({"operating_point": self.origin.operating_point} if self.origin.operating_point else {}),
            **({} if self.origin.views == CENTRE else {"views": self.origin.views}),
            **({"tree_weight": self.origin.tree_weight} if self.origin.tree_weight else {}),
            **({} if self.origin.engine == TORCH else {"engine": self.origin.engine}),
            "splits": list(self.origin.splits),
            "levels": list(self.taxonomy.levels),
            "attributes": [attribute.name for attribute in self.attributes],
        }
        self.fingerprint = self._hash_content(description)
        header = make_header(
            "scores",
            fingerprint=self.fingerprint,
            made_from=self.origin.made_from,
            h5py=h5py.__version__,
            **self._libraries,
        )
        write_attributes(self._file, {**header, **description, "rows": self.n})

    def _hash_content(self, description: Mapping[str, Any]) -> str:
        content = Fingerprint().add("made_from", self.origin.made_from).add("origin", description)
        self.taxonomy.add_to(content)
        content.add("train_images", self.train_images)
        content.add("states", [list(attribute.states) for attribute in self.attributes])
        for name in sorted(self._hashes):
            content.add(name, self._hashes[name].digest())
        return content.hexdigest()
