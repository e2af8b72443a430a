"""The sections of the page on settings, and on data and fingerprints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prodrec.core.base.config import format_value
from prodrec.eval.page.inputs import PageInputs, RunFacts
from prodrec.eval.report.report import Report


def settings_content(names: Sequence[str], runs: Sequence[RunFacts]) -> dict[str, Any]:
    """Return the settings in which a run differs from its family's defaults, or in which two runs differ.

    A cell has the value, and the default if it differs from it.
    """
    keys = list(dict.fromkeys(key for run in runs for key in run.settings))
    rows = []
    for key in keys:
        values = [format_value(run.settings[key]) if key in run.settings else None for run in runs]
        defaults = [format_value(run.defaults[key]) if key in run.defaults else None for run in runs]
        changed = [d is not None and v is not None and v != d for v, d in zip(values, defaults, strict=True)]
        between = len(set(values)) > 1
        if any(changed) or between:
            cells = [
                {"value": value if value is not None else "n/a", "default": default if is_changed else None}
                for value, default, is_changed in zip(values, defaults, changed, strict=True)
            ]
            rows.append({"name": key, "cells": cells, "between": between})
    return {
        "runs": list(names),
        "rows": rows,
        "same": len(keys) - len(rows),
        "unknown": not any(r.defaults for r in runs),
    }


def data_content(report: Report, inputs: PageInputs) -> dict[str, Any]:
    """Return a table of facts on every scores file, and the facts on the dataset."""
    columns = [_file_facts(run, facts) for run, facts in zip(report.runs, inputs.runs, strict=True)]
    names = list(dict.fromkeys(name for column in columns for name in column))
    return {
        "dataset": list(inputs.dataset_facts),
        "files": [run["file"] for run in report.runs],
        "rows": [{"name": name, "cells": [column.get(name, "") for column in columns]} for name in names],
    }


def _file_facts(run: dict[str, Any], facts: RunFacts) -> dict[str, str]:
    made_from = run["made_from"]
    return {
        "run": run["run"],
        "family": run["family"],
        "seed": "" if run["seed"] is None else str(run["seed"]),
        "directory of the run": facts.directory or "not found",
        "operating point": str(run["operating_point"].get("name", "classifier alone")),
        "views": run["views"],
        "titles used": "yes" if run["with_titles"] else "no",
        f"{'photos' if 'products' not in run else 'rows'} of the split": f"{run['rows']:,}",
        "stored scores": "all" if run["top_k"] is None else f"the {run['top_k']} best",
        "fingerprint of the scores": run["fingerprint"],
        **{f"fingerprint of the {kind}": made_from[kind] for kind in sorted(made_from)},
        **{f"made by {library}": version for library, version in facts.made_by.items()},
    }
