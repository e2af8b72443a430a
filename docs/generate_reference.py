"""Generate the reference pages of commands, settings and options from the code; docs/conf.py calls it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from typer.main import get_command

from prodrec.cli.app import COMMANDS, app
from prodrec.core.base.config import describe
from prodrec.core.base.options import options_of
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables.columns import ColumnNames
from prodrec.models.families import FAMILIES, make_recipe


def definitions(rows: Iterable[tuple[str, str, str]]) -> str:
    """Return a Markdown definition list of rows (name, default, meaning); it also fits a narrow screen."""
    lines = (f"`{name}`{f' = `{default}`' if default else ''}\n: {meaning}\n" for name, default, meaning in rows)
    return "\n".join(lines)


def parameter_row(parameter: Any) -> tuple[str, str, str]:
    """Return name, default and meaning of an option or argument of a command."""
    if parameter.param_type_name == "argument":
        name = parameter.metavar or parameter.name.upper()
    else:
        name = max(parameter.opts, key=len)
    meaning = parameter.help or ""
    shows_default = parameter.default not in (None, False, ()) and "[default" not in meaning
    return name, str(parameter.default) if shows_default else "", meaning


def commands_page() -> str:
    group: Any = get_command(app)
    parts = ["# Commands\n\nGenerated from the help texts; `prodrec COMMAND --help` prints the same.\n"]
    declared_commands = [one for entry in COMMANDS for one in getattr(entry, "commands", (entry,))]
    for declared in declared_commands:
        command = group
        for word in declared.name.split():
            command = command.commands[word]
        options = definitions(map(parameter_row, command.params))
        text, epilog = (inspect.cleandoc(part or "") for part in (command.help, declared.settings.get("epilog")))
        parts.append(f"## prodrec {declared.name}\n\n{text}\n\n{options}\n\n{epilog}\n")
    return "\n".join(parts)


def settings_page() -> str:
    text = (
        "# Settings of train\n\nThe keys of `prodrec train --set KEY=VALUE`, of `--config FILE.toml`, and of "
        "`prodrec.train(settings={…})`. The values are the defaults of the family `visual`.\n"
    )
    parts = [text]
    settings = describe(make_recipe("visual").parts())
    for group in dict.fromkeys(row.group for row in settings):
        rows = [(row.key, row.value, row.meaning) for row in settings if row.group == group]
        parts.append(f"## {group.capitalize()}\n\n{definitions(rows)}\n")
    families = [(family.name, "", f"{family.summary} ({family.paper})") for family in FAMILIES.values()]
    parts.append(f"## Families\n\n{definitions(families)}\n")
    return "\n".join(parts)


def prepare_options_page() -> str:
    text = "# Options of prepare\n\nKeywords of `prodrec.prepare`, and keys of a file for `prepare --config`.\n"
    parts = [text]
    options = options_of(ColumnNames, PrepareOptions).values()
    for group in dict.fromkeys(option.group for option in options):
        rows = [(option.name, repr(option.default), option.help) for option in options if option.group == group]
        parts.append(f"## {group}\n\n{definitions(rows)}\n")
    return "\n".join(parts)


PAGES = {
    "commands.md": commands_page,
    "settings.md": settings_page,
    "prepare-options.md": prepare_options_page,
}


def write_reference(directory: Path) -> None:
    """Write the pages whose text has changed."""
    for name, page in PAGES.items():
        text, path = page(), directory / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
