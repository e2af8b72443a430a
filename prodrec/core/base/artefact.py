"""What every artefact has in common: a header, a fingerprint, and being written beside and then renamed.

The header stands at the top of a JSON file or in the root attributes of an HDF5 file:

    prodrec          the kind: dataset, embeddings, run, scores, mcr-weights
    format_version   of that kind
    fingerprint      of the content, so that the next command can tell whether two artefacts belong together
    made_from        fingerprints of what it was made from, by kind
    made_by          versions of prodrec and of the libraries that shaped the content
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from prodrec import __version__
from prodrec.core.base import console
from prodrec.core.base.errors import BadArtefact, NotFound, OutputExists
from prodrec.core.base.texts import Texts

FORMAT_VERSIONS = {"dataset": 2, "embeddings": 2, "run": 2, "scores": 2, "mcr-weights": 2, "checkpoint": 1}
JSON_NAMES = {"dataset": "dataset.json", "run": "run.json"}
SPLITS = ("train", "test", "validation")
"""Split codes 0, 1, 2 in datasets and scores; the order is part of the formats."""


class Fingerprint:
    """A running hash over text, numbers, bytes and arrays; the same parts in the same order give the same digest."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, name: str, part: Any) -> Fingerprint:
        """Add one named part: bytes, a numpy array, Texts, or what JSON can hold (a tuple is as good as a list)."""
        data: Any
        if isinstance(part, Texts):
            return self.add(name, part.data).add(f"where {name} end", part.offsets)
        if isinstance(part, np.ndarray):
            assert not part.dtype.hasobject, f"{name}: an array of objects holds addresses, not content"
            kind, data = f"{part.dtype.str}{part.shape}", np.ascontiguousarray(part).reshape(-1).view(np.uint8)
        elif isinstance(part, bytes):
            kind, data = "bytes", part
        else:
            kind, data = "json", json.dumps(part, sort_keys=True, ensure_ascii=False).encode()
        self._hash.update(json.dumps([name, kind, len(data)]).encode())
        self._hash.update(data)
        return self

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def header(kind: str, *, fingerprint: str, made_from: Mapping[str, str], **libraries: str) -> dict[str, Any]:
    """The header of a new artefact; `libraries` are versions worth recording, by name."""
    return {
        "prodrec": kind,
        "format_version": FORMAT_VERSIONS[kind],
        "fingerprint": fingerprint,
        "made_from": dict(made_from),
        "made_by": {"prodrec": __version__, **libraries},
    }


def check_header(found: Mapping[str, Any], *, kind: str, path: Path) -> None:
    """Raise BadArtefact unless `found` is the header of a `kind` in the format version that this prodrec reads."""
    if found.get("prodrec") != kind:
        what = found.get("prodrec")
        raise BadArtefact(f"{path} is {f'a prodrec {what}' if what else 'no prodrec artefact'}, not a prodrec {kind}.")
    version, expected = found.get("format_version"), FORMAT_VERSIONS[kind]
    if version != expected:
        raise BadArtefact(
            f"{path} has format version {version} and this prodrec {__version__} reads {expected}; "
            f"make the {kind} again, or use the prodrec version that made it."
        )


def read_json_artefact(directory: Path, *, kind: str) -> dict[str, Any]:
    """The JSON file of a dataset or run directory, header checked.

    Raises NotFound where the directory does not exist, BadArtefact where it is not a `kind` or cannot be read.
    """
    path = Path(directory) / JSON_NAMES[kind]
    if not Path(directory).exists():
        raise NotFound(f"{directory} does not exist; expected the directory of a prodrec {kind}.")
    if not Path(directory).is_dir():
        raise BadArtefact(f"{directory} is a file; expected the directory of a prodrec {kind}.")
    if not path.is_file():
        raise BadArtefact(f"{directory} is not a prodrec {kind}: it has no {path.name}.")
    try:
        found = json.loads(path.read_text("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadArtefact(f"{path} is not readable as JSON ({error}); make the {kind} again.") from error
    if not isinstance(found, dict):
        raise BadArtefact(f"{path} holds no JSON object; make the {kind} again.")
    check_header(found, kind=kind, path=path)
    return found


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write `data` as JSON beside `path`, then rename."""
    beside = _beside(path)
    try:
        beside.write_text(json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False) + "\n", "utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def refuse_if_taken(path: Path, *, kind: str, force: bool) -> None:
    """Raise OutputExists where `path` is taken and may not be replaced, or cannot be made.

    With `force` a file is replaced, and a directory only where it is empty or holds an artefact of the same `kind`.
    """
    path = Path(path)
    refuse_inside_file(path, kind=kind)
    if not path.exists():
        if path.is_symlink():
            raise OutputExists(f"{path} is a link that leads nowhere; remove it, or give {_elsewhere(kind)}.")
        return
    wants_directory = kind in JSON_NAMES
    if wants_directory and not path.is_dir():
        raise OutputExists(f"{path} is a file; expected a place for a {kind} directory: give {_elsewhere(kind)}.")
    if not wants_directory and path.is_dir():
        raise OutputExists(f"{path} is a directory; expected a place for a {kind} file: give {_elsewhere(kind)}.")
    if wants_directory and not any(path.iterdir()):
        return
    if not force:
        raise OutputExists(f"{path} exists already; add --force to replace it, or give {_elsewhere(kind)}.")
    if wants_directory and not (path / JSON_NAMES[kind]).is_file():
        raise OutputExists(f"{path} is not a prodrec {kind}, so --force does not replace it; give {_elsewhere(kind)}.")


def refuse_inside_file(path: Path, *, kind: str) -> None:
    """Raise OutputExists where a directory above `path` is a file."""
    above = next((parent for parent in Path(path).parents if parent.exists()), Path())
    if not above.is_dir():
        raise OutputExists(f"{above} is a file, so {path} cannot be made in it; give {_elsewhere(kind)}.")


def _elsewhere(kind: str) -> str:
    """A report has an option for each of its files, all others have --out."""
    return "another place" if kind == "report" else "another place with --out"


@contextmanager
def new_directory(path: Path, *, kind: str, force: bool = False) -> Iterator[Path]:
    """Yield an empty directory beside `path`; on success it takes the place of `path`, on failure it is removed.

    What stood at `path` stays there until the new one is whole, and is put back if the exchange itself is interrupted.
    """
    path = _make_place(path, kind=kind, force=force)
    beside, old = _beside(path), _beside(path, "replaced")
    beside.mkdir()
    try:
        yield beside
        if path.exists():
            path.rename(old)
        beside.rename(path)
        if old.exists():
            old.rename(beside)  # from here on it is nothing that could be put back
    finally:
        with _undisturbed():
            if old.exists() and not path.exists():
                old.rename(path)
            _remove(beside)


@contextmanager
def new_file(path: Path, *, kind: str, force: bool = False) -> Iterator[Path]:
    """Yield a file name beside `path`; on success it takes the place of `path`, on failure it is removed."""
    path = _make_place(path, kind=kind, force=force)
    beside = _beside(path)
    try:
        yield beside
        beside.replace(path)
    finally:
        with _undisturbed():
            _remove(beside)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C and SIGTERM do nothing in here, so that what is half-made is removed to the end.

    Of several signals, as impatient users and torchrun send them, the second comes when the first is being dealt with.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread alone
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _make_place(path: Path, *, kind: str, force: bool) -> Path:
    """Where to write: `path`, or where it leads if it is a link; leftovers are swept, what is taken is refused."""
    path = Path(path)
    if (path.is_symlink() and path.exists()) or path.name in ("", ".."):
        path = path.resolve()
    _sweep(path)
    refuse_if_taken(path, kind=kind, force=force)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _beside(path: Path, what: str = "partial") -> Path:
    return path.with_name(f".{path.name}.{what}-{os.getpid()}-{_where()}")


def _where() -> str:
    """Eight digits for where a process number names one process: a machine since its last start, and a container."""
    parts = [socket.gethostname()]
    with suppress(OSError):  # not Linux
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text("utf-8"), str(Path("/proc/self/ns/pid").readlink())]
    return hashlib.blake2b(" ".join(parts).encode(), digest_size=4).hexdigest()


def _sweep(path: Path) -> None:
    """Remove what a killed process left beside `path`; put back an old artefact that it had set aside.

    Whether a process elsewhere has been killed or is at work cannot be known: what it makes there stays, and is told.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.*-*"):
        made = re.fullmatch(r"(partial|replaced)-(\d+)-([0-9a-f]{8})", left.name.removeprefix(f".{path.name}."))
        if made is None:
            continue
        what, process, where = made.groups()
        needed = what == "replaced" and not path.exists()
        if where != _where():
            console.warn(
                f"{left} is of a process in another container, on another machine or before its last start; "
                f"if none is making {path.name} now, {f'rename it to {path}' if needed else 'remove it'}."
            )
        elif _is_running(int(process)):
            continue
        elif needed:
            left.rename(path)
        else:
            _remove(left)


def _remove(place: Path) -> None:
    """Remove a file or a directory, in which other ranks of a job that ends may still be writing.

    Where that fails for seconds it is told and left: no error of the clearing up replaces the one that it follows.
    """
    for wait in (0.0, 0.2, 1.0, 2.0):
        time.sleep(wait)
        try:
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)
        except OSError as error:
            failure = error
        else:
            return
    console.warn(f"{place} cannot be removed ({failure}); remove it by hand.")


def _is_running(process: int) -> bool:
    """Whether another process of that number lives. Our own number is that of a dead one: containers reuse numbers."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
