"""Streams that are closed, full or absent: messages are dropped, results are an error unless their reader has gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")

MESSAGES = """
from prodrec.core.base import console
for number in range(3):
    console.info(f"message {number}")
with console.progress("work", total=3) as advance:
    advance(3)
console.print("the result")
"""
RESULTS = """
import sys
from prodrec.core.base import console
try:
    for number in range(20000):
        console.print(f"line {number}")
except OSError as error:
    console.error(f"{error.filename}: {error.strerror}")
    sys.exit(1)
"""


def run(code: str, redirection: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a shell with redirected streams."""
    line = f'"{sys.executable}" -c "$CODE" {redirection}'
    return subprocess.run(["bash", "-c", line], env={"CODE": code}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("redirection", ["2>&-", pytest.param("2>/dev/full", marks=needs_full)])
def test_messages_that_cannot_be_written_stop_nothing(redirection: str) -> None:
    result = run(MESSAGES, redirection)
    assert (result.returncode, result.stdout) == (0, "the result\n")


def test_messages_whose_reader_has_gone_stop_nothing() -> None:
    result = run(MESSAGES, "2> >(exec true); sleep 0.2")
    assert (result.returncode, result.stdout) == (0, "the result\n")


def test_no_standard_output_at_all() -> None:
    result = run(MESSAGES, ">&-")
    assert result.returncode == 0 and "message 2" in result.stderr


def test_a_reader_that_has_enough_is_no_error() -> None:
    result = run(RESULTS, "| head -n 1; exit ${PIPESTATUS[0]}")
    assert (result.returncode, result.stdout, result.stderr) == (0, "line 0\n", "")


@needs_full
def test_a_result_that_cannot_be_written_is_an_error() -> None:
    result = run(RESULTS, ">/dev/full")
    assert result.returncode == 1
    assert result.stderr == "error: standard output: No space left on device\n"
