"""Outputs are whole or not there, and nothing that stood there before is lost, whatever happens while they are made."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from prodrec.core.base.artefact import (
    JSON_NAMES,
    header,
    new_directory,
    new_file,
    read_json_artefact,
    refuse_if_taken,
    write_json,
)
from prodrec.core.base.errors import OutputExists


def inside(place: Path) -> list[str]:
    return sorted(found.name for found in place.iterdir())


def write_dataset(place: Path, **change: Any) -> Path:
    place.mkdir(exist_ok=True)
    write_json(place / "dataset.json", {**header("dataset", fingerprint="f", made_from={}), **change})
    return place


def taken(tmp_path: Path, what: str) -> Path:
    path = tmp_path / "out"
    if what == "file":
        path.write_text("old")
    elif what == "empty":
        path.mkdir()
    elif what == "dataset":
        write_dataset(path)
    elif what == "folder":
        path.mkdir()
        (path / "letters.txt").write_text("dear")
    elif what == "dangling link":
        path.symlink_to(tmp_path / "nowhere")
    elif what == "inside a file":
        path.write_text("old")
        return path / "deeper" / "out"
    return path


@pytest.mark.parametrize(
    ("what", "kind", "force", "message"),
    [
        ("nothing", "dataset", False, None),
        ("nothing", "scores", False, None),
        ("empty", "dataset", False, None),
        ("dataset", "dataset", True, None),
        ("file", "scores", True, None),
        ("file", "scores", False, "exists already; add --force"),
        ("dataset", "dataset", False, "exists already; add --force"),
        ("folder", "dataset", False, "exists already; add --force"),
        ("folder", "dataset", True, "is not a prodrec dataset, so --force does not replace it"),
        ("dataset", "run", True, "is not a prodrec run, so --force does not replace it"),
        ("file", "dataset", True, "is a file; expected a place for a dataset directory"),
        ("empty", "scores", True, "is a directory; expected a place for a scores file"),
        ("dangling link", "dataset", True, "is a link that leads nowhere"),
        ("dangling link", "scores", True, "is a link that leads nowhere"),
        ("inside a file", "dataset", True, "is a file, so"),
        ("inside a file", "scores", True, "is a file, so"),
        ("file", "report", False, "exists already; add --force"),
    ],
)
def test_what_may_be_replaced(tmp_path: Path, what: str, kind: str, force: bool, message: str | None) -> None:
    path = taken(tmp_path, what)
    before = sorted(tmp_path.rglob("*"))
    if message is None:
        refuse_if_taken(path, kind=kind, force=force)
    else:
        with pytest.raises(OutputExists) as caught:
            refuse_if_taken(path, kind=kind, force=force)
        assert message in str(caught.value) and "another place" in str(caught.value)
        assert ("--out" in str(caught.value)) == (kind != "report")
        maker = new_directory if kind in JSON_NAMES else new_file
        with pytest.raises(OutputExists), maker(path, kind=kind, force=force):
            pytest.fail("writing began")
    assert sorted(tmp_path.rglob("*")) == before


# --- directories and files that are whole or not there


def test_a_new_directory_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "shop"
    with new_directory(path, kind="dataset") as beside:
        assert beside.parent == path.parent and not any(beside.iterdir())
        write_dataset(beside)
        assert not path.exists()
    assert inside(path) == ["dataset.json"]
    assert inside(path.parent) == ["shop"]


def test_a_new_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "s.h5"
    with new_file(path, kind="scores") as beside:
        beside.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert inside(path.parent) == ["s.h5"]


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("replacing", [False, True])
def test_a_failure_leaves_nothing_and_loses_nothing(tmp_path: Path, stop: type[BaseException], replacing: bool) -> None:
    shop, scores = tmp_path / "shop", tmp_path / "s.h5"
    if replacing:
        write_dataset(shop, counts="old")
        scores.write_text("old")
    before = inside(tmp_path)
    with pytest.raises(stop), new_directory(shop, kind="dataset", force=True) as beside:
        write_dataset(beside, counts="new")
        (beside / "photos").mkdir()
        raise stop
    with pytest.raises(stop), new_file(scores, kind="scores", force=True) as beside:
        beside.write_text("half")
        raise stop
    assert inside(tmp_path) == before
    if replacing:
        assert read_json_artefact(shop, kind="dataset")["counts"] == "old"
        assert scores.read_text() == "old"


def test_force_replaces_all_of_the_old_directory(tmp_path: Path) -> None:
    shop = write_dataset(tmp_path / "shop", counts="old")
    (shop / "old.txt").write_text("old")
    with new_directory(shop, kind="dataset", force=True) as beside:
        write_dataset(beside, counts="new")
        assert (shop / "old.txt").exists()
    assert read_json_artefact(shop, kind="dataset")["counts"] == "new"
    assert inside(shop) == ["dataset.json"]
    assert inside(tmp_path) == ["shop"]


@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("after", [False, True])
def test_the_exchange_itself_may_be_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, after: bool
) -> None:
    """Ctrl-C before or after each of the renames: a whole dataset, old or new, stands at its place."""
    shop = write_dataset(tmp_path / "shop", counts="old")
    rename, calls = Path.rename, 0

    def interrupted(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == at and not after:
            raise KeyboardInterrupt
        moved = rename(self, target)
        if calls == at:
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), new_directory(shop, kind="dataset", force=True) as beside:
        write_dataset(beside, counts="new")
    monkeypatch.undo()
    assert calls >= at
    assert read_json_artefact(shop, kind="dataset")["counts"] == ("old" if (at, after) < (2, True) else "new")
    with new_directory(shop, kind="dataset", force=True) as beside:
        write_dataset(beside, counts="next")
    assert read_json_artefact(shop, kind="dataset")["counts"] == "next"
    assert inside(tmp_path) == ["shop"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_stop_the_clearing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    remove, handlers = shutil.rmtree, [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]

    def disturbed(place: Path) -> None:
        os.kill(os.getpid(), number)
        remove(place)

    monkeypatch.setattr("prodrec.core.base.artefact.shutil.rmtree", disturbed)
    with pytest.raises(KeyboardInterrupt), new_directory(tmp_path / "shop", kind="dataset"):
        raise KeyboardInterrupt
    assert inside(tmp_path) == []
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_link_is_followed_and_kept(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    write_dataset(disk / "shop", counts="old")
    (disk / "s.h5").write_text("old")
    shop, scores = tmp_path / "shop", tmp_path / "s.h5"
    shop.symlink_to(disk / "shop")
    scores.symlink_to(disk / "s.h5")
    with new_directory(shop, kind="dataset", force=True) as beside:
        write_dataset(beside, counts="new")
    with new_file(scores, kind="scores", force=True) as beside:
        beside.write_text("new")
    assert shop.is_symlink() and scores.is_symlink()
    assert read_json_artefact(disk / "shop", kind="dataset")["counts"] == "new"
    assert (disk / "s.h5").read_text() == "new"
    assert inside(tmp_path) == ["disk", "s.h5", "shop"] and inside(disk) == ["s.h5", "shop"]


def test_what_ranks_still_write_into_is_removed_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    rmtree, tries = shutil.rmtree, []

    def race(place: Path) -> None:
        tries.append(place)
        if len(tries) == 1:
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(place))
        rmtree(place)

    monkeypatch.setattr(shutil, "rmtree", race)
    with pytest.raises(KeyError, match="the cause"), new_directory(tmp_path / "shop", kind="dataset"):
        raise KeyError("the cause")
    assert len(tries) == 2 and inside(tmp_path) == []


def test_an_error_of_the_clearing_up_never_replaces_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(place: Path) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(place))

    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(KeyError, match="the cause"), new_directory(tmp_path / "shop", kind="dataset"):
        raise KeyError("the cause")
    assert "cannot be removed ([Errno 16]" in capsys.readouterr().err
    write_dataset(tmp_path / "replaced", counts="old")
    with new_directory(tmp_path / "replaced", kind="dataset", force=True) as beside:
        write_dataset(beside, counts="new")
    assert read_json_artefact(tmp_path / "replaced", kind="dataset")["counts"] == "new"


# --- what killed processes leave


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def here(tmp_path: Path) -> str:
    """What the name of a place in the making says of the machine."""
    with new_file(tmp_path / "any", kind="scores") as beside:
        beside.write_text("")
    (tmp_path / "any").unlink()
    return beside.name.removeprefix(f".any.partial-{os.getpid()}-")


@pytest.mark.parametrize("name", ["shop", "shop [1]*"])
def test_leftovers_of_killed_processes_are_swept(tmp_path: Path, dead: int, here: str, name: str) -> None:
    for process in (dead, os.getpid(), 10**30):
        (tmp_path / f".{name}.partial-{process}-{here}" / "photos").mkdir(parents=True)
        (tmp_path / f".s.h5.partial-{process}-{here}").write_text("half")
    with new_directory(tmp_path / name, kind="dataset") as beside:
        write_dataset(beside)
    with new_file(tmp_path / "s.h5", kind="scores") as beside:
        beside.write_text("new")
    assert inside(tmp_path) == ["s.h5", name]


def test_what_others_are_writing_or_call_alike_stays(tmp_path: Path, here: str) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as running:
        names = {f".shop.{what}-{running.pid}-{here}" for what in ("partial", "replaced")}
        names |= {f".shop.notes-1-{here}", ".shop.partial-x", f".shop.partial-x-{here}"}
        for name in names:
            (tmp_path / name).mkdir()
        with new_directory(tmp_path / "shop", kind="dataset") as beside:
            write_dataset(beside)
        running.communicate(b"\n")
    assert set(inside(tmp_path)) == {"shop", *names}


@pytest.mark.parametrize("other", ["socket.gethostname", "os.readlink"])
def test_what_is_made_on_another_machine_or_in_another_container_stays_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], other: str
) -> None:
    """A process at work there may have the number of a dead one here, or our own."""
    with monkeypatch.context() as patch:
        patch.setattr(f"prodrec.core.base.artefact.{other}", lambda *_: "another")
        elsewhere = new_directory(tmp_path / "shop", kind="dataset")
        theirs = elsewhere.__enter__()
        old = write_dataset(theirs.with_name(theirs.name.replace("partial", "replaced")))
    with new_file(tmp_path / "shop", kind="scores") as beside:
        beside.write_text("new")
    assert set(inside(tmp_path)) == {"shop", theirs.name, old.name}
    told = capsys.readouterr().err
    assert f"{theirs} is of a process in another container" in told and "making shop now, remove it." in told
    assert f"{old} is of a process in another container" in told and f"making shop now, rename it to {tmp_path}" in told


def test_an_artefact_that_a_killed_process_had_set_aside_is_put_back(tmp_path: Path, dead: int, here: str) -> None:
    write_dataset(tmp_path / f".shop.replaced-{dead}-{here}", counts="old")
    (tmp_path / f".shop.partial-{dead}-{here}").mkdir()
    with pytest.raises(OutputExists), new_directory(tmp_path / "shop", kind="dataset"):
        pytest.fail("what was put back would be replaced without --force")
    assert read_json_artefact(tmp_path / "shop", kind="dataset")["counts"] == "old"
    assert inside(tmp_path) == ["shop"]


def test_an_artefact_that_was_replaced_already_is_removed(tmp_path: Path, dead: int, here: str) -> None:
    write_dataset(tmp_path / f".shop.replaced-{dead}-{here}", counts="old")
    write_dataset(tmp_path / "shop", counts="new")
    with pytest.raises(OutputExists), new_directory(tmp_path / "shop", kind="dataset"):
        pytest.fail("not without --force")
    assert read_json_artefact(tmp_path / "shop", kind="dataset")["counts"] == "new"
    assert inside(tmp_path) == ["shop"]


KILLED = """
import os, signal, sys
from pathlib import Path
from prodrec.core.base.artefact import new_directory
with new_directory(Path(sys.argv[1]), kind="dataset", force=True) as beside:
    (beside / "photos").mkdir()
    (beside / "photos" / "00000.bin").write_bytes(bytes(1000))
    if sys.argv[2] == "between":
        rename = Path.rename
        def stop(self, target):
            rename(self, target)
            os.kill(os.getpid(), signal.SIGKILL)
        Path.rename = stop
    else:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("when", ["while writing", "between"])
def test_kill_9_loses_nothing(tmp_path: Path, when: str) -> None:
    shop = write_dataset(tmp_path / "shop", counts="old")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(shop), when], check=False)
    assert killed.returncode == -9
    assert shop.exists() == (when == "while writing")
    with pytest.raises(OutputExists), new_directory(shop, kind="dataset"):
        pytest.fail("not without --force")
    assert read_json_artefact(shop, kind="dataset")["counts"] == "old"
    assert inside(tmp_path) == ["shop"]
