"""Settings: frozen dataclasses next to the code that they configure, changed by `--set key=value` and TOML files.

A recipe has several of these dataclasses (network, training, photos). Their keys share one namespace, and the user does
not need to know which dataclass a key belongs to: `--set lr=0.1`. pydantic converts values to the types of the fields.
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


def setting(
    default: Any,
    help: str,  # noqa: A002 - the name in argparse
    *,
    group: str = "",
    formerly: str | None = None,
    **bounds: float,
) -> Any:
    """Return a dataclass field that is a setting. `prodrec train --settings` prints its default, help and group.

    formerly: earlier key of the setting; `override` refuses it and names the present key, `from_dict` accepts it
    bounds:   gt, ge, lt or le, as in `pydantic.Field`; `check_ranges` checks them
    """
    metadata = {"help": help, "group": group, "formerly": formerly, "bounds": bounds}
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
def types_of_fields(kind: type) -> dict[str, Any]:
    """Return the type of every field of a dataclass. Its module may have them as text, which takes long to evaluate."""
    return typing.get_type_hints(kind)


@functools.cache
def _bounded_fields(kind: type) -> dict[str, TypeAdapter[Any]]:
    """Return a validator of every field of `kind` that has bounds."""
    from pydantic import Field, TypeAdapter

    hints = types_of_fields(kind)
    return {
        field.name: TypeAdapter(Annotated[hints[field.name], Field(**field.metadata["bounds"])])  # type: ignore[arg-type]
        for field in dataclasses.fields(kind)
        if field.metadata.get("bounds")
    }


def field_default(field: dataclasses.Field[Any]) -> Any:
    """Return the default of a field that `setting` returned."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def parse_assignments(assignments: Sequence[str]) -> dict[str, str]:
    """Return `["lr=0.1", "backbone=resnet18"]` as a dictionary. Raise BadOption for a string without key or `=`."""
    values = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            raise BadOption(f"--set {assignment!r} is not of the form key=value.")
        values[key.strip()] = value.strip()
    return values


def mapping_keys(parts: Sequence[Any]) -> list[str]:
    """Return the keys of the dataclasses `parts` whose values are mappings. In a TOML file, they may be tables."""
    hints = (item for part in parts for item in types_of_fields(type(part)).items())  # type: ignore[arg-type]
    return [key for key, hint in hints if typing.get_origin(hint) is Mapping]


def read_toml(path: Path, *, mappings: Sequence[str] = ()) -> dict[str, Any]:
    """Return the settings in a TOML file as one flat dictionary.

    mappings: keys of settings whose value may be a table; all other tables only group keys, and their names are ignored

    Raise NotFound if the file does not exist, BadOption if it is a directory, is not TOML or contains a key twice.
    """
    path = Path(path)
    if not path.exists():
        raise NotFound(f"settings file {path} does not exist.")
    if path.is_dir():
        raise BadOption(f"settings file {path} is a directory; expected a TOML file.")
    try:
        content = tomllib.loads(path.read_text("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadOption(f"settings file {path} is not TOML: {str(error).rstrip('.')}.") from error
    settings: dict[str, Any] = {}
    for name, value in content.items():
        is_group = isinstance(value, dict) and name not in mappings
        for key, setting_value in (value if is_group else {name: value}).items():
            if key in settings:
                raise BadOption(f"settings file {path} gives {key!r} twice; tables only group keys.")
            settings[key] = setting_value
    return settings


def override(parts: Sequence[Any], values: Mapping[str, Any], *, source: str | Mapping[str, str]) -> list[Any]:
    """Return copies of the dataclasses `parts` in which `values` replace the fields with the same keys.

    source: origin of all values, or of each key, for messages: "--set" or a file

    A mapping (`head_weights=root:0.1`) is merged into the current one: its other names keep their values.

    Raise BadOption for an unknown or former key, for a value that does not fit the type of its field, and for values
    that a dataclass refuses with a ValueError.
    """
    owners = {field.name: i for i, part in enumerate(parts) for field in dataclasses.fields(part)}
    changes: list[dict[str, Any]] = [{} for _ in parts]
    sources = dict.fromkeys(values, source) if isinstance(source, str) else source
    renamed = {former: key for part in parts for former, key in _former_keys(type(part)).items()}
    for key, raw_value in values.items():
        if key in renamed:
            raise BadOption(f"{sources[key]}: the setting {key!r} is now called {renamed[key]}; rename it.")
        if key not in owners:
            raise BadOption(
                f"{sources[key]}: unknown key {key!r}{did_you_mean(key, owners)}; `--settings` lists all keys."
            )
        part = parts[owners[key]]
        current = getattr(part, key)
        hint = types_of_fields(type(part))[key]  # type: ignore[arg-type]
        value = read_value(raw_value, hint, key=key, source=sources[key])
        changes[owners[key]][key] = {**current, **value} if isinstance(current, dict) else value
    try:
        return [dataclasses.replace(part, **change) for part, change in zip(parts, changes, strict=True)]
    except ValueError as error:
        raise BadOption(f"{' and '.join(dict.fromkeys(sources.values()))}: {error}") from error


def from_dict(kind: type[T], values: Mapping[str, Any], *, source: str) -> T:
    """Return a dataclass of type `kind` from values that `dataclasses.asdict` returned. Missing fields have defaults.

    Former keys are accepted, because run.json keeps the keys of the prodrec version that wrote it. For all other keys
    and values, raise BadOption as `override` does.
    """
    renamed = _former_keys(kind)
    settings: T = override([kind()], {renamed.get(key, key): value for key, value in values.items()}, source=source)[0]
    return settings


def _former_keys(kind: type) -> dict[str, str]:
    """Return the present key of every renamed setting of `kind`, by its former key."""
    fields = dataclasses.fields(kind)
    return {field.metadata["formerly"]: field.name for field in fields if field.metadata.get("formerly")}


class Setting(NamedTuple):
    """A row of `prodrec train --settings`. `value` is text that `--set` accepts, `meaning` the help of the setting."""

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
    """Return a value as text that `--set` accepts."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(format_value(item) for item in value)
    if isinstance(value, dict):
        return ",".join(f"{name}:{format_value(item)}" for name, item in value.items()) or "none"
    return str(value)


def split_list(text: str | None) -> tuple[str, ...]:
    """Return the items of `a, b` without spaces around them. Empty items are dropped."""
    return tuple(item.strip() for item in (text or "").split(",") if item.strip())


def read_value(value: Any, hint: Any, *, key: str, source: str) -> Any:
    """Convert `value` (text, or a value from TOML or JSON) to the type `hint`, and return it.

    Raise BadOption if it does not fit the type, or is NaN or infinity. The message contains `source` and `key`.
    """
    from pydantic import ValidationError

    types_allowed = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    tuple_type = next((kind for kind in types_allowed if typing.get_origin(kind) is tuple), None)
    if isinstance(value, str) and value.lower() == "none" and type(None) in types_allowed:
        return None
    if isinstance(value, bool):
        value = format_value(value)  # pydantic would accept true as the number 1
    if isinstance(value, str) and tuple_type is not None:
        value = list(split_list(value))
    if isinstance(value, str) and typing.get_origin(hint) is Mapping:
        value = _parse_mapping(value, key=key, source=source)
    try:
        return _converter(hint).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        expected = first["msg"][0].lower() + first["msg"][1:]
        if tuple_type is not None and first["type"] in ("missing", "too_long", "tuple_type"):
            expected = f"expected {len(typing.get_args(tuple_type))} values with commas between them"
        raise BadOption(f"{source}: {key}={_format_raw(value)} is not usable: {expected}.") from error


@functools.cache
def _converter(hint: Any) -> TypeAdapter[Any]:
    """Return a validator of values of type `hint`, which takes milliseconds to build."""
    from pydantic import ConfigDict, TypeAdapter

    # image_size is text in its dataclass, and `image_size = 224` is a number in TOML
    return TypeAdapter(hint, config=ConfigDict(coerce_numbers_to_str=True, allow_inf_nan=False))


def _parse_mapping(text: str, *, key: str, source: str) -> dict[str, str]:
    """Return `root:0.1,leaf:1` as a dictionary. Raise BadOption for an item without name or colon."""
    mapping = {}
    for item in [] if text.lower() == "none" else text.split(","):
        name, colon, value = item.rpartition(":")
        if not colon or not name.strip():
            raise BadOption(f"{source}: {key}={text} is not usable: expected name:number, with commas between them.")
        mapping[name.strip()] = value.strip()
    return mapping


def _format_raw(value: Any) -> str:
    """Return a value as text that resembles what the user wrote, for messages."""
    if isinstance(value, dict):
        return ",".join(f"{name}:{_format_raw(item)}" for name, item in value.items())
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
