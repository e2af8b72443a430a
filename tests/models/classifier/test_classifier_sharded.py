"""A classifier whose classes lie on several ranks computes what the dense one does; DTensor's own loss is the oracle.

Shapes: B rows (of all ranks), D features, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from prodrec.core.base import dist
from prodrec.models.classifier import chunks, classifier
from prodrec.models.classifier.classifier import Classifier

B, D = 11, 6
STEPS = 3
TRAIN_IMAGES = 30
Answer = dict[str, NDArray[Any]]

CASES: dict[str, tuple[int, dict[str, Any], float]] = {
    "plain": (101, {}, 0.0),
    "smoothed and adjusted": (101, {"logit_adjustment": 0.7}, 0.2),
    "computed twice": (101, {"buffer_gib": 0.0}, 0.1),
    "fewer classes than ranks": (2, {}, 0.1),
    "one class": (1, {}, 0.0),
}


def made(name: str, *, sharded: bool) -> tuple[Classifier, float]:
    classes, options, smoothing = CASES[name]
    torch.manual_seed(1)
    images_C = torch.arange(classes) % TRAIN_IMAGES
    return Classifier(D, classes, sharded=sharded, train_images_C=images_C, **options).double(), smoothing


def batch(step: int, classes: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    features_BD = torch.randn(B, D, dtype=torch.float64, generator=generator)
    weights_B = torch.rand(B, dtype=torch.float64, generator=generator)
    return features_BD, torch.randint(classes, (B,), generator=generator), weights_B


def trained(name: str, *, sharded: bool) -> Answer:
    """A few steps of training with this rank's share of every batch (all of it where not sharded), and what is left."""
    chunks.WEIGHTS_ON_CPU = 64 * D
    classifier.CLASSES_DRAWN_AT_ONCE = 10
    model, smoothing = made(name, sharded=sharded)
    groups = [{"params": [model.weight], "weight_decay": 0.01}, {"params": [model.bias], "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=0.5, momentum=0.9)
    if sharded:
        model.update_in_backward(optimizer)
    part = dist.shard_slice(B) if sharded else slice(None)
    answer: Answer = {"start": model.weight.detach().numpy().copy()}
    for step in range(STEPS):
        features_BD, labels_B, weights_B = batch(step, model.classes)
        own_BD = features_BD[part].clone().requires_grad_()
        total, each_B = model.loss(own_BD, labels_B[part], weights_B=weights_B[part], label_smoothing=smoothing)
        optimizer.zero_grad()
        (0.5 * total).backward()
        optimizer.step()
        share = dist.all_reduce_sum(total.detach().clone()) if sharded else total.detach()
        answer |= {f"loss {step}": share.numpy(), f"each {step}": each_B.numpy()}
        assert own_BD.grad is not None
        answer[f"gradient {step}"] = own_BD.grad.numpy()
    answer["weight"], answer["bias"] = model.weight.detach().numpy(), model.bias.detach().numpy()
    answer["momentum"] = optimizer.state[model.weight]["momentum_buffer"].numpy()
    asked_BD = batch(9, model.classes)[0][: dist.rank() * 4 if sharded else None]  # rank 0 asks for nothing
    best = model.top_k(asked_BD, min(3, model.classes))
    answer["best scores"], answer["best classes"] = (each.numpy() for each in best)
    return answer


def on_each_rank() -> dict[str, Answer]:
    found = {name: trained(name, sharded=True) for name in CASES}
    found["sampled"] = sampled_loss()
    found["dtensor"] = loss_of_dtensor()
    return found


def sampled_loss() -> Answer:
    """Every label's class takes part wherever it lies; with as many classes as labels the loss is the dense one."""
    torch.manual_seed(1)
    model = Classifier(D, 5, sharded=True, sample_share=1e-9).double()
    features_BD, labels_B, weights_B = batch(0, 5)
    part = dist.shard_slice(B)
    labels_B = torch.arange(B) % 5
    total, _ = model.loss(features_BD[part], labels_B[part], weights_B=weights_B[part], label_smoothing=0.1)
    return {"loss": dist.all_reduce_sum(total.detach().clone()).numpy()}


def loss_of_dtensor() -> Answer:
    """The same loss by torch's own class-sharded cross-entropy, which knows neither smoothing nor empty shards."""
    from torch.distributed import new_group
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
    from torch.distributed.tensor.parallel import loss_parallel

    mesh = DeviceMesh.from_group(new_group(), "cpu")
    model, _ = made("plain", sharded=False)
    features_BD, labels_B, _ = batch(0, model.classes)
    x = distribute_tensor(features_BD, mesh, [Replicate()]).requires_grad_()
    weight_CD = distribute_tensor(model.weight.detach(), mesh, [Shard(0)]).requires_grad_()
    with loss_parallel():
        scores_BC = torch.nn.functional.linear(x, weight_CD).redistribute(placements=[Shard(1)])
        total = torch.nn.functional.cross_entropy(scores_BC, labels_B)
        total.backward()
    assert isinstance(x.grad, DTensor) and isinstance(weight_CD.grad, DTensor)
    ours, _ = made("plain", sharded=True)
    own_BD = features_BD[dist.shard_slice(B)].clone().requires_grad_()
    weights_B = torch.full((len(own_BD),), 1 / B, dtype=torch.float64)
    share, _ = ours.loss(own_BD, labels_B[dist.shard_slice(B)], weights_B=weights_B)
    share.backward()
    assert own_BD.grad is not None and ours.weight.grad is not None
    return {
        "oracle loss": total.full_tensor().detach().numpy() if isinstance(total, DTensor) else total.detach().numpy(),
        "loss": dist.all_reduce_sum(share.detach().clone()).numpy(),
        "oracle features": x.grad.full_tensor()[dist.shard_slice(B)].numpy(),
        "features": own_BD.grad.numpy(),
        "oracle weight": weight_CD.grad.full_tensor()[dist.shard_slice(model.classes)].numpy(),
        "weight": ours.weight.grad.numpy(),
    }


@pytest.mark.parametrize("ranks", [2, 3])
def test_sharded_is_dense(on_ranks: Callable[..., list[Any]], ranks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "WEIGHTS_ON_CPU", chunks.WEIGHTS_ON_CPU)  # undone after `trained`
    monkeypatch.setattr(classifier, "CLASSES_DRAWN_AT_ONCE", classifier.CLASSES_DRAWN_AT_ONCE)
    found = on_ranks(ranks, on_each_rank)
    for name in CASES:
        of_ranks, dense = [answers[name] for answers in found], trained(name, sharded=False)
        for step in range(STEPS):
            for answer in of_ranks:
                close(answer[f"loss {step}"], dense[f"loss {step}"])
        split = ("start", "weight", "bias", "momentum", *(f"each {s}" for s in range(STEPS)))
        for key in (*split, *(f"gradient {s}" for s in range(STEPS))):
            close(np.concatenate([answer[key] for answer in of_ranks]), dense[key])
        for rank, answer in enumerate(of_ranks):
            close(answer["best scores"], dense["best scores"][: rank * 4])
            assert np.array_equal(answer["best classes"], dense["best classes"][: rank * 4])
    torch.manual_seed(1)
    dense_of_five = Classifier(D, 5).double()
    features_BD, _, weights_B = batch(0, 5)
    labels_B = torch.arange(B) % 5
    expected, _ = dense_of_five.loss(features_BD, labels_B, weights_B=weights_B, label_smoothing=0.1)
    for answers in found:
        close(answers["sampled"]["loss"], expected.detach().numpy())
        oracle = answers["dtensor"]
        for name in ("loss", "features", "weight"):
            close(oracle[name], oracle[f"oracle {name}"])


def close(found: NDArray[Any], expected: NDArray[Any]) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
