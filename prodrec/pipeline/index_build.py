"""`prodrec index build`: make an index of the products of a dataset, and choose how they vote."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prodrec.core.base import console
from prodrec.core.base.errors import BadOption
from prodrec.core.base.outputs import new_directory, refuse_if_taken
from prodrec.index.writer import choose_search, fill, lock_existing
from prodrec.pipeline.index_points import choose_points, describe
from prodrec.pipeline.index_rows import photo_rows, see_all
from prodrec.pipeline.load import load
from prodrec.pipeline.scoring_targets import find_run

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from prodrec.core.data.dataset import Dataset
    from prodrec.core.training.run import Run
    from prodrec.index.header import IndexHeader
    from prodrec.index.photos import GivenProduct
    from prodrec.index.product_index import ProductIndex
    from prodrec.index.table import PhotoRows
    from prodrec.inference.recognise import Recogniser

DEFAULT_OUT = "index"
RECORDED_OPTIONS = ("columns", "encoding", "missing_values", "path_identity")
"""Options of `prepare` with which an update reads its tables too."""
ROWS_AT_ONCE = 8192
"""Photos of one commit while an index is filled. Many small commits are many small files."""


@dataclass(frozen=True)
class BuiltIndex:
    """A new index, and how long its photos took."""

    index: ProductIndex
    photos: int
    seconds: float

    def __str__(self) -> str:
        rate = f"{self.photos / max(self.seconds, 1e-9):,.0f} a second"
        lines = [f"{self.index.path}: {self.photos:,} photos, {rate}", *describe(self.index.header)]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return plain values, as `prodrec index build --json` prints them."""
        header = self.index.header
        return {
            "index": str(self.index.path),
            "photos": self.photos,
            "seconds": round(self.seconds, 2),
            "version": self.index.version,
            "points": {by: dict(points) for by, points in header.points.items()},
            "validation": [dict(row) for row in header.validation],
            "validation_photos": header.validation_photos,
            "search": str(header.search),
        }


def build_index(
    run: str | Path,
    dataset: str | Path = "dataset",
    *,
    out: str | Path = DEFAULT_OUT,
    splits: str = "all",
    search: str = "auto",
    other_dataset: bool = False,
    batch_size: int | None = None,
    device: str = "auto",
    workers: int | None = None,
    force: bool = False,
) -> BuiltIndex:
    """Make an index of the products of a dataset: vectors of their photos, thumbnails, titles, tags and categories.

    Afterwards, the weight of the vote of the nearest products is chosen on the validation photos of the dataset, whose
    own product never votes for them.

    Args:
        run: run directory, or the name of a run in `runs/`. It makes the vectors.
        dataset: directory that `prepare` wrote.
        out: directory to write.
        splits: names of splits whose products are indexed, joined by commas, or all.
        search: exact, approximate (in lists whose recall is measured), or auto, which is approximate above a million
            photos.
        other_dataset: allow another dataset than that of training.
        batch_size: photos per batch while the weight is chosen; None is that of training.
        device: auto, cpu, cuda or cuda:N.
        workers: processes that read photos; None chooses by the number of photos and cores.
        force: replace an existing index.

    Raises:
        NotFound: if the run or the dataset does not exist.
        BadArtefact: if one of them is damaged, or the run is unfinished.
        BadOption: for an unknown split or search, for a dataset without photos, and for a run that predicts no level.
        Mismatch: if the run was trained on another dataset.
        OutputExists: if `out` exists and `force` is not set.
        RunLocked: if another process updates the index `out`.
    """
    from prodrec.core.base.device import choose_device
    from prodrec.core.data.dataset import open_dataset
    from prodrec.core.training.run import open_run
    from prodrec.index.lists import check_search
    from prodrec.inference.scoring_checks import check_run_fits_dataset, choose_splits
    from prodrec.pipeline.index_voters import load_voters
    from prodrec.pipeline.neighbours import rows_to_choose_on
    from prodrec.pipeline.scoring_network import ScoringNetwork

    out = Path(out)
    check_search(search)
    refuse_if_taken(out, kind="index", force=force)
    opened, data = open_run(find_run(Path(run))), open_dataset(Path(dataset))
    check_run_fits_dataset(opened, data, other_dataset=other_dataset, other_classes=True)
    if data.photos is None:
        raise BadOption(
            f"{data.path} has no photos, and an index finds products by their photos; prepare it with them."
        )
    chosen_splits = choose_splits(data, splits)
    recogniser = load(opened.path, no_neighbours=True, device=device)
    loaded = ScoringNetwork.load(opened, data, device=choose_device(device), batch_size=batch_size, workers=workers)
    if loaded.level is None:
        raise BadOption(f"{opened.path} predicts attributes alone, and products vote for categories; train heads=leaf.")
    header = _header(opened, data, out, loaded.level, chosen_splits)
    start = time.monotonic()
    with lock_existing(out), new_directory(out, kind="index", force=force) as directory:
        rows = np.flatnonzero(np.isin(data.split_N, _codes(chosen_splits))).astype(np.int64)
        header, chunks = _first_chunk(header, _chunks(recogniser, data, rows, header, workers))
        index = fill(directory, header, chunks)
        seconds = time.monotonic() - start
        queries = rows_to_choose_on(data, loaded.level)
        voters = load_voters(index, opened.taxonomy, data, queries, loaded.device)
        header = choose_points(loaded, data, loaded.level, voters).add_to(header)
        header.write_json(directory)
        index = choose_search(replace(index, header=header), search)
    return BuiltIndex(replace(index, path=out), len(index), seconds)


def _codes(splits: Sequence[str]) -> list[int]:
    from prodrec.core.base.artefact import SPLITS

    return [SPLITS.index(name) for name in splits]


def _header(run: Run, data: Dataset, out: Path, level: str, splits: Sequence[str]) -> IndexHeader:
    """Return the header of a new index; its width is not known yet for a run without neighbours."""
    from prodrec.index.header import IndexHeader
    from prodrec.inference.neighbours.training_features import NEIGHBOURS_FILE, read_training_features

    projection, width = None, 0
    if (run.path / NEIGHBOURS_FILE).is_file():
        fitted = read_training_features(run.path / NEIGHBOURS_FILE, run_fingerprint=run.fingerprint).projection
        projection = fitted.mean_D.numpy(), fitted.matrix_Dd.numpy()
        width = projection[1].shape[1]
    return IndexHeader(
        run_name=run.name,
        run_path=os.path.relpath(run.path.resolve(), out.resolve()),
        run_fingerprint=run.fingerprint,
        dataset_fingerprint=data.fingerprint,
        level=level,
        width=width,
        splits=tuple(splits),
        options=_recorded_options(data),
        tokenizer=(run.vocabulary.tokenizer, run.vocabulary.tokenizer_version),
        projection=projection,
    )


def _recorded_options(data: Dataset) -> dict[str, Any]:
    """Return the options with which tables are read; attributes that the dataset omits are not read either."""
    options = {name: data.header["options"][name] for name in RECORDED_OPTIONS if name in data.header["options"]}
    if "columns" in options:
        options["columns"] = {**options["columns"], "attributes": [attribute.name for attribute in data.attributes]}
    return options


def _chunks(
    recogniser: Recogniser, data: Dataset, rows: NDArray[np.int64], header: IndexHeader, workers: int | None
) -> Iterator[PhotoRows]:
    """Yield the rows of the index, about ROWS_AT_ONCE at a time."""
    from prodrec.index.vectors import to_vectors
    from prodrec.pipeline.index_rows import joined

    parts: list[PhotoRows] = []
    with console.progress("indexing photos", total=len(rows), unit="photos") as advance:
        for seen in see_all(products_of(data, rows), recogniser, known={}, photos=len(rows), workers=workers):
            part = photo_rows(seen, recogniser, lambda features_BD: to_vectors(features_BD, header.projection))
            advance(sum(len(product.given.photos) for product in seen))
            for product in seen:
                for row, reason, detail in product.problems:
                    console.warn(f"{data.path}, photo of row {row}: {reason}, {detail}; prepare the dataset again.")
            parts += [] if part is None else [part]
            if sum(map(len, parts)) >= ROWS_AT_ONCE:
                yield joined(parts)  # type: ignore[misc]  # not None with parts
                parts = []
    if parts:
        yield joined(parts)  # type: ignore[misc]


def _first_chunk(header: IndexHeader, chunks: Iterator[PhotoRows]) -> tuple[IndexHeader, Iterator[PhotoRows]]:
    """Return the header with the width of the vectors, and all chunks. Raise BadOption if there is none."""
    from itertools import chain

    first = next(chunks, None)
    if first is None:
        raise BadOption("no photo of the dataset can be read; prepare it again.")
    return replace(header, width=first.vector_Rd.shape[1]), chain([first], chunks)


def products_of(data: Dataset, rows: NDArray[np.int64]) -> Iterator[GivenProduct]:
    """Yield the products of rows of a dataset, in order of their first rows."""
    from prodrec.index.photos import GivenProduct

    assert data.photos is not None
    columns = [f"attribute_{attribute.name}" for attribute in data.attributes]
    frame = data.products().select("row", "id", "title", *columns).sort("row")[rows]
    for (sku,), group in frame.group_by("id", maintain_order=True):
        first, of_product = group.row(0, named=True), group["row"].to_list()
        states = ((attribute.name, first[f"attribute_{attribute.name}"]) for attribute in data.attributes)
        yield GivenProduct(
            sku=str(sku),
            title=first["title"] or "",
            path=data.taxonomy.known_path(data.labels_NL[of_product[0]].tolist()),
            attributes=tuple((name, state) for name, state in states if state is not None),
            photos=tuple(data.photos.location(row) for row in of_product),
            rows=tuple(of_product),
        )
