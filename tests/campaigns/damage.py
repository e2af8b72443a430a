"""Seeded damage: bytes, JSON values, and values of arrays are changed as disks, transfers, editors and attackers do."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

STRANGE = (
    None,
    True,
    -1,
    0,
    3,
    2**31,
    2**40,
    2**63,
    1e308,
    "",
    "x" * 10_000,
    "\x1b[31m\u202e",
    [],
    [[]],
    {},
    {"a": {}},
)
"""Values of JSON that replace others."""
EXTREME = (-(2**31), -1, 2**31 - 1, 2**40, np.nan, np.inf)
"""Numbers that replace those of arrays, as far as their type has them."""


def damage(path: Path, random: np.random.Generator) -> str:
    """Damage a file, which becomes a file of its own if it was a link, and return what was done."""
    ways: list[Callable[[Path, bytes, np.random.Generator], tuple[str, bytes] | None]] = [_bytes]
    ways += {".json": [_json] * 3, ".npy": [_npy] * 3, ".h5": [_hdf5] * 3, ".csv": [_text], ".tsv": [_text]}.get(
        path.suffix, []
    )
    content = path.read_bytes()
    done = ways[random.integers(len(ways))](path, content, random) or _bytes(path, content, random)
    name, content = done
    path.unlink()
    path.write_bytes(content)
    return f"{path.name}: {name}"


def _bytes(_: Path, content: bytes, random: np.random.Generator) -> tuple[str, bytes]:
    data = bytearray(content)
    at = int(random.integers(len(data) + 1))
    length = int(random.integers(1, 1 + max(1, len(data) // 2)))
    match int(random.integers(8)):
        case 0:
            return "empty", b""
        case 1:
            return f"cut at {at}", bytes(data[:at])
        case 2:
            for position in random.integers(len(data) or 1, size=int(random.integers(1, 9))).tolist() if data else ():
                data[position] ^= 1 << int(random.integers(8))
            return "bits flipped", bytes(data)
        case 3:
            data[at : at + length] = bytes(len(data[at : at + length]))
            return f"{length} zeros at {at}", bytes(data)
        case 4:
            return f"{length} bytes twice at {at}", bytes(data[:at] + data[at : at + length] + data[at:])
        case 5:
            return f"{length} bytes less at {at}", bytes(data[:at] + data[at + length :])
        case 6:
            return "noise", random.bytes(len(data))
        case _:
            return "noise at the end", bytes(data) + random.bytes(100)


def _json(_: Path, content: bytes, random: np.random.Generator) -> tuple[str, bytes] | None:
    try:
        document = json.loads(content)
    except ValueError:
        return None
    if random.random() < 0.05:
        return "deep nesting", b"[" * 100_000
    places = list(_places(document))
    if not places:
        return None
    parent, key = places[random.integers(len(places))]
    if random.random() < 0.3:
        del parent[key]
        return f"{key} deleted", json.dumps(document).encode()
    value = STRANGE[random.integers(len(STRANGE))]
    parent[key] = value
    return f"{key} = {str(value)[:20]!r}", json.dumps(document).encode()


def _places(node: Any) -> list[tuple[Any, Any]]:
    """Return (parent, key) of every value inside a JSON document."""
    items = list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
    return [place for key, value in items for place in ((node, key), *_places(value))]


def _npy(_: Path, content: bytes, random: np.random.Generator) -> tuple[str, bytes] | None:
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except ValueError:
        return None
    way = int(random.integers(4))
    if way == 0:  # a shape that lies
        return "shape", content.replace(b"'shape': (", b"'shape': (9", 1)
    if way == 1:
        array = array.astype(random.choice(["int8", "float64", "uint16", "int64"]))
    elif way == 2:
        array = array[: len(array) // 2] if array.ndim else array
    else:
        array = array.copy()
        _set_extreme(array, random)
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return ("", "dtype", "half of it", "a value")[way], stream.getvalue()


def _set_extreme(array: np.ndarray[Any, Any], random: np.random.Generator) -> None:
    """Set an element to a number that it should not have."""
    value = EXTREME[random.integers(len(EXTREME))]
    if array.size and array.dtype.kind in "iuf":
        with np.errstate(all="ignore"):
            array.reshape(-1)[random.integers(array.size)] = np.array(value).astype(array.dtype)


def _hdf5(path: Path, content: bytes, random: np.random.Generator) -> tuple[str, bytes] | None:
    stream = io.BytesIO(content)
    try:
        with h5py.File(stream, "r+") as file:
            names: list[str] = []
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            name, attribute = str(random.choice(names)), str(random.choice(list(file.attrs)))
            match int(random.integers(5)):
                case 0:
                    del file[name]
                    done = f"{name} deleted"
                case 1:
                    del file.attrs[attribute]
                    done = f"attribute {attribute} deleted"
                case 2:
                    value = STRANGE[random.integers(len(STRANGE) - 5)]
                    file.attrs[attribute] = json.dumps(value) if value is None else value
                    done = f"attribute {attribute} = {str(value)[:20]!r}"
                case 3:
                    values = file[name][()]
                    del file[name]
                    file[name] = values[: len(values) // 2]
                    done = f"half of {name}"
                case _:
                    values = np.array(file[name][()])
                    _set_extreme(values, random)
                    file[name][...] = values
                    done = f"a value of {name}"
    except Exception:  # what h5py raises for a damage that it refuses
        return None
    return done, stream.getvalue()


def _text(_: Path, content: bytes, random: np.random.Generator) -> tuple[str, bytes]:
    lines = content.split(b"\n")
    at = int(random.integers(len(lines)))
    piece = random.choice([b'"', b"\0", b"\xff\xfe", b"," * 1000, b"x" * 100_000, b"\r", "\u202e".encode(), b"=1+1"])
    lines[at] = lines[at][: len(lines[at]) // 2] + bytes(piece) + lines[at][len(lines[at]) // 2 :]
    if random.random() < 0.3:
        lines = [line for number, line in enumerate(lines) if number != at]
    return f"line {at + 1}", b"\n".join(lines)
