"""Generate the reference pages of the commands and of the settings from the code; docs/conf.py calls it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from typer.main import get_command

from prodrec.cli.app import COMMANDS, app
from prodrec.core.base.config import describe
from prodrec.core.base.options import options_of
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables.columns import ColumnNames
from prodrec.models.families import FAMILIES, make_recipe


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(str(c).replace("|", "\\|").replace("\n", " ") for c in line) + " |" for line in lines
    )


def code(text: object) -> str:
    return f"`{text}`"


def parameter_row(parameter: Any) -> tuple[str, str, str]:
    """Return name, meaning and default of an option or argument of a command."""
    if parameter.param_type_name == "argument":
        name = parameter.metavar or parameter.name.upper()
    else:
        name = max(parameter.opts, key=len)
    meaning = parameter.help or ""
    shows_default = parameter.default not in (None, False, ()) and "[default" not in meaning
    return code(name), meaning, code(parameter.default) if shows_default else ""


def commands_page() -> str:
    group: Any = get_command(app)
    parts = ["# Commands\n\nGenerated from the help texts; `prodrec COMMAND --help` prints the same.\n"]
    for stated in COMMANDS:
        command = group.commands[stated.name]
        options = table(("option", "meaning", "default"), map(parameter_row, command.params))
        text, epilog = (inspect.cleandoc(part or "") for part in (command.help, stated.settings.get("epilog")))
        parts.append(f"## prodrec {stated.name}\n\n{text}\n\n{options}\n\n{epilog}\n")
    return "\n".join(parts)


def settings_page() -> str:
    text = (
        "# Settings\n\nThe keys of `prodrec train --set KEY=VALUE`, of `--config FILE.toml`, and of "
        "`prodrec.train(settings={…})`. The values are the defaults of the family `visual`.\n"
    )
    parts = [text]
    settings = describe(make_recipe("visual").parts())
    for group in dict.fromkeys(row.group for row in settings):
        rows = [(code(row.key), code(row.value), row.meaning) for row in settings if row.group == group]
        parts.append(f"## {group.capitalize()}\n\n{table(('key', 'default', 'meaning'), rows)}\n")
    families = [(code(family.name), family.summary, family.paper) for family in FAMILIES.values()]
    parts.append(f"## Families\n\n{table(('family', 'network', 'from'), families)}\n")
    return "\n".join(parts)


def prepare_options_page() -> str:
    text = "# Options of prepare\n\nKeywords of `prodrec.prepare`, and keys of a file for `prepare --config`.\n"
    options = options_of(ColumnNames, PrepareOptions).values()
    rows = [(code(option.name), code(repr(option.default)), option.help) for option in options]
    return f"{text}\n{table(('key', 'default', 'meaning'), rows)}\n"


PAGES = {
    "commands.md": commands_page,
    "settings.md": settings_page,
    "prepare-options.md": prepare_options_page,
}


def write_reference(directory: Path) -> None:
    """Write the pages, those whose text has changed."""
    for name, page in PAGES.items():
        text, path = page(), directory / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
