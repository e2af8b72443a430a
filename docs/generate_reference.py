"""Generate the reference pages of the commands and of the settings, when MkDocs builds the site."""

from __future__ import annotations

import inspect
from typing import Any

import mkdocs_gen_files
from typer.main import get_command

from prodrec.cli.app import COMMANDS, app
from prodrec.core.base.config import describe
from prodrec.models.families import FAMILIES, make_recipe


def cell(text: object) -> str:
    """Return text for a cell of a Markdown table."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def option_rows(parameters: list[Any]) -> str:
    rows = ["| option | meaning | default |", "| --- | --- | --- |"]
    for parameter in parameters:
        is_argument = parameter.param_type_name == "argument"
        names = f"`{parameter.metavar or parameter.name.upper()}`" if is_argument else f"`{max(parameter.opts, key=len)}`"
        hidden = parameter.default in (None, False, ()) or "[default" in (parameter.help or "")
        rows.append(f"| {names} | {cell(parameter.help)} | {'' if hidden else f'`{cell(parameter.default)}`'} |")
    return "\n".join(rows)


def commands_page() -> str:
    group: Any = get_command(app)
    parts = ["# Commands\n\nGenerated from the help texts. `prodrec COMMAND --help` prints the same.\n"]
    for stated in COMMANDS:
        command = group.commands[stated.name]
        parameters = [p for p in command.params if p.name != "help"]
        text = inspect.cleandoc(command.help or "")
        epilog = inspect.cleandoc(stated.settings.get("epilog") or "")
        parts.append(f"## prodrec {stated.name}\n\n{text}\n\n{option_rows(parameters)}\n\n{epilog}\n")
    return "\n".join(parts)


def settings_page() -> str:
    parts = [
        "# Settings\n\nThe keys of `prodrec train --set KEY=VALUE`, of `--config FILE.toml`, and of "
        "`prodrec.train(settings={…})`. The values are the defaults of the family `visual`.\n"
    ]
    settings = describe(make_recipe("visual").parts())
    for group in dict.fromkeys(row.group for row in settings):
        rows = [f"| `{row.key}` | `{cell(row.value)}` | {cell(row.meaning)} |" for row in settings if row.group == group]
        parts.append(f"## {group.capitalize()}\n\n| key | default | meaning |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n")
    families = [f"| `{f.name}` | {cell(f.summary)} | {cell(f.paper)} |" for f in FAMILIES.values()]
    parts.append("## Families\n\n| family | network | from |\n| --- | --- | --- |\n" + "\n".join(families) + "\n")
    return "\n".join(parts)


for page, content in (("reference/commands.md", commands_page()), ("reference/settings.md", settings_page())):
    with mkdocs_gen_files.open(page, "w") as file:
        file.write(content)
