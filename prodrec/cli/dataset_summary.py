"""What `prodrec prepare` prints and `prodrec inspect` prints again, from the header that is in dataset.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base import console

if TYPE_CHECKING:
    from rich.table import Table

MANY_WITHOUT_WORDS = 0.2


def print_dataset(header: Mapping[str, Any], path: Path) -> None:
    """Print the summary of a dataset."""
    for name, text in _lines(header, path):
        console.print(f"{name:<12}{text}")
    console.print(_table(header["counts"]))
    for name, text in _remarks(header, path):
        console.print(f"{name:<12}{text}")


def summary_json(header: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """What `--json` prints."""
    taken = ("fingerprint", "format_version", "made_by", "inputs", "photos", "features", "vocabulary", "tables")
    found = {name: header[name] for name in (*taken, "options", "counts") if name in header}
    return {"dataset": str(path), **found}


def _lines(header: Mapping[str, Any], path: Path) -> Iterator[tuple[str, str]]:
    counts = header["counts"]
    rows, found = counts["rows"], counts["duplicates"]
    yield "rows", f"{rows['in']:,} in = {rows['kept']:,} kept + {rows['rejected']:,} rejected"
    for reason, count in rows["by_reason"].items():
        yield "", f"{count:,} {reason}"
    if rows["rejected"]:
        yield "", f"each in {path / 'rejected.csv'}, rows counted as a spreadsheet does (the header is row 1)"
    if rows["repeated_ids"]:
        yield "", f"{rows['repeated_ids']:,} rows repeat an id; they are kept"
    yield "levels", " · ".join(f"{level} {count:,}" for level, count in counts["levels"].items())
    several = counts["several_parents"]
    if several["classes"]:
        yield "", f"{_several(several)} ({path / 'parents.csv'})"
    attributes = [f"{a} {c['states']:,} states on {c['rows']:,} rows" for a, c in counts["attributes"].items()]
    if attributes:
        yield "attributes", " · ".join(attributes)
    for attribute, images in counts["attributes_dropped"].items():
        yield "", f"{attribute} is left out: only {images:,} rows have it"
    yield from _inputs(header)
    if header["inputs"] == "nothing":
        return
    what, exactly = ("photos", "to the pixel") if header["inputs"] == "photos" else ("vectors", "to the bit")
    identical, near = found["identical"], found["near"]
    yield "duplicates", f"identical: {identical['groups']:,} groups of {identical['rows']:,} rows"
    yield "", f"near-identical: {_near(near, found)}"
    if found["all"]["groups"]:
        yield "", f"no group crosses a split, each in {path / 'duplicates.csv'}"
        yield "", f"{found['leaks_avoided']:,} test and validation {what} would have had a duplicate in train"
    if found["rows_moved_to_train"]:
        yield "", f"{found['rows_moved_to_train']:,} rows in groups across the given splits are in train now"
    conflicts = counts["conflicts"]
    if conflicts["groups"]:
        done = "rejected" if conflicts["dropped"] else "kept; --drop-conflicts rejects them"
        stand = f"{conflicts['groups']:,} {what} stand, {exactly}, under several leaves"
        yield "conflicts", f"{stand}: {conflicts['rows']:,} rows"
        yield "", f"{done} ({path / 'conflicts.csv'})"


def _inputs(header: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the rows show."""
    if header["inputs"] == "photos":
        photos = header["photos"]
        where = "left where they are" if photos["in_place"] else f"{photos['bytes'] / 1e6:,.1f} MB"
        yield "photos", f"{photos['count']:,} distinct files, {where}"
    elif header["inputs"] == "features":
        features = header["features"]
        size = f"{features['bytes'] / 1e6:,.1f} MB"
        yield "features", f"{features['count']:,} distinct vectors of {features['width']:,} numbers, {size}"
    else:
        yield "photos", "none: titles and categories alone, for word vectors; there is nothing to recognise"


def _several(several: Mapping[str, int]) -> str:
    stand = "1 class stands" if several["classes"] == 1 else f"{several['classes']:,} classes stand"
    return f"{stand} under several parents; {several['rows_moved']:,} rows went to the parent of the majority"


def _near(near: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    if not near["bits"]:
        return str(near["why"])
    joined, largest = found["all"], near["largest_group"]
    groups = f"{joined['groups']:,} groups of {joined['rows']:,} rows, the largest of {largest:,}"
    return f"{groups}, within {near['bits']} bits ({near['why']})"


def _table(counts: Mapping[str, Any]) -> Table:
    """Paper A's Table 1 row, and the same for head and tail."""
    from rich.box import SIMPLE
    from rich.table import Table

    from prodrec.core.base.artefact import SPLITS

    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("")
    for column in ("classes", *SPLITS, "vocabulary", "without test"):
        table.add_column(column, justify="right")
    parts, words, total = counts["head_tail"], counts["words"], counts["table_1"]
    threshold = parts["head_from"]
    for name, part, known in (
        (f"head, {threshold:,} training images or more", parts["head"], words["in_head"]),
        (f"tail, fewer than {threshold:,}", parts["tail"], words["in_tail"]),
        ("all", {**total, "without_test": counts["leaves_without"]["test"]}, total["vocabulary"]),
    ):
        figures = [part["classes"], *(part[split] for split in SPLITS), known, part["without_test"]]
        table.add_row(name, *(f"{figure:,}" for figure in figures))
    return table


def _remarks(header: Mapping[str, Any], path: Path) -> Iterator[tuple[str, str]]:
    counts, trim, vocabulary = header["counts"], header["vocabulary"]["trim"], header["vocabulary"]
    words = counts["words"]
    if not words["titles"]:
        yield "titles", "none"
    else:
        share = words["shared_share"]
        shared = f"{words['shared']:,} of {vocabulary['words']:,} words" + (
            f" ({share:.1%})" if share is not None else ""
        )
        yield "words", f"{shared} are common to head and tail titles; paper A says about 12 %"
        cut = f"{trim['frequent_words']:,} most frequent words ({trim['frequent_share']:.0%} of the text)"
        yield "", f"left out: the {cut} and the {trim['rare_words']:,} rarest ({trim['rare_share']:.1%})"
        without = words["rows_without_words"]
        many = without > MANY_WITHOUT_WORDS * counts["rows"]["kept"]
        other = "--trim-by occurrences or " if trim["by"] == "words" else ""
        advice = f"; {other}a smaller --drop-frequent leaves more" if many else ""
        yield "", f"{without:,} rows are left without words{advice}"
        yield "", f"cut by {vocabulary['tokenizer']} {vocabulary['version']}"
    yield "figure", f"{path / 'long-tail.svg'} and .png"
    yield "fingerprint", str(header["fingerprint"])
