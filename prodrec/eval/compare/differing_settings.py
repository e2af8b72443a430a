"""The settings in which the columns of a comparison differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prodrec.core.base.config import format_value
from prodrec.core.scores.reader import Scores
from prodrec.eval.report.run_groups import RunGroup
from prodrec.eval.report.run_settings import all_settings

ABSENT = "–"
"""Value of a setting that a column does not have, such as one of prodrec in the scores of another tool."""


def differing_settings(files: Sequence[Scores], run_groups: Sequence[RunGroup]) -> dict[str, tuple[str, ...]]:
    """Return the settings that are not equal in all columns, each with its value in every column.

    The runs of a column differ in the seed alone, so the settings of the first one are those of all.
    """
    columns = [all_settings(files[group.files[0]]) for group in run_groups]
    names = list(dict.fromkeys(name for column in columns for name in column))
    texts = {name: tuple(_text(column, name) for column in columns) for name in names}
    return {name: values for name, values in texts.items() if len(set(values)) > 1}


def _text(settings: dict[str, Any], name: str) -> str:
    if name not in settings:
        return ABSENT
    value = settings[name]
    return format_value(tuple(value) if isinstance(value, list) else value)
