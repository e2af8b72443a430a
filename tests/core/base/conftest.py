"""A minimal dataset directory: only the JSON file with the header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prodrec.core.base.artefact import make_header
from prodrec.core.base.outputs import write_json


def write_dataset(directory: Path, **change: Any) -> Path:
    """Write the JSON file of a dataset, with `change` in its content, and return the directory."""
    directory.mkdir(exist_ok=True)
    write_json(directory / "dataset.json", {**make_header("dataset", fingerprint="f", made_from={}), **change})
    return directory
