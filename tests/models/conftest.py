"""A small tree of classes and batches drawn at random, for every test of networks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.data.batches import Batch

WORDS = 12
LARGE = 2**20
"""Weights of a large matrix. VGG has one of a hundred million, which take seconds to draw."""


@pytest.fixture(scope="session", autouse=True)
def quick_random_weights() -> Iterator[None]:
    """The random weights of large matrices: LARGE numbers are drawn, and the other rows repeat them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("normal_", "uniform_", "trunc_normal_", "kaiming_normal_", "kaiming_uniform_", "xavier_uniform_"):
            patch.setattr(nn.init, name, _of_first_rows(getattr(nn.init, name)))
        yield


def _of_first_rows(initialise: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return `initialise` for the first rows of large matrices, which are then repeated."""

    def quick(tensor: Tensor, *arguments: Any, **options: Any) -> Tensor:
        if tensor.numel() <= LARGE or tensor.is_meta:
            return initialise(tensor, *arguments, **options)
        rows = max(1, LARGE * len(tensor) // tensor.numel())
        with torch.no_grad():
            initialise(tensor[:rows], *arguments, **options)
            for start in range(rows, len(tensor), rows):
                tensor[start : start + rows] = tensor[: min(rows, len(tensor) - start)]
        return tensor

    return quick


@pytest.fixture(autouse=True)
def quick_and_repeatable() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_open_clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Add a small model to those of open_clip, and return its name."""
    open_clip = pytest.importorskip("open_clip")
    path = tmp_path_factory.mktemp("open_clip") / "tiny.json"
    vision = {"image_size": 64, "layers": 3, "width": 32, "patch_size": 16, "head_width": 16}
    text = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    path.write_text(json.dumps({"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}))
    open_clip.add_model_config(path)
    return "tiny"


@pytest.fixture
def taxonomy() -> Taxonomy:
    """Two roots, five leaves."""
    return Taxonomy(
        levels=("root", "leaf"),
        names=(("shoes", "bags"), ("boots", "sandals", "clogs", "totes", "satchels")),
        parents=(np.full(2, -1, np.int32), np.array([0, 0, 0, 1, 1], np.int32)),
    )


@pytest.fixture
def attributes() -> tuple[Attribute, ...]:
    """Two attributes, of three states and of two."""
    return Attribute("colour", ("red", "green", "blue")), Attribute("sleeve length", ("short", "long"))


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    def make(size: int = 4, *, height: int = 64, width: int = 64, untitled: tuple[int, ...] = ()) -> Batch:
        tokens_BT = torch.zeros(size, 6, dtype=torch.int64)
        for row in range(size):
            if row not in untitled:
                tokens_BT[row, : 1 + row % 6] = torch.randint(1, WORDS + 1, (1 + row % 6,))
        leaves_B = torch.arange(size) % 5
        return Batch(
            rows_B=torch.arange(size),
            inputs=torch.randn(size, 3, height, width),
            labels_BL=torch.stack([leaves_B // 3, leaves_B], dim=1),
            attributes_BA=torch.stack([torch.arange(size) % 4, torch.arange(size) % 3], dim=1),
            tokens_BT=tokens_BT,
        )

    return make
