"""Print the summary of a dataset, from the header in its dataset.json, for `prodrec prepare` and `prodrec inspect`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base import console
from prodrec.core.base.errors import BadArtefact
from prodrec.core.base.wording import counted

if TYPE_CHECKING:
    from rich.table import Table

MANY_WITHOUT_WORDS = 0.2
"""If a larger share of the rows has no words left, the summary suggests to drop fewer words."""


def print_dataset(header: Mapping[str, Any], path: Path) -> None:
    """Print the summary of the dataset at `path`, whose dataset.json contains `header`.

    Raise BadArtefact if its counts are damaged.
    """
    try:
        lines, table, remarks = list(_lines(header, path)), _table(header["counts"]), list(_remarks(header, path))
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # of a damaged file: nothing else reads these
        raise BadArtefact(
            f"{path / 'dataset.json'} has counts that cannot be read ({type(error).__name__}: {error}); prepare the "
            "dataset again."
        ) from error
    for name, text in lines:
        console.print(f"{name:<12}{text}")
    console.print(table)
    for name, text in remarks:
        console.print(f"{name:<12}{text}")


def summary_json(header: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the summary as plain values, as `--json` prints it."""
    keys = ["fingerprint", "format_version", "made_by", "inputs", "photos", "features", "class_table", "vocabulary"]
    keys += ["tables", "options", "counts"]
    return {"dataset": str(path), **{key: header[key] for key in keys if key in header}}


def _lines(header: Mapping[str, Any], path: Path) -> Iterator[tuple[str, str]]:
    counts = header["counts"]
    rows, duplicates = counts["rows"], counts["duplicates"]
    # datasets of earlier versions have neither `in_tables` nor `products`
    if rows.get("in_tables", rows["in"]) != rows["in"]:
        yield "table rows", f"{rows['in_tables']:,}, with {rows['in']:,} photos; each photo is a row of the dataset"
    yield "rows", f"{rows['in']:,} in = {rows['kept']:,} kept + {rows['rejected']:,} rejected"
    for reason, count in rows["by_reason"].items():
        yield "", f"{count:,} {reason}"
    if rows["rejected"]:
        yield "", f"all are in {path / 'rejected.csv'}, with row numbers as in a spreadsheet (the header is row 1)"
    products = counts.get("products", {"with_several_photos": 0})
    if products["with_several_photos"]:
        yield "products", f"{products['count']:,}; {_several_photos(products)}; no product is in two splits"
    yield "levels", " · ".join(f"{level} {count:,}" for level, count in counts["levels"].items())
    missing = {level: count for level, count in counts.get("labels_missing", {}).items() if count}
    if missing:
        levels = ", ".join(f"{counted(count, 'row has', 'rows have')} no {level}" for level, count in missing.items())
        yield "", f"{levels}: their category path ends before; they count at the levels above"
    several = counts["several_parents"]
    if several["classes"]:
        yield "", f"{_several_parents(several)} ({path / 'parents.csv'})"
    attributes = [f"{a} {c['states']:,} states on {c['rows']:,} rows" for a, c in counts["attributes"].items()]
    if attributes:
        yield "attributes", " · ".join(attributes)
    for attribute, images in counts["attributes_dropped"].items():
        yield "", f"{attribute} is omitted: only {images:,} rows have it"
    yield from _inputs(header)
    if header["inputs"] == "nothing":
        return
    plural = "photos" if header["inputs"] == "photos" else "vectors"
    identical = duplicates["identical"]
    yield "duplicates", f"identical: {counted(identical['groups'], 'group', 'groups')} of {identical['rows']:,} rows"
    yield "", _near_duplicates(duplicates)
    if duplicates["all"]["groups"]:
        yield "", f"no group is in two splits; all are in {path / 'duplicates.csv'}"
    if duplicates["leaks_avoided"]:
        or_view = " or another photo of their product" if products["with_several_photos"] else ""
        leaks = f"{duplicates['leaks_avoided']:,} test and validation {plural}"
        yield "", f"{leaks} would have had a duplicate{or_view} in train"
    if duplicates["rows_moved_to_train"]:
        moved = counted(duplicates["rows_moved_to_train"], "row", "rows")
        yield "", f"{moved} moved to train: their group crossed the given splits"
    conflicts = counts["conflicts"]
    if conflicts["groups"]:
        what = counted(conflicts["groups"], f"identical {plural[:-1]} has", f"identical {plural} have")
        yield "conflicts", f"{what} different leaf labels: {conflicts['rows']:,} rows"
        decision = "rejected" if conflicts["dropped"] else "kept; --drop-conflicts rejects them"
        yield "", f"{decision} ({path / 'conflicts.csv'})"


def _inputs(header: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the line about photos or vectors."""
    if header["inputs"] == "photos":
        photos = header["photos"]
        place = "not copied" if photos["in_place"] else f"{photos['bytes'] / 1e6:,.1f} MB"
        yield "photos", f"{photos['count']:,} distinct files, {place}"
    elif header["inputs"] == "features":
        features = header["features"]
        size = f"{features['bytes'] / 1e6:,.1f} MB"
        yield "features", f"{features['count']:,} distinct vectors of {features['width']:,} numbers, {size}"
    else:
        yield "photos", "none: titles and categories alone, to train word vectors; there is nothing to recognise"


def _several_photos(products: Mapping[str, int]) -> str:
    several, photos = products["with_several_photos"], products["their_photos"]
    return f"{counted(several, 'has', 'have')} several photos, {photos:,} together"


def _several_parents(several: Mapping[str, int]) -> str:
    classes = counted(several["classes"], "class has", "classes have")
    rows = counted(several["rows_moved"], "row was", "rows were")
    return f"{classes} several parents; {rows} moved to the parent of the majority"


def _near_duplicates(duplicates: Mapping[str, Any]) -> str:
    near, groups = duplicates["near"], duplicates["all"]
    if not near["bits"]:
        return f"near-identical: {near['why']}"
    count = counted(groups["groups"], "group", "groups")
    size = f"{count} of {groups['rows']:,} rows, the largest of {near['largest_group']:,}"
    return f"identical or near-identical: {size}, within {near['bits']} bits ({near['why']})"


def _table(counts: Mapping[str, Any]) -> Table:
    """Return the counts of paper A's Table 1 (classes, images, vocabulary), for head, tail and all."""
    from rich.box import SIMPLE
    from rich.table import Table

    from prodrec.core.base.artefact import SPLITS

    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("")
    for column in ("classes", *SPLITS, "vocabulary", "without test"):
        table.add_column(column, justify="right")
    parts, words, total = counts["head_tail"], counts["words"], counts["table_1"]
    threshold = parts["head_from"]
    for name, part, vocabulary in (
        (f"head, {threshold:,} training images or more", parts["head"], words["in_head"]),
        (f"tail, fewer than {threshold:,}", parts["tail"], words["in_tail"]),
        ("all", {**total, "without_test": counts["leaves_without"]["test"]}, total["vocabulary"]),
    ):
        row = [part["classes"], *(part[split] for split in SPLITS), vocabulary, part["without_test"]]
        table.add_row(name, *(f"{count:,}" for count in row))
    return table


def _remarks(header: Mapping[str, Any], path: Path) -> Iterator[tuple[str, str]]:
    from prodrec.core.data.titles.tokenizer import describe_tokenizer

    counts, vocabulary = header["counts"], header["vocabulary"]
    trim = vocabulary["trim"]
    words = counts["words"]
    if not words["titles"]:
        yield "titles", "none"
    else:
        share = words["shared_share"]
        shared = f"{words['shared']:,} of {vocabulary['words']:,} words" + (
            f" ({share:.1%})" if share is not None else ""
        )
        yield "words", f"{shared} are common to head and tail titles (paper A: about 12 %)"
        cut = f"{trim['frequent_words']:,} most frequent words ({trim['frequent_share']:.0%} of the text)"
        yield "", f"dropped: the {cut} and the {trim['rare_words']:,} rarest ({trim['rare_share']:.1%})"
        borrowed = (counts.get("borrowed_titles") or {}).get("borrowed", 0)
        if borrowed:
            yield "", f"{counted(borrowed, 'row has', 'rows have')} a borrowed title, that of the nearest photo"
        if words.get("class_titles"):
            rows = counted(words["class_titles"], "training row has", "training rows have")
            yield "", f"{rows} no title of their own and the words of that of their class"
        without = words["rows_without_words"]
        is_many = without > MANY_WITHOUT_WORDS * counts["rows"]["kept"]
        alternative = "--trim-by occurrences or " if trim["by"] == "words" else ""
        advice = f"; {alternative}a smaller --drop-frequent leaves more" if is_many else ""
        yield "", f"{without:,} rows have no words left{advice}"
        one_title = words.get("one_title", {}).get("leaves", 0)  # older datasets have no count
        if one_title:
            leaves = counted(one_title, "leaf has", "leaves have")
            yield "", f"{leaves} one title for all {words['one_title']['rows']:,} photos: it says no more than the leaf"
        yield "", f"cut by {describe_tokenizer(vocabulary['tokenizer'], vocabulary['version'])}"
    if "class_table" in header:
        table, leaves = header["class_table"], counts["table_1"]["classes"]
        titles = f"{table['titles']:,} of {counted(leaves, 'leaf', 'leaves')} have a title"
        yield "class table", f"{titles}, {table['descriptions']:,} a description ({table['table']})"
    yield "figure", f"{path / 'long-tail.svg'} and .png"
    yield "fingerprint", str(header["fingerprint"])
