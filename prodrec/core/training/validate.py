"""Accuracies of the network on the validation photos, without titles, as in deployment.

On several ranks, each counts its shard of every batch, and the counts are summed.

Shapes: B rows of a batch, L levels, A attributes, K best classes, m states of an attribute.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from prodrec.core.base import dist
from prodrec.core.base.errors import BadOption, ProdrecError
from prodrec.core.data.batches import Batch, RowBatches, load_batches, local_shards, sequential_order
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.training.config import TrainingConfig
from prodrec.core.training.fold_batch_norms import folded_batch_norms
from prodrec.core.training.protocols import TopK
from prodrec.core.training.train_state import TrainState

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset


@dataclass(frozen=True)
class Validation:
    """Accuracies over the validation photos.

    top1:   accuracy over photos at the deepest level that the network predicts
    macc:   mean accuracy over the classes of this level that have photos
    others: top-1 of every other task, by `level NAME` or `attribute NAME`

    A photo is counted at the levels at which it has a label. For a network that predicts attributes alone, top1 and
    macc are means over the attributes. A level or attribute without labels on the validation photos is ignored.
    """

    top1: float
    macc: float
    others: dict[str, float] = field(default_factory=dict)

    def as_columns(self) -> dict[str, float]:
        """Return the columns of history.csv."""
        others = {f"validation_top1 {name}": value for name, value in self.others.items()}
        return {"validation_top1": self.top1, "validation_macc": self.macc, **others}


def require_validation(dataset: Dataset, config: TrainingConfig) -> None:
    """Raise BadOption if a setting compares epochs on validation photos, and the dataset has none."""
    needs = f"stop_after={config.stop_after}" if config.stop_after else "keep=best" if config.keeps_best else None
    if needs is not None and not len(dataset.rows("validation")):
        raise BadOption(
            f"{needs} compares epochs on validation photos, and {dataset.path} has none; prepare it with some, such as "
            "--split 8:1:1, or omit the setting."
        )


def require_finite_weights(train_state: TrainState) -> None:
    """Raise ProdrecError if one of the weights that would be saved is not finite. All ranks must call this."""
    tensors = train_state.network_to_save.state_dict().values()
    # one sum for each tensor: a mask of the weights of very many classes would take much memory
    is_finite = all(bool(tensor.sum().isfinite()) for tensor in tensors if tensor.is_floating_point())
    _refuse_unless_finite(is_finite, "weights")


def _refuse_unless_finite(is_finite: bool, name: str) -> None:
    """Raise ProdrecError on all ranks if `is_finite` is false on one of them."""
    if dist.any_rank(not is_finite):
        raise ProdrecError(f"the {name} of the network are no longer finite; try a lower lr, or warmup_epochs.")


def validate(train_state: TrainState, dataset: Dataset, photos: PhotoConfig, *, workers: int) -> Validation | None:
    """Return the accuracies of the weights that would be saved, or None if no validation photo is labelled for them.

    Without validation photos, a few training photos show whether the network still recognises.

    Raise ProdrecError if a score is not finite: the largest of such scores would count as a class.
    """
    rows = dataset.rows("validation")
    has_validation = bool(len(rows))
    if not has_validation:
        rows = dataset.rows("train")[: train_state.config.batch_size]
    network, counts, is_finite = train_state.network_to_save, _TaskCounts(dataset), True
    network.eval()
    source = RowBatches(dataset, photos, augment=False)
    order = sequential_order(rows, batch_size=train_state.config.batch_size)
    shards = local_shards(order)
    # A network needs at least one row: a rank with an empty shard predicts a row that another rank counts.
    inputs = [shard if len(shard) else batch_rows[:1] for shard, batch_rows in zip(shards, order, strict=True)]
    with folded_batch_norms(network), torch.inference_mode(), train_state.autocast():
        for shard, batch in zip(shards, load_batches(source, inputs, workers=workers), strict=True):
            batch = batch.to_device(train_state.device, photos, channels_last=train_state.precision.channels_last)
            predictions = network.top_k(batch, 1)
            is_finite &= all(
                bool(scores.isfinite().all())
                for scores in (*predictions.scores.values(), *predictions.attribute_scores.values())
            )
            counts.add(predictions, batch, rows=slice(len(shard)))
    _refuse_unless_finite(is_finite, "scores")
    return counts.accuracies() if has_validation else None


class _ClassCounts:
    """Photos of every class of a task, and the correctly predicted ones. Both are int64 [classes]."""

    def __init__(self, classes: int) -> None:
        self.photos = np.zeros(classes, np.int64)
        self.correct = np.zeros(classes, np.int64)

    def add(self, labels_B: NDArray[np.int64], predictions_B: NDArray[np.int64]) -> None:
        """Count the rows that have a label; -1 is none."""
        labelled = labels_B >= 0
        np.add.at(self.photos, labels_B[labelled], 1)
        np.add.at(self.correct, labels_B[labelled], predictions_B[labelled] == labels_B[labelled])

    def all_reduce(self) -> None:
        """Sum the counts over the ranks."""
        for counts in (self.photos, self.correct):
            dist.all_reduce_sum(torch.from_numpy(counts))  # in place: the tensor shares the memory

    @property
    def accuracies(self) -> tuple[float, float]:
        """The accuracy over photos, and the mean accuracy over the classes that have photos."""
        seen = self.photos > 0
        return float(self.correct.sum() / self.photos.sum()), float((self.correct[seen] / self.photos[seen]).mean())


class _TaskCounts:
    """The counts of every level and attribute that a network predicts."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.levels: dict[str, _ClassCounts] = {}
        self.attributes: dict[str, _ClassCounts] = {}

    def add(self, predictions: TopK, batch: Batch, *, rows: slice) -> None:
        """Count some rows of a batch."""
        for level, classes_BK in predictions.classes.items():
            column = self.dataset.taxonomy.levels.index(level)
            if level not in self.levels:
                self.levels[level] = _ClassCounts(self.dataset.taxonomy.count(level))
            self.levels[level].add(batch.labels_BL[rows, column].cpu().numpy(), classes_BK[rows, 0].cpu().numpy())
        names = [attribute.name for attribute in self.dataset.attributes]
        for name, scores_Bm in predictions.attribute_scores.items():
            if name not in self.attributes:
                self.attributes[name] = _ClassCounts(scores_Bm.shape[1])
            labels_B = batch.attributes_BA[rows, names.index(name)].cpu().numpy() - 1  # 0 is an absent attribute
            self.attributes[name].add(labels_B, scores_Bm[rows].argmax(1).cpu().numpy())

    def accuracies(self) -> Validation | None:
        """Return the accuracies over the counts of all ranks, or None if no photo is labelled."""
        for counts in (*self.levels.values(), *self.attributes.values()):
            counts.all_reduce()
        levels = [level for level in self.dataset.taxonomy.levels if level in self.levels]
        levels = [level for level in levels if self.levels[level].photos.any()]
        labelled = {name: counts for name, counts in self.attributes.items() if counts.photos.any()}
        attribute_top1 = {f"attribute {name}": counts.accuracies[0] for name, counts in labelled.items()}
        if levels:
            top1, macc = self.levels[levels[-1]].accuracies
            level_top1 = {f"level {level}": self.levels[level].accuracies[0] for level in levels[:-1]}
            return Validation(top1, macc, {**level_top1, **attribute_top1})
        if labelled:
            both_A2 = np.array([counts.accuracies for counts in labelled.values()])
            return Validation(float(both_A2[:, 0].mean()), float(both_A2[:, 1].mean()), attribute_top1)
        return None
