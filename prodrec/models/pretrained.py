"""Weights files: read safely, unwrapped, and compared with the network before anything is loaded."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from prodrec.core.base.errors import BadArtefact, Mismatch, NotFound

RUN_WEIGHTS = "model.safetensors"
WRAPPERS = ("state_dict", "model")
AUXILIARY_HEADS = ("aux1.", "aux2.", "AuxLogits.")
NAMED_IN_MESSAGES = 3
OLD_NAMES = (  # torchvision's published files still have them: (pattern, today's name)
    (re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\."), r"\1\2."),
    (re.compile(r"\.mlp\.linear_1\."), ".mlp.0."),
    (re.compile(r"\.mlp\.linear_2\."), ".mlp.3."),
)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict of a .safetensors file, of a run directory, or of a .pth/.pt (no code in it is run: weights_only).

    A dict inside "state_dict" or "model" is unwrapped and "module." prefixes (DataParallel) are taken off.
    Raises NotFound, or BadArtefact where the file is truncated, no weights file, or holds NaN or infinity.
    """
    path = Path(path)
    if (path / RUN_WEIGHTS).is_file():
        path = path / RUN_WEIGHTS
    if not path.is_file():
        raise NotFound(f"weights file {path} does not exist.")
    found = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    for wrapper in WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    tensors = isinstance(found, Mapping) and {key: value for key, value in found.items() if isinstance(value, Tensor)}
    if not tensors:
        raise BadArtefact(f"{path} holds no weights by name; expected a state dict as torch.save writes it.")
    for key, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise BadArtefact(
                f"{path} holds NaN or infinity in {key}; it is damaged, or the training before it failed."
            )
    return {key.removeprefix("module."): value for key, value in tensors.items()}


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if isinstance(error, pickle.UnpicklingError):  # torch advises to run whatever code is in it
            reason = "torch.save did not write it, or it holds more than tensors"
        raise BadArtefact(
            f"{path} is not a readable weights file ({reason[:160]}); expected .safetensors or a state dict in .pth."
        ) from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise BadArtefact(f"{path} is not a readable safetensors file ({error}).") from error


def load_matching(
    module: nn.Module, found: Mapping[str, Tensor], *, optional: tuple[str, ...], origin: str, take: bool = False
) -> None:
    """Load `found` into `module`; every key must be there with its shape, except those that start with `optional`.

    Optional keys are loaded where they fit and left alone where they do not (a classifier of other classes). Missing
    `num_batches_tracked` (files before torch 0.4.1) and heads for training only are no difference. Lower precision is
    cast. take: let the module have the tensors of `found` themselves instead of copying them into its own.
    Raises Mismatch naming the first keys that do not fit; `origin` says what was compared with what.
    """
    found = {_todays_name(key): value for key, value in found.items()}
    own = module.state_dict()
    free = tuple(key for key in own if key.startswith(optional)) if optional else ()
    missing = [key for key in own if key not in found and key not in free and not key.endswith("num_batches_tracked")]
    unknown = [key for key in found if key not in own and not key.startswith((*AUXILIARY_HEADS, *optional))]
    other = [key for key in own if key in found and own[key].shape != found[key].shape and key not in free]
    problems = [
        *_list("it lacks", missing),
        *_list("it has unknown", unknown),
        *_list("shapes differ:", [f"{key} {_shape(found[key])} instead of {_shape(own[key])}" for key in other]),
    ]
    if problems:
        raise Mismatch(f"{origin}: {'; '.join(problems)}.")
    fitting = {key: value for key, value in found.items() if key in own and own[key].shape == value.shape}
    if take:
        same_type = {key: value.to(own[key].dtype) for key, value in fitting.items()}
        module.load_state_dict(same_type, strict=False, assign=True)
        return
    with torch.no_grad():
        for key, value in fitting.items():
            own[key].copy_(value)


def _todays_name(key: str) -> str:
    for pattern, name in OLD_NAMES:
        key = pattern.sub(name, key)
    return key


def _list(what: str, keys: list[str]) -> list[str]:
    if not keys:
        return []
    more = f" and {len(keys) - NAMED_IN_MESSAGES} more" if len(keys) > NAMED_IN_MESSAGES else ""
    return [f"{what} {', '.join(keys[:NAMED_IN_MESSAGES])}{more}"]


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "scalar"
