"""The command `prodrec report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.core.base import console
from prodrec.core.base.errors import BadOption

if TYPE_CHECKING:
    from prodrec.eval.report.report import Report

EXAMPLES = """
Examples:

- `prodrec report` compares all of `scores/`, the `visual` run first
- `prodrec report --by-head-tail --by-root` adds head, tail, many, medium, few, and every root
- `prodrec report scores/visual.h5 scores/sicot.h5 --split validation --markdown report.md --csv report.csv`
- `prodrec report --hierarchy --by-level` adds correct paths, conflicts between levels, and the distance of mistakes
- `prodrec report scores/bmtl-ca.h5 --by-attribute` adds every attribute: its head, and the leaves of its rows
- `prodrec report --mean` shows mean ± standard deviation over the seeds of each family
- `prodrec report --pool-photos` counts each product once, with the mean of the scores of its photos
- `prodrec report --html page.html` writes a page for people who do not use the command line
- `prodrec report --figures report/` draws plots of the roots, the long tail and every other section, as SVG and PNG
"""


@command("report", epilog=EXAMPLES)
def report_command(
    scores: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Score files; the others are compared with the first. [default: all of scores/]", show_default=False
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Split to report: train, test or validation.")] = "test",
    top: Annotated[
        str | None, typer.Option(metavar="K,…", help="The k of top-k accuracies. [default: 1,3,5]", show_default=False)
    ] = None,
    by_head_tail: Annotated[
        bool, typer.Option("--by-head-tail", help="Add head and tail; and many, medium and few training images.")
    ] = False,
    head_from: Annotated[int, typer.Option(help="A leaf with at least this many training images is head.")] = 100,
    many: Annotated[int, typer.Option(help="A leaf with more training images than this has many.")] = 100,
    few: Annotated[int, typer.Option(help="A leaf with fewer training images than this has few.")] = 20,
    by_root: Annotated[bool, typer.Option("--by-root", help="Add every root, and the mean over roots.")] = False,
    by_level: Annotated[bool, typer.Option("--by-level", help="Add every level of the category tree.")] = False,
    hierarchy: Annotated[
        bool,
        typer.Option("--hierarchy", help="Add full paths, consistency of the levels, and the distance of mistakes."),
    ] = False,
    by_attribute: Annotated[
        bool,
        typer.Option(
            "--by-attribute", help="Add every attribute: its own head, and the leaves of the rows that have it."
        ),
    ] = False,
    by_leaf: Annotated[
        bool, typer.Option("--by-leaf", help="Add every leaf with test images; --csv has all leaves.")
    ] = False,
    mean: Annotated[bool, typer.Option("--mean", help="Show runs that differ only in the seed as one column.")] = False,
    pool_photos: Annotated[
        bool, typer.Option("--pool-photos", help="Count each product once, with the mean of the scores of its photos.")
    ] = False,
    csv: Annotated[Path | None, typer.Option(help="Write all estimates as CSV, one per line.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write a Markdown table.")] = None,
    figures: Annotated[Path | None, typer.Option(help="Directory for plots, as SVG and PNG.")] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Write a page with all sections, plots, photos of mistakes, and advice: one file, no network."
        ),
    ] = None,
    dataset: Annotated[
        Path | None,
        typer.Option(
            help="The dataset that was scored, for the photos of the page. [default: dataset, if it is that one]",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist already.")] = False,
) -> dict[str, Any]:
    """Compare runs: overall, on head and tail, on every root, level and attribute, with gains over the first run.

    ACC weights every image equally, MACC every leaf. Brackets contain 95 % intervals. A gain compares two runs on the
    same photos, if the files have the same photos. A group without test images or without scores reads n/a.
    """
    from prodrec.pipeline.report import report, report_files

    files: dict[str, Any] = {"csv": csv, "markdown": markdown, "figures": figures, "html": html}
    comparison = report(
        scores,
        split=split,
        top=None if top is None else _numbers(top),
        by_head_tail=by_head_tail,
        head_from=head_from,
        many=many,
        few=few,
        by_root=by_root,
        by_level=by_level,
        hierarchy=hierarchy,
        by_attribute=by_attribute,
        by_leaf=by_leaf,
        mean=mean,
        pool_photos=pool_photos,
        dataset=dataset,
        force=force,
        **files,
    )
    _print_report(comparison)
    written = report_files(comparison, **files)
    for path in written:
        console.info(f"wrote {path}")
    return {**comparison.as_json(), "written": [str(path) for path in written]}


def _print_report(report: Report) -> None:
    from prodrec.eval.report.render_terminal import hidden_row_hints, terminal_tables
    from prodrec.eval.report.shown_rows import legend

    for table in terminal_tables(report, width=console.width()):
        console.print(table)
    for line in [*legend(report), *hidden_row_hints(report)]:
        console.print(line)
    for note in report.notes:
        console.info(note)


def _numbers(text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise BadOption(f"--top {text}: expected whole numbers with commas between them, such as 1,3,5.") from None
    return numbers
