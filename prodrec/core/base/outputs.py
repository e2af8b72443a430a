"""Write files and directories so that each is complete or absent, even if the process is killed.

An output is written under a temporary name beside its path and then renamed:

    .NAME.partial-PID-ORIGIN    an output that the process PID is writing
    .NAME.replaced-PID-ORIGIN   the old directory, while the new one takes its place

ORIGIN identifies the machine, its current boot and the container, within which the process number is unique. The next
command that writes to the same path removes the temporary outputs of dead processes.
"""

from __future__ import annotations

import functools
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

from prodrec.core.base import console
from prodrec.core.base.artefact import JSON_FILES
from prodrec.core.base.errors import OutputExists

# --- checks before writing


def refuse_if_taken(path: Path, *, kind: str, force: bool) -> None:
    """Raise OutputExists if `path` exists and may not be replaced, or cannot be created.

    With `force`, a file may be replaced, and a directory if it is an artefact of the same `kind`. An empty directory
    may always be replaced.
    """
    path = Path(path)
    refuse_if_inside_file(path, kind=kind)
    if not path.exists():
        if path.is_symlink():
            raise OutputExists(f"{path} is a broken link; remove it, or give {_another_place(kind)}.")
        return
    is_directory_kind = kind in JSON_FILES
    if is_directory_kind and not path.is_dir():
        raise OutputExists(f"{path} is a file; expected a place for a {kind} directory: give {_another_place(kind)}.")
    if not is_directory_kind and path.is_dir():
        raise OutputExists(f"{path} is a directory; expected a place for a {kind} file: give {_another_place(kind)}.")
    if is_directory_kind and not any(path.iterdir()):
        return
    if not force:
        raise OutputExists(f"{path} exists already; add --force to replace it, or give {_another_place(kind)}.")
    if is_directory_kind and not (path / JSON_FILES[kind]).is_file():
        raise OutputExists(
            f"{path} is not a prodrec {kind}, so --force does not replace it; give {_another_place(kind)}."
        )


def refuse_if_inside_file(path: Path, *, kind: str) -> None:
    """Raise OutputExists if a parent of `path` is a file."""
    parent = next((parent for parent in Path(path).parents if parent.exists()), Path())
    if not parent.is_dir():
        raise OutputExists(f"{parent} is a file, so {path} cannot be made in it; give {_another_place(kind)}.")


def _another_place(kind: str) -> str:
    """Return, for messages, what the user can give instead; reports and audits have no --out."""
    return "another place" if kind in ("report", "audit") else "another place with --out"


# --- writing


@contextmanager
def new_directory(path: Path, *, kind: str, force: bool = False) -> Iterator[Path]:
    """Yield an empty temporary directory. On success it replaces `path`, on failure it is removed.

    An old directory at `path` stays there until the new one is complete, and is restored if replacing it fails. Raise
    OutputExists as `refuse_if_taken` does.
    """
    path = _prepare_path(path, kind=kind, force=force)
    partial, replaced = _temporary_path(path), _temporary_path(path, "replaced")
    partial.mkdir()
    try:
        yield partial
        if path.exists():
            path.rename(replaced)
        partial.rename(path)
        if replaced.exists():
            replaced.rename(partial)  # from here on, the old directory is removed and no longer restored
    finally:
        with _signals_ignored():
            if replaced.exists() and not path.exists():
                replaced.rename(path)
            _remove(partial)


@contextmanager
def new_file(path: Path, *, kind: str, force: bool = False) -> Iterator[Path]:
    """Yield a temporary path to write to. On success the file replaces `path`, on failure it is removed.

    Raise OutputExists as `refuse_if_taken` does.
    """
    with atomic_write(_prepare_path(path, kind=kind, force=force)) as partial:
        yield partial


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to. On success the file replaces `path`, on failure it is removed.

    An existing file is replaced without a check. Use this for the files of an artefact, `new_file` for a new artefact.
    """
    _remove_leftovers(path)
    partial = _temporary_path(path)
    try:
        yield partial
        partial.replace(path)
    finally:
        with _signals_ignored():
            _remove(partial)


@contextmanager
def scratch_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, for a file that is needed in the block only and then removed."""
    _remove_leftovers(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _temporary_path(path)
    try:
        yield partial
    finally:
        with _signals_ignored():
            _remove(partial)


def write_json(path: Path, data: Mapping[str, Any], *, indent: int | None = 1) -> None:
    """Write `data` as JSON with `atomic_write`, without line breaks if `indent` is None.

    Raise ValueError for NaN and infinity.
    """
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(data, ensure_ascii=False, indent=indent, allow_nan=False) + "\n", "utf-8")


@contextmanager
def _signals_ignored() -> Iterator[None]:
    """Ignore Ctrl-C and SIGTERM in the block, which removes incomplete outputs.

    Impatient users and torchrun send several signals; the second arrives while the first is being handled.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


# --- temporary paths


def _prepare_path(path: Path, *, kind: str, force: bool) -> Path:
    """Remove leftovers of dead processes, check `path`, and create its parent directories.

    Return the path to write to: `path`, or its target if it is a link. Raise OutputExists as `refuse_if_taken` does.
    """
    path = Path(path)
    if (path.is_symlink() and path.exists()) or path.name in ("", ".."):
        path = path.resolve()
    _remove_leftovers(path)
    refuse_if_taken(path, kind=kind, force=force)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _temporary_path(path: Path, role: str = "partial") -> Path:
    return path.with_name(f".{path.name}.{role}-{os.getpid()}-{_process_origin()}")


def _process_origin() -> str:
    """Return 8 hexadecimal digits: a hash of the host, its current boot and the container (its PID namespace)."""
    parts = [socket.gethostname()]
    with suppress(OSError):  # these files exist on Linux only
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text("utf-8"), str(Path("/proc/self/ns/pid").readlink())]
    return hashlib.blake2b(" ".join(parts).encode(), digest_size=4).hexdigest()


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary outputs of dead processes, and restore an old directory that one of them was replacing.

    Print a warning for those of another machine, boot or container, whose process may still be running.
    """
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*-*"):
        match = re.fullmatch(r"(partial|replaced)-(\d+)-([0-9a-f]{8})", leftover.name.removeprefix(f".{path.name}."))
        if match is None:
            continue
        role, process, origin = match.groups()
        must_be_restored = role == "replaced" and not path.exists()
        if origin != _process_origin():
            _warn_of(leftover, path, f"rename it to {path}" if must_be_restored else "remove it")
        elif _is_running(int(process)):
            continue
        elif must_be_restored:
            leftover.rename(path)
        else:
            _remove(leftover)


@functools.cache
def _warn_of(leftover: Path, path: Path, remedy: str) -> None:
    """Print the warning, once in a process: a file of a run is written after every epoch."""
    console.warn(
        f"{leftover} belongs to a process in another container, on another machine or before its last start; "
        f"if none is writing {path.name} now, {remedy}."
    )


def _remove(path: Path) -> None:
    """Remove a file or a directory. Retry for three seconds, because other ranks may still be writing into it.

    Print a warning if it cannot be removed. An exception would hide the one that led to the removal.
    """
    for wait in (0.0, 0.2, 1.0, 2.0):
        time.sleep(wait)
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            failure = error
        else:
            return
    console.warn(f"{path} cannot be removed ({failure}); remove it by hand.")


def _is_running(process: int) -> bool:
    """Return whether another process has the number `process`.

    A leftover with the number of this process belongs to a dead one, because numbers are reused.
    """
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
