"""An output is complete or absent, and an old one is never lost, whatever happens during writing."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prodrec.core.base.artefact import JSON_FILES, read_json_artefact
from prodrec.core.base.errors import OutputExists
from prodrec.core.base.outputs import atomic_write, new_directory, new_file, refuse_if_taken, write_json

from .conftest import write_dataset


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def make_output(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "out"
    if content == "file":
        path.write_text("old")
    elif content == "empty":
        path.mkdir()
    elif content == "dataset":
        write_dataset(path)
    elif content == "folder":
        path.mkdir()
        (path / "letters.txt").write_text("dear")
    elif content == "dangling link":
        path.symlink_to(tmp_path / "nowhere")
    elif content == "inside a file":
        path.write_text("old")
        return path / "deeper" / "out"
    return path


@pytest.mark.parametrize(
    ("content", "kind", "force", "message"),
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
        ("dangling link", "dataset", True, "is a broken link"),
        ("dangling link", "scores", True, "is a broken link"),
        ("inside a file", "dataset", True, "is a file, so"),
        ("inside a file", "scores", True, "is a file, so"),
        ("file", "report", False, "exists already; add --force"),
    ],
)
def test_what_may_be_replaced(tmp_path: Path, content: str, kind: str, force: bool, message: str | None) -> None:
    path = make_output(tmp_path, content)
    before = sorted(tmp_path.rglob("*"))
    if message is None:
        refuse_if_taken(path, kind=kind, force=force)
    else:
        with pytest.raises(OutputExists) as caught:
            refuse_if_taken(path, kind=kind, force=force)
        assert message in str(caught.value) and "another place" in str(caught.value)
        assert ("--out" in str(caught.value)) == (kind != "report")
        maker = new_directory if kind in JSON_FILES else new_file
        with pytest.raises(OutputExists), maker(path, kind=kind, force=force):
            pytest.fail("writing began")
    assert sorted(tmp_path.rglob("*")) == before


# --- new directories and files


def test_a_new_directory_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "shop"
    with new_directory(path, kind="dataset") as partial:
        assert partial.parent == path.parent and not any(partial.iterdir())
        write_dataset(partial)
        assert not path.exists()
    assert names_in(path) == ["dataset.json"]
    assert names_in(path.parent) == ["shop"]


def test_a_new_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "s.h5"
    with new_file(path, kind="scores") as partial:
        partial.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert names_in(path.parent) == ["s.h5"]


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("replacing", [False, True])
def test_a_failure_leaves_the_old_output(tmp_path: Path, stop: type[BaseException], replacing: bool) -> None:
    shop, scores = tmp_path / "shop", tmp_path / "s.h5"
    if replacing:
        write_dataset(shop, counts="old")
        scores.write_text("old")
    before = names_in(tmp_path)
    with pytest.raises(stop), new_directory(shop, kind="dataset", force=True) as partial:
        write_dataset(partial, counts="new")
        (partial / "photos").mkdir()
        raise stop
    with pytest.raises(stop), new_file(scores, kind="scores", force=True) as partial:
        partial.write_text("half")
        raise stop
    assert names_in(tmp_path) == before
    if replacing:
        assert read_json_artefact(shop, kind="dataset")["counts"] == "old"
        assert scores.read_text() == "old"


def test_force_replaces_all_of_the_old_directory(tmp_path: Path) -> None:
    shop = write_dataset(tmp_path / "shop", counts="old")
    (shop / "old.txt").write_text("old")
    with new_directory(shop, kind="dataset", force=True) as partial:
        write_dataset(partial, counts="new")
        assert (shop / "old.txt").exists()
    assert read_json_artefact(shop, kind="dataset")["counts"] == "new"
    assert names_in(shop) == ["dataset.json"]
    assert names_in(tmp_path) == ["shop"]


@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("after", [False, True])
def test_replacing_may_be_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, after: bool) -> None:
    """After Ctrl-C before or after any of the renames, the path is a complete dataset, old or new."""
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
    with pytest.raises(KeyboardInterrupt), new_directory(shop, kind="dataset", force=True) as partial:
        write_dataset(partial, counts="new")
    monkeypatch.undo()
    assert calls >= at
    assert read_json_artefact(shop, kind="dataset")["counts"] == ("old" if (at, after) < (2, True) else "new")
    with new_directory(shop, kind="dataset", force=True) as partial:
        write_dataset(partial, counts="next")
    assert read_json_artefact(shop, kind="dataset")["counts"] == "next"
    assert names_in(tmp_path) == ["shop"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_stop_the_removal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    remove, handlers = shutil.rmtree, [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]

    def disturbed(path: Path) -> None:
        os.kill(os.getpid(), number)
        remove(path)

    monkeypatch.setattr("prodrec.core.base.outputs.shutil.rmtree", disturbed)
    with pytest.raises(KeyboardInterrupt), new_directory(tmp_path / "shop", kind="dataset"):
        raise KeyboardInterrupt
    assert names_in(tmp_path) == []
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_link_is_followed_and_kept(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    write_dataset(disk / "shop", counts="old")
    (disk / "s.h5").write_text("old")
    shop, scores = tmp_path / "shop", tmp_path / "s.h5"
    shop.symlink_to(disk / "shop")
    scores.symlink_to(disk / "s.h5")
    with new_directory(shop, kind="dataset", force=True) as partial:
        write_dataset(partial, counts="new")
    with new_file(scores, kind="scores", force=True) as partial:
        partial.write_text("new")
    assert shop.is_symlink() and scores.is_symlink()
    assert read_json_artefact(disk / "shop", kind="dataset")["counts"] == "new"
    assert (disk / "s.h5").read_text() == "new"
    assert names_in(tmp_path) == ["disk", "s.h5", "shop"] and names_in(disk) == ["s.h5", "shop"]


def test_a_directory_that_ranks_still_write_into_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    rmtree, tries = shutil.rmtree, []

    def race(path: Path) -> None:
        tries.append(path)
        if len(tries) == 1:
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(path))
        rmtree(path)

    monkeypatch.setattr(shutil, "rmtree", race)
    with pytest.raises(KeyError, match="the cause"), new_directory(tmp_path / "shop", kind="dataset"):
        raise KeyError("the cause")
    assert len(tries) == 2 and names_in(tmp_path) == []


def test_an_error_of_the_removal_does_not_replace_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))

    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(KeyError, match="the cause"), new_directory(tmp_path / "shop", kind="dataset"):
        raise KeyError("the cause")
    assert "cannot be removed ([Errno 16]" in capsys.readouterr().err
    write_dataset(tmp_path / "replaced", counts="old")
    with new_directory(tmp_path / "replaced", kind="dataset", force=True) as partial:
        write_dataset(partial, counts="new")
    assert read_json_artefact(tmp_path / "replaced", kind="dataset")["counts"] == "new"


def test_invalid_json_does_not_replace_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_json(path, {"name": "裙"})
    assert json.loads(path.read_text("utf-8")) == {"name": "裙"}
    for wrong in ({"loss": float("nan")}, {"loss": object()}, {"name": "\udcff"}):
        with pytest.raises((ValueError, TypeError)):
            write_json(path, wrong)
    assert json.loads(path.read_text("utf-8")) == {"name": "裙"}
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize("old", [None, "old"])
def test_atomic_write_replaces_the_file_when_it_is_complete(tmp_path: Path, old: str | None) -> None:
    path = tmp_path / "history.csv"
    if old:
        path.write_text(old)
    with pytest.raises(KeyError, match="the cause"), atomic_write(path) as partial:
        partial.write_text("half")
        raise KeyError("the cause")
    assert (path.read_text() if path.exists() else None) == old and names_in(tmp_path) == ["history.csv"] * bool(old)
    with atomic_write(path) as partial:
        partial.write_text("new")
        assert (path.read_text() if path.exists() else None) == old
    assert path.read_text() == "new" and names_in(tmp_path) == ["history.csv"]


# --- leftovers of killed processes


@pytest.fixture(scope="module")
def dead_process() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def origin(tmp_path: Path) -> str:
    """The ORIGIN in the names of the temporary files of this process."""
    with new_file(tmp_path / "any", kind="scores") as partial:
        partial.write_text("")
    (tmp_path / "any").unlink()
    return partial.name.removeprefix(f".any.partial-{os.getpid()}-")


@pytest.mark.parametrize("name", ["shop", "shop [1]*"])
def test_leftovers_of_killed_processes_are_removed(tmp_path: Path, dead_process: int, origin: str, name: str) -> None:
    for process in (dead_process, os.getpid(), 10**30):
        (tmp_path / f".{name}.partial-{process}-{origin}" / "photos").mkdir(parents=True)
        (tmp_path / f".s.h5.partial-{process}-{origin}").write_text("half")
    with new_directory(tmp_path / name, kind="dataset") as partial:
        write_dataset(partial)
    with new_file(tmp_path / "s.h5", kind="scores") as partial:
        partial.write_text("new")
    assert names_in(tmp_path) == ["s.h5", name]


def test_a_file_of_an_artefact_replaces_its_leftovers_too(
    tmp_path: Path, dead_process: int, capsys: pytest.CaptureFixture[str], origin: str
) -> None:
    (tmp_path / f".history.csv.partial-{dead_process}-{origin}").write_text("half")
    foreign = tmp_path / f".history.csv.partial-{dead_process}-{'0' * 8}"
    foreign.write_text("half")
    for _ in range(2):
        with atomic_write(tmp_path / "history.csv") as partial:
            partial.write_text("new")
    assert set(names_in(tmp_path)) == {"history.csv", foreign.name}
    assert capsys.readouterr().err.count("another container") == 1


def test_outputs_of_running_processes_and_similar_names_stay(tmp_path: Path, origin: str) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as running:
        names = {f".shop.{role}-{running.pid}-{origin}" for role in ("partial", "replaced")}
        names |= {f".shop.notes-1-{origin}", ".shop.partial-x", f".shop.partial-x-{origin}"}
        for name in names:
            (tmp_path / name).mkdir()
        with new_directory(tmp_path / "shop", kind="dataset") as partial:
            write_dataset(partial)
        running.communicate(b"\n")
    assert set(names_in(tmp_path)) == {"shop", *names}


@pytest.mark.parametrize("other", ["socket.gethostname", "os.readlink"])
def test_leftovers_of_another_machine_or_container_stay_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], other: str
) -> None:
    """A process that runs there may have the same number as a dead process here, or as this process."""
    with monkeypatch.context() as patch:
        patch.setattr(f"prodrec.core.base.outputs.{other}", lambda *_: "another")
        elsewhere = new_directory(tmp_path / "shop", kind="dataset")
        foreign = elsewhere.__enter__()
        old = write_dataset(foreign.with_name(foreign.name.replace("partial", "replaced")))
    with new_file(tmp_path / "shop", kind="scores") as partial:
        partial.write_text("new")
    assert set(names_in(tmp_path)) == {"shop", foreign.name, old.name}
    warnings = capsys.readouterr().err
    assert (
        f"{foreign} belongs to a process in another container" in warnings
        and "writing shop now, remove it." in warnings
    )
    assert (
        f"{old} belongs to a process in another container" in warnings
        and f"writing shop now, rename it to {tmp_path}" in warnings
    )


def test_a_directory_that_a_killed_process_was_replacing_is_restored(
    tmp_path: Path, dead_process: int, origin: str
) -> None:
    write_dataset(tmp_path / f".shop.replaced-{dead_process}-{origin}", counts="old")
    (tmp_path / f".shop.partial-{dead_process}-{origin}").mkdir()
    with pytest.raises(OutputExists), new_directory(tmp_path / "shop", kind="dataset"):
        pytest.fail("the restored directory would be replaced without --force")
    assert read_json_artefact(tmp_path / "shop", kind="dataset")["counts"] == "old"
    assert names_in(tmp_path) == ["shop"]


def test_a_directory_that_was_replaced_is_removed(tmp_path: Path, dead_process: int, origin: str) -> None:
    write_dataset(tmp_path / f".shop.replaced-{dead_process}-{origin}", counts="old")
    write_dataset(tmp_path / "shop", counts="new")
    with pytest.raises(OutputExists), new_directory(tmp_path / "shop", kind="dataset"):
        pytest.fail("not without --force")
    assert read_json_artefact(tmp_path / "shop", kind="dataset")["counts"] == "new"
    assert names_in(tmp_path) == ["shop"]


KILLED = """
import os, signal, sys
from pathlib import Path
from prodrec.core.base.outputs import new_directory
with new_directory(Path(sys.argv[1]), kind="dataset", force=True) as partial:
    (partial / "photos").mkdir()
    (partial / "photos" / "00000.bin").write_bytes(bytes(1000))
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
def test_kill_9_loses_no_output(tmp_path: Path, when: str) -> None:
    shop = write_dataset(tmp_path / "shop", counts="old")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(shop), when], check=False)
    assert killed.returncode == -9
    assert shop.exists() == (when == "while writing")
    with pytest.raises(OutputExists), new_directory(shop, kind="dataset"):
        pytest.fail("not without --force")
    assert read_json_artefact(shop, kind="dataset")["counts"] == "old"
    assert names_in(tmp_path) == ["shop"]
