"""Read scores.h5 in chunks of rows: the memory does not grow with the number of rows.

Shapes: R rows of a chunk; L levels, A attributes, D features, C classes of a level, K largest scores.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.artefact import SPLITS
from prodrec.core.base.engine_names import TORCH
from prodrec.core.base.errors import BadArtefact, BadOption, NotFound
from prodrec.core.base.hdf5 import check_sizes, damage_as_bad_artefact, object_name, read_attributes, read_taxonomy
from prodrec.core.base.scoring_views import CENTRE
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.base.texts import Texts
from prodrec.core.scores.checks import check_chunk, check_shapes
from prodrec.core.scores.chunk import ScoreChunk
from prodrec.core.scores.schema import PRODUCT_DATASETS, Origin, score_datasets
from prodrec.core.scores.scores_file import ScoresFile

REMEDY = "score the run again"
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_CHUNK_ROWS = 4096
MAX_CHUNK_BYTES = 8 * 2**20
"""By default, a chunk has 4,096 rows, or fewer if their scores would take more than 8 MiB on disk."""

ROWS_COUNTED_AT_ONCE = 2**20
"""Rows whose split is read at a time, one byte per row."""

JSON_ATTRIBUTES = ("made_from", "made_by", "recipe", "splits", "levels", "attributes", "seed")
"""The root attributes that are written as JSON. `seed` is a number, or JSON if it is None."""


class Scores:
    """An open scores file, as `open_scores` returns it. `chunks` reads its rows; all other content is in memory.

    header:            all root attributes
    origin:            what the scores were computed from
    n:                 number of rows
    levels:            all levels of the taxonomy, shallowest first
    scored_levels:     the levels that have scores
    scored_attributes: the attributes that have scores
    top_k:             number of scores per row in a top-k file, where levels with fewer classes have fewer; None for a
                       file with the scores of all classes
    has_products:      whether the file contains several photos of a product, or duplicates
    train_images:      images of every leaf in the training split: int64 [C]
    """

    def __init__(self, path: Path, file: Any) -> None:
        self.path = path
        self._file = file
        self.header = read_attributes(file, kind="scores", path=path, json_names=JSON_ATTRIBUTES, schema=ScoresFile)
        self.fingerprint: str = self.header["fingerprint"]
        self.n = int(self.header["rows"])
        self.levels: tuple[str, ...] = tuple(self.header["levels"])
        self.origin = Origin(
            run=self.header["run"],
            family=self.header["family"],
            made_from=self.header["made_from"],
            splits=tuple(SPLITS[SPLITS.index(name)] for name in self.header["splits"]),
            seed=self.header["seed"],
            recipe=self.header["recipe"],
            with_titles=bool(self.header["with_titles"]),
            operating_point=dict(json.loads(self.header.get("operating_point", "{}"))),
            views=self.header.get("views", CENTRE),
            tree_weight=float(self.header.get("tree_weight", 0)),
            engine=self.header.get("engine", TORCH),
        )
        self.has_products = PRODUCT_DATASETS[0] in file
        has_top_k = "top_k" in file
        scored_levels = file.get("top_k" if has_top_k else "scores", ())
        self.scored_levels = tuple(level for level in self.levels if object_name(level) in scored_levels)
        scored_attributes = file.get("attribute_scores", ())
        self.scored_attributes: tuple[str, ...] = tuple(
            name for name in self.header["attributes"] if object_name(name) in scored_attributes
        )
        self.top_k: int | None = (
            max(file[f"top_k/{object_name(level)}/scores"].shape[1] for level in self.scored_levels)
            if has_top_k and self.scored_levels
            else None
        )
        self.taxonomy = self._read_taxonomy()
        self.attributes = tuple(
            Attribute(name, tuple(Texts.read_hdf5(file, f"states/{object_name(name)}")))
            for name in self.header["attributes"]
        )
        self.train_images: NDArray[np.int64] = file[f"classes/{object_name(self.levels[-1])}/train_images"][:]
        check_shapes(self, file)

    def __enter__(self) -> Scores:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that were scored."""
        return self.origin.splits

    @property
    def is_top_k(self) -> bool:
        """Whether the file has the largest scores of every row only."""
        return self.top_k is not None

    def count(self, split: str | None = None) -> int:
        """Return the number of rows of a split, or of all. Raise BadOption if the split was not scored."""
        if split is None:
            return self.n
        code, column = self._split_code(split), self._file["split"]
        starts = range(0, self.n, ROWS_COUNTED_AT_ONCE)
        return sum(int((column[start : start + ROWS_COUNTED_AT_ONCE] == code).sum()) for start in starts)

    def chunks(
        self,
        split: str | None = None,
        *,
        rows: int | None = None,
        levels: tuple[str, ...] | None = None,
        attributes: bool = False,
        features: bool = False,
        attribute_scores: bool = False,
        selected: NDArray[np.bool_] | None = None,
    ) -> Iterator[ScoreChunk]:
        """Yield the rows of a split in chunks.

        split:            None is all rows
        rows:             largest number of rows in a chunk; None is MAX_CHUNK_ROWS, or fewer if their scores would take
                          more than MAX_CHUNK_BYTES
        levels:           levels whose scores are read; None is all scored levels
        attributes:       read the codes of the attributes too
        features:         read the features too
        attribute_scores: read the scores of all scored attributes too
        selected:         whether each row of the file is read, [n]; None is all rows. Chunks without a selected row are
                          not read

        Raise BadOption if the split was not scored, BadArtefact if the file is damaged or a value violates the schema.
        """
        chunk_levels = self.scored_levels if levels is None else levels
        code = None if split is None else self._split_code(split)
        chunk_attributes = self.scored_attributes if attribute_scores else ()
        stored = [self._file[name] for level in chunk_levels for name in score_datasets(level, is_top_k=self.is_top_k)]
        stored += [self._file[f"attribute_scores/{object_name(name)}"] for name in chunk_attributes]
        row_bytes = sum(dataset.shape[1] * dataset.dtype.itemsize for dataset in stored)
        step = rows or max(1, min(MAX_CHUNK_ROWS, MAX_CHUNK_BYTES // max(1, row_bytes)))
        previous_row = -1
        for start in range(0, self.n, step):
            with damage_as_bad_artefact(self.path, remedy=REMEDY):
                part = slice(start, min(start + step, self.n))
                if selected is not None and not selected[part].any():
                    continue
                split_R = self._file["split"][part]
                in_split = slice(None) if code is None else np.flatnonzero(split_R == code)
                if selected is not None:
                    in_split = np.flatnonzero(selected[part] & (True if code is None else split_R == code))
                if not isinstance(in_split, slice) and not len(in_split):
                    continue
                chunk = self._read(
                    part,
                    in_split,
                    split_R[in_split],
                    chunk_levels,
                    chunk_attributes,
                    attributes=attributes,
                    features=features,
                )
            check_chunk(
                chunk,
                previous_row,
                splits=self.splits,
                taxonomy=self.taxonomy,
                attributes=self.attributes,
                path=self.path,
            )
            previous_row = int(chunk.rows_R[-1])
            yield chunk

    def _read(
        self,
        part: slice,
        in_split: Any,
        split_R: NDArray[np.uint8],
        levels: tuple[str, ...],
        scored_attributes: tuple[str, ...],
        *,
        attributes: bool,
        features: bool,
    ) -> ScoreChunk:
        """Read the rows `file[part][in_split]`, whose splits are `split_R`.

        levels, scored_attributes: those whose scores are read
        attributes, features:      as in `chunks`
        """

        def read(name: str) -> Any:
            return self._file[name][part][in_split]

        labels = [read(f"labels/{object_name(level)}") for level in self.levels]
        with_codes = self.attributes if attributes else ()
        codes = [read(f"attributes/{object_name(attribute.name)}") for attribute in with_codes]
        rows_R = read("row")
        product_R, group_R = (read(name) if self.has_products else rows_R for name in PRODUCT_DATASETS)
        scores, classes = {}, {}
        for level in levels:
            datasets = score_datasets(level, is_top_k=self.is_top_k)
            scores[level] = read(datasets[0]).astype(np.float32)
            if self.is_top_k:
                classes[level] = read(datasets[1])
        return ScoreChunk(
            rows_R=rows_R,
            ids_R=read("id"),
            split_R=split_R,
            product_R=product_R,
            group_R=group_R,
            labels_RL=np.stack(labels, axis=1),
            scores=scores,
            classes=classes if self.is_top_k else None,
            attributes_RA=np.stack(codes, axis=1) if codes else None,
            features_RD=read("features") if features else None,
            attribute_scores={
                name: read(f"attribute_scores/{object_name(name)}").astype(np.float32) for name in scored_attributes
            },
        )

    def _split_code(self, split: str) -> int:
        if split not in self.splits:
            raise BadOption(
                f"{self.path} has no rows of split {split!r} (it has {', '.join(self.splits)}); "
                "score the run again with --split, or choose another split."
            )
        return SPLITS.index(split)

    def _read_taxonomy(self) -> Taxonomy:
        try:
            return read_taxonomy(self._file, self.levels)
        except ValueError as error:
            raise BadArtefact(f"{self.path}: {error}; score the run again.") from error


def open_scores(path: Path) -> Scores:
    """Open a scores file for reading. Use it in a `with` statement, or close it after use.

    Raise NotFound if the file does not exist, BadArtefact if it is damaged, of another kind or of another version.
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
    with damage_as_bad_artefact(path, remedy=REMEDY):
        file = h5py.File(path, "r", locking=False)
        try:
            check_sizes(file)
            return Scores(path, file)
        except BaseException:
            file.close()
            raise
