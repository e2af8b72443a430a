"""Options defined by dataclasses, on the command line of `prodrec prepare`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import Result

from prodrec.cli.app import app
from prodrec.core.base.options import options_of
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables.columns import ColumnNames
from prodrec.demo.catalogue import DrawnCatalogue


@pytest.fixture
def shop(drawn_dozen: DrawnCatalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(drawn_dozen.table, tmp_path / "products.csv")
    (tmp_path / "photos").symlink_to(drawn_dozen.photos)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stored_options(result: Result, out: str = "dataset") -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    options: dict[str, Any] = json.loads(Path(out, "dataset.json").read_text("utf-8"))["options"]
    return options


def test_every_field_is_an_option_of_the_command() -> None:
    command: Any = get_command(app).commands["prepare"]  # type: ignore[attr-defined]  # a group has them
    parameters = {parameter.name: parameter for parameter in command.params}
    for name, option in options_of(ColumnNames, PrepareOptions).items():
        assert option.flag in parameters[name].opts
        assert parameters[name].help == option.help and parameters[name].rich_help_panel == option.group


def test_the_command_line_wins_over_a_file_and_a_file_over_defaults(
    shop: Path, prodrec: Callable[[str], Result]
) -> None:
    Path("shop.toml").write_text('seed = 5\n[Photos]\nsize = 32\n[Columns]\nattributes = ["colour", "pattern"]\n')
    options = stored_options(prodrec("prodrec prepare products.csv --images photos/ --config shop.toml --size 48"))
    assert (options["seed"], options["size"], options["split"]) == (5, 48, "7:2:1")
    assert options["columns"]["attributes"] == ["colour", "pattern"]
    # An option wins over the file also if its value is the default.
    again = prodrec("prodrec prepare products.csv --images photos/ --config shop.toml --seed 0 --out again")
    assert stored_options(again, "again")["seed"] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sizes = 32", "shop.toml: unknown option 'sizes' (did you mean size?)"),
        ("size = 8", "--size 8 is too small; expected at least 16."),
        ('size = "large"', "shop.toml: size=large is not usable"),
        ("size = 32\nsize = 48", "shop.toml is not TOML"),
    ],
)
def test_a_wrong_file_is_one_sentence(shop: Path, prodrec: Callable[[str], Result], text: str, message: str) -> None:
    Path("shop.toml").write_text(text)
    result = prodrec("prodrec prepare products.csv --images photos/ --config shop.toml")
    assert result.exit_code == 2 and message in result.stderr and result.stderr.count("\n") == 1
    assert not Path("dataset").exists()


def test_a_missing_file_is_named(shop: Path, prodrec: Callable[[str], Result]) -> None:
    result = prodrec("prodrec prepare products.csv --images photos/ --config none.toml")
    assert result.exit_code == 2 and "none.toml does not exist" in result.stderr
