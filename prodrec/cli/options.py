"""Turn the fields of option dataclasses into options of the command line."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_origin

import typer

from prodrec.core.base.options import Option, options_of


def add_options(signature: inspect.Signature, classes: tuple[type, ...]) -> inspect.Signature:
    """Replace the `**options` of a signature by one typer option for each option of the dataclasses."""
    fixed = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    return signature.replace(parameters=[*fixed, *(_parameter(option) for option in options_of(*classes).values())])


def drop_defaults(options: Mapping[str, Any], classes: tuple[type, ...], context: typer.Context) -> dict[str, Any]:
    """Drop the options of `classes` that the user did not type: a TOML file may set them."""
    declared = options_of(*classes)
    return {name: value for name, value in options.items() if name not in declared or _is_typed(name, context)}


def _is_typed(name: str, context: typer.Context) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _parameter(option: Option) -> inspect.Parameter:
    declaration: dict[str, Any] = {
        "help": option.help,
        "metavar": option.metavar,
        "rich_help_panel": option.group,
        "show_default": "[default" not in option.help,
    }
    if option.hint is not bool:
        declaration |= {"min": option.minimum, "max": option.maximum}
    # `read_options` converts and checks tuples and choices later.
    hint: Any = str if get_origin(option.hint) in (tuple, Literal) else option.hint
    default = option.default
    if default == ():
        hint, default = str | None, None
    annotation = Annotated[hint, typer.Option(option.flag, **declaration)]
    return inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
