"""The weights of a finished run, model.safetensors: written by all ranks together, and mapped from the disk.

The format (https://huggingface.co/docs/safetensors) is the length of a JSON header in 8 bytes, the header, and the
tensors. Each rank writes its own rows at their place in the file, so a classifier that is larger than the memory of a
machine becomes a plain file that one process can open.

This writer is our own because safetensors' `save_file` needs all tensors in one process, and torch's
`consolidate_hf_safetensors_files` (2.14) writes everything twice, needs whole tensors in one process, and refuses
tensors of integers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base import dist
from prodrec.core.base.errors import BadArtefact, ProdrecError

if TYPE_CHECKING:
    from torch import Tensor

TYPE_NAMES = {
    "int64": "I64",
    "float64": "F64",
    "float32": "F32",
    "int32": "I32",
    "bfloat16": "BF16",
    "float16": "F16",
    "uint8": "U8",
    "bool": "BOOL",
}
"""Names of the format for torch's types, in the order in which `save_file` writes them. Large items come first; each
tensor therefore starts at a multiple of its item size."""


def write_weights(path: Path, weights: Mapping[str, Tensor], shards: Mapping[str, dist.Shard]) -> None:
    """Write `weights` to `path` and flush them to the disk. All ranks must call this.

    shards: by name, this rank's shard of every weight whose rows are divided among the ranks

    The bytes do not depend on the number of ranks, and equal those of `save_file`. Raise ProdrecError on all ranks if
    one of them cannot write.
    """
    prefix, offsets = _layout(weights, shards)
    _run_on_all(path, lambda: path.write_bytes(prefix) if dist.is_main() else None)
    _run_on_all(path, lambda: _write_rows(path, weights, shards, offsets))


def _layout(weights: Mapping[str, Tensor], shards: Mapping[str, dist.Shard]) -> tuple[bytes, dict[str, int]]:
    """Return the bytes before the tensors, and the offset in bytes of each tensor from the start of the file."""
    from prodrec.core.training.shards import global_shape

    types = list(TYPE_NAMES)
    type_of = {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in weights.items()}
    header: dict[str, Any] = {}
    end = 0
    for name in sorted(weights, key=lambda name: (types.index(type_of[name]), name)):
        shape = global_shape(weights[name], shards.get(name))
        begin, end = end, end + shape.numel() * weights[name].element_size()
        header[name] = {"dtype": TYPE_NAMES[type_of[name]], "shape": list(shape), "data_offsets": [begin, end]}
    header_json = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    header_json += b" " * (-len(header_json) % 8)
    prefix = len(header_json).to_bytes(8, "little") + header_json
    return prefix, {name: len(prefix) + entry["data_offsets"][0] for name, entry in header.items()}


def _write_rows(
    path: Path, weights: Mapping[str, Tensor], shards: Mapping[str, dist.Shard], offsets: Mapping[str, int]
) -> None:
    """Write the rows of this rank. Rank 0 writes the tensors that are not sharded."""
    import torch

    from prodrec.core.training.shards import row_chunks

    with path.open("r+b") as file:
        for name, tensor in weights.items():
            shard = shards.get(name)
            if shard is None and not dist.is_main():
                continue
            rows_ND = tensor.detach().reshape(1) if tensor.ndim == 0 else tensor.detach()
            row_bytes = rows_ND[:1].numel() * rows_ND.element_size() if len(rows_ND) else 0
            file.seek(offsets[name] + (shard.first * row_bytes if shard else 0))
            for rows in row_chunks(rows_ND):
                file.write(rows_ND[rows].cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        file.flush()
        os.fsync(file.fileno())


def _run_on_all(path: Path, write: Callable[[], object]) -> None:
    """Call `write` on all ranks. If it fails on any of them, remove the file and raise ProdrecError on all ranks."""
    problem = None
    try:
        write()
    except OSError as error:
        problem = str(error)
    problems = [text for text in dist.all_gather(problem) if text]
    if problems:
        if dist.is_main():
            path.unlink(missing_ok=True)
        raise ProdrecError(
            f"{path} could not be written ({problems[0]}); the last checkpoint is complete: continue with --resume."
        )


def map_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a weights file by name, mapped from the disk. Raise BadArtefact if the file is damaged.

    Pages are read when they are used, and the system may drop them again. Changing a tensor changes memory only.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise BadArtefact(f"{path} is damaged ({error}); train the run again.") from error
