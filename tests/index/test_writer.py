"""Changing an index: one writer at a time, and a killed writer leaves the last version whole."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prodrec.core.base.errors import RunLocked
from prodrec.index.check import find_problems
from prodrec.index.product_index import ProductIndex
from prodrec.index.writer import Changes, choose_search, lock_existing, open_to_write, replace_products

from .conftest import MakeIndex, draw_rows

ROOT = Path(__file__).parents[2]

VICTIM = """
import sys
from pathlib import Path
from prodrec.index.writer import open_to_write, replace_products
from tests.index.conftest import draw_rows
for number in range(1, 10_000):
    rows = draw_rows([(f"P{i}", 2) for i in range(200)], seed=number, title=f"version{number}")
    with open_to_write(Path(sys.argv[1])) as index:
        print(number, flush=True)
        replace_products(index, rows, [f"P{i}" for i in range(200)])
"""


def test_one_writer_at_a_time(make_index: MakeIndex) -> None:
    path = make_index([("P1", 1)]).path
    with open_to_write(path) as index:
        message = r"index is being changed by process \d+ on .*; wait for it, or stop it"
        with pytest.raises(RunLocked, match=message), open_to_write(path):
            pass
        with pytest.raises(RunLocked, match=message), lock_existing(path):
            pass
        replace_products(index, None, ["P1"])
    with open_to_write(path) as index, lock_existing(path.with_name("none")):
        assert len(index) == 0


@pytest.mark.exhaustive
def test_a_killed_writer_leaves_a_whole_version(make_index: MakeIndex) -> None:
    """Killed at any moment: all rows are of one version, the lock is free, and the next change works."""
    path = make_index([(f"P{i}", 2) for i in range(200)]).path
    for wait in (0.0, 0.01, 0.02, 0.03, 0.1, 0.2, 0.5):
        command = [sys.executable, "-c", VICTIM, str(path)]
        victim = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert victim.stdout is not None and victim.stdout.readline().strip() == "1"
        time.sleep(wait)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        index = ProductIndex.open(path)
        titles = {title.split()[0] for title in index.frame("title")["title"]}
        assert len(titles) == 1 and len(index) == 400 and not find_problems(index)
    with open_to_write(path) as index:
        replace_products(index, draw_rows([("P1", 1)]), [f"P{i}" for i in range(200)])
    assert len(ProductIndex.open(path)) == 1


def test_what_a_killed_writer_left_is_removed_by_the_next_one(make_index: MakeIndex) -> None:
    path = make_index([("P1", 1)]).path
    (file,) = (path / "products.lance/data").glob("*.lance")
    unfinished = file.with_name(f"{file.stem[:-4]}0000.lance")
    unfinished.write_bytes(file.read_bytes())
    with open_to_write(path):
        pass
    assert unfinished.exists(), "it may be of a process that cannot lock here"
    (path / ".lock-holder").write_text("process 1 on a machine", "utf-8")  # no process ends without removing it
    reader = ProductIndex.open(path)
    with open_to_write(path) as index:
        assert not unfinished.exists() and index.product("P1") is not None
    assert reader.product("P1") is not None


def test_old_versions_take_no_space_for_ever(make_index: MakeIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import timedelta

    monkeypatch.setattr("prodrec.index.writer.KEEP_VERSIONS", timedelta(0))
    path = make_index([(f"P{i}", 1) for i in range(50)]).path

    def size() -> int:
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())

    before = size()
    for number in range(30):
        with open_to_write(path) as index:
            replace_products(index, draw_rows([("P1", 1)], seed=number), ["P1"])
    assert size() < 2 * before, "thirty changes of one product"
    assert ProductIndex.open(path).table.versions < 5


def test_lists_are_made_when_they_are_wanted(make_index: MakeIndex) -> None:
    index = make_index([(f"P{i}", 1) for i in range(600)])
    assert choose_search(index).header.search.probes == 0
    listed = choose_search(index, "approximate")
    assert listed.header.search.probes >= 1 and listed.header.search.recall >= 0.98
    assert ProductIndex.open(index.path).header.search == listed.header.search
    assert choose_search(listed) is listed, "an update does not make them again"
    assert choose_search(listed, "exact").header.search.probes == 0


def test_changes_as_json() -> None:
    assert Changes(("a",), ("b", "c"), (), 7).as_json() == {"added": 1, "changed": 2, "removed": 0, "unchanged": 7}
