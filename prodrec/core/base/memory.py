"""The memory that this process can still use, limited by the machine and by the control groups of its job."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

SHARED = Path("/dev/shm")
"""Where Linux keeps the memory that processes share."""


def available(root: Path = Path("/")) -> int:
    """Return the bytes that can be allocated without swapping. `root` is the directory that contains proc and sys."""
    return min([_machine_available(root / "proc/meminfo"), *_cgroups_available(root)])


def shared_available(place: Path = SHARED) -> int | None:
    """Return the free bytes of the memory that processes share, or None on a system without such a place."""
    try:
        return shutil.disk_usage(place).free
    except OSError:
        return None


def format_bytes(size: float) -> str:
    """Return a number of bytes as text, in GiB or MiB."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"


def _machine_available(meminfo: Path) -> int:
    """Return the bytes available on the machine, or half of its memory if the system does not report them."""
    try:
        lines = dict(line.split(":") for line in meminfo.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _cgroups_available(root: Path) -> Iterator[int]:
    """Yield the bytes available in each limited memory cgroup of this process, from the innermost to the outermost."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, cgroup_path = line.split(":", 2)
        if controllers == "":  # cgroups of version 2
            top, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            top = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        innermost = top / cgroup_path.lstrip("/")
        for cgroup in (innermost, *innermost.parents):
            if cgroup.is_relative_to(top):
                yield from _cgroup_available(cgroup, *names)


def _cgroup_available(cgroup: Path, limit: str, usage: str, reclaimable: str) -> Iterator[int]:
    """Yield limit − usage + reclaimable, in bytes. Yield nothing if the cgroup has no limit.

    The reclaimable bytes are cached pages of files, which the kernel frees when memory is needed.
    """
    try:
        limit_bytes, used_bytes = int((cgroup / limit).read_text()), int((cgroup / usage).read_text())
        stat = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        yield limit_bytes - used_bytes + int(stat[reclaimable])
    except (OSError, KeyError, ValueError):  # the limit is "max", or the cgroup has no memory controller
        return
