"""Tables 1 and 2 and fig. 5 of paper S from the score files of `run.py`, with the paper's own figures beside them.

    python examples/structure/tables.py OUT

Reads OUT/{full,core}/scores as far as they are there; writes OUT/tables.md, OUT/report-{full,core}.json and figures.
"""

from __future__ import annotations

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
SHOWN = ("ACC", 1), ("MACC", 1), ("ACC", 5), ("MACC", 5)
PAPER_TABLE_1 = {  # percent, in the order of APPROACHES
    ("full", "ACC", 1): (78.83, 79.38, 78.99, 79.07, 79.26, 79.23, 79.42, 79.25),
    ("core", "ACC", 1): (79.11, 79.38, 79.17, 79.34, 79.42, 80.31, 79.58, 80.42),
    ("full", "ACC", 5): (96.77, 97.22, 96.70, 96.67, 96.73, 96.83, 96.79, 96.79),
    ("core", "ACC", 5): (97.05, 96.93, 96.99, 96.80, 96.99, 97.42, 96.92, 97.47),
    ("full", "MACC", 1): (71.09, 71.58, 71.16, 71.59, 72.46, 72.02, 72.60, 72.12),
    ("core", "MACC", 1): (60.94, 63.50, 61.56, 63.51, 63.39, 68.62, 63.63, 68.34),
    ("full", "MACC", 5): (94.44, 94.44, 94.25, 94.27, 94.61, 94.66, 94.64, 94.65),
    ("core", "MACC", 5): (90.49, 91.65, 89.54, 89.44, 91.28, 92.83, 91.71, 93.78),
}
PAPER_TABLE_2 = {  # ACC-branA, ACC-branC, MACC-branC
    "sleeve length": (87.72, 80.39, 67.80),
    "pants length": (85.74, 80.34, 68.79),
    "shape": (57.27, 80.13, 68.28),
    "color": (62.48, 80.31, 68.42),
    "pattern": (68.19, 80.20, 68.73),
    "all": (None, 80.42, 68.34),
}

PERCENT = """Percent on the test split, mean ± sample standard deviation over seeds; then the gain over bcnn, and
[the paper's gain] on its own catalogue.
"""
BRANCHES = """ACC-branA over the test photos that have a label of the attribute; branC is the leaf branch, over all test
photos. In the last column ACC-branA of the network with all attributes.
"""


def write(out: Path) -> Path:
    """Write the tables of what has been scored so far; the file of the tables."""
    parts = ["# Paper S on this catalogue\n"]
    for name in ("full", "core"):
        place = out / name
        if not (place / "scores" / "bcnn-0.h5").exists() and not list((place / "scores").glob("bcnn-[0-9]*.h5")):
            continue
        reports = {
            run: report(place, seeds_of(place, run))
            for run in (*APPROACHES, TITLES, *one_by_one(place))
            if seeds_of(place, run)
        }
        parts += table_1(name, place, reports)
        if name == "core":
            parts += table_2(reports, one_by_one(place))
        both = [file for run in (*APPROACHES, TITLES) for file in seeds_of(place, run)]
        figures = ["--figures", str((out / f"figures-{name}").resolve()), "--force"]
        whole = report(place, both, "--by-root", "--by-head-tail", *figures)
        (out / f"report-{name}.json").write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")
    path = out / "tables.md"
    path.write_text("\n".join(parts), "utf-8")
    return path


def seeds_of(place: Path, run: str) -> list[Path]:
    """The score files of a run by seed."""
    files = [
        file for file in (place / "scores").glob(f"{run}-*.h5") if re.fullmatch(rf"{re.escape(run)}-\d+", file.stem)
    ]
    return sorted(files, key=lambda file: int(file.stem.rsplit("-", 1)[1]))


def run_of(attribute: str) -> str:
    """The name of the run of table 2 with this attribute alone."""
    return f"ssmtl-ca-{quote(attribute, safe=' ')}"


def one_by_one(place: Path) -> dict[str, str]:
    """The runs of table 2, ssmtl-ca with one attribute, and the attribute of each."""
    about = json.loads((place / "dataset" / "dataset.json").read_text("utf-8"))
    return {run_of(attribute["name"]): attribute["name"] for attribute in about["attributes"]}


def report(place: Path, files: Sequence[Path], *options: str) -> dict[str, Any]:
    """What `prodrec report --json --mean --by-attribute` says of score files."""
    names = [str(file.relative_to(place)) for file in files]
    command = [sys.executable, "-m", "prodrec", "report", *names, "--mean", "--by-attribute", "--top", "1,5", "--json"]
    done = subprocess.run([*command, *options], cwd=place, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{place}$ {' '.join(command[2:])}\n{done.stdout}{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def cell(found: Mapping[str, Any] | None, metric: str, top: int, *, group: str | None = None) -> dict[str, Any] | None:
    """One figure of the first column of a report: of the whole, or of an attribute."""
    section = "overall" if group is None else "by attribute"
    for row in found["rows"] if found else ():
        if (row["section"], row["metric"], row["top"]) == (section, metric, top) and group in (None, row["group"]):
            only: dict[str, Any] | None = next(iter(row["cells"].values()))
            return only
    return None


def text(figure: Mapping[str, Any] | None) -> str:
    """`85.53 ± 0.14`."""
    if figure is None:
        return "–"
    spread = "" if figure["spread"] is None else f" ± {figure['spread']:.2f}"
    return f"{figure['value']:.2f}{spread}"


def table_1(name: str, place: Path, reports: Mapping[str, dict[str, Any]]) -> list[str]:
    """Every approach with its gain over bcnn, and the paper's gain in parentheses."""
    seeds = len(seeds_of(place, "bcnn"))
    lines = [
        f"## Table 1, {name} dataset ({seeds} seed{'s' if seeds > 1 else ''})\n",
        PERCENT,
        "| approach | " + " | ".join(f"{metric} top-{top}" for metric, top in SHOWN) + " |",
        "| --- |" + " --- |" * len(SHOWN),
    ]
    for run in (*APPROACHES, TITLES):
        if run not in reports:
            continue
        line = []
        for metric, top in SHOWN:
            figure, base = cell(reports[run], metric, top), cell(reports["bcnn"], metric, top)
            entry = text(figure)
            if run != "bcnn" and figure and base:
                entry += f", {figure['value'] - base['value']:+.2f}"
                if run in APPROACHES:
                    theirs = PAPER_TABLE_1[name, metric, top]
                    entry += f" [{theirs[APPROACHES.index(run)] - theirs[0]:+.2f}]"
            line.append(entry)
        lines.append(f"| {'ssmtl-ca + titles (bilinear)' if run == TITLES else run} | " + " | ".join(line) + " |")
    return [*lines, ""]


def table_2(reports: Mapping[str, dict[str, Any]], attributes: Mapping[str, str]) -> list[str]:
    """ssmtl-ca with one attribute each, and with all."""
    lines = [
        "## Table 2, core dataset: one attribute in the attribute branch, or all\n",
        BRANCHES,
        "| attribute | ACC-branA | ACC-branC | MACC-branC | ACC-branA, all together |",
        "| --- | --- | --- | --- | --- |",
    ]
    together = reports.get("ssmtl-ca")
    for run, name in attributes.items():
        found = reports.get(run)
        branch = [
            text(cell(found, "ACC-branA", 1, group=name)),
            text(cell(found, "ACC", 1)),
            text(cell(found, "MACC", 1)),
        ]
        lines.append(f"| {name} | " + " | ".join([*branch, text(cell(together, "ACC-branA", 1, group=name))]) + " |")
    lines.append(f"| all | – | {text(cell(together, 'ACC', 1))} | {text(cell(together, 'MACC', 1))} | – |")
    lines.append("")
    lines.append("The paper's: " + "; ".join(_paper(name, row) for name, row in PAPER_TABLE_2.items()) + ".")
    return [*lines, ""]


def _paper(name: str, row: Sequence[float | None]) -> str:
    return f"{name} " + " / ".join("–" if value is None else f"{value:.2f}" for value in row)


if __name__ == "__main__":
    print(write(Path(sys.argv[1])))
