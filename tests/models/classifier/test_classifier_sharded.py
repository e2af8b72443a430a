"""A sharded classifier computes what a dense one does; the loss of torch's DTensor is a second reference.

Shapes: B rows of all ranks, D features, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from prodrec.core.base import dist
from prodrec.core.base.top_k_options import TopKOptions
from prodrec.models.classifier import chunks, initial_weights
from prodrec.models.classifier.classifier import Classifier
from prodrec.models.classifier.long_tail import LongTailLoss
from prodrec.models.classifier.tree_smoothing import TreeSmoothing

B, D = 11, 6
STEPS = 3
TRAIN_IMAGES = 30
Results = dict[str, NDArray[Any]]

TREE = TreeSmoothing(np.array([[c % 3, c % 12, c] for c in range(101)], np.int32), 4.0)
SMALL_TREE = TreeSmoothing(np.array([[0, 0], [0, 1]], np.int32), 4.0)
CASES: dict[str, tuple[int, dict[str, Any], float]] = {
    "plain": (101, {}, 0.0),
    "smoothed and adjusted": (101, {"logit_adjustment": 0.7}, 0.2),
    "computed twice": (101, {"buffer_gib": 0.0}, 0.1),
    "fewer classes than ranks": (2, {}, 0.1),
    "one class": (1, {}, 0.0),
    "weighted and focal": (101, {"long_tail": LongTailLoss(class_weights="inverse", focal_gamma=2.0)}, 0.0),
    "cosine with margins": (101, {"cosine_scale": 10.0, "long_tail": LongTailLoss(ldam_margin=0.5)}, 0.1),
    "cosine, fewer classes than ranks": (2, {"cosine_scale": 10.0, "buffer_gib": 0.0}, 0.0),
    "tree": (101, {"tree_smoothing": TREE, "logit_adjustment": 0.7}, 0.0),
    "tree, computed twice": (101, {"tree_smoothing": TREE, "buffer_gib": 0.0}, 0.0),
    "tree, fewer classes than ranks": (2, {"tree_smoothing": SMALL_TREE}, 0.0),
}


def make_classifier(case: str, *, sharded: bool) -> tuple[Classifier, float]:
    """Return the classifier of a case and its label smoothing."""
    classes, options, smoothing = CASES[case]
    torch.manual_seed(1)
    images_C = torch.arange(classes) % TRAIN_IMAGES
    return Classifier(D, classes, sharded=sharded, train_images_C=images_C, **options).double(), smoothing


def make_batch(step: int, classes: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return features, labels and row weights."""
    generator = torch.Generator().manual_seed(step)
    features_BD = torch.randn(B, D, dtype=torch.float64, generator=generator)
    weights_B = torch.rand(B, dtype=torch.float64, generator=generator)
    return features_BD, torch.randint(classes, (B,), generator=generator), weights_B


def train(case: str, *, sharded: bool) -> Results:
    """Return the results of some training steps: on this rank's rows of every batch, or on all rows if not sharded."""
    chunks.MAX_CHUNK_WEIGHTS_CPU = 64 * D
    initial_weights.CLASSES_PER_SEED = 10
    model, smoothing = make_classifier(case, sharded=sharded)
    groups = [{"params": [model.weight], "weight_decay": 0.01}, {"params": [model.bias], "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=0.5, momentum=0.9)
    if sharded:
        model.update_in_backward(optimizer)
    rows = dist.shard_slice(B) if sharded else slice(None)
    results: Results = {"start": model.weight.detach().numpy().copy()}
    for step in range(STEPS):
        features_BD, labels_B, weights_B = make_batch(step, model.classes)
        local_BD = features_BD[rows].clone().requires_grad_()
        loss, each_B = model.loss(local_BD, labels_B[rows], weights_B=weights_B[rows], label_smoothing=smoothing)
        optimizer.zero_grad()
        (0.5 * loss).backward()
        optimizer.step()
        whole_loss = dist.all_reduce_sum(loss.detach().clone()) if sharded else loss.detach()
        results |= {f"loss {step}": whole_loss.numpy(), f"each {step}": each_B.numpy()}
        if model.log_scale is not None:
            assert model.log_scale.grad is not None  # every rank has the part of its rows
            scale_gradient = dist.all_reduce_sum(model.log_scale.grad.clone()) if sharded else model.log_scale.grad
            results[f"loss scale {step}"] = scale_gradient.numpy().copy()
            model.log_scale.grad = None
        assert local_BD.grad is not None
        results[f"gradient {step}"] = local_BD.grad.numpy()
    results["weight"], results["bias"] = model.weight.detach().numpy(), model.bias.detach().numpy()
    results["momentum"] = optimizer.state[model.weight]["momentum_buffer"].numpy()
    query_BD = make_batch(9, model.classes)[0][: dist.rank() * 4 if sharded else None]  # rank 0 has no rows
    also_BJ = torch.arange(-1, 3).clamp(max=model.classes - 1).repeat(len(query_BD), 1)
    tau = 0.2 if model.frequencies.log_prior_N is not None else None
    added = query_BD[:, :5] * 3, torch.arange(model.classes) % 5
    among_C = torch.arange(model.classes) % 3 == 1
    options = TopKOptions(logsumexp=True, also_BJ=also_BJ, among_C=among_C, added=added)
    best = model.top_k(query_BD, min(3, model.classes), tau=tau, options=options)
    assert best.among is not None and best.among.logsumexp_B is not None
    results |= {f"best {name}": values.numpy() for name, values in best._asdict().items() if name != "among"}
    exists_BK = best.among.scores_BK > -torch.inf
    results["among classes_BK"] = torch.where(exists_BK, best.among.classes_BK, -1).numpy()
    results |= {f"among {name}": getattr(best.among, name).numpy() for name in ("scores_BK", "logsumexp_B")}
    return results


def run_on_each_rank() -> dict[str, Results]:
    results = {case: train(case, sharded=True) for case in CASES}
    results["sampled"] = sampled_loss()
    results["dtensor"] = compare_with_dtensor()
    return results


def sampled_loss() -> Results:
    """Return a loss over the sampled classes, which are those of the labels: all five, of all ranks."""
    torch.manual_seed(1)
    model = Classifier(D, 5, sharded=True, sample_share=1e-9).double()
    features_BD, labels_B, weights_B = make_batch(0, 5)
    rows = dist.shard_slice(B)
    labels_B = torch.arange(B) % 5
    loss, _ = model.loss(features_BD[rows], labels_B[rows], weights_B=weights_B[rows], label_smoothing=0.1)
    return {"loss": dist.all_reduce_sum(loss.detach().clone()).numpy()}


def compare_with_dtensor() -> Results:
    """Return a loss and its gradients, and those of DTensor, which supports neither smoothing nor empty shards."""
    from torch.distributed import new_group
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
    from torch.distributed.tensor.parallel import loss_parallel

    mesh = DeviceMesh.from_group(new_group(), "cpu")
    dense, _ = make_classifier("plain", sharded=False)
    features_BD, labels_B, _ = make_batch(0, dense.classes)
    x = distribute_tensor(features_BD, mesh, [Replicate()]).requires_grad_()
    weight_CD = distribute_tensor(dense.weight.detach(), mesh, [Shard(0)]).requires_grad_()
    with loss_parallel():
        scores_BC = torch.nn.functional.linear(x, weight_CD).redistribute(placements=[Shard(1)])
        expected = torch.nn.functional.cross_entropy(scores_BC, labels_B)
        expected.backward()
    assert isinstance(x.grad, DTensor) and isinstance(weight_CD.grad, DTensor)
    sharded, _ = make_classifier("plain", sharded=True)
    rows = dist.shard_slice(B)
    local_BD = features_BD[rows].clone().requires_grad_()
    weights_B = torch.full((len(local_BD),), 1 / B, dtype=torch.float64)
    loss, _ = sharded.loss(local_BD, labels_B[rows], weights_B=weights_B)
    loss.backward()
    assert local_BD.grad is not None and sharded.weight.grad is not None
    whole = expected.full_tensor() if isinstance(expected, DTensor) else expected
    return {
        "expected loss": whole.detach().numpy(),
        "loss": dist.all_reduce_sum(loss.detach().clone()).numpy(),
        "expected features": x.grad.full_tensor()[rows].numpy(),
        "features": local_BD.grad.numpy(),
        "expected weight": weight_CD.grad.full_tensor()[dist.shard_slice(dense.classes)].numpy(),
        "weight": sharded.weight.grad.numpy(),
    }


@pytest.mark.parametrize("ranks", [2, 3])
def test_sharded_equals_dense(on_ranks: Callable[..., list[Any]], ranks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "MAX_CHUNK_WEIGHTS_CPU", chunks.MAX_CHUNK_WEIGHTS_CPU)  # `train` changes both
    monkeypatch.setattr(initial_weights, "CLASSES_PER_SEED", initial_weights.CLASSES_PER_SEED)
    results_of_ranks = on_ranks(ranks, run_on_each_rank)
    for case in CASES:
        sharded, dense = [results[case] for results in results_of_ranks], train(case, sharded=False)
        for step in range(STEPS):
            for results in sharded:
                for key in (f"loss {step}", f"loss scale {step}"):
                    assert_close(results.get(key, np.zeros(())), dense.get(key, np.zeros(())))
        by_row = ("start", "weight", "bias", "momentum", *(f"each {s}" for s in range(STEPS)))
        for key in (*by_row, *(f"gradient {s}" for s in range(STEPS))):
            assert_close(np.concatenate([results[key] for results in sharded]), dense[key])
        for rank, results in enumerate(sharded):
            names = ("scores_BK", "classes_BK", "logsumexp_B")
            for key in ("best also_BJ", *(f"{which} {name}" for which in ("best", "among") for name in names)):
                assert_close(results[key], dense[key][: rank * 4])
    torch.manual_seed(1)
    dense_classifier = Classifier(D, 5).double()
    features_BD, _, weights_B = make_batch(0, 5)
    labels_B = torch.arange(B) % 5
    expected, _ = dense_classifier.loss(features_BD, labels_B, weights_B=weights_B, label_smoothing=0.1)
    for results_by_case in results_of_ranks:
        assert_close(results_by_case["sampled"]["loss"], expected.detach().numpy())
        compared = results_by_case["dtensor"]
        for name in ("loss", "features", "weight"):
            assert_close(compared[name], compared[f"expected {name}"])


def assert_close(values: NDArray[Any], expected: NDArray[Any]) -> None:
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-14)
