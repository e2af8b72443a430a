"""The parts that all HDF5 files of prodrec share: the header in the root attributes, and the classes of a taxonomy.

The functions take open files and groups of h5py, which is imported when a file is opened.

Shapes: C classes of a level, b bytes of their names.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from prodrec.core.base.artefact import check_header
from prodrec.core.base.errors import DAMAGE, BadArtefact
from prodrec.core.base.json_types import type_problem
from prodrec.core.base.taxonomy import Taxonomy
from prodrec.core.base.texts import Texts

LIBVER = ("v110", "v110")
"""The HDF5 1.10 format. Its metadata has checksums, and a flipped byte raises an error. With the older default format
some flipped bytes sent the library into an endless loop (measured with HDF5 2.0)."""
MAX_EXPANSION = 1100
"""Bytes that one byte of deflate can become, at most."""
_SMALL_BYTES = 1 << 16
"""Datasets of this size need not be stored as declared, such as those that are part of an object's header."""
OPEN_FOR_WRITING = "already open for"
"""Part of the message of HDF5 for a file that a program has opened for writing and has not closed."""


@contextmanager
def open_hdf5(path: Path, *, remedy: str) -> Iterator[Any]:
    """Open an HDF5 file of prodrec for reading. Errors in the block are those of `damage_as_bad_artefact`.

    No dataset declares more than the file can contain, so that reading one takes no more memory than is justified.
    """
    import h5py

    with damage_as_bad_artefact(path, remedy=remedy), h5py.File(path, "r", locking=False) as file:
        check_sizes(file)
        yield file


def check_size(dataset: Any) -> None:
    """Raise ValueError if a dataset declares more bytes than the file can contain for it.

    HDF5 returns zeros for parts that are declared and not stored. Compressed parts may expand by MAX_EXPANSION.
    """
    stored = dataset.id.get_storage_size() * (MAX_EXPANSION if dataset.compression else 1)
    if dataset.nbytes > max(stored, _SMALL_BYTES):
        raise ValueError(
            f"{dataset.name.lstrip('/')} declares {dataset.nbytes:,} bytes and contains {stored:,} at most"
        )


def check_sizes(file: Any) -> None:
    """Raise ValueError as `check_size` does for a dataset of a file."""
    import h5py

    def check(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            check_size(item)

    file.visititems(check)


@contextmanager
def damage_as_bad_artefact(path: Path, *, remedy: str) -> Iterator[None]:
    """Raise BadArtefact in place of what h5py raises for a damaged file, and of what its content makes parsers raise.

    remedy: what to do about a damaged file
    """
    try:
        yield
    except DAMAGE as error:
        detail = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        if isinstance(error, OSError) and OPEN_FOR_WRITING in detail:
            raise BadArtefact(
                f"{path} is open for writing in another program, or that program was killed; close it there, or "
                f"{remedy}."
            ) from error
        raise BadArtefact(f"{path} is truncated or damaged ({detail}); {remedy}.") from error


def object_name(name: str) -> str:
    """Return the name of a level or attribute, escaped for use as the name of an HDF5 object."""
    return name.replace("%", "%25").replace("/", "%2F").replace(".", "%2E")


def write_attributes(file: Any, values: Mapping[str, Any], *, ensure_ascii: bool = False) -> None:
    """Write root attributes: strings, numbers and booleans unchanged, all other values as JSON.

    `ensure_ascii` escapes all characters of the JSON that are not ASCII.
    """
    for name, value in values.items():
        is_scalar = isinstance(value, str | int | float | bool)
        file.attrs[name] = value if is_scalar else json.dumps(value, ensure_ascii=ensure_ascii)


def read_attributes(file: Any, *, kind: str, path: Path, json_names: Collection[str], schema: Any) -> dict[str, Any]:
    """Return the root attributes of an artefact as plain Python values, after checking the header.

    json_names: the attributes that `write_attributes` may have written as JSON; all of them must exist
    schema:     a TypedDict with the types of the values

    Raise BadArtefact as `check_header` does, KeyError or ValueError if an attribute is missing or damaged.
    """
    attributes = {name: value.item() if isinstance(value, np.generic) else value for name, value in file.attrs.items()}
    check_header(attributes, kind=kind, path=path)
    for name in json_names:
        if isinstance(attributes[name], str):
            attributes[name] = json.loads(attributes[name])
    problem = type_problem(attributes, schema)
    if problem is not None:
        raise ValueError(problem)
    return attributes


def write_level(file: Any, taxonomy: Taxonomy, level: str) -> Any:
    """Write the classes of a level to a new group `classes/<level>`, and return the group.

    Its datasets are `name` (uint8 [b]), `name_offsets` (int64 [C + 1]) and `parent` (int32 [C]).
    """
    depth = taxonomy.levels.index(level)
    group = file.create_group(f"classes/{object_name(level)}")
    taxonomy.names[depth].write_hdf5(group, "name")
    group["parent"] = taxonomy.parents[depth]
    return group


def read_taxonomy(file: Any, levels: Sequence[str]) -> Taxonomy:
    """Return the taxonomy of `levels`, shallowest first, from the groups that `write_level` wrote.

    Raise KeyError or ValueError if it is missing or damaged.
    """
    groups = [file[f"classes/{object_name(level)}"] for level in levels]
    names = tuple(Texts.read_hdf5(group, "name") for group in groups)
    return Taxonomy(tuple(levels), names, tuple(group["parent"][:] for group in groups))
