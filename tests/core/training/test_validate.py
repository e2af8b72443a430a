"""Accuracies of the validation, compared with counts by hand, for levels and attributes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from prodrec.core.base.artefact import SPLITS
from prodrec.core.base.errors import ProdrecError
from prodrec.core.base.taxonomy import Attribute
from prodrec.core.data.batches import Batch, RowBatches
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.training.validate import Validation, require_finite_weights, validate

PHOTOS = PhotoConfig(image_size="24", crop_area=(0.8, 1.0))


@dataclass
class KnownPredictions:
    """A network with a known class and state for every row."""

    classes_of: dict[str, np.ndarray]
    states_of: dict[str, np.ndarray] = field(default_factory=dict)
    score: float = 0.5

    def eval(self) -> None:
        """Do nothing: there is no other mode."""

    def modules(self) -> tuple[()]:
        """Return no module."""
        return ()

    def top_k(self, batch: Batch, k: int) -> KnownPredictions.TopK:
        rows = batch.rows_B.numpy()
        classes = {level: torch.from_numpy(classes_N[rows, None]) for level, classes_N in self.classes_of.items()}
        return KnownPredictions.TopK(
            {level: torch.full(classes_BK.shape, self.score) for level, classes_BK in classes.items()},
            classes,
            {name: torch.nn.functional.one_hot(torch.from_numpy(states_N[rows]), 9) for name, states_N in
             self.states_of.items()},
        )  # fmt: skip

    @dataclass
    class TopK:
        scores: dict[str, torch.Tensor]
        classes: dict[str, torch.Tensor]
        attribute_scores: dict[str, torch.Tensor]


@pytest.fixture
def validate_predictions(prepared, new_train_state):
    """Return a function that validates a network with known predictions."""

    def validate_known(network, dataset=prepared):
        train_state = replace(new_train_state(), network=network)
        return validate(train_state, dataset, PHOTOS, workers=0)

    return validate_known


def test_validation_counts_by_hand(prepared, new_train_state):
    train_state = new_train_state()
    validation = validate(train_state, prepared, PHOTOS, workers=0)
    train_state.network.eval()
    right: dict[int, list[bool]] = {}
    source = RowBatches(prepared, PHOTOS, augment=False)
    for row in prepared.rows("validation"):
        batch = source.batch(np.array([row])).to_device(train_state.device, PHOTOS)
        label = int(prepared.labels_NL[row, -1])
        right.setdefault(label, []).append(int(train_state.network(batch.inputs).argmax()) == label)
    every = [r for rows in right.values() for r in rows]
    assert validation.top1 == pytest.approx(sum(every) / len(every))
    assert validation.macc == pytest.approx(sum(sum(r) / len(r) for r in right.values()) / len(right))


def test_without_validation_photos_nothing_is_validated(prepared, new_train_state):
    everything_trains = replace(prepared, split_N=prepared.split_N * 0 + SPLITS.index("train"))
    assert validate(new_train_state(), everything_trains, PHOTOS, workers=0) is None


@pytest.mark.parametrize("has_validation", [True, False])
def test_scores_that_are_not_finite_are_an_error(prepared, validate_predictions, has_validation):
    data = prepared
    if not has_validation:
        data = replace(prepared, split_N=prepared.split_N * 0 + SPLITS.index("train"))
    leaves_N = np.asarray(prepared.labels_NL[:, -1], np.int64)
    for score in (float("nan"), float("inf")):
        with pytest.raises(ProdrecError, match="the scores of the network are no longer finite; try a lower lr"):
            validate_predictions(KnownPredictions({prepared.taxonomy.leaf_level: leaves_N}, score=score), data)


def test_weights_that_are_not_finite_are_an_error(new_train_state):
    train_state = new_train_state(ema=0.5)
    require_finite_weights(train_state)
    with torch.no_grad():
        train_state.average.module.classifier.bias[1] = float("nan")
    with pytest.raises(ProdrecError, match="the weights of the network are no longer finite"):
        require_finite_weights(train_state)


def test_the_deepest_level_gives_top1_and_the_others_are_listed(prepared, validate_predictions):
    labels_NL = np.asarray(prepared.labels_NL, np.int64)
    rows = prepared.rows("validation")
    wrong_root = labels_NL[:, 0].copy()
    wrong_root[rows[0]] += 1
    root, leaf = prepared.taxonomy.levels[0], prepared.taxonomy.leaf_level
    validation = validate_predictions(KnownPredictions({leaf: labels_NL[:, -1], root: wrong_root}))
    assert validation.top1 == validation.macc == 1
    assert validation.others == {f"level {root}": pytest.approx(1 - 1 / len(rows))}
    only_root = validate_predictions(KnownPredictions({root: wrong_root}))
    assert only_root.top1 == pytest.approx(1 - 1 / len(rows)) and only_root.others == {}
    assert set(validation.as_columns()) == {"validation_top1", "validation_macc", f"validation_top1 level {root}"}


def test_a_photo_counts_at_the_levels_at_which_it_has_a_label(prepared, validate_predictions):
    labels_NL = np.array(prepared.labels_NL)
    rows, root, leaf = prepared.rows("validation"), prepared.taxonomy.levels[0], prepared.taxonomy.leaf_level
    labels_NL[rows[1:], 1:] = -1  # one validation photo has a leaf
    ragged = replace(prepared, labels_NL=labels_NL)
    leaves_N, roots_N = np.zeros(len(labels_NL), np.int64), labels_NL[:, 0].astype(np.int64)
    leaves_N[rows[0]], roots_N[rows[-1]] = labels_NL[rows[0], -1], -5
    predictions = KnownPredictions({root: roots_N, leaf: leaves_N})
    validation = validate_predictions(predictions, ragged)
    assert validation == Validation(1.0, 1.0, {f"level {root}": pytest.approx(1 - 1 / len(rows))})
    labels_NL[rows, 1:] = -1  # none has
    only_roots = validate_predictions(predictions, ragged)
    assert only_roots.top1 == pytest.approx(1 - 1 / len(rows)) and only_roots.others == {}
    assert validate_predictions(KnownPredictions({leaf: leaves_N}), ragged) is None


def test_attributes_count_where_they_are_labelled(prepared, validate_predictions):
    rows = prepared.rows("validation")
    states_NA = np.zeros((len(prepared.labels_NL), 1), np.int32)
    states_NA[rows[:3], 0] = [1, 2, 2]  # the other rows have no label
    dataset = replace(prepared, attributes=(Attribute("colour", tuple("abcdefghi")),), attributes_NA=states_NA)
    predictions_N = np.zeros(len(states_NA), np.int64)
    predictions_N[rows[1]] = 1  # right on the first two of the labelled rows
    validation = validate_predictions(KnownPredictions({}, {"colour": predictions_N}), dataset)
    assert validation == Validation(
        pytest.approx(2 / 3), pytest.approx(3 / 4), {"attribute colour": pytest.approx(2 / 3)}
    )
    unlabelled = replace(dataset, attributes_NA=np.zeros_like(states_NA))
    assert validate_predictions(KnownPredictions({}, {"colour": predictions_N}), unlabelled) is None
    leaf, labels_N = prepared.taxonomy.leaf_level, np.asarray(prepared.labels_NL[:, -1], np.int64)
    predictions = KnownPredictions({leaf: labels_N}, {"colour": predictions_N})
    assert validate_predictions(predictions, unlabelled) == Validation(1.0, 1.0)  # an unlabelled attribute is ignored


def test_an_attribute_without_labels_does_not_lower_the_mean_of_the_others(prepared, validate_predictions):
    states_NA = np.ones((len(prepared.labels_NL), 2), np.int32)
    states_NA[:, 1] = 0
    both = (Attribute("colour", tuple("abcdefghi")), Attribute("brand", tuple("abcdefghi")))
    predictions_N = np.zeros(len(states_NA), np.int64)
    validation = validate_predictions(
        KnownPredictions({}, {"colour": predictions_N, "brand": predictions_N}),
        replace(prepared, attributes=both, attributes_NA=states_NA),
    )
    assert validation == Validation(1.0, 1.0, {"attribute colour": 1.0})
