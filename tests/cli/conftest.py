from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from prodrec.cli.app import app


def prodrec(*words: object, code: int = 0) -> Result:
    """Run a command in this process, which must end with this exit code."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Use one thread: several only slow down such small networks, above all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def after_journey(journey: Any, tmp_path: Path, small_families: Any) -> Iterator[Path]:
    """The current directory: a copy of the journey's folder, where models train in a second."""
    shutil.copytree(journey.folder, tmp_path / "shop")
    with small_families(tmp_path / "shop"):
        yield tmp_path / "shop"
