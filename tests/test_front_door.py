"""`import prodrec`: fast, complete, and in step with the commands."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import prodrec
from prodrec.cli.app import app

FUNCTIONS = [name for name in prodrec.__all__ if name not in ("__version__", "load", "load_index")]
COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]  # a group has them

# Options of a command that are another function, or output of the command line alone.
COMMAND_ONLY = {
    "prepare": {"dry_run"},  # prodrec.pipeline.preview.preview; prepare itself always returns a Dataset
    "train": {"plan", "settings"},
    "pretrain_embeddings": {"words", "top"},
}
# A parameter of the function that has another name in the command, where the words differ: --set, --neighbours.
RENAMED = {"train": {"assignments": "settings"}}
# Text on the command line that is a value of another type in Python.
OTHER_DEFAULT = {
    ("prepare", "tables"): (None, ()),
    ("refine_mcr", "lambda_"): ("auto", None),
}


def test_import_loads_nothing() -> None:
    code = "import sys, prodrec; print(*sorted(name.split('.')[0] for name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "prodrec" in loaded and not {"numpy", "torch", "polars", "typer", "rich"} & set(loaded)


def test_dir_lists_the_functions() -> None:
    expected = {
        "add_classes",
        "audit",
        "borrow_titles",
        "compare",
        "export",
        "import_scores",
        "load",
        "load_index",
        "neighbours",
        "prepare",
        "pretrain_embeddings",
        "refine_mcr",
        "report",
        "retrain_head",
        "score",
        "train",
        "uv",
        "__version__",
    }
    assert set(dir(prodrec)) == expected == set(prodrec.__all__)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = prodrec.trian  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_and_commands_have_the_same_names_and_defaults(name: str) -> None:
    function = inspect.signature(getattr(prodrec, name)).parameters
    command = {
        RENAMED.get(name, {}).get(parameter.name, parameter.name): parameter
        for parameter in COMMANDS[name.replace("_", "-")].params
        if parameter.name not in {"help", "json", "debug", *COMMAND_ONLY.get(name, ())}
    }
    assert set(function) == set(command)
    for key, parameter in function.items():
        if parameter.default is inspect.Parameter.empty:
            assert command[key].required, key
            continue
        default, typed = parameter.default, command[key].default
        if (name, key) in OTHER_DEFAULT:
            assert (typed, default) == OTHER_DEFAULT[name, key], key
        elif default is None or default == ():
            # A command cannot tell an empty tuple from nothing, and may name the default place itself.
            assert typed is None or (key in ("dataset", "out") and default is None), key
        else:
            assert (Path(default) == typed) if isinstance(typed, Path) else (default == typed), key


@pytest.mark.parametrize("name", [*FUNCTIONS, "load", "load_index"])
def test_every_parameter_is_documented(name: str) -> None:
    function = getattr(prodrec, name)
    text = inspect.getdoc(function) or ""
    assert "Args:" in text and "Raises:" in text
    missing = [key for key in inspect.signature(function).parameters if f"    {key}:" not in text]
    assert not missing
