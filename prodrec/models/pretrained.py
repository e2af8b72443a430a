"""Weights files: read them safely and compare them with a network before anything is loaded."""

from __future__ import annotations

import argparse
import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from prodrec.core.base.errors import BadArtefact, Mismatch, NotFound
from prodrec.core.base.wording import listed

if TYPE_CHECKING:
    from prodrec.models.backbone import Backbone

RUN_WEIGHTS = "model.safetensors"
"""The weights file in a run directory."""
WRAPPERS = (
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema",
    "state_dict",
    "model_state_dict",
    "model",
    "module",
    "net",
    "network",
    "weights",
)
"""Keys under which training scripts save a state dict among other things. A moving average comes first: it is better,
and timm loads it too."""
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "ema_model.", "encoder_q.", "backbone.")
"""Prefixes that wrappers and training scripts add to the keys of a network: DataParallel, torch.compile, Lightning,
averages, MoCo, and mmpretrain. Weights beside those with a prefix, such as a queue or another head, are not read."""
RUN_PREFIX = "backbone.trunk."
"""Prefix of keys in the weights of a run of prodrec."""
SAFETENSORS_START = 9
"""Bytes at the start of a safetensors file by which it is recognised: the length of a header, and its first brace."""
AUXILIARY_HEADS = ("aux1.", "aux2.", "AuxLogits.")
"""Heads of GoogLeNet and Inception for training only; prodrec builds these networks without them."""
REASON_LENGTH = 160
"""Characters of torch's error that a message repeats; some errors contain a page of advice."""
RENAMED_KEYS = (  # keys in torchvision's published files, and their names in its current networks
    (re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\."), r"\1\2."),
    (re.compile(r"\.mlp\.linear_1\."), ".mlp.0."),
    (re.compile(r"\.mlp\.linear_2\."), ".mlp.3."),
)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a safetensors file, a run directory, or a file that torch.save wrote.

    The format is recognised by the content, whatever the name. Code in a file is never run. A dict under one of
    WRAPPERS is unwrapped, and PREFIXES are removed.

    Raise NotFound, or BadArtefact if the file is truncated, is no weights file, or contains NaN or infinity.
    """
    path = Path(path)
    if (path / RUN_WEIGHTS).is_file():
        path = path / RUN_WEIGHTS
    if not path.is_file():
        raise NotFound(f"weights file {path} does not exist.")
    contents = _unwrap(_read_safetensors(path) if _is_safetensors(path) else _read_torch(path))
    items = contents.items() if isinstance(contents, Mapping) else ()
    tensors = _without_prefixes({str(key): value for key, value in items if isinstance(value, Tensor)})
    if not tensors:
        raise BadArtefact(f"{path} contains no weights by name; expected a state dict as torch.save writes it.")
    for key, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise BadArtefact(
                f"{path} contains NaN or infinity in {key}; it is damaged, or the training before it failed."
            )
    return tensors


def _unwrap(contents: Any) -> Any:
    """Return the state dict in what a training script saved."""
    if not isinstance(contents, Mapping):
        return contents
    wrapped = next((key for key in WRAPPERS if isinstance(contents.get(key), Mapping)), None)
    return contents if wrapped is None else _unwrap(contents[wrapped])


def _without_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of the network without PREFIXES. Those of a run of prodrec keep them."""
    while not is_run(tensors):
        prefix = next((prefix for prefix in PREFIXES if any(key.startswith(prefix) for key in tensors)), None)
        if prefix is None:
            break
        tensors = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    return tensors


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(SAFETENSORS_START)
    return path.suffix == ".safetensors" if len(start) < SAFETENSORS_START else start.endswith(b"{")


def _read_torch(path: Path) -> Any:
    try:
        # a path with another ending would make torch choose another format
        with torch.serialization.safe_globals(_plain_types()), path.open("rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if isinstance(error, pickle.UnpicklingError):  # torch's own message advises to run the code in the file
            reason = "torch.save did not write it, or it contains more than tensors"
        raise BadArtefact(
            f"{path} is not a readable weights file ({reason[:REASON_LENGTH]}); "
            "expected .safetensors or a state dict in .pth."
        ) from error


def _plain_types() -> list[Any]:
    """Return types without code that training scripts save beside the weights: their options, and measured numbers."""
    return [
        argparse.Namespace,
        np.dtype,
        type(np.dtype(np.float32)),
        type(np.dtype(np.float64)),
        type(np.dtype(np.int64)),
        type(np.float64(0)).__reduce__(np.float64(0))[0],  # the function that makes a scalar; numpy renamed its module
    ]


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise BadArtefact(f"{path} is not a readable safetensors file ({error}).") from error


def load_weights_into(
    module: nn.Module,
    weights: Mapping[str, Tensor],
    *,
    optional: Sequence[str] = (),
    mismatch: str,
    assign: bool = False,
) -> None:
    """Load `weights` into `module`, which must have the same keys and shapes.

    Three differences are accepted. Keys that start with one of `optional`, such as a classifier of other classes, keep
    the module's values where they do not fit. `num_batches_tracked` may be missing, as in files before torch 0.4.1.
    Auxiliary heads are ignored. Values are cast to the module's number type.

    assign: make the tensors of `weights` the module's own instead of copying their values

    Raise Mismatch with the text `mismatch` and the first keys that differ.
    """
    weights = {_current_name(key): value for key, value in weights.items()}
    own = module.state_dict()
    optional = tuple(optional)
    missing = [
        key
        for key in own
        if key not in weights and not key.startswith(optional) and not key.endswith("num_batches_tracked")
    ]
    unknown = [key for key in weights if key not in own and not key.startswith((*AUXILIARY_HEADS, *optional))]
    fitting = {key: value for key, value in weights.items() if key in own and own[key].shape == value.shape}
    misshapen = [
        f"{key} {_shape(weights[key])} instead of {_shape(own[key])}"
        for key in own
        if key in weights and key not in fitting and not key.startswith(optional)
    ]
    problems = [
        *_list_keys("it lacks", missing),
        *_list_keys("it has unknown", unknown),
        *_list_keys("shapes differ:", misshapen),
    ]
    if problems:
        raise Mismatch(f"{mismatch}: {'; '.join(problems)}.")
    if assign:
        same_type = {key: value.to(own[key].dtype) for key, value in fitting.items()}
        module.load_state_dict(same_type, strict=False, assign=True)
        return
    with torch.no_grad():
        for key, value in fitting.items():
            own[key].copy_(value)


def is_run(weights: Mapping[str, Tensor]) -> bool:
    """Return whether weights are those of a run of prodrec, and not of a network of a library."""
    return any(key.startswith(RUN_PREFIX) for key in weights)


def load_run_into(backbone: Backbone, run: Mapping[str, Tensor], *, source: str) -> None:
    """Load backbone and private layers from the weights of a run. `source` names the run in messages.

    The private layers are those of the run's head with the most classes, if it has them in the same shapes.

    Raise Mismatch if the backbone of the run is another one.
    """
    own = {key.removeprefix("backbone."): value for key, value in run.items() if key.startswith("backbone.")}
    load_weights_into(backbone, own, mismatch=f"the backbone of the run {source} is not {backbone.name}")
    suffix = "classifier.bias"
    classes_by_head = {
        key.removesuffix(suffix): len(bias)
        for key, bias in run.items()
        if key.startswith("heads.") and key.endswith(suffix)
    }
    prefix = max(classes_by_head, key=classes_by_head.__getitem__, default="") + "private."
    saved = {key.removeprefix(prefix): value for key, value in run.items() if key.startswith(prefix)}
    layers = nn.Sequential(*backbone.private)
    shapes = {key: value.shape for key, value in layers.state_dict().items()}
    if shapes and {key: value.shape for key, value in saved.items()} == shapes:
        layers.load_state_dict(saved)


def _current_name(key: str) -> str:
    for pattern, name in RENAMED_KEYS:
        key = pattern.sub(name, key)
    return key


def _list_keys(problem: str, keys: list[str]) -> list[str]:
    return [f"{problem} {listed(keys)}"] if keys else []


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "scalar"
