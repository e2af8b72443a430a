"""The moving average of the weights (`ema`) with every family."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.data.batches import Batch
from prodrec.core.training.config import TrainingConfig
from prodrec.core.training.loop import Position, train_steps
from prodrec.core.training.train_state import make_train_state
from prodrec.models.assemble import build_network
from prodrec.models.families import FAMILIES, make_recipe
from prodrec.models.word_targets import WordTargets

DECAY, STEPS = 0.7, 4


@pytest.mark.parametrize("fused_update", ["auto", "no"])
@pytest.mark.parametrize(
    ("family", "backbone"), [*((family, "squeezenet1_1") for family in FAMILIES), ("visual", "resnet18")]
)
def test_the_average_follows_the_weights(
    family: str,
    backbone: str,
    fused_update: str,
    taxonomy: Taxonomy,
    attributes: tuple[Attribute, ...],
    make_batch: Callable[..., Batch],
) -> None:
    """a ← d a + (1 − d) w after every step, which begins as the weights after the first; integers are copied."""
    start = {"word_vectors": "random"} if family == "sicot" else {}
    targets = WordTargets(np.array([-1, 0, 1, -1, 2, *[-1] * 8]), np.ones(3, np.float32))
    config = make_recipe(family, {"backbone": backbone, "weights": "none", **start}).network
    images = {"root": np.array([21, 2]), "leaf": np.array([9, 7, 5, 2, 0])}
    network = build_network(
        config,
        taxonomy=taxonomy,
        attributes=attributes,
        words=12,
        word_targets=targets,
        train_images=images,
        photo_size=(64, 64),
    )
    training = TrainingConfig(ema=DECAY, lr=0.01, epochs=1.0, schedule="constant", fused_update=fused_update)
    train_state = make_train_state(network, training, torch.device("cpu"))

    def load_epoch(_epoch: int, skip: int) -> Iterator[Batch]:
        return (make_batch(4) for _ in range(skip, STEPS))

    expected: dict[str, torch.Tensor] = {}
    for step in train_steps(train_state, load_epoch, batches_per_epoch=STEPS, position=Position()):
        for name, value in network.state_dict().items():
            if step.step == 1 or not value.is_floating_point():
                expected[name] = value.clone()
            else:
                expected[name] = DECAY * expected[name] + (1 - DECAY) * value
    average = train_state.network_to_save
    assert average is not network and isinstance(average, torch.nn.Module)
    changed = 0
    for name, value in average.state_dict().items():
        torch.testing.assert_close(value, expected[name], msg=name)
        changed += not torch.equal(value, network.state_dict()[name])
    assert changed > 2
    average.eval()
    with torch.inference_mode():
        scored = average.score(make_batch(3))  # type: ignore[operator]
    assert all(scores.isfinite().all() for scores in {**scored.scores, **scored.attribute_scores}.values())
