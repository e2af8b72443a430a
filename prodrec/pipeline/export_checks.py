"""Compare an export with its run on photos, and count the right answers of a graph of 8 bits.

Shapes: B photos, C=3 channels, H×W the size of the network's input.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from prodrec.core.base import console
from prodrec.core.base.errors import BadOption, ProdrecError
from prodrec.pipeline.engines import drawn_photos

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from prodrec.core.data.dataset import Dataset
    from prodrec.inference.export.engines import Engine
    from prodrec.inference.export.parity import Comparison
    from prodrec.inference.neighbours.fused import PointNetwork
    from prodrec.inference.recognise import Recogniser

COMPARED_PHOTOS = 64
"""Photos on which a graph is compared with the run."""
COUNTED_PHOTOS = 1000
"""Photos on which the right answers of a graph of 8 bits are counted, at most."""
LARGEST_LOSS = 0.05
"""Share of right answers that a graph of 8 bits may lose. Most networks lose less than 0.02, and one that loses more
than this has weights or features of very different sizes."""
BATCH = 32
FLOAT32, INT8 = "float32", "int8"
"""Names of a graph and of the same with 8 bits, in `RightAnswers` and export.json."""


@dataclass(frozen=True)
class ExportPhotos:
    """The photos on which an export of a run is made and checked.

    data: the dataset; None for drawn photos
    """

    recogniser: Recogniser
    data: Dataset | None

    @classmethod
    def find(cls, recogniser: Recogniser, dataset: str | Path | None, *, int8: bool) -> ExportPhotos:
        """Open the dataset of the run: `dataset`, or `dataset/` if the run was trained on it.

        int8: whether a graph of 8 bits is made, which needs training and validation photos

        Raise the errors of `open_dataset` and `check_run_fits_dataset` for a dataset that is named, and BadOption if
        `int8` has none.
        """
        from prodrec.core.data.dataset import open_dataset
        from prodrec.inference.scoring_checks import check_run_fits_dataset

        run = recogniser.run
        data: Dataset | None = None
        if dataset is not None:
            data = open_dataset(Path(dataset))
            check_run_fits_dataset(run, data)
        elif (Path("dataset") / "dataset.json").is_file():
            data = open_dataset(Path("dataset"))
            data = data if data.fingerprint == run.dataset_fingerprint else None
        photos = cls(recogniser, data)
        if int8 and data is None:
            raise BadOption(f"--int8 needs photos of the dataset that {run.path} was trained on; name the dataset.")
        if int8 and not len(photos.rows("validation")):
            raise BadOption("--int8 needs validation photos to count the right answers, and the dataset has none.")
        return photos

    @property
    def origin(self) -> str:
        """Which photos are compared, in words."""
        if self.data is None:
            return "drawn photos"
        return "validation photos" if len(self.rows("validation")) else "training photos"

    def rows(self, split: str) -> NDArray[np.int64]:
        """Return the rows of a split."""
        return np.empty(0, np.int64) if self.data is None else self.data.rows(split)

    def batches(self, rows: NDArray[np.int64], most: int) -> Iterator[tuple[NDArray[np.int64], torch.Tensor]]:
        """Yield at most `most` of `rows`, evenly chosen, in batches: rows, and photos uint8 [B, 3, H, W]."""
        from prodrec.core.data.batches import RowBatches

        assert self.data is not None
        source = RowBatches(self.data, self.recogniser.photos, augment=False)
        chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(np.int64))]
        for start in range(0, len(chosen), BATCH):
            rows_B = chosen[start : start + BATCH]
            yield rows_B, source.batch(rows_B).inputs

    def compared(self) -> Iterator[torch.Tensor]:
        """Yield the photos that are compared, uint8 [B, 3, H, W]: one by itself, and the others in batches."""
        if self.data is None:
            size = self.recogniser.photos.height, self.recogniser.photos.width
            batches = iter([drawn_photos(BATCH, *size)])
        else:
            rows = self.rows("validation")
            rows = rows if len(rows) else self.rows("train")
            batches = (photos_BCHW for _, photos_BCHW in self.batches(rows, COMPARED_PHOTOS))
        first_BCHW = next(batches)
        yield first_BCHW[:1]
        for photos_BCHW in itertools.chain([first_BCHW[1:]], batches):
            if len(photos_BCHW):
                yield photos_BCHW

    def labels(self, rows_B: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Return the labels of rows by the name of the output that predicts them; -1 is none."""
        from prodrec.inference.export.graphs import ATTRIBUTE, SCORES, output_name

        assert self.data is not None
        labels = {
            output_name(SCORES, level, depth): self.data.labels_NL[rows_B, depth].astype(np.int64)
            for depth, level in enumerate(self.data.taxonomy.levels)
        }
        for number, attribute in enumerate(self.data.attributes):
            code_B = self.data.attributes_NA[rows_B, number].astype(np.int64)
            labels[output_name(ATTRIBUTE, attribute.name, number)] = code_B - 1
        return labels


def compare(engine: Engine, photos: ExportPhotos) -> Comparison:
    """Return how far the outputs of a graph are from those of the run, which torch computes in float32."""
    import torch

    from prodrec.core.data.batches import Batch
    from prodrec.inference.export.parity import Comparison, outputs_of_run

    recogniser = photos.recogniser
    network = cast("PointNetwork", recogniser.network)
    comparison = Comparison()
    for photos_BCHW in photos.compared():
        row_B = torch.arange(len(photos_BCHW))
        no_labels = row_B.new_empty((len(row_B), 0))
        batch = Batch(row_B, photos_BCHW, no_labels, no_labels, no_labels)
        batch = batch.to_device(torch.device("cpu"), recogniser.photos)
        with torch.inference_mode():
            features = network.fused.features(batch, [network.point])
            scored = network.fused.score(features, network.point)
            vector_BD = network.fused.network.search_vectors(features.features) if scored.scores else None
        expected = outputs_of_run(
            scored,
            None if vector_BD is None else vector_BD.numpy(),
            taxonomy=recogniser.run.taxonomy,
            attributes=recogniser.run.attributes,
            temperature=1.0 if recogniser.calibration is None else recogniser.calibration.temperature,
        )
        comparison.add(engine.run(photos_BCHW.numpy()), expected)
    return comparison


def refuse_if_different(comparison: Comparison) -> None:
    """Raise ProdrecError if a graph gives other results than the run."""
    from prodrec.inference.export.parity import TOLERANCE

    name, difference = max(comparison.largest.items(), key=lambda item: item[1])
    if difference > TOLERANCE:
        raise ProdrecError(
            f"the graph gives other results than the run: {name} differs by {difference:.2g}, and at most "
            f"{TOLERANCE:g} is right; nothing was written. Use the run with --engine torch."
        )


@dataclass(frozen=True)
class RightAnswers:
    """Right answers of engines on validation photos, by output.

    photos:   number of photos
    labelled: those that have a label
    right:    those with the right answer, by engine and output
    """

    photos: int
    labelled: dict[str, int]
    right: dict[str, dict[str, int]]

    def shares(self, engine: str) -> dict[str, float]:
        """Return the share of right answers of an engine among the labelled photos."""
        return {name: number / self.labelled[name] for name, number in self.right[engine].items()}

    def refuse_if_lossy(self) -> None:
        """Raise ProdrecError if `int8` has fewer right answers than is useful, beyond two standard errors."""
        float32, int8 = self.shares(FLOAT32), self.shares(INT8)
        for name, share in float32.items():
            if share - int8[name] > LARGEST_LOSS + 2 * math.sqrt(share * (1 - share) / self.labelled[name]):
                raise ProdrecError(
                    f"with 8 bits, {name} is right for {int8[name]:.1%} of the validation photos, and in float32 for "
                    f"{share:.1%}; nothing was written. Export without --int8."
                )


def count_right(engines: Mapping[str, Engine], photos: ExportPhotos) -> RightAnswers:
    """Return the right answers of every engine on validation photos."""
    rows = photos.rows("validation")
    count = min(len(rows), COUNTED_PHOTOS)
    right: dict[str, Counter[str]] = {name: Counter() for name in engines}
    labelled: Counter[str] = Counter()
    with console.progress("counting right answers", total=count, unit="photos") as advance:
        for rows_B, photos_BCHW in photos.batches(rows, COUNTED_PHOTOS):
            outputs = {name: engine.run(photos_BCHW.numpy()) for name, engine in engines.items()}
            for name, label_B in photos.labels(rows_B).items():
                has_label = int((label_B >= 0).sum())
                if not has_label or any(name not in values for values in outputs.values()):
                    continue
                labelled[name] += has_label
                for engine_name, values in outputs.items():
                    right[engine_name][name] += int((values[name].argmax(1) == label_B).sum())
            advance(len(rows_B))
    return RightAnswers(count, dict(labelled), {name: dict(numbers) for name, numbers in right.items()})
