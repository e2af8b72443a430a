"""A process that imports prodrec once and runs each command in a child of its own, which may hang, crash or be killed.

stdin:  one JSON object a line: {"cwd": …, "argv": […], "stdout": file, "stderr": file}; with "kill_after" (seconds) and
        "signal", the child and its own children get the signal; with "file_bytes" no file can become larger; with
        "handles" no more files can be open; with "disk" (place, bytes) a disk of this size is mounted there (as root)
stdout: one JSON object a line: {"code": exit code, or minus the signal that ended it, "seconds": …}
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import pkgutil
import resource
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import prodrec

SECONDS, BYTES = 60, 2 << 30
"""Limits of a command: its time, and its memory beyond that of the libraries."""
IMPORTED_LATE = (
    "gensim.models",
    "h5py",
    "lancedb.index",
    "matplotlib.figure",
    "polars",
    "scipy.optimize",
    "torchvision.models",
)
"""Slow libraries that prodrec imports inside functions. LanceDB starts its threads anew in a forked process."""


def main() -> None:
    """Serve until standard input ends."""
    import torch

    for module in pkgutil.walk_packages(prodrec.__path__, "prodrec."):  # imported once for all children
        if module.name == "prodrec.__main__":  # would run the command
            continue
        with contextlib.suppress(ImportError):  # of an extra that is not installed
            importlib.import_module(module.name)
    for name in IMPORTED_LATE:
        importlib.import_module(name)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="lancedb fork support", category=RuntimeWarning)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        request, start = json.loads(line), time.monotonic()
        child = os.fork()
        if not child:
            _run(request)
        with contextlib.suppress(OSError):  # the child does the same; whoever comes first
            os.setpgid(child, child)
        if "kill_after" in request:
            time.sleep(request["kill_after"])
            with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended
                os.killpg(child, request["signal"])
        _, status = os.waitpid(child, 0)
        answer = {"code": os.waitstatus_to_exitcode(status), "seconds": time.monotonic() - start}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _mount(place: str, size: int) -> None:
    """Mount an empty disk of `size` bytes in memory, for this process and its children."""
    libc, new_mounts, private = ctypes.CDLL(None, use_errno=True), 0x20000, 0x44000
    Path(place).mkdir()
    calls = (
        lambda: libc.unshare(new_mounts),
        lambda: libc.mount(None, b"/", None, private, None),
        lambda: libc.mount(b"tmpfs", place.encode(), b"tmpfs", 0, f"size={size}".encode()),
    )
    for call in calls:
        if call():
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _run(request: dict[str, Any]) -> None:
    """Run a command in this child, and end it."""
    code = 1
    try:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        os.chdir(request["cwd"])
        for name, number in (("stdout", 1), ("stderr", 2)):
            file = os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, number)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, used + BYTES))
        if "disk" in request:
            _mount(*request["disk"])
        for option, limit in (("file_bytes", resource.RLIMIT_FSIZE), ("handles", resource.RLIMIT_NOFILE)):
            if option in request:
                resource.setrlimit(limit, (request[option], request[option]))
        signal.alarm(SECONDS)
        sys.argv = ["prodrec", *request["argv"]]
        from prodrec.cli.start import main as prodrec

        prodrec()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except KeyboardInterrupt:  # before the command began
        code = 130
    except BaseException as error:  # the parent looks for tracebacks
        with contextlib.suppress(Exception):
            os.write(2, f"Traceback of the victim: {type(error).__name__}: {error}\n".encode())
        code = 70
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
