"""Number type and memory layout: set by the user, chosen by the size of the photos, and saved in a run."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from prodrec.core.training.config import TrainingConfig
from prodrec.core.training.precision import Precision, choose_precision


def test_precision_is_as_set_and_bf16_is_chosen_for_large_photos_only():
    cpu = torch.device("cpu")
    config = TrainingConfig(precision="bf16", channels_last="no")
    assert choose_precision(config, cpu, pixels=100) == (torch.bfloat16, False)
    assert choose_precision(replace(config, precision="fp32"), cpu, pixels=10**6).dtype is torch.float32
    assert choose_precision(TrainingConfig(), cpu, pixels=80 * 60).dtype is torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_precision_survives_json(dtype):
    precision = Precision(dtype, channels_last=True)
    assert precision.as_json() == {"dtype": str(dtype).removeprefix("torch."), "channels_last": True}
    assert Precision.from_json(precision.as_json()) == precision
