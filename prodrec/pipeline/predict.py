"""`prodrec predict`: recognise photo files or the rows of a table, a few or a hundred thousand."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base import console
from prodrec.core.base.engine_names import TORCH
from prodrec.core.base.errors import BadOption, BadPhoto
from prodrec.core.data.tables.columns import AUTO_GROUPS
from prodrec.core.data.tables.formats import has_table_ending
from prodrec.pipeline.predict_table import Cells, Item, table_items

if TYPE_CHECKING:
    from prodrec.inference.answers import Thresholds
    from prodrec.inference.recognise import Recogniser
    from prodrec.inference.results import Recognised

STANDARD_INPUT = "-"
MIN_FILES_FOR_WORKERS = 500
"""Up to this many photos, one process reads them sooner than worker processes start."""


@dataclass(frozen=True)
class Predicted:
    """The result for a photo file, a row of a table, or the photo files of one product.

    files:      the files that were read
    recognised: the result, or None if no photo could be used
    reasons:    why files or rows could not be used
    row:        the texts of the row of the table, or of the product's first one; empty without a table
    """

    files: tuple[Path, ...]
    recognised: Recognised | None
    reasons: dict[Path | str, str]
    row: Cells = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return plain values, as `prodrec predict --json` prints them in one line."""
        named: dict[str, Any] = {"row": self.row} if self.row else {}
        if len(self.files) == 1:
            named["photo"] = str(self.files[0])
        elif self.files:
            named["photos"] = [str(file) for file in self.files]
        rejected = {"rejected": {str(file): reason for file, reason in self.reasons.items()}} if self.reasons else {}
        return {**named, **({} if self.recognised is None else self.recognised.as_json()), **rejected}


def predict(
    run: str | Path,
    photos: Sequence[str | Path],
    *,
    min_confidence: float = 0.0,
    precision: float | None = None,
    pool: bool = False,
    images: str | Path | None = None,
    image: str | None = None,
    group_by: str = AUTO_GROUPS,
    top: int = 1,
    operating_point: str | None = None,
    no_neighbours: bool = False,
    views: str = "centre",
    by: str | None = None,
    products: int = 5,
    run_of_index: str | Path | None = None,
    batch_size: int = 64,
    device: str = "auto",
    engine: str = TORCH,
    workers: int | None = None,
) -> Iterator[Predicted]:
    """Recognise photo files or the rows of a table, and yield a result for each, in order, when its batch is done.

    A file that cannot be used is yielded with the reason. The answer for a photo is the class of the deepest level that
    is sure enough, see `min_confidence` and `precision`.

    Args:
        run: run directory, the name of a run in `runs/`, or an index, whose nearest products are in the results.
        photos: photo files of any format, and folders of them; `-` reads the names of files from standard input, one in
            a line. Or one table of any format that `prepare` reads, whose rows name photos.
        min_confidence: smallest probability of an answer. A photo whose class is less probable gets the class above it,
            or no answer.
        precision: share of the answers that shall be right. Their smallest probability, for every level, was chosen on
            validation photos.
        pool: the photos show one product: one result, from the mean of their scores. Of a table, one for each product.
        images: folder of the photos that a table names; None is the folder of the table.
        image: column of the table with the names of photos; None is a usual name, as in `prepare`.
        group_by: column of the table whose value is the same for the rows of one product; auto is as in `prepare`.
        top: number of best classes of every level, and of best states of every attribute.
        operating_point: as in `load`; None is natural.
        no_neighbours: do not let the nearest training photos vote.
        views: as in `load`.
        by: with an index: classes (the classifier of the run), products (the vote of the nearest products), or both,
            which is also None.
        products: with an index: number of nearest products of a photo.
        run_of_index: with an index: directory of its run, or its name in `runs/`; None is where the index names it.
        batch_size: photos per batch.
        device: auto, cpu, cuda or cuda:N.
        engine: torch, onnx, openvino, or the directory of an export, as in `load`.
        workers: processes that read photos; None chooses by the number of files and cores.

    Raises:
        NotFound: if the run, or a photo, table or folder that is named, does not exist.
        BadTable: if the table cannot be read, or a column is missing.
        BadPhoto: if a folder has no photo, or no photo can be used.
        BadArtefact: if the run is unfinished or damaged.
        BadOption: for values out of range, a precision for a run without thresholds, or an engine that is unknown or
            not installed.
        Mismatch: if an export is that of another run.
    """
    from prodrec.inference.photo_inputs import photo_files
    from prodrec.pipeline.load_index import load_run_or_index

    if top < 1 or batch_size < 1:
        raise BadOption(f"top={top} and batch_size={batch_size} must be at least 1.")
    table = _table(photos)
    if table is None and (images is not None or image is not None or group_by != AUTO_GROUPS):
        raise BadOption("--images, --image and --group-by are about a table; name one instead of photos, or omit them.")
    if table is not None:
        folder = None if images is None else Path(images)
        items = table_items(table, images=folder, image=image, group_by=group_by, pool=pool)
    else:
        files = photo_files(_named_files(photos))
        items = [Item(files)] if pool else [Item([file]) for file in files]
    recogniser = load_run_or_index(
        Path(run),
        operating_point=operating_point,
        no_neighbours=no_neighbours,
        by=by,
        products=products,
        run_of_index=run_of_index,
        views=views,
        device=device,
        engine=engine,
    )
    thresholds = recogniser.thresholds(min_confidence, precision)
    yield from _recognise_items(
        recogniser, items, thresholds, pool=pool, top=top, batch_size=batch_size, workers=workers
    )


def _recognise_items(
    recogniser: Recogniser,
    items: Sequence[Item],
    thresholds: Thresholds,
    *,
    pool: bool,
    top: int,
    batch_size: int,
    workers: int | None,
) -> Iterator[Predicted]:
    """Yield a result for each item: in batches of items, or with `pool` from the mean scores of the item's photos."""
    from prodrec.core.base.workers import choose_processes
    from prodrec.inference.read_views import read_views, usable_views

    files = [file for item in items for file in item.files]
    batches = read_views(
        files,
        photos=recogniser.photos,
        views=recogniser.views,
        stored_side=recogniser.run.stored_side,
        batch_size=batch_size,
        workers=choose_processes(workers, many=len(files) >= MIN_FILES_FOR_WORKERS),
    )
    reads = itertools.chain.from_iterable(batches)
    remaining, good = iter(items), 0
    first_reason = next((f"{where}: {reason}" for item in items for where, reason in item.reasons.items()), "")
    with console.progress("recognising photos", total=len(files), unit="photos", minimum=2) as advance:
        while chunk := list(itertools.islice(remaining, 1 if pool else batch_size)):
            batches_of = [
                usable_views(itertools.islice(reads, len(item.files)), item.reasons, batch_size=batch_size)
                for item in chunk
            ]
            if pool:
                recognised = [recogniser.recognise_product(batches_of[0], thresholds, top=top)]
            else:
                photos = [list(itertools.chain.from_iterable(batches)) for batches in batches_of]  # one or none each
                together = list(itertools.chain.from_iterable(photos))
                results = iter(recogniser.recognise_views(together, thresholds, top=top) if together else ())
                recognised = [next(results) if of_item else None for of_item in photos]
            for item, result in zip(chunk, recognised, strict=True):
                good += result is not None
                first_reason = first_reason or next((f"{file}: {why}" for file, why in item.reasons.items()), "")
                yield Predicted(tuple(item.files), result, item.reasons, item.cells() if item.cells else {})
                advance(len(item.files))
    if not good:
        raise BadPhoto(f"none of {len(files):,} photos can be used; {first_reason}")


def _table(photos: Sequence[str | Path]) -> Path | None:
    """Return the table that is named in place of photos. Raise BadOption for a table beside photos or other tables."""
    tables = [Path(photo) for photo in photos if has_table_ending(Path(photo)) and not Path(photo).is_dir()]
    if tables and len(photos) > 1:
        raise BadOption(f"{tables[0]} is a table; name it alone, and photos or other tables in calls of their own.")
    return tables[0] if tables else None


def _named_files(photos: Sequence[str | Path]) -> list[Path]:
    """Return the paths, with the lines of standard input in place of `-`. Raise BadOption if there are none."""
    paths: list[Path] = []
    for photo in photos:
        if str(photo) == STANDARD_INPUT:
            paths += [Path(line.rstrip("\r\n")) for line in sys.stdin if line.strip()]
        else:
            paths.append(Path(photo))
    if not paths:
        raise BadOption(
            "there is no photo to recognise; name photo files or folders, or write names to standard input."
        )
    return paths
