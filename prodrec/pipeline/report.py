"""`prodrec report`: compare the accuracies of runs, with intervals, as tables, files and plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prodrec.core.base.errors import BadOption, did_you_mean

if TYPE_CHECKING:
    from prodrec.eval.report.report import Report


def report(
    scores: str | Path | Sequence[str | Path] | None = None,
    *,
    split: str = "test",
    top: Sequence[int] | None = None,
    by_head_tail: bool = False,
    head_from: int = 100,
    many: int = 100,
    few: int = 20,
    by_root: bool = False,
    by_level: bool = False,
    hierarchy: bool = False,
    by_attribute: bool = False,
    by_leaf: bool = False,
    mean: bool = False,
    pool_photos: bool = False,
    csv: str | Path | None = None,
    markdown: str | Path | None = None,
    figures: str | Path | None = None,
    html: str | Path | None = None,
    dataset: str | Path | None = None,
    force: bool = False,
) -> Report:
    """Compare runs by their score files: overall, on head and tail, on every root, level and attribute.

    ACC weights every image equally, MACC every leaf. Each estimate has its 95 % interval. A gain compares a run with
    the first run, on the same photos if the files have them. The returned report prints as tables.

    Args:
        scores: score files; the others are compared with the first. None is every file in `scores/`.
        split: train, test or validation.
        top: the k of top-k accuracies; None is 1, 3 and 5.
        by_head_tail: add head and tail; and many, medium and few training images.
        head_from: a leaf with at least this many training images is head.
        many: a leaf with more training images than this counts as many.
        few: a leaf with fewer training images than this counts as few.
        by_root: add every root, and the mean over roots.
        by_level: add every level of the category tree.
        hierarchy: add full paths, consistency of the levels, and the distance of mistakes.
        by_attribute: add every attribute.
        by_leaf: add every leaf with images in the split.
        mean: combine runs of one recipe with different seeds into one column, mean ± standard deviation.
        pool_photos: count each product once, with the mean of the scores of its photos.
        csv: file for all estimates, one per line.
        markdown: file for a Markdown table.
        figures: directory for plots, as SVG and PNG.
        html: file for a page with all sections, plots, photos of mistakes, and advice.
        dataset: the dataset that was scored, from which the page takes photos; None is `dataset`, if it is that one.
        force: replace existing files.

    Raises:
        NotFound: if there is no scores file, or no such dataset.
        BadArtefact: if a file is damaged.
        Mismatch: if files have different classes, or `dataset` is not the one that was scored.
        BadOption: for an unknown split, a k that top-k files do not have, or `dataset` without `html`.
        OutputExists: if a file to write exists and `force` is not set.
    """
    from prodrec.core.base.artefact import SPLITS
    from prodrec.eval.report.evaluate import Evaluation, open_score_files
    from prodrec.eval.report.find_scores import find_scores
    from prodrec.eval.report.leaf_groups import Thresholds
    from prodrec.eval.report.sections import Sections
    from prodrec.pipeline.report_page import prepare_page

    if split not in SPLITS:
        raise BadOption(f"--split {split}: expected one of {', '.join(SPLITS)}{did_you_mean(split, SPLITS)}.")
    if dataset is not None and html is None:
        raise BadOption(f"--dataset {dataset} is for the photos of the page; add --html, or omit --dataset.")
    files = [scores] if isinstance(scores, str | Path) else list(scores or ())
    paths = [Path(file) for file in files] or find_scores(Path("scores"))
    sections = Sections(
        by_head_tail=by_head_tail,
        by_root=by_root,
        by_level=by_level,
        by_leaf=by_leaf,
        by_attribute=by_attribute,
        hierarchy=hierarchy,
    )
    outputs: dict[str, str | Path | None] = {"csv": csv, "markdown": markdown, "figures": figures, "html": html}
    with open_score_files(paths) as opened:
        page = None
        if html is not None:
            page = prepare_page(opened, dataset=None if dataset is None else Path(dataset), mean=mean)
        evaluation = Evaluation(
            opened,
            sections if page is None else sections | page.sections,
            split=split,
            tops=None if top is None else list(top),
            thresholds=Thresholds(head_from=head_from, many=many, few=few),
            mean=mean,
            pool_photos=pool_photos,
            observers={} if page is None else {i: counter.add for i, counter in page.counters.items()},
        )
        comparison = evaluation.report(sections)
        check_outputs(comparison, **outputs, force=force)
        text = None if page is None else page.render(evaluation.report(page.sections))
    write_report(comparison, **outputs, page=text, force=force)
    return comparison


def report_files(
    report: Report,
    *,
    csv: str | Path | None = None,
    markdown: str | Path | None = None,
    figures: str | Path | None = None,
    html: str | Path | None = None,
) -> list[Path]:
    """Return the files that `write_report` writes for these arguments."""
    from prodrec.eval.plots.report_plots import plot_paths

    return [
        *(Path(path) for path in (csv, markdown, html) if path),
        *(plot_paths(Path(figures), report) if figures else []),
    ]


def check_outputs(report: Report, *, force: bool = False, **outputs: str | Path | None) -> None:
    """Raise OutputExists or BadOption if one of the files cannot be written; `outputs` are those of `report_files`."""
    from prodrec.core.base.outputs import refuse_if_taken

    files = report_files(report, **outputs)
    sources = {Path(run["file"]).resolve() for run in report.runs}
    for path in files:
        if path.resolve() in sources:
            raise BadOption(f"{path} is one of the score files; give another place for the report.")
        if files.count(path) > 1:
            raise BadOption(f"{path} is named twice as a place to write to.")
        refuse_if_taken(path, kind="report", force=force)


def write_report(
    report: Report,
    *,
    csv: str | Path | None = None,
    markdown: str | Path | None = None,
    figures: str | Path | None = None,
    html: str | Path | None = None,
    page: str | None = None,
    force: bool = False,
) -> list[Path]:
    """Write a report as files and return them. Raise OutputExists or BadOption before anything is written.

    page: the text of the file `html`.
    """
    from prodrec.core.base.outputs import new_file
    from prodrec.eval.plots.report_plots import draw_plots
    from prodrec.eval.report.render_csv import write_csv
    from prodrec.eval.report.render_markdown import write_markdown

    check_outputs(report, csv=csv, markdown=markdown, figures=figures, html=html, force=force)
    for target, write in ((csv, write_csv), (markdown, write_markdown)):
        if target is not None:
            with (
                new_file(Path(target), kind="report", force=force) as partial,
                partial.open("w", encoding="utf-8", newline="") as file,
            ):
                write(report, file)
    if figures:
        draw_plots(report, Path(figures), force=force)
    if html is not None:
        assert page is not None, "the page of the report"
        with new_file(Path(html), kind="report", force=force) as partial:
            partial.write_text(page, "utf-8", newline="\n")
    return report_files(report, csv=csv, markdown=markdown, figures=figures, html=html)
