"""Run a command and measure its time and the memory of its processes. Linux only: memory is read from /proc."""

from __future__ import annotations

import os
import subprocess
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SECONDS_BETWEEN_LOOKS = 0.5


@dataclass(frozen=True)
class Cost:
    """Wall-clock minutes of a command, and the largest memory of its processes together in GB (1e9 bytes)."""

    minutes: float
    peak_gb: float


class CommandFailed(Exception):
    """A command ended with an exit code other than 0. The message has the end of its output."""


def run_measured(command: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> Cost:
    """Run a command with its output in the file `log`, and return its cost. Raise CommandFailed."""
    start, peak = time.monotonic(), 0
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env=environment)
        try:
            while process.poll() is None:
                peak = max(peak, tree_bytes(process.pid))
                time.sleep(SECONDS_BETWEEN_LOOKS)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if process.returncode:
        end = "\n".join(log.read_text("utf-8", "replace").splitlines()[-30:])
        raise CommandFailed(f"exit code {process.returncode} of: {' '.join(command)}\n{end}\nAll output is in {log}.")
    return Cost((time.monotonic() - start) / 60, peak / 1e9)


def tree_bytes(root: int) -> int:
    """Return the resident memory (RSS) of a process and all processes below it, in bytes.

    Pages that processes share count once for each of them.
    """
    total = 0
    for process in process_tree(root):
        with suppress(OSError, IndexError):  # the process has ended
            total += int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return total * os.sysconf("SC_PAGE_SIZE")


def tree_processor_seconds(root: int) -> float:
    """Return the processor seconds of a process and all processes below it, with those of children that have ended."""
    ticks = 0
    for process in process_tree(root):
        with suppress(OSError, IndexError):
            ticks += sum(map(int, _stat(process)[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def process_tree(root: int) -> list[int]:
    """Return a process and all processes below it, by their numbers."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):  # the process has ended
                children[int(_stat(int(entry.name))[1])].append(int(entry.name))
    tree, waiting = [], [root]
    while waiting:
        tree.append(waiting.pop())
        waiting += children[tree[-1]]
    return tree


def _stat(process: int) -> list[str]:
    """Return the fields of /proc/PROCESS/stat from the state on; the name before them may contain spaces."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
