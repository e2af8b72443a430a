"""What all artefacts share: a header, a fingerprint of the content, and checks of both when an artefact is read.

The header is at the top of a JSON file or in the root attributes of an HDF5 file:

    prodrec          kind of the artefact: a key of FORMAT_VERSIONS
    format_version   version of the format of that kind
    fingerprint      hash of the content; the next command compares it to check that two artefacts belong together
    made_from        fingerprints of the artefacts that this one was computed from, by kind
    made_by          versions of prodrec and of the libraries that affect the content
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from prodrec import __version__
from prodrec.core.base.errors import BadArtefact, NotFound
from prodrec.core.base.json_types import check_types, read_json
from prodrec.core.base.texts import Texts

FORMAT_VERSIONS = {
    "dataset": 2,
    "embeddings": 2,
    "run": 2,
    "neighbours": 1,
    "operating-points": 1,
    "calibration": 1,
    "scores": 2,
    "mcr-weights": 3,
    "checkpoint": 1,
    "export": 1,
    "index": 2,
}
"""The format version of each kind of artefact: this prodrec writes it, and reads no other."""

JSON_FILES = {"dataset": "dataset.json", "run": "run.json", "export": "export.json", "index": "index.json"}
"""The kinds of artefacts that are a directory of their own, and the file in it that contains the header."""

SPLITS = ("train", "test", "validation")
"""Names of the splits. Datasets and scores store the index in this tuple, so the order is part of both formats."""


class Fingerprint:
    """A hash of named parts. The same parts in the same order have the same digest."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, name: str, part: Any) -> Fingerprint:
        """Add a part: bytes, a numpy array, Texts, or a value that JSON can represent. Return self.

        A tuple and a list of the same values are equal parts.
        """
        data: Any
        if isinstance(part, Texts):
            return self.add(name, part.data).add(f"where {name} end", part.offsets)  # the digest covers the names
        if isinstance(part, np.ndarray):
            assert not part.dtype.hasobject, f"{name}: an array of objects contains addresses, not content"
            kind, data = f"{part.dtype.str}{part.shape}", np.ascontiguousarray(part).reshape(-1).view(np.uint8)
        elif isinstance(part, bytes):
            kind, data = "bytes", part
        else:
            kind, data = "json", json.dumps(part, sort_keys=True, ensure_ascii=False).encode()
        self._hash.update(json.dumps([name, kind, len(data)]).encode())
        self._hash.update(data)
        return self

    def hexdigest(self) -> str:
        """Return the digest of all parts so far, as 32 hexadecimal digits."""
        return self._hash.hexdigest()


def make_header(kind: str, *, fingerprint: str, made_from: Mapping[str, str], **libraries: str) -> dict[str, Any]:
    """Return the header of a new artefact. `libraries` are the versions of the libraries that affect its content."""
    return {
        "prodrec": kind,
        "format_version": FORMAT_VERSIONS[kind],
        "fingerprint": fingerprint,
        "made_from": dict(made_from),
        "made_by": {"prodrec": __version__, **libraries},
    }


def check_header(header: Mapping[str, Any], *, kind: str, path: Path) -> None:
    """Raise BadArtefact if `header` is that of another kind, or has a format version that this prodrec cannot read.

    path: file that contains the header, for the message
    """
    actual_kind = header.get("prodrec")
    if not actual_kind:
        raise BadArtefact(f"{path} is not a prodrec artefact; expected a prodrec {kind}.")
    if actual_kind != kind:
        raise BadArtefact(f"{path} is a prodrec {actual_kind}, not a prodrec {kind}.")
    version, expected = header.get("format_version"), FORMAT_VERSIONS[kind]
    if version != expected:
        raise BadArtefact(
            f"{path} has format version {version} and this prodrec {__version__} reads {expected}; "
            f"make the {kind} again, or use the prodrec version that made it."
        )


def read_json_artefact(directory: Path, *, kind: str, schema: Any = None) -> dict[str, Any]:
    """Return the content of the JSON file of a dataset or run directory, after checking its header.

    schema: a TypedDict with the types of its values; None checks the header alone

    Raise NotFound if the directory does not exist, BadArtefact if it is no artefact of this `kind` or is damaged.
    """
    path = Path(directory) / JSON_FILES[kind]
    if not Path(directory).exists():
        raise NotFound(f"{directory} does not exist; expected the directory of a prodrec {kind}.")
    if not Path(directory).is_dir():
        raise BadArtefact(f"{directory} is a file; expected the directory of a prodrec {kind}.")
    if not path.is_file():
        raise BadArtefact(f"{directory} is not a prodrec {kind}: it has no {path.name}.")
    return read_json_file(path, kind=kind, schema=schema, remedy=f"make the {kind} again")


def read_json_file(
    path: Path, *, kind: str, schema: Any, remedy: str, run_fingerprint: str | None = None
) -> dict[str, Any]:
    """Return the content of a JSON file, after checking its header, and its types if `schema` is not None.

    run_fingerprint: that of the run whose weights the file must have been made for

    Raise BadArtefact, which ends with the `remedy` unless the header is that of another kind or version.
    """
    content = read_json(path, remedy=remedy)
    check_header(content, kind=kind, path=path)
    if schema is not None:
        check_types(content, schema, path, remedy=remedy)
    if run_fingerprint is not None and content["made_from"].get("run") != run_fingerprint:
        raise BadArtefact(f"{path} was made for other weights than those of the run; {remedy}.")
    return content
