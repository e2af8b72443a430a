"""How good the network is on the validation photos, without titles, as it is deployed.

On several ranks every batch is divided among them, and what they count is added up.

Shapes: B rows of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from prodrec.core.base import dist
from prodrec.core.base.accuracy import accuracy, mean_class_accuracy
from prodrec.core.data.batches import Batch, RowBatches, load_batches, local_shards, sequential_order
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.training.loop import TopK, TrainState

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset


@dataclass(frozen=True)
class Validation:
    """Accuracies over the validation photos.

    top1, and macc (the mean over classes that have photos), of the deepest level that the network predicts, or of a
    network that predicts attributes alone the means over those; others: top-1 of every other task, `level NAME` or
    `attribute NAME`. An attribute that no validation photo is labelled with has no accuracy and is left out.
    """

    top1: float
    macc: float
    others: dict[str, float] = field(default_factory=dict)

    def as_columns(self) -> dict[str, float]:
        """The columns of history.csv."""
        others = {f"validation_top1 {name}": value for name, value in self.others.items()}
        return {"validation_top1": self.top1, "validation_macc": self.macc, **others}


@dataclass
class _Count:
    """Photos of every class of one task, and how many of them are right, on this rank until `gather`."""

    photos: NDArray[np.int64]
    right: NDArray[np.int64]

    def add(self, truth_B: NDArray[np.int64], best_B: NDArray[np.int64]) -> None:
        """Count rows; those without a label (-1) are left out."""
        known = truth_B >= 0
        np.add.at(self.photos, truth_B[known], 1)
        np.add.at(self.right, truth_B[known], best_B[known] == truth_B[known])

    def gather(self) -> None:
        """From here on, those of all ranks."""
        for counts in (self.photos, self.right):
            dist.all_reduce_sum(torch.from_numpy(counts))

    @property
    def accuracies(self) -> tuple[float, float]:
        """Over photos, and the mean over classes with photos."""
        return accuracy(self.right, self.photos), mean_class_accuracy(self.right, self.photos)


def validate(train_state: TrainState, dataset: Dataset, photos: PhotoConfig, *, workers: int) -> Validation | None:
    """Validate the weights that would be kept. None where no validation photo is labelled with what they predict."""
    rows = dataset.rows("validation")
    if not len(rows):
        return None
    network = train_state.network_to_save
    network.eval()
    levels: dict[str, _Count] = {}
    attributes: dict[str, _Count] = {}
    source = RowBatches(dataset, photos, augment=False)
    order = sequential_order(rows, batch_size=train_state.config.batch_size)
    shares = local_shards(order)
    # networks need a row to look at: a rank that has none left looks at one that another counts
    seen = [share if len(share) else batch[:1] for share, batch in zip(shares, order, strict=True)]
    with torch.inference_mode(), train_state.autocast():
        for share, batch in zip(shares, load_batches(source, seen, workers=workers), strict=True):
            batch = batch.to_device(train_state.device, photos, channels_last=train_state.channels_last)
            _add(levels, attributes, network.top_k(batch, 1), batch, dataset, counted=slice(len(share)))
    for count in (*levels.values(), *attributes.values()):
        count.gather()
    names = [level for level in dataset.taxonomy.levels if level in levels]
    labelled = {name: count for name, count in attributes.items() if count.photos.any()}
    others = {f"attribute {name}": count.accuracies[0] for name, count in labelled.items()}
    if not names:
        if not labelled:
            return None
        both = np.array([count.accuracies for count in labelled.values()])
        return Validation(top1=float(both[:, 0].mean()), macc=float(both[:, 1].mean()), others=others)
    top1, macc = levels[names[-1]].accuracies
    return Validation(top1, macc, {**{f"level {level}": levels[level].accuracies[0] for level in names[:-1]}, **others})


def _add(
    levels: dict[str, _Count],
    attributes: dict[str, _Count],
    found: TopK,
    batch: Batch,
    dataset: Dataset,
    *,
    counted: slice,
) -> None:
    for level, classes_BK in found.classes.items():
        column = dataset.taxonomy.levels.index(level)
        count = _count(levels, level, dataset.taxonomy.count(level))
        count.add(batch.labels_BL[counted, column].cpu().numpy(), classes_BK[counted, 0].cpu().numpy())
    names = [attribute.name for attribute in dataset.attributes]
    for name, scores_Bm in found.attribute_scores.items():
        count = _count(attributes, name, scores_Bm.shape[1])
        states_B = batch.attributes_BA[counted, names.index(name)].cpu().numpy() - 1
        count.add(states_B, scores_Bm[counted].argmax(1).cpu().numpy())


def _count(counts: dict[str, _Count], name: str, classes: int) -> _Count:
    if name not in counts:
        counts[name] = _Count(np.zeros(classes, np.int64), np.zeros(classes, np.int64))
    return counts[name]
