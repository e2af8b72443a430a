"""Results in the shape of tables 2 to 4 of paper A, and 1 and 2 of paper S.

Every table has the rows and columns of the paper, as far as there are runs for them: a row or column without a run
reads `–`. The recipes of the runs decide which column is which, whatever the runs are called.

    a2   top-1 (top-3) accuracy of the baseline and of co-training, and the gain
    a3   top-1 accuracy of the baseline and of every title encoder, and the gain
    a4   top-1 (top-3) accuracy on head and tail, over images. The paper does not say which average it takes; over
         images is a guess that fits its numbers: its overall accuracy lies between head and tail, nearer to the larger
    s1   ACC and MACC, top-1 and top-5, of the eight approaches
    s2   accuracy of the attribute branch and of the leaf branch, of networks with one attribute and with all

Values are means over seeds, ± the sample standard deviation; a gain is over the baseline, with the interval of the
report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from prodrec.core.base.errors import BadOption
from prodrec.core.scores.reader import Scores
from prodrec.eval.compare.contents import TextTable
from prodrec.eval.report.evaluate import evaluate_scores
from prodrec.eval.report.leaf_groups import Thresholds
from prodrec.eval.report.report import Report
from prodrec.eval.report.row_text import format_gain
from prodrec.eval.report.run_settings import recipe_parts
from prodrec.eval.report.table import Cell

MISSING, HEAD_AND_TAIL = "–", "head and tail"
ENCODERS = {
    "mean": "mean pooling",
    "bilstm": "bi-LSTM",
    "bilstm-attention": "bi-LSTM attention",
    "bilinear": "bilinear word attention",
}
"""The rows of A table 3 by the setting `titles`."""
APPROACHES = ("bcnn", "sscnn", "bcnn-mcr", "sscnn-mcr", "bmtl-rl", "bmtl-ca", "ssmtl-rl", "ssmtl-ca")
"""The columns of S table 1, which are families here."""


@dataclass(frozen=True)
class Column:
    """A column of the report, and what its recipe says.

    family:     of its runs
    titles:     the title encoder; None without titles, and for scores of another tool
    attributes: the attributes of its attribute head; empty without one
    is_plain:   whether it is a baseline of paper A: leaves from photos alone, not refined
    """

    name: str
    family: str
    titles: str | None
    attributes: tuple[str, ...]
    is_plain: bool


class Results:
    """A report whose first column is the baseline, with its rows by group, metric and k."""

    def __init__(self, report: Report, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self._rows = {(row.section, row.group, row.metric, row.top): row for row in report.rows}
        self.groups = list(dict.fromkeys(row.group for row in report.rows if row.section == HEAD_AND_TAIL))

    def cell(
        self, column: int | None, metric: str, top: int = 1, *, section: str = "overall", group: str = "all"
    ) -> Cell | None:
        """Return the cell, or None if there is no such column, row or value."""
        row = self._rows.get((section, group, metric, top))
        return None if row is None or column is None else row.cells[column]

    def value(self, column: int | None, metric: str, top: int = 1, **place: str) -> str:
        """Return a value as text, such as `83.41 ± 0.31`."""
        cell = self.cell(column, metric, top, **place)
        if cell is None:
            return MISSING
        return f"{100 * cell.value:.2f}" + ("" if cell.spread is None else f" ± {100 * cell.spread:.2f}")

    def two(self, column: int | None, metric: str, **place: str) -> str:
        """Return the top-1 value with the top-3 value in parentheses, as paper A prints them."""
        second = self.cell(column, metric, 3, **place)
        first = self.value(column, metric, 1, **place)
        return first if second is None else f"{first} ({100 * second.value:.2f})"

    def gain(self, column: int, metric: str, **place: str) -> str:
        """Return the gain of top-1 over the first column, with its interval."""
        cell = self.cell(column, metric, 1, **place)
        return (cell and format_gain(cell)) or MISSING


def paper_table(
    name: str, files: Sequence[Scores], *, split: str, head_from: int = 100, pool_photos: bool = False
) -> TextTable:
    """Return the results of `files` in the shape of a table of the papers.

    Raise BadOption for an unknown name, or if the files have no column that the table needs.
    """
    if name not in TABLES:
        raise BadOption(f"--table {name}: expected one of {', '.join(TABLES)}.")
    needs_baseline, options, draw = TABLES[name]
    ordered = sorted(files, key=lambda file: not _describe(file, "").is_plain) if needs_baseline else list(files)
    leaves = len(files[0].taxonomy.leaves)
    tops = [k for k in options.get("tops", (1,)) if k < leaves and all(k <= (file.top_k or leaves) for file in files)]
    report = evaluate_scores(
        [file.path for file in ordered],
        split=split,
        mean=True,
        pool_photos=pool_photos,
        thresholds=Thresholds(head_from=head_from),
        **{**options, "tops": tops or [1]},
    )
    columns = [_describe(ordered[group.files[0]], group.name) for group in report.run_groups]
    if needs_baseline and not (columns[0].is_plain and any(column.titles for column in columns)):
        found = "no run with titles" if columns[0].is_plain else "no run that predicts leaves from photos alone"
        raise BadOption(
            f"--table {name} compares runs with titles to a run without, and there is {found} among these scores; add "
            f"one, such as `prodrec train {'sicot' if columns[0].is_plain else 'visual'}`, or omit --table."
        )
    return draw(Results(report, columns))


def _describe(file: Scores, name: str) -> Column:
    network = recipe_parts(file)["network"]
    heads = tuple(network.get("heads") or ())
    titles = network.get("titles") or None
    return Column(
        name=name,
        family=file.origin.family,
        titles=titles,
        attributes=tuple(network.get("attributes") or ()) if "attributes" in heads else (),
        is_plain=heads == ("leaf",) and not titles and "inputs" not in file.origin.recipe,
    )


def _table_a2(results: Results) -> TextTable:
    header, cells = ["", f"baseline ({results.columns[0].name})"], ["ACC", results.two(0, "ACC")]
    for i, column in _with_titles(results):
        header += [f"co-training ({column.name})", "gain"]
        cells += [results.two(i, "ACC"), results.gain(i, "ACC")]
    return TextTable("A table 2: top-1 (top-3) accuracy and gain in percent", tuple(header), (tuple(cells),))


def _table_a3(results: Results) -> TextTable:
    rows = [(f"baseline ({results.columns[0].name})", results.value(0, "ACC"), MISSING)]
    for titles, method in ENCODERS.items():
        columns = [i for i, column in _with_titles(results) if column.titles == titles]
        rows += [
            (f"{method} ({results.columns[i].name})", results.value(i, "ACC"), results.gain(i, "ACC")) for i in columns
        ]
        rows += [] if columns else [(method, MISSING, MISSING)]
    return TextTable("A table 3: title encoders", ("method", "top-1 accuracy", "gain"), tuple(rows))


def _table_a4(results: Results) -> TextTable:
    header = ["training images", f"baseline ({results.columns[0].name})"]
    for _, column in _with_titles(results):
        header += [f"co-training ({column.name})", "gain"]
    rows = []
    for group in results.groups:
        place = {"section": HEAD_AND_TAIL, "group": group}
        cells = [group, results.two(0, "ACC", **place)]
        for i, _ in _with_titles(results):
            cells += [results.two(i, "ACC", **place), results.gain(i, "ACC", **place)]
        rows.append(tuple(cells))
    return TextTable("A table 4: top-1 (top-3) accuracy of head and tail, over images", tuple(header), tuple(rows))


def _table_s1(results: Results) -> TextTable:
    families = {column.family: i for i, column in reversed(list(enumerate(results.columns)))}
    rows = [
        (f"{metric} top-{top}", *(results.value(families.get(family), metric, top) for family in APPROACHES))
        for metric in ("ACC", "MACC")
        for top in (1, 5)
    ]
    return TextTable("S table 1: the eight approaches", ("", *APPROACHES), tuple(rows))


def _table_s2(results: Results) -> TextTable:
    columns = [(i, column.attributes) for i, column in enumerate(results.columns) if column.attributes]
    single = {names[0]: i for i, names in columns if len(names) == 1 and names != ("all",)}
    joint = next((i for i, names in columns if names == ("all",) or len(names) > 1), None)
    header = ("", *single, "all")
    by_attribute = [results.value(i, "ACC-branA", section="by attribute", group=name) for name, i in single.items()]
    rows = [("ACC-branA", *by_attribute, MISSING)]
    rows += [
        (f"{metric}-branC", *(results.value(i, metric) for i in (*single.values(), joint)))
        for metric in ("ACC", "MACC")
    ]
    return TextTable("S table 2: attribute branch and leaf branch", header, tuple(rows))


def _with_titles(results: Results) -> list[tuple[int, Column]]:
    return [(i, column) for i, column in enumerate(results.columns) if column.titles]


TABLES: dict[str, tuple[bool, dict[str, Any], Callable[[Results], TextTable]]] = {
    "a2": (True, {"tops": (1, 3)}, _table_a2),
    "a3": (True, {}, _table_a3),
    "a4": (True, {"tops": (1, 3), "by_head_tail": True}, _table_a4),
    "s1": (False, {"tops": (1, 5)}, _table_s1),
    "s2": (False, {"by_attribute": True}, _table_s2),
}
"""By name: whether the first column must be a baseline of paper A, the options of the report, and the function."""
