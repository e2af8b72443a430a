"""Available memory, read from the files of a machine that the tests write."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from prodrec.core.base.memory import available, format_bytes, shared_available

GIB = 2**30


def machine(root: Path, *, cgroup: str, groups: dict[str, dict[str, str]]) -> Path:
    files = {"proc/meminfo": f"MemTotal: 99 kB\nMemAvailable: {8 * 2**20} kB\n", "proc/self/cgroup": cgroup}
    files |= {f"sys/fs/cgroup/{name}/{file}": text for name, group in groups.items() for file, text in group.items()}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_a_machine_without_limits(tmp_path: Path) -> None:
    groups = {"job": {"memory.max": "max", "memory.current": "5", "memory.stat": "inactive_file 0\n"}}
    assert available(machine(tmp_path, cgroup="0::/job\n", groups=groups)) == 8 * GIB


@pytest.mark.parametrize("inside", ["/slurm/job", "/elsewhere"])  # a container does not see its own cgroup
def test_the_tightest_cgroup_counts_without_cached_files(tmp_path: Path, inside: str) -> None:
    groups = {
        "slurm/job": {"memory.max": "max", "memory.current": "1", "memory.stat": "inactive_file 0\n"},
        "slurm": {"memory.max": str(3 * GIB), "memory.current": str(2 * GIB), "memory.stat": f"inactive_file {GIB}\n"},
        "": {"memory.max": str(6 * GIB), "memory.current": str(2 * GIB), "memory.stat": "inactive_file 0\n"},
    }
    bytes_available = available(machine(tmp_path, cgroup=f"0::{inside}\n", groups=groups))
    assert bytes_available == (2 * GIB if inside == "/slurm/job" else 4 * GIB)


def test_cgroups_of_version_1(tmp_path: Path) -> None:
    group = {
        "memory.limit_in_bytes": str(2 * GIB),
        "memory.usage_in_bytes": str(GIB),
        "memory.stat": "total_inactive_file 7\n",
    }
    assert available(machine(tmp_path, cgroup="4:memory:/a\n1:cpu:/a\n", groups={"memory/a": group})) == GIB + 7


def test_this_machine_and_one_without_proc(tmp_path: Path) -> None:
    assert available() > 2**20
    assert available(tmp_path) > 2**20


def test_bytes_as_text() -> None:
    assert [format_bytes(size) for size in (0, 3 * 2**19, 2**30 - 2**20, 2**30, 2.5 * 2**40)] == [
        "0.0 MiB",
        "1.5 MiB",
        "1023.0 MiB",
        "1.0 GiB",
        "2560.0 GiB",
    ]


def test_shared_memory(tmp_path: Path) -> None:
    free = shared_available(tmp_path)
    assert free is not None and free == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
    assert shared_available(tmp_path / "absent") is None
