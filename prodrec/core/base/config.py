"""Settings: frozen dataclasses beside what they configure, changed by `--set key=value` and `--config file.toml`.

A recipe has several such dataclasses (network, training, photos); their keys are one flat namespace for the user, so
that `--set lr=0.1` needs no section. Values are read by the field's type; unknown keys fail with the nearest name.
"""

from __future__ import annotations

import dataclasses
import functools
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

from prodrec.core.base.errors import BadOption, NotFound, did_you_mean

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")


def setting(default: Any, help: str, *, group: str = "", **bounds: float) -> Any:  # noqa: A002 - the name in argparse
    """Return a dataclass field with a default, its meaning and its group, as `prodrec train --settings` prints them.

    bounds: gt, ge, lt or le, as in `pydantic.Field`; `check_ranges` checks them.
    """
    metadata = {"help": help, "group": group, "bounds": bounds}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def check_ranges(settings: Any) -> None:
    """Raise ValueError if a field of the dataclass `settings` is outside its bounds; for use in `__post_init__`."""
    from pydantic import ValidationError

    for key, adapter in _bounded_fields(type(settings)).items():  # type: ignore[arg-type]
        value = getattr(settings, key)
        try:
            adapter.validate_python(value)
        except ValidationError as error:
            expected = error.errors()[0]["msg"].replace("Input should", "must", 1)
            raise ValueError(f"{key}={format_value(value)} {expected}.") from error


@functools.cache
def _bounded_fields(kind: type) -> dict[str, TypeAdapter[Any]]:
    """Return a validator of every field of `kind` that has bounds."""
    from pydantic import Field, TypeAdapter

    hints = _hints(kind)
    return {
        field.name: TypeAdapter(Annotated[hints[field.name], Field(**field.metadata["bounds"])])  # type: ignore[arg-type]
        for field in dataclasses.fields(kind)
        if field.metadata.get("bounds")
    }


def field_default(field: dataclasses.Field[Any]) -> Any:
    """The default of a field that `setting` made."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def parse_assignments(assignments: Sequence[str]) -> dict[str, str]:
    """`["lr=0.1", "backbone=resnet18"]` as a mapping. Raises BadOption for anything without `=`."""
    values = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            raise BadOption(f"--set {assignment!r} is not of the form key=value.")
        values[key.strip()] = value.strip()
    return values


def mapping_keys(parts: Sequence[Any]) -> list[str]:
    """Keys of the dataclasses `parts` whose values are mappings, and so tables in TOML."""
    return [key for part in parts for key, hint in _hints(type(part)).items() if typing.get_origin(hint) is Mapping]


def read_toml(path: Path, *, mappings: Sequence[str] = ()) -> dict[str, Any]:
    """Flat settings from a TOML file; tables only group keys, but for those named in `mappings`, which are settings.

    Raises NotFound or BadOption.
    """
    path = Path(path)
    if not path.exists():
        raise NotFound(f"settings file {path} does not exist.")
    if path.is_dir():
        raise BadOption(f"settings file {path} is a directory; expected a TOML file.")
    try:
        found = tomllib.loads(path.read_text("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadOption(f"settings file {path} is not TOML: {str(error).rstrip('.')}.") from error
    flat: dict[str, Any] = {}
    for key, value in found.items():
        for name, setting_value in (value if isinstance(value, dict) and key not in mappings else {key: value}).items():
            if name in flat:
                raise BadOption(f"settings file {path} gives {name!r} twice; tables only group keys.")
            flat[name] = setting_value
    return flat


def override(parts: Sequence[Any], values: Mapping[str, Any], *, where: str | Mapping[str, str]) -> list[Any]:
    """Copies of the dataclasses `parts` with `values` applied, each to the part that has the key.

    A mapping (`head_weights=root:0.1`) is added to the one that stands there, name by name.
    `where` names the origin in messages ("--set", a file), of all values or of each key. Raises BadOption for an
    unknown key (with the nearest known one), a value that the field's type does not take, or values that the dataclass
    itself refuses.
    """
    owners = {field.name: i for i, part in enumerate(parts) for field in dataclasses.fields(part)}
    changes: list[dict[str, Any]] = [{} for _ in parts]
    origins = dict.fromkeys(values, where) if isinstance(where, str) else where
    for key, value in values.items():
        if key not in owners:
            raise BadOption(
                f"{origins[key]}: unknown key {key!r}{did_you_mean(key, owners)}; `--settings` lists all keys."
            )
        part = parts[owners[key]]
        found, standing = read_value(value, _hints(type(part))[key], key=key, where=origins[key]), getattr(part, key)
        changes[owners[key]][key] = {**standing, **found} if isinstance(standing, dict) else found
    try:
        return [dataclasses.replace(part, **change) for part, change in zip(parts, changes, strict=True)]
    except ValueError as error:
        raise BadOption(f"{' and '.join(dict.fromkeys(origins.values()))}: {error}") from error


def from_dict(kind: type[T], values: Mapping[str, Any], *, where: str) -> T:
    """A `kind` from plain values (as `dataclasses.asdict` wrote them to JSON). Raises BadOption."""
    built: T = override([kind()], values, where=where)[0]
    return built


class Setting(NamedTuple):
    """A row of `prodrec train --settings`: the value is text as `--set` accepts it, the group a noun."""

    key: str
    value: str
    meaning: str
    group: str


def describe(parts: Sequence[Any]) -> list[Setting]:
    """Return every setting of the dataclasses `parts`, in the order of their fields."""
    return [
        Setting(
            field.name,
            format_value(getattr(part, field.name)),
            field.metadata.get("help", ""),
            field.metadata.get("group", ""),
        )
        for part in parts
        for field in dataclasses.fields(part)
    ]


def format_value(value: Any) -> str:
    """A value as `--set` takes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(format_value(item) for item in value)
    if isinstance(value, dict):
        return ",".join(f"{name}:{format_value(item)}" for name, item in value.items()) or "none"
    return str(value)


def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def read_value(value: Any, hint: Any, *, key: str, where: str) -> Any:
    """Return `value` converted to the type `hint`. Raise BadOption naming `where` and `key` if it does not fit."""
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    choices = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    if isinstance(value, str) and value.lower() == "none" and type(None) in choices:
        return None
    if isinstance(value, bool):
        value = format_value(value)  # true is no number
    tuples = [choice for choice in choices if typing.get_origin(choice) is tuple]
    if isinstance(value, str) and tuples:
        value = list(split_list(value))
    if isinstance(value, str) and typing.get_origin(hint) is Mapping:
        value = _read_mapping(value, key=key, where=where)
    try:
        # a number may stand for text (image_size = 224 in TOML), NaN and infinity for no number
        return TypeAdapter(hint, config=ConfigDict(coerce_numbers_to_str=True, allow_inf_nan=False)).validate_python(
            value
        )
    except ValidationError as error:
        first = error.errors()[0]
        wanted = first["msg"]
        if tuples and first["type"] in ("missing", "too_long", "tuple_type"):
            wanted = f"expected {len(typing.get_args(tuples[0]))} values with commas between them"
        raise BadOption(f"{where}: {key}={show_raw(value)} is not usable: {wanted[0].lower()}{wanted[1:]}.") from error


def split_list(text: str | None) -> tuple[str, ...]:
    """The parts of `a, b`; empty ones are none."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _read_mapping(text: str, *, key: str, where: str) -> dict[str, str]:
    """`root:0.1,leaf:1` as a mapping. Raises BadOption for a part without a colon."""
    found = {}
    for part in [] if text.lower() == "none" else text.split(","):
        name, colon, value = part.rpartition(":")
        if not colon or not name.strip():
            raise BadOption(f"{where}: {key}={text} is not usable: expected name:number, with commas between them.")
        found[name.strip()] = value.strip()
    return found


def show_raw(value: Any) -> str:
    """A value as the user wrote it, for messages."""
    if isinstance(value, dict):
        return ",".join(f"{name}:{show_raw(item)}" for name, item in value.items())
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
