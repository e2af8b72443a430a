from __future__ import annotations

import pytest
import torch

from prodrec.models.attention import SpatialAttention

D, H, W = 5, 4, 3


def test_every_cell_has_a_weight_from_photo_and_template() -> None:
    """Computed cell by cell: sigmoid of the 1×1 convolution, times the template, times all maps."""
    torch.manual_seed(1)
    attention = SpatialAttention(D, (H, W)).double()
    attention.template_HW.data = torch.rand(H, W, dtype=torch.float64)
    attention.convolution.bias.data.fill_(0.3)  # type: ignore[union-attr]
    maps_BDHW = torch.randn(2, D, H, W, dtype=torch.float64)
    attended_BDHW, weights_BHW = attention(maps_BDHW), attention.weights(maps_BDHW)
    kernel_D = attention.convolution.weight[0, :, 0, 0]
    for row in range(2):
        for y in range(H):
            for x in range(W):
                weight = torch.sigmoid(kernel_D @ maps_BDHW[row, :, y, x] + 0.3) * attention.template_HW[y, x]
                torch.testing.assert_close(weights_BHW[row, y, x], weight)
                torch.testing.assert_close(attended_BDHW[row, :, y, x], weight * maps_BDHW[row, :, y, x])


@pytest.mark.parametrize("init_std", [1.0, 0.02])
def test_initial_weights_are_gaussian_and_the_template_is_one(init_std: float) -> None:
    torch.manual_seed(2)
    attention = SpatialAttention(20_000, (H, W), init_std=init_std)
    weight = attention.convolution.weight.detach()
    assert float(weight.std()) == pytest.approx(init_std, rel=0.03) and abs(float(weight.mean())) < 0.03 * init_std
    assert (attention.convolution.bias == 0).all()  # type: ignore[union-attr]
    assert torch.equal(attention.template_HW, torch.ones(H, W))


def test_channels_last_maps_give_the_same_result() -> None:
    attention = SpatialAttention(D, (H, W))
    maps_BDHW = torch.randn(2, D, H, W)
    torch.testing.assert_close(attention(maps_BDHW.to(memory_format=torch.channels_last)), attention(maps_BDHW))
