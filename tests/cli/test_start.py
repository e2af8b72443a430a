"""Ctrl-C and SIGTERM while the libraries are imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import os, signal, sys
class Importing:
    def find_spec(self, name, path, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.{name})
sys.meta_path.insert(0, Importing())
from prodrec.cli.start import main
main()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_during_start_up_is_quiet(name: str) -> None:
    command = [sys.executable, "-c", CODE.replace("{name}", name), "inspect"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "")


def test_the_module_is_the_script() -> None:
    for line in (["-m", "prodrec", "--version"], ["-c", "from prodrec.cli.start import main; main()", "--version"]):
        result = subprocess.run([sys.executable, *line], capture_output=True, text=True, check=False)
        assert result.returncode == 0 and result.stdout.strip()


IN_A_COMMAND = """
import os, signal, sys
from prodrec.cli import app
class Importing:
    def find_spec(self, name, path, target=None):
        if name == "numpy":
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            except KeyboardInterrupt:
                raise ImportError("initialization failed")
sys.meta_path.insert(0, Importing())
from prodrec.cli.start import main
main()
"""


def test_a_library_that_hides_the_signal_makes_no_other_error() -> None:
    command = [sys.executable, "-c", IN_A_COMMAND, "inspect", "nothing"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 130 and "ImportError" not in result.stderr
    assert result.stderr.startswith("error: interrupted; incomplete output was removed.")
