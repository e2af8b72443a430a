"""Tables 1 and 2 and fig. 5 of paper S from the score files of `run.py`, compared with the results of the paper.

    python examples/structure/tables.py OUT

Reads the scores that OUT/full/scores and OUT/core/scores contain so far. Writes OUT/tables.md,
OUT/report-{full,core}.json and the figures.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

APPROACHES = ("bcnn", "sscnn", "bcnn-mcr", "sscnn-mcr", "bmtl-rl", "bmtl-ca", "ssmtl-rl", "ssmtl-ca")
TITLES = "ssmtl-ca-titles"
METRICS = ("ACC", 1), ("MACC", 1), ("ACC", 5), ("MACC", 5)
"""Columns of table 1: metric and top-k."""
PAPER_TABLE_1 = {
    ("full", "ACC", 1): (78.83, 79.38, 78.99, 79.07, 79.26, 79.23, 79.42, 79.25),
    ("core", "ACC", 1): (79.11, 79.38, 79.17, 79.34, 79.42, 80.31, 79.58, 80.42),
    ("full", "ACC", 5): (96.77, 97.22, 96.70, 96.67, 96.73, 96.83, 96.79, 96.79),
    ("core", "ACC", 5): (97.05, 96.93, 96.99, 96.80, 96.99, 97.42, 96.92, 97.47),
    ("full", "MACC", 1): (71.09, 71.58, 71.16, 71.59, 72.46, 72.02, 72.60, 72.12),
    ("core", "MACC", 1): (60.94, 63.50, 61.56, 63.51, 63.39, 68.62, 63.63, 68.34),
    ("full", "MACC", 5): (94.44, 94.44, 94.25, 94.27, 94.61, 94.66, 94.64, 94.65),
    ("core", "MACC", 5): (90.49, 91.65, 89.54, 89.44, 91.28, 92.83, 91.71, 93.78),
}
"""Percent by dataset, metric and top-k, in the order of APPROACHES."""
PAPER_TABLE_2 = {
    "sleeve length": (87.72, 80.39, 67.80),
    "pants length": (85.74, 80.34, 68.79),
    "shape": (57.27, 80.13, 68.28),
    "color": (62.48, 80.31, 68.42),
    "pattern": (68.19, 80.20, 68.73),
    "all": (None, 80.42, 68.34),
}
"""Percent by attribute: ACC-branA, ACC-branC and MACC-branC."""

CAPTION_1 = """\
Percent on the test split, mean ± sample standard deviation over seeds; then the gain over bcnn, and
[the paper's gain] on its own catalogue.
"""
CAPTION_2 = """\
ACC-branA is measured on the test photos that have a label of the attribute. branC is the leaf branch, on all
test photos. The last column is ACC-branA of the network with all attributes.
"""


def write(out: Path) -> Path:
    """Write the tables of all scores so far and return their file."""
    lines = ["# Paper S on this catalogue\n"]
    for name in ("full", "core"):
        folder = out / name
        if not seed_files(folder, "bcnn"):
            continue
        attribute_runs = runs_of_attributes(folder)
        reports = {
            run: report(folder, seed_files(folder, run))
            for run in (*APPROACHES, TITLES, *attribute_runs)
            if seed_files(folder, run)
        }
        lines += table_1(name, folder, reports)
        if name == "core":
            lines += table_2(reports, attribute_runs)
        files = [file for run in (*APPROACHES, TITLES) for file in seed_files(folder, run)]
        figures = ["--figures", str((out / f"figures-{name}").resolve()), "--force"]
        full_report = report(folder, files, "--by-root", "--by-head-tail", *figures)
        text = json.dumps(full_report, indent=1, ensure_ascii=False) + "\n"
        (out / f"report-{name}.json").write_text(text, "utf-8")
    path = out / "tables.md"
    path.write_text("\n".join(lines), "utf-8")
    return path


def seed_files(folder: Path, run: str) -> list[Path]:
    """Return the score files of a run, ordered by seed."""
    files = [
        file for file in (folder / "scores").glob(f"{run}-*.h5") if re.fullmatch(rf"{re.escape(run)}-\d+", file.stem)
    ]
    return sorted(files, key=lambda file: int(file.stem.rsplit("-", 1)[1]))


def run_of_attribute(attribute: str) -> str:
    """Return the name of the run of table 2 that is trained with this attribute only."""
    return f"ssmtl-ca-{quote(attribute, safe=' ')}"


def runs_of_attributes(folder: Path) -> dict[str, str]:
    """Return the attribute of each run of table 2: ssmtl-ca with a single attribute."""
    header = json.loads((folder / "dataset" / "dataset.json").read_text("utf-8"))
    return {run_of_attribute(attribute["name"]): attribute["name"] for attribute in header["attributes"]}


def report(folder: Path, files: Sequence[Path], *options: str) -> dict[str, Any]:
    """Run `prodrec report --mean --by-attribute` on score files and return its JSON."""
    names = [str(file.relative_to(folder)) for file in files]
    command = [sys.executable, "-m", "prodrec", "report", *names, "--mean", "--by-attribute", "--top", "1,5", "--json"]
    result = subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"{folder}$ {' '.join(command[2:])}\n{result.stdout}{result.stderr}")
    data: dict[str, Any] = json.loads(result.stdout)
    return data


def find_estimate(
    report: Mapping[str, Any] | None, metric: str, top: int, *, attribute: str | None = None
) -> dict[str, Any] | None:
    """Return an estimate of the first column of a report, over all photos or for one attribute; None without one."""
    section = "overall" if attribute is None else "by attribute"
    for row in report["rows"] if report else ():
        if (row["section"], row["metric"], row["top"]) == (section, metric, top) and attribute in (None, row["group"]):
            estimate: dict[str, Any] | None = next(iter(row["cells"].values()))
            return estimate
    return None


def as_text(estimate: Mapping[str, Any] | None) -> str:
    """Format an estimate as `85.53 ± 0.14`."""
    if estimate is None:
        return "–"
    spread = "" if estimate["spread"] is None else f" ± {estimate['spread']:.2f}"
    return f"{estimate['value']:.2f}{spread}"


def table_1(name: str, folder: Path, reports: Mapping[str, dict[str, Any]]) -> list[str]:
    """Return the lines of table 1: every approach, its gain over bcnn, and the gain in the paper in brackets."""
    seeds = len(seed_files(folder, "bcnn"))
    lines = [
        f"## Table 1, {name} dataset ({seeds} seed{'s' if seeds > 1 else ''})\n",
        CAPTION_1,
        "| approach | " + " | ".join(f"{metric} top-{top}" for metric, top in METRICS) + " |",
        "| --- |" + " --- |" * len(METRICS),
    ]
    for run in (*APPROACHES, TITLES):
        if run not in reports:
            continue
        entries = []
        for metric, top in METRICS:
            estimate, base = find_estimate(reports[run], metric, top), find_estimate(reports["bcnn"], metric, top)
            entry = as_text(estimate)
            if run != "bcnn" and estimate and base:
                entry += f", {estimate['value'] - base['value']:+.2f}"
                if run in APPROACHES:
                    paper = PAPER_TABLE_1[name, metric, top]
                    entry += f" [{paper[APPROACHES.index(run)] - paper[0]:+.2f}]"
            entries.append(entry)
        lines.append(f"| {'ssmtl-ca + titles (bilinear)' if run == TITLES else run} | " + " | ".join(entries) + " |")
    return [*lines, ""]


def table_2(reports: Mapping[str, dict[str, Any]], attribute_runs: Mapping[str, str]) -> list[str]:
    """Return the lines of table 2: ssmtl-ca with each single attribute, and with all."""
    lines = [
        "## Table 2, core dataset: one attribute in the attribute branch, or all\n",
        CAPTION_2,
        "| attribute | ACC-branA | ACC-branC | MACC-branC | ACC-branA, all together |",
        "| --- | --- | --- | --- | --- |",
    ]
    all_attributes = reports.get("ssmtl-ca")
    for run, name in attribute_runs.items():
        estimates = [
            find_estimate(reports.get(run), "ACC-branA", 1, attribute=name),
            find_estimate(reports.get(run), "ACC", 1),
            find_estimate(reports.get(run), "MACC", 1),
            find_estimate(all_attributes, "ACC-branA", 1, attribute=name),
        ]
        lines.append(f"| {name} | " + " | ".join(map(as_text, estimates)) + " |")
    branch_c = [find_estimate(all_attributes, "ACC", 1), find_estimate(all_attributes, "MACC", 1)]
    lines.append("| all | – | " + " | ".join(map(as_text, branch_c)) + " | – |")
    lines.append("")
    lines.append("The paper's: " + "; ".join(_paper_row(name, row) for name, row in PAPER_TABLE_2.items()) + ".")
    return [*lines, ""]


def _paper_row(name: str, row: Sequence[float | None]) -> str:
    return f"{name} " + " / ".join("–" if value is None else f"{value:.2f}" for value in row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the --out of run.py")
    print(write(parser.parse_args().out))


if __name__ == "__main__":
    main()
