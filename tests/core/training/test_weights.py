"""The weights file equals that of the safetensors library for any number of ranks, and is mapped from the disk."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from prodrec.core.base import dist
from prodrec.core.base.errors import BadArtefact, ProdrecError
from prodrec.core.training.weights import map_weights, write_weights

ROWS = 7


def all_weights() -> dict[str, Tensor]:
    """Return tensors of every type: also with a Chinese name, channels-last, without elements, and a scalar."""
    torch.manual_seed(0)
    return {
        "heads.level:类目.classifier.weight": torch.randn(ROWS, 5),
        "bias": torch.randn(ROWS),
        "body": torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last),
        "batches": torch.tensor(4),
        "flags": torch.tensor([True, False, True]),
        "half": torch.randn(3, 3).bfloat16(),
        "float16": torch.randn(3, 1).half(),
        "double": torch.randn(2).double(),
        "codes": torch.arange(5, dtype=torch.uint8),
        "int32": torch.arange(3, dtype=torch.int32),
        "nothing": torch.zeros(0, 3),
    }


def write_on_three(path: Path, cuts: list[int]) -> str:
    weights, rows = all_weights(), slice(cuts[dist.rank()], cuts[dist.rank() + 1])
    shared = ("heads.level:类目.classifier.weight", "bias")
    parts = {name: tensor[rows].clone() if name in shared else tensor for name, tensor in weights.items()}
    shards = dict.fromkeys(shared, dist.Shard(rows.start, ROWS))
    write_weights(path, parts, shards)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    if dist.rank() == 2:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        write_weights(path.with_name("full"), parts, shards)
    except ProdrecError as error:
        return str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    return ""


def test_the_file_equals_that_of_the_library_of_the_format(tmp_path: Path, on_ranks: Any) -> None:
    save_file({name: tensor.contiguous() for name, tensor in all_weights().items()}, tmp_path / "expected")
    write_weights(tmp_path / "one", all_weights(), {})
    messages = on_ranks(3, write_on_three, tmp_path / "three", [0, 3, 3, 7])
    for name in ("one", "three"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "expected").read_bytes()
    assert all("full could not be written ([Errno 27] File too large)" in message for message in messages)
    assert not (tmp_path / "full").exists()
    for name, tensor in map_weights(tmp_path / "three").items():
        assert torch.equal(tensor, all_weights()[name]) and tensor.dtype == all_weights()[name].dtype


def test_weights_are_mapped_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    write_weights(path, {"w": torch.ones(5_000_000)}, {})
    before = anonymous_memory()
    weights = map_weights(path)
    assert float(weights["w"].sum()) == 5_000_000
    assert anonymous_memory() - before < 4_000_000
    weights["w"][0] = 5  # changes memory only
    assert float(map_weights(path)["w"][0]) == 1


def anonymous_memory() -> int:
    """Return the bytes of memory of this process that are not pages of files."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return int(lines["RssAnon"].split()[0]) * 1024


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    write_weights(path, all_weights(), {})
    for damaged in (path.read_bytes()[:-4], b"", b"\xff" * 100):
        path.write_bytes(damaged)
        with pytest.raises(BadArtefact, match="is damaged"):
            map_weights(path)
