"""The weights of a finished run, model.safetensors: written by all ranks at once, read without being copied.

The format (https://huggingface.co/docs/safetensors): 8 bytes with the length of a JSON header, the header, then every
tensor. Its writer wants all tensors in the memory of one process; here each rank writes the rows that it holds at their
place in the one file, so that a classifier larger than a machine's memory becomes a plain file that one process opens.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base import dist
from prodrec.core.base.errors import BadArtefact, ProdrecError

if TYPE_CHECKING:
    from torch import Tensor

TYPES = ("int64", "float64", "float32", "int32", "bfloat16", "float16", "uint8", "bool")
NAMES = ("I64", "F64", "F32", "I32", "BF16", "F16", "U8", "BOOL")
"""In the order in which the format's own writer puts tensors, so that each stands at a multiple of its item size."""


def write_weights(path: Path, weights: Mapping[str, Tensor], shards: Mapping[str, dist.Shard]) -> None:
    """Write `weights` to `path`; all ranks call it. `shards` says which rows this one holds of tensors that are shared.

    The same bytes whatever the number of ranks, on the disk on return. Raises ProdrecError on all ranks where one could
    not write.
    """
    start, starts = _layout(weights, shards)
    _all_or_none(path, lambda: path.write_bytes(start) if dist.is_main() else None)
    _all_or_none(path, lambda: _write_rows(path, weights, shards, starts))


def _layout(weights: Mapping[str, Tensor], shards: Mapping[str, dist.Shard]) -> tuple[bytes, dict[str, int]]:
    """What stands before the tensors, and where each of them begins in the file."""
    from prodrec.core.training.checkpoint_shards import whole_shape

    kinds = {name: TYPES.index(str(tensor.dtype).removeprefix("torch.")) for name, tensor in weights.items()}
    header: dict[str, Any] = {}
    end = 0
    for name in sorted(weights, key=lambda name: (kinds[name], name)):
        shape = whole_shape(weights[name], shards.get(name))
        begin, end = end, end + shape.numel() * weights[name].element_size()
        header[name] = {"dtype": NAMES[kinds[name]], "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    before = len(text).to_bytes(8, "little") + text
    return before, {name: len(before) + at["data_offsets"][0] for name, at in header.items()}


def _write_rows(
    path: Path, weights: Mapping[str, Tensor], shards: Mapping[str, dist.Shard], starts: Mapping[str, int]
) -> None:
    import torch

    from prodrec.core.training.checkpoint_shards import pieces

    with path.open("r+b") as file:
        for name, tensor in weights.items():
            shard = shards.get(name)
            if shard is None and not dist.is_main():
                continue
            rows_ND = tensor.detach().reshape(1) if tensor.ndim == 0 else tensor.detach()
            bytes_of_row = rows_ND[:1].numel() * rows_ND.element_size() if len(rows_ND) else 0
            file.seek(starts[name] + (shard.first * bytes_of_row if shard else 0))
            for rows in pieces(rows_ND):
                file.write(rows_ND[rows].cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        file.flush()
        os.fsync(file.fileno())


def _all_or_none(path: Path, work: Any) -> None:
    """Do this rank's work; where it fails on any rank, remove the file and raise on all."""
    problem = None
    try:
        work()
    except OSError as error:
        problem = str(error)
    problems = [found for found in dist.all_gather(problem) if found]
    if problems:
        if dist.is_main():
            path.unlink(missing_ok=True)
        raise ProdrecError(
            f"{path} could not be written ({problems[0]}); the last checkpoint stands: go on with --resume."
        )


def map_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file by name, mapped from the disk: what is used is read, and may be dropped again.

    Changing a tensor changes memory only. Raises BadArtefact where the file is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise BadArtefact(f"{path} is damaged ({error}); train the run again.") from error
