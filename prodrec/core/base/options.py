"""Options of a command, defined once as fields of dataclasses.

The options of the command line, the keyword arguments of the Python function and the keys of the TOML file are derived
from these fields.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from prodrec.core.base.config import read_value, types_of_fields
from prodrec.core.base.errors import BadOption, did_you_mean

F = TypeVar("F", bound=Callable[..., Any])


def option(
    default: Any,
    help: str,  # noqa: A002 - the name that typer and argparse use
    *,
    name: str | None = None,
    group: str = "",
    metavar: str | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """Return a dataclass field that is an option of a command.

    help:             a sentence for the help of the command
    name:             name of the option, if it differs from the name of the field
    group:            heading under which the help lists it
    metavar:          placeholder of the value in the help
    minimum, maximum: smallest and largest allowed value
    """
    return dataclasses.field(
        default=default,
        metadata={
            "help": help,
            "name": name,
            "group": group,
            "metavar": metavar,
            "minimum": minimum,
            "maximum": maximum,
        },
    )


@dataclasses.dataclass(frozen=True)
class Option:
    """An option of a command.

    owner, field: the dataclass and the name of its field that define the option
    hint:         type of the field

    All other fields are the arguments of `option`.
    """

    name: str
    owner: type
    field: str
    hint: Any
    default: Any
    help: str
    group: str
    metavar: str | None
    minimum: float | None
    maximum: float | None

    @property
    def flag(self) -> str:
        """Name of the option on the command line."""
        return "--" + self.name.replace("_", "-")


def options_of(*classes: type) -> dict[str, Option]:
    """Return the options that dataclasses define, by name, in the order of their fields. Other fields are skipped."""
    options = {}
    for owner in classes:
        hints = types_of_fields(owner)
        for field in dataclasses.fields(owner):
            if "minimum" not in field.metadata:
                continue
            metadata = dict(field.metadata)
            name = metadata.pop("name") or field.name
            options[name] = Option(
                name=name, owner=owner, field=field.name, hint=hints[field.name], default=field.default, **metadata
            )
    return options


def read_options(classes: Sequence[type], values: Mapping[str, Any], *, source: str) -> dict[type, dict[str, Any]]:
    """Convert the values of options to the types of their fields, and return them by class and field.

    values: values by the names of the options
    source: origin of the values, for messages: a file, or the Python function

    Raise BadOption for an unknown option or a value of the wrong type.
    """
    options = options_of(*classes)
    values_by_class: dict[type, dict[str, Any]] = {owner: {} for owner in classes}
    for name, value in values.items():
        if name not in options:
            raise BadOption(f"{source}: unknown option {name!r}{did_you_mean(name, options)}.")
        option = options[name]
        values_by_class[option.owner][option.field] = read_value(value, option.hint, key=name, source=source)
    return values_by_class


def check_ranges(instance: Any) -> None:
    """Raise BadOption if a field of `instance` is outside the range of its option; for use in `__post_init__`."""
    for option in options_of(type(instance)).values():
        value = getattr(instance, option.field)
        if value is None:
            continue
        if option.minimum is not None and value < option.minimum:
            raise BadOption(f"{option.flag} {value} is too small; expected at least {option.minimum:g}.")
        if option.maximum is not None and value > option.maximum:
            raise BadOption(f"{option.flag} {value} is too large; expected at most {option.maximum:g}.")


def with_options(*classes: type) -> Callable[[F], F]:
    """Return a decorator that lists the options of dataclasses in the signature and the docstring of a function.

    They replace `**options` in the signature, and the line `**options: the options below.` in the docstring. How the
    function is called does not change.
    """

    def decorate(function: F) -> F:
        options = options_of(*classes).values()
        signature = inspect.signature(function)
        fixed = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        keyword = inspect.Parameter.KEYWORD_ONLY
        added = [inspect.Parameter(o.name, keyword, default=o.default, annotation=o.hint) for o in options]
        function.__signature__ = signature.replace(parameters=[*fixed, *added])  # type: ignore[attr-defined]
        lines = "\n".join(f"        {o.name}: {o.help}" for o in options)
        function.__doc__ = (function.__doc__ or "").replace("        **options: the options below.", lines)
        return function

    return decorate
