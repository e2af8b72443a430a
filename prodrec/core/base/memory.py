"""How much memory this process may still take: of the machine, and of the control groups of its job."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def available(root: Path = Path("/")) -> int:
    """Bytes that can be taken without swapping; half of the machine's memory where the system does not tell.

    `root` is where /proc and /sys are read.
    """
    return min(_of_machine(root / "proc/meminfo"), *_of_groups(root), 2**62)


def _of_machine(meminfo: Path) -> int:
    try:
        lines = dict(line.split(":") for line in meminfo.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _of_groups(root: Path) -> Iterator[int]:
    """What is left in every memory group that this process is in, from its own up to the outermost."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, inside = line.split(":", 2)
        if controllers == "":  # version 2
            top, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            top = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        place = top / inside.lstrip("/")
        for group in (place, *place.parents):
            if group.is_relative_to(top):
                yield from _left(group, *names)


def _left(group: Path, limit: str, used: str, reclaimable: str) -> Iterator[int]:
    """The limit less what is used, without pages of files that the kernel gives up when memory is asked for."""
    try:
        most, taken = int((group / limit).read_text()), int((group / used).read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        yield most - taken + int(stat[reclaimable])
    except (OSError, KeyError, ValueError):  # "max", or a group of another kind
        return
