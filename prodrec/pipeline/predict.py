"""`prodrec predict`: recognise photo files, a few or a hundred thousand, and write the answers."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base import console
from prodrec.core.base.engine_names import TORCH
from prodrec.core.base.errors import BadOption, BadPhoto

if TYPE_CHECKING:
    from prodrec.inference.recognise import Recogniser
    from prodrec.inference.results import Recognised

STANDARD_INPUT = "-"
MIN_FILES_FOR_WORKERS = 500
"""Up to this many photos, one process reads them sooner than worker processes start."""


@dataclass(frozen=True)
class Predicted:
    """The result for a photo file, or for the photo files of one product.

    files:      the files
    recognised: the result, or None if no photo could be used
    reasons:    why files could not be used, by file
    """

    files: tuple[Path, ...]
    recognised: Recognised | None
    reasons: dict[Path, str]

    def as_json(self) -> dict[str, Any]:
        """Return plain values, as `prodrec predict --json` prints them in one line."""
        named: dict[str, Any] = {"photo": str(self.files[0])}
        if len(self.files) > 1:
            named = {"photos": [str(file) for file in self.files]}
        rejected = {"rejected": {str(file): reason for file, reason in self.reasons.items()}} if self.reasons else {}
        return {**named, **({} if self.recognised is None else self.recognised.as_json()), **rejected}


def predict(
    run: str | Path,
    photos: Sequence[str | Path],
    *,
    min_confidence: float = 0.0,
    precision: float | None = None,
    pool: bool = False,
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
    """Recognise photo files, and yield a result for each, in order, as soon as its batch is done.

    A file that cannot be used is yielded with the reason. The answer for a photo is the class of the deepest level that
    is sure enough, see `min_confidence` and `precision`.

    Args:
        run: run directory, the name of a run in `runs/`, or an index, whose nearest products are in the results.
        photos: photo files of any format, and folders of them; `-` reads the names of files from standard input, one in
            a line.
        min_confidence: smallest probability of an answer. A photo whose class is less probable gets the class above it,
            or no answer.
        precision: share of the answers that shall be right. Their smallest probability, for every level, was chosen on
            validation photos.
        pool: the photos show one product: one result, from the mean of their scores.
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
        NotFound: if the run, or a photo that is named, does not exist.
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
    files = photo_files(_named_files(photos))
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
    if pool:
        yield _pooled(recogniser, files, min_confidence=min_confidence, precision=precision, top=top)
        return
    from prodrec.core.base.workers import choose_processes
    from prodrec.inference.read_views import read_views

    batches = read_views(
        files,
        photos=recogniser.photos,
        views=recogniser.views,
        stored_side=recogniser.run.stored_side,
        batch_size=batch_size,
        workers=choose_processes(workers, many=len(files) >= MIN_FILES_FOR_WORKERS),
    )
    good, first_reason = 0, ""
    with console.progress("recognising photos", total=len(files), unit="photos", minimum=2) as advance:
        for batch in batches:
            usable = [read for _, read in batch if not isinstance(read, str)]
            results = iter(recogniser.recognise_views(usable, thresholds, top=top) if usable else ())
            for file, read in batch:
                if isinstance(read, str):
                    first_reason = first_reason or f"{file}: {read}"
                    yield Predicted((file,), None, {file: read})
                else:
                    yield Predicted((file,), next(results), {})
            good += len(usable)
            advance(len(batch))
    if not good:
        raise BadPhoto(f"none of {len(files):,} photos can be used; {first_reason}")


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


def _pooled(
    recogniser: Recogniser, files: Sequence[Path], *, min_confidence: float, precision: float | None, top: int
) -> Predicted:
    """Return the result for the photos of one product. Raise BadPhoto if none can be used."""
    from prodrec.inference.photo_inputs import read_bytes

    good: list[bytes] = []
    reasons: dict[Path, str] = {}
    for file in files:
        try:
            data = read_bytes(file)
            recogniser.check(data)
            good.append(data)
        except BadPhoto as error:
            reasons[file] = str(error)
    if not good:
        file, reason = next(iter(reasons.items()))
        raise BadPhoto(f"none of {len(files):,} photos can be used; {file}: {reason}")
    (recognised,) = recogniser.predict(good, pool=True, top=top, min_confidence=min_confidence, precision=precision)
    return Predicted(tuple(files), recognised, reasons)
