"""Build the page of a report: computes the content of every section in the order in which photos matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import prodrec
from prodrec.core.scores.reader import Scores
from prodrec.eval.gallery_contents import GalleryPhoto
from prodrec.eval.page.class_ranking import rank_leaves, ranking_content
from prodrec.eval.page.confusions import confused_pairs, pairs_content
from prodrec.eval.page.details import Details, DetailsCounter
from prodrec.eval.page.facts import data_content, settings_content
from prodrec.eval.page.inputs import PageInputs, RunFacts
from prodrec.eval.page.plots import calibration_plots, curve_plots, report_plots
from prodrec.eval.page.render import render_page
from prodrec.eval.page.segments import segments_content, weak_segments
from prodrec.eval.page.summary import TARGET_PRECISION, Findings, find_row, summary_content
from prodrec.eval.page.tables import table_contents
from prodrec.eval.page.thumbnails import Thumbnails
from prodrec.eval.page.tree import TreeRows, tree_json
from prodrec.eval.report.confidence import ConfidenceCounts
from prodrec.eval.report.report import Report
from prodrec.eval.report.run_groups import group_runs
from prodrec.eval.report.sections import Sections
from prodrec.eval.report.shown_rows import hidden_row_notes, legend
from prodrec.eval.report.strata import MACC

PRECISIONS = (0.8, 0.9, 0.95, 0.99)
"""Precisions for which the page states the coverage."""
GALLERY_SIDE = 84


def page_sections(files: Sequence[Scores]) -> Sections:
    """Return all sections of a report for which the files have data, but the rows of leaves, which the tree shows."""
    has_tree = files[0].taxonomy.depth > 1
    has_attributes = any(file.attributes for file in files)
    return Sections(
        by_head_tail=True, by_root=has_tree, by_level=has_tree, by_attribute=has_attributes, hierarchy=has_tree
    )


def page_counters(files: Sequence[Scores], runs: Sequence[RunFacts], *, mean: bool) -> dict[int, DetailsCounter]:
    """Return a counter for the first file of every run group, by index, if it has scores of the leaves."""
    first = [group.files[0] for group in group_runs(files, mean=mean)]
    return {
        i: DetailsCounter(files[i], temperature=runs[i].temperature)
        for i in first
        if files[i].levels[-1] in files[i].scored_levels
    }


def build_page(
    report: Report, files: Sequence[Scores], inputs: PageInputs, counters: Mapping[int, DetailsCounter]
) -> str:
    """Return the page of `report` as HTML.

    report:   with the rows of `page_sections`.
    files:    the open scores files of the report, in the order of its runs.
    counters: those of `page_counters`, after all rows have been added.
    """
    photos = Thumbnails(inputs.photos)
    shown = _shown_group(report)
    top = min((row.top for row in report.rows if row.section == "overall"), default=1)
    tree = TreeRows(report, top)
    content: dict[str, Any] = dict.fromkeys(("pairs", "segments", "ranking", "calibration", "gallery"))
    findings, example_C = Findings(report, shown), None
    details_of = {
        group.name: counted
        for group in report.run_groups
        if (counter := counters.get(group.files[0])) and (counted := counter.result()).confidence.images
    }
    if (details := details_of.get(report.run_groups[shown].name)) is not None:
        counts = report.builder.counts.all_rows.files[report.run_groups[shown].files[0]]
        leaves = slice(len(report.taxonomy.leaves))
        images_C, independent_C = counts.images_C[leaves], counts.independent_share(leaves)
        correct_C = counts.correct.get((report.taxonomy.leaf_level, 1))
        pairs = confused_pairs(details, images_C, independent_C) if details.errors else []
        names = _file_names(inputs, details, [one.row for pair in pairs for one in pair.directions])
        content["pairs"] = pairs_content(pairs, report.taxonomy, details, photos, names)
        content["pairs_shortfall"] = details.confusions.shortfall
        content["gallery"] = {
            "random": _gallery(details.random, names, photos),
            "errors": _gallery(details.confident_errors, names, photos),
        }
        content["ranking"] = ranking_content(rank_leaves(report, tree, shown), report, details.example_C, photos)
        if correct_C is not None:
            segments = weak_segments(details, images_C, correct_C[leaves], independent_C)
            content["segments"] = segments_content(segments, report.taxonomy, report.train_images_C)
        confidences = {name: one.confidence for name, one in details_of.items()}
        content["calibration"] = _calibration(confidences, inputs, report)
        widest = details.confidence.widest(TARGET_PRECISION)
        findings, example_C = Findings(report, shown, details, pairs, widest), details.example_C
    file_titles = _file_titles(report)
    tree_values = tree_json(report, tree, example_C if inputs.photos is not None else None, photos)
    content |= {
        "title": f"prodrec report: {', '.join(group.name for group in report.run_groups)}",
        "version": prodrec.__version__,
        "split": report.split,
        "units": report.units,
        "runs": [group.name for group in report.run_groups],
        "shown": report.run_groups[shown].name,
        "top": top,
        "leaf_level": report.taxonomy.leaf_level,
        "has_attributes": any(file.attributes for file in files),
        "with_photos": inputs.photos is not None,
        "summary": summary_content(findings),
        "tables": table_contents(report),
        "legend": [*legend(report), *hidden_row_notes(report)],
        "notes": [*report.notes, *inputs.notes],
        "plots": report_plots(report),
        "tree_omitted": tree_values["omitted"],
        "curves": curve_plots(file_titles, inputs.runs),
        "settings": settings_content(file_titles, inputs.runs),
        "facts": data_content(report, inputs),
        "photos_omitted": photos.omitted,
    }
    return render_page(content, {"tree": tree_values, "units": report.units})


def _shown_group(report: Report) -> int:
    """Return the run group whose mistakes the page shows: the one with the largest MACC, of equal ones the first."""
    row = find_row(report, "overall", MACC)
    values = [-1.0 if row is None or cell is None else cell.value for cell in (row.cells if row else ())]
    return values.index(max(values)) if values else 0


def _calibration(confidences: dict[str, ConfidenceCounts], inputs: PageInputs, report: Report) -> dict[str, Any]:
    """Return the plots, and a table with the calibration and the coverages of every run."""
    temperatures = {group.name: inputs.runs[group.files[0]].temperature for group in report.run_groups}
    rows = [
        {
            "run": name,
            "accuracy": counts.accuracy,
            "confidence": counts.mean_confidence,
            "error": counts.calibration_error(),
            "temperature": temperatures[name],
            "coverages": [counts.widest(precision) for precision in PRECISIONS],
        }
        for name, counts in confidences.items()
    ]
    return {"plots": calibration_plots(confidences), "rows": rows, "precisions": PRECISIONS}


def _gallery(gallery: Sequence[GalleryPhoto], names: dict[int, str], photos: Thumbnails) -> list[dict[str, Any]]:
    return [
        {
            "photo": photos.uri(photo.row, GALLERY_SIDE),
            "id": photo.id,
            "file": names.get(photo.row, ""),
            "predicted": photo.predicted_class,
            "true": photo.true_class,
            "confidence": photo.confidence,
            "right": photo.correct,
        }
        for photo in gallery
    ]


def _file_names(inputs: PageInputs, details: Details, rows: list[int]) -> dict[int, str]:
    """Return the names of the files of the photos in the gallery and of `rows`, by row."""
    if inputs.photos is None:
        return {}
    rows = [*rows, *(photo.row for photo in (*details.random, *details.confident_errors))]
    return dict(inputs.photos.file_names(sorted({row for row in rows if row >= 0})))


def _file_titles(report: Report) -> list[str]:
    """Return a name for every scores file: that of its column or, of repeats, the file."""
    titles = [run["file"] for run in report.runs]
    for group in report.run_groups:
        if len(group.files) == 1:
            titles[group.files[0]] = group.name
    return titles
