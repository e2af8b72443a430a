"""Folded networks return what the networks return."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor, nn

from prodrec.core.training.fold_batch_norms import fold_batch_norms, folded_batch_norms

OF_EVERY_KIND = (
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "inception_v3",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_x_400mf",
    "resnet18",
    "resnet50",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
)


def draw_statistics(network: nn.Module) -> None:
    """Give the batch norms statistics and weights of their own: new ones do nothing."""
    torch.manual_seed(1)
    for norm in batch_norms(network):
        norm.running_mean.normal_(0, 0.1)
        norm.running_var.uniform_(0.5, 2)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, 0, 0.1)


def batch_norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


@pytest.mark.parametrize("name", OF_EVERY_KIND)
@torch.inference_mode()
def test_the_result_is_the_same(name: str) -> None:
    kind = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    network = torchvision.models.get_model(name, **kind).eval()
    draw_statistics(network)
    photos = torch.randn(2, 3, 96, 96)
    expected, norms = network(photos), batch_norms(network)
    with folded_batch_norms(network):
        folded = network(photos)
        if name != "densenet121":  # half of its norms are before a convolution
            assert not batch_norms(network)
    assert float((folded - expected).norm() / expected.norm()) < 1e-5
    assert batch_norms(network) == norms and torch.equal(network(photos), expected)


class ReluBetween(nn.Module):
    """Defines a batch norm after the convolution and does not run it there."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.convolution(images).relu())


def test_only_modules_that_run_in_the_order_of_their_definition_are_folded() -> None:
    network = nn.Sequential(ReluBetween(), nn.Sequential(nn.Conv2d(4, 5, 1), nn.BatchNorm2d(5))).eval()
    replaced = fold_batch_norms(network)
    assert [(parent, name) for parent, name, _ in replaced] == [(network[1], "0"), (network[1], "1")]
    assert isinstance(network[1][1], nn.Identity) and network[1][0].bias is not None


def test_statistics_of_a_batch_are_not_folded() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    assert not fold_batch_norms(network)
    without_statistics = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)).eval()
    assert not fold_batch_norms(without_statistics)


def test_the_network_is_put_back_after_an_error() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval()
    modules = list(network)
    with pytest.raises(KeyError), folded_batch_norms(network):
        raise KeyError
    assert list(network) == modules
