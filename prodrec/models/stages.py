"""The stages of a trunk, by name, in the order in which they run.

A trunk that is an nn.Sequential can be run stage by stage: its stages are its children, and those of every
nn.Sequential inside it. Any other trunk, such as a vision transformer, runs as a whole; its `parts` name what can be
frozen.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

BODIES = ("features", "blocks", "stages", "layers", "trunk_output", "encoder", "transformer", "resblocks")
"""Names of the modules that contain the stages of a network, in torchvision, timm and open_clip."""


def stages(trunk: nn.Module, *boundaries: str | None, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield (name, module) of the stages that make up the trunk, in order.

    These are the children of the trunk. A child that contains a stage of `boundaries` is replaced by its own children,
    as deep as needed. A trunk that is no nn.Sequential is a single stage.
    """
    if not isinstance(trunk, nn.Sequential):
        yield prefix.rstrip("."), trunk
        return
    for key, stage in trunk.named_children():
        name = prefix + key
        if any(boundary is not None and boundary.startswith(f"{name}.") for boundary in boundaries):
            yield from stages(stage, *boundaries, prefix=f"{name}.")
        else:
            yield name, stage


def all_stages(trunk: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield (name, module) of every stage, each before the stages inside it."""
    for key, stage in trunk.named_children() if isinstance(trunk, nn.Sequential) else ():
        yield prefix + key, stage
        yield from all_stages(stage, f"{prefix}{key}.")


def parts(trunk: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield (name, module) of the parts of any trunk, in the order of their definition.

    These are the children of the trunk; a child with a name in BODIES is replaced by its own parts (`features.6`,
    `blocks.11`, `encoder.layers.encoder_layer_0`).
    """
    for key, child in trunk.named_children():
        if key in BODIES and next(child.children(), None) is not None:
            yield from parts(child, f"{prefix}{key}.")
        else:
            yield prefix + key, child


def loose_parameters(trunk: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of a trunk that belong to none of its `parts`, such as a class token.

    They count as the first part, because they are added to the input of the blocks.
    """
    in_parts = {id(parameter) for _, part in parts(trunk) for parameter in part.parameters()}
    return [parameter for parameter in trunk.parameters() if id(parameter) not in in_parts]


def rate_stages(trunk: nn.Module, neck: nn.Module) -> list[tuple[str, list[nn.Parameter]]]:
    """Return (name, parameters) of the stages that have a learning rate of their own, in order; frozen ones too.

    These are the parts of the trunk, and the neck. One without a matrix, such as a norm, belongs to the stage before
    it, and the loose parameters to the first one.
    """
    waiting = loose_parameters(trunk)
    found: list[tuple[str, list[nn.Parameter]]] = []
    for name, part in (*parts(trunk), ("neck", neck)):
        parameters = list(part.parameters())
        if any(parameter.ndim > 1 for parameter in parameters):
            found.append((name, [*waiting, *parameters]))
            waiting = []
        else:
            (found[-1][1] if found else waiting).extend(parameters)
    return [*found, *([("", waiting)] if waiting else [])]
