"""The command line as a whole: fast help, and every command described, exemplified and documented."""

from __future__ import annotations

import os
import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from prodrec import __version__
from prodrec.cli.app import app

ROOT = Path(__file__).parents[2]


def commands_of(group: Any, prefix: str = "") -> dict[str, Any]:
    """Return the commands by name; those of a group as `index build`."""
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        is_group = hasattr(command, "commands")
        found |= commands_of(command, f"{prefix}{name} ") if is_group else {f"{prefix}{name}": command}
    return found


COMMANDS = commands_of(get_command(app))
FIRST_WORDS = {name.split()[0] for name in COMMANDS}
SECONDS_ON_ANY_MACHINE = 1.0


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "prodrec", *arguments], capture_output=True, text=True, check=False)


def test_help_is_printed_at_once() -> None:
    """The aim is 0.3 s on an idle machine. Processor time is measured, which other processes affect less."""
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = run("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert result.returncode == 0
        assert all(name in result.stdout for name in FIRST_WORDS)
    assert min(seconds) < SECONDS_ON_ANY_MACHINE


LOADED = """
import sys
from prodrec.cli.app import app
try:
    app(sys.argv[1:])
finally:
    print(*sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["train", "visual", "--settings"]])
def test_help_and_settings_import_no_heavy_library(arguments: list[str]) -> None:
    result = subprocess.run([sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert not {"torch", "polars", "h5py", "gensim", "matplotlib", "scipy"} & set(result.stderr.split())


def test_an_ascii_output_gets_escape_codes() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "prodrec", "train", "sicot", "--settings"]
    result = subprocess.run(command, capture_output=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr
    assert b"\\u03bb of A eq. 1" in result.stdout


def test_version_and_no_arguments() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"prodrec {__version__}\n"
    assert "Usage" in CliRunner().invoke(app, []).output


def test_no_such_command() -> None:
    result = run("prepar")
    assert result.returncode == 2 and not result.stdout
    assert "prepare" in result.stderr and "Traceback" not in result.stderr


def examples(text: str, name: str) -> list[str]:
    """Return the command lines of `prodrec NAME` in a text: in backticks, or on lines of their own."""
    pattern = rf"(?m)(?:`|^\s*(?:\$ )?|&& )prodrec ({name}(?: [^`\n]*)?)(?:`|$)"
    return re.findall(pattern, text.replace("\\\n", " "))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_summary_and_an_example(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    command = COMMANDS[name]
    first = command.help.split("\n\n")[0]
    assert 20 < len(first) < 160 and first.endswith("."), first
    shown = CliRunner().invoke(app, [*name.split(), "--help"])
    assert shown.exit_code == 0
    assert re.search(rf"prodrec {name}( |$|\n)", shown.stdout)
    assert "--json" in shown.stdout and "--debug" in shown.stdout
    assert examples(f"{command.help}\n{command.epilog or ''}", name)
    undescribed = [p.name for p in command.params if not (p.help or "").strip()]
    assert not undescribed


def documents() -> list[Path]:
    places = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "examples").rglob("*.md"))]
    return [place for place in places if place.is_file()]


def documented_lines() -> list[tuple[str, str, str]]:
    """Return place, command and command line of every example in help texts and documents."""
    texts = [(f"prodrec {name} --help", f"{c.help}\n{c.epilog or ''}") for name, c in COMMANDS.items()]
    texts += [(str(place.relative_to(ROOT)), place.read_text("utf-8")) for place in documents()]
    return [(where, name, line) for where, text in texts for name in COMMANDS for line in examples(text, name)]


@pytest.mark.parametrize(("where", "name", "line"), documented_lines())
def test_every_documented_command_line_is_valid(where: str, name: str, line: str) -> None:
    """The options exist and accept these values. The command is not run."""
    words = shlex.split(line, comments=True)[len(name.split()) :]
    if words and "--help" not in words:  # a name alone may refer to the command in a sentence
        COMMANDS[name].make_context(name, words)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    for place in ("README.md", "CHANGELOG.md"):
        assert f"prodrec {name}" in (ROOT / place).read_text("utf-8"), f"{place} does not name `prodrec {name}`"


def test_documents_name_existing_commands_only() -> None:
    for place in (ROOT / "README.md", ROOT / "CHANGELOG.md", *documents()):
        named = set(re.findall(r"`prodrec ([a-z][a-z-]+)", place.read_text("utf-8")))
        assert named <= FIRST_WORDS, f"{place.name} names {', '.join(sorted(named - FIRST_WORDS))}"
