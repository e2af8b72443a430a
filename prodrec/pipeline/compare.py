"""`prodrec compare`: test the differences of runs on the same photos, with all their seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from prodrec.core.base.errors import BadOption, NotFound, did_you_mean

if TYPE_CHECKING:
    from prodrec.core.scores.reader import Scores
    from prodrec.eval.compare.comparison import Comparison
    from prodrec.eval.report.run_groups import RunGroup


def compare(
    scores: str | Path | Sequence[str | Path] | None = None,
    *,
    split: str = "test",
    top: int = 1,
    head_from: int = 100,
    baseline: str | None = None,
    pool_photos: bool = False,
    table: str | None = None,
    csv: str | Path | None = None,
    markdown: str | Path | None = None,
    force: bool = False,
) -> Comparison:
    """Test the differences of runs on the same photos: overall, on the head and on the tail.

    Runs of one recipe with several seeds are one column. Each gain has an interval and a p value over photos and seeds,
    corrected for the number of pairs, and a verdict in words. The returned comparison prints as tables.

    Args:
        scores: score files, runs, or names of either in `scores/` and `runs/`. None is every file in `scores/`.
        split: train, test or validation.
        top: a photo is right if its class is among this many best.
        head_from: a leaf with at least this many training images is head.
        baseline: the family or run with which the others are compared; None compares every pair.
        pool_photos: count each product once, with the mean of the scores of its photos.
        table: add the results in the shape of a table of the papers: a2, a3, a4, s1 or s2.
        csv: file for all differences, one per line.
        markdown: file for the comparison as Markdown.
        force: replace existing files.

    Raises:
        NotFound: if there is no scores file, or a run was not scored.
        BadArtefact: if a file is damaged.
        Mismatch: if files have different classes or rows.
        BadOption: for an unknown split, table or baseline, for fewer than two columns, or a `top` that is not stored.
        OutputExists: if a file to write exists and `force` is not set.
    """
    from prodrec.core.base.artefact import SPLITS
    from prodrec.eval.compare.comparison import compare_columns
    from prodrec.eval.compare.paper_tables import paper_table
    from prodrec.eval.report.evaluate import open_score_files
    from prodrec.eval.report.find_scores import find_scores
    from prodrec.eval.report.leaf_groups import Thresholds
    from prodrec.eval.report.run_groups import group_runs

    if split not in SPLITS:
        raise BadOption(f"--split {split}: expected one of {', '.join(SPLITS)}{did_you_mean(split, SPLITS)}.")
    thresholds = Thresholds(head_from=head_from)
    named = [scores] if isinstance(scores, str | Path) else list(scores or ())
    paths = [find_scores_of(Path(path)) for path in named] or find_scores(Path("scores"))
    outputs = _check_outputs([csv, markdown], paths, force=force)
    with open_score_files(paths) as files:
        run_groups = group_runs(files, mean=True)
        if len(run_groups) < 2:
            raise BadOption(
                f"there is one column, {run_groups[0].name}: its runs differ in the seed alone; name scores of another "
                "recipe to compare it with."
            )
        comparison = compare_columns(
            files,
            run_groups,
            split=split,
            top=top,
            thresholds=thresholds,
            baseline=None if baseline is None else _find_column(files, run_groups, baseline),
            pool_photos=pool_photos,
        )
        if table is not None:
            paper = paper_table(table, files, split=split, head_from=head_from, pool_photos=pool_photos)
            comparison = replace(comparison, tables=(paper,))
    _write(comparison, outputs, force=force)
    return comparison


def find_scores_of(path: Path) -> Path:
    """Return the scores file from its path, its name in `scores/`, or the run that was scored. Raise NotFound."""
    if path.is_file():
        return path
    named = Path("scores") / f"{path.name}.h5"
    is_run = (path / "run.json").is_file() or (Path("runs") / path / "run.json").is_file()
    if named.is_file() and (is_run or not path.exists()):
        return named
    if is_run:
        raise NotFound(f"the run {path} has no scores in {named}; make them with `prodrec score {path}`.")
    raise NotFound(f"scores file {path} does not exist, and no run has this name; make scores with `prodrec score`.")


def _find_column(files: Sequence[Scores], run_groups: Sequence[RunGroup], name: str) -> int:
    """Return the column with this name, or whose runs have this name or family. Raise BadOption."""
    origins = [[files[i].origin for i in group.files] for group in run_groups]
    for names_of_columns in (
        [{group.name} for group in run_groups],
        [{origin.run for origin in column} for column in origins],
        [{origin.family for origin in column} for column in origins],
    ):
        columns = [i for i, known in enumerate(names_of_columns) if name in known]
        if len(columns) == 1:
            return columns[0]
    names = [group.name for group in run_groups]
    raise BadOption(
        f"--baseline {name}: expected the name of one column, {', '.join(names)}{did_you_mean(name, names)}."
    )


def _check_outputs(
    outputs: Sequence[str | Path | None], sources: Sequence[Path], *, force: bool
) -> tuple[Path | None, ...]:
    """Return the outputs as paths. Raise OutputExists or BadOption before anything is read or written."""
    from prodrec.core.base.outputs import refuse_if_taken

    paths = tuple(None if output is None else Path(output) for output in outputs)
    for path in paths:
        if path is None:
            continue
        if path.resolve() in {source.resolve() for source in sources}:
            raise BadOption(f"{path} is one of the score files; give another place for the comparison.")
        if paths.count(path) > 1:
            raise BadOption(f"{path} is named twice as a place to write to.")
        refuse_if_taken(path, kind="report", force=force)
    return paths


def _write(comparison: Comparison, outputs: Sequence[Path | None], *, force: bool) -> None:
    """Write the comparison as CSV and as Markdown, where `outputs` name a place."""
    from prodrec.core.base.outputs import new_file
    from prodrec.eval.compare.render_json import write_csv
    from prodrec.eval.compare.render_markdown import write_markdown

    for path, write in zip(outputs, (write_csv, write_markdown), strict=True):
        if path is not None:
            with (
                new_file(path, kind="report", force=force) as partial,
                partial.open("w", encoding="utf-8", newline="") as file,
            ):
                write(comparison, file)
