"""Options of a command, stated once: as fields of dataclasses.

From these fields come the options of the command line, the keywords of the Python function and the keys of a TOML file.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, get_type_hints

from prodrec.core.base.config import read_value
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
    """Return a dataclass field that is an option; `minimum` and `maximum` are allowed values themselves.

    name: the keyword of the option, if it differs from the name of the field
    group: the heading under which the help of the command lists it
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
    """One option: where it is stated, and all that a command line or a signature needs to know."""

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
        """The option as typed on the command line."""
        return "--" + self.name.replace("_", "-")


def options_of(*classes: type) -> dict[str, Option]:
    """Return the options that the fields of dataclasses state, by name, in the order of the fields."""
    options = {}
    for owner in classes:
        hints = get_type_hints(owner)
        for field in dataclasses.fields(owner):
            if "minimum" not in field.metadata:
                continue
            facts = dict(field.metadata)
            name = facts.pop("name") or field.name
            options[name] = Option(
                name=name, owner=owner, field=field.name, hint=hints[field.name], default=field.default, **facts
            )
    return options


def read_options(classes: Sequence[type], values: Mapping[str, Any], *, source: str) -> dict[type, dict[str, Any]]:
    """Return the values by class and field, each converted to the type of its field.

    `source` names the origin in errors: a file, or the Python call. Raise BadOption for an unknown option, with the
    nearest known one, or a value of the wrong type.
    """
    options = options_of(*classes)
    by_class: dict[type, dict[str, Any]] = {owner: {} for owner in classes}
    for name, value in values.items():
        if name not in options:
            raise BadOption(f"{source}: unknown option {name!r}{did_you_mean(name, options)}.")
        known = options[name]
        by_class[known.owner][known.field] = read_value(value, known.hint, key=name, where=source)
    return by_class


def check_ranges(instance: Any) -> None:
    """Raise BadOption if a field of `instance` is outside the range that its option states."""
    for known in options_of(type(instance)).values():
        value = getattr(instance, known.field)
        if value is None:
            continue
        if known.minimum is not None and value < known.minimum:
            raise BadOption(f"{known.flag} {value} is too small; expected at least {known.minimum:g}.")
        if known.maximum is not None and value > known.maximum:
            raise BadOption(f"{known.flag} {value} is too large; expected at most {known.maximum:g}.")


def with_options(*classes: type) -> Callable[[F], F]:
    """Show the options of dataclasses in the signature and the docstring of a function that takes `**options`."""

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
