"""Errors of the operating system, as libraries report them."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from prodrec.core.base.outputs import atomic_write, new_directory
from prodrec.core.base.system_errors import SystemFailure, final_name, find_system_error, is_panic

HDF5 = (
    "Can't decrement id ref count (file write failed: time = Sun Nov 29 00:22:30 2026 , filename = "
    "'/data/.shop.partial-23-38b0dd16/.s.h5.partial-23-38b0dd16', file descriptor = 24, errno = 28, error message = ''"
)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "x"), SystemFailure(errno.ENOSPC, None)),
        (OSError(errno.EFBIG, "x", "shop/.a.npy.partial-1-ab"), SystemFailure(errno.EFBIG, "shop/a.npy")),
        (OSError("no number"), None),
        (RuntimeError(HDF5), SystemFailure(28, "/data/shop/s.h5")),
        (ValueError("I/O error: No space left on device (os error 28)"), SystemFailure(28, None)),
        (ValueError("on Err: Os { code: 24, kind: TooManyOpenFiles }"), SystemFailure(24, None)),
        (ValueError("28"), None),
        (None, None),
    ],
)
def test_every_form_is_found(error: BaseException | None, expected: SystemFailure | None) -> None:
    assert find_system_error(error) == expected


def test_the_cause_counts() -> None:
    try:
        try:
            raise OSError(errno.ENOSPC, "full", "a")
        except OSError as cause:
            raise ValueError("in the middle") from cause
    except ValueError as error:
        assert find_system_error(error) == SystemFailure(errno.ENOSPC, "a")


@pytest.mark.skipif(sys.platform != "linux", reason="needs limits of processes")
def test_a_library_that_gives_up_is_told_from_other_errors() -> None:
    """polars panics where it cannot open a file of its own."""
    code = """if True:
        import resource
        from prodrec.core.base.system_errors import find_system_error, is_panic
        import polars as pl
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
        try:
            pl.DataFrame({"a": [1]}).lazy().collect(engine="streaming")
        except BaseException as error:
            print(is_panic(error), find_system_error(error))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "True SystemFailure(number=24, path=None)" in done.stdout, done.stderr
    assert not is_panic(KeyboardInterrupt()) and not is_panic(ValueError())


def test_messages_name_outputs_as_they_will_be_called(tmp_path: Path) -> None:
    with new_directory(tmp_path / "shop", kind="dataset") as directory, atomic_write(directory / "a.npy") as file:
        assert final_name(str(file)) == str(tmp_path / "shop" / "a.npy") != str(file)
        file.touch()
    assert final_name("a/.hidden/b.partial-x") == "a/.hidden/b.partial-x"
