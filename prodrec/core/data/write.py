"""Writes what `prepare` built: arrays, tables, lists of what was rejected or found twice, the figure, dataset.json.

Shapes: M rows of all tables, N rows that are kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.artefact import Fingerprint, header, write_json
from prodrec.core.data import duplicates
from prodrec.core.data.dataset import SPLITS
from prodrec.core.data.long_tail import draw_long_tail
from prodrec.core.data.photo_store import write_in_place, write_index
from prodrec.core.data.summary import summarise

if TYPE_CHECKING:
    import polars as pl

    from prodrec.core.data.prepare import Prepared


def write_dataset(directory: Path, prepared: Prepared) -> dict[str, Any]:
    """Write everything into `directory` (which holds the photos already) and return dataset.json."""
    arrays: dict[str, NDArray[Any]] = {
        "labels": prepared.labels_NL,
        "attributes": prepared.attributes_NA,
        "split": prepared.split_N,
        "group": prepared.group_N,
        "tokens": prepared.tokens.values,
        "token_offsets": prepared.tokens.offsets,
    }
    (directory / "arrays").mkdir()
    for name, array in arrays.items():
        np.save(directory / "arrays" / f"{name}.npy", array, allow_pickle=False)
    photo_bytes = _write_photos(directory / "photos", prepared)
    products = _products(prepared)
    products.write_parquet(directory / "products.parquet")
    prepared.vocabulary.save(directory / "vocabulary.tsv")
    _write_lists(directory, prepared, products)

    counts = summarise(prepared)
    found = header("dataset", fingerprint=_fingerprint(prepared, products, arrays), made_from={}, **_libraries())
    options = prepared.options
    found |= {
        "taxonomy": prepared.taxonomy.as_json(),
        "attributes": [{"name": a.name, "states": list(a.states)} for a in prepared.attributes],
        "photos": {
            "size": options.size,
            "in_place": options.in_place,
            "count": counts["photos"]["distinct"],
            "bytes": photo_bytes,
        },
        "vocabulary": {
            "words": len(prepared.vocabulary),
            "tokenizer": prepared.vocabulary.tokenizer,
            "version": prepared.vocabulary.tokenizer_version,
            "trim": prepared.trim.as_json(),
        },
        "tables": [Path(table).name for table in prepared.catalogue.tables],
        "options": _options(prepared),
        "counts": counts,
    }
    draw_long_tail(directory, _train_images(prepared), head_from=options.head_from)
    write_json(directory / "dataset.json", found)
    return found


def _train_images(prepared: Prepared) -> NDArray[np.int64]:
    leaf_N = prepared.labels_NL[prepared.split_N == 0, -1]
    return np.bincount(leaf_N, minlength=len(prepared.taxonomy.leaves)).astype(np.int64)


def _write_photos(directory: Path, prepared: Prepared) -> int:
    """Index the photos by row; gives the bytes that the dataset itself holds."""
    number_N = prepared.decoded.number_M[prepared.rows_N]
    if prepared.options.in_place:
        photos = prepared.decoded.photos[number_N].tolist()
        write_in_place(directory, (prepared.source.place(photo) for photo in photos))
        return 0
    return write_index(directory, prepared.decoded.places[number_N])


def _products(prepared: Prepared) -> pl.DataFrame:
    """One row for every product, with the names that its numbers stand for."""
    import polars as pl

    frame = prepared.frame
    names = [Path(table).name for table in prepared.catalogue.tables]
    sizes_N2 = prepared.decoded.sizes[prepared.decoded.number_M[prepared.rows_N]]
    columns = [
        pl.Series("row", np.arange(frame.height, dtype=np.int64)),
        _named("table", names, frame["table"].to_numpy()),
        *(frame[name] for name in ("table_row", "id", "image", "title")),
        _named("split", SPLITS, prepared.split_N),
        pl.Series("group", prepared.group_N),
        pl.Series("width", sizes_N2[:, 0]),
        pl.Series("height", sizes_N2[:, 1]),
    ]
    for level, classes in enumerate(prepared.taxonomy.names):
        columns.append(_named(f"level_{prepared.taxonomy.levels[level]}", classes, prepared.labels_NL[:, level]))
    for i, attribute in enumerate(prepared.attributes):
        columns.append(_named(f"attribute_{attribute.name}", (None, *attribute.states), prepared.attributes_NA[:, i]))
    return pl.DataFrame(columns)


def _named(name: str, values: Any, codes: NDArray[Any]) -> pl.Series:
    import polars as pl

    return pl.Series(name, list(values), dtype=pl.String).gather(codes.astype(np.int64)).alias(name)


def _write_lists(directory: Path, prepared: Prepared, products: pl.DataFrame) -> None:
    import polars as pl

    rejected, everything = prepared.rejected, prepared.catalogue.frame
    names = [Path(table).name for table in prepared.catalogue.tables]
    rows = np.flatnonzero(rejected.code_N)
    lost = everything[rows]
    pl.DataFrame(
        [
            _named("table", names, lost["table"].to_numpy()),
            lost["table_row"].alias("row"),
            lost["id"],
            lost["image"],
            _named("reason", rejected.reasons, rejected.code_N[rows]),
            pl.Series("detail", [rejected.details.get(row, "") for row in rows.tolist()], dtype=pl.String),
        ]
    ).write_csv(directory / "rejected.csv")

    leaf = products[f"level_{prepared.taxonomy.leaf_level}"].alias("leaf")
    number_N = prepared.decoded.number_M[prepared.rows_N]
    kind = np.where(
        duplicates.group_sizes(prepared.exact_N) == duplicates.group_sizes(prepared.group_N), "identical", "near"
    )
    found = products.select("group", "row", "table", "table_row", "id", "image", "split").with_columns(
        leaf,
        pl.Series("kind", kind),
        pl.Series("pixels", [digest.tobytes().hex() for digest in prepared.decoded.digests[number_N]]),
        pl.Series("perceptual", [f"{value:016x}" for value in prepared.decoded.hashes[number_N].tolist()]),
    )
    twice = pl.Series(duplicates.group_sizes(prepared.group_N) > 1)
    found.filter(twice).sort("group", "row").write_csv(directory / "duplicates.csv")

    conflict_rows, conflict_groups = prepared.conflicts
    last = f"level_{len(prepared.catalogue.levels) - 1}"
    lost = everything[conflict_rows]
    pl.DataFrame(
        [
            pl.Series("conflict", conflict_groups),
            _named("table", names, lost["table"].to_numpy()),
            lost["table_row"].alias("row"),
            lost["id"],
            lost["image"],
            lost[last].alias("leaf"),
        ]
    ).sort("conflict", maintain_order=True).write_csv(directory / "conflicts.csv")

    parents = [
        (unclear.level, unclear.name, parent, rows_there, "yes" if i == 0 else "no")
        for unclear in prepared.several_parents
        for i, (parent, rows_there) in enumerate(zip(unclear.parents, unclear.rows, strict=True))
    ]
    schema = {"level": pl.String, "class": pl.String, "parent": pl.String, "rows": pl.Int64, "taken": pl.String}
    pl.DataFrame(parents, schema=schema, orient="row").write_csv(directory / "parents.csv")


def _options(prepared: Prepared) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(prepared.options)


def _libraries() -> dict[str, str]:
    from importlib.metadata import version

    return {"pillow": version("pillow"), "polars": version("polars"), "numpy": version("numpy")}


def _fingerprint(prepared: Prepared, products: pl.DataFrame, arrays: dict[str, NDArray[Any]]) -> str:
    """Of everything that a model can see; not of where it came from, how many workers there were, or the time."""
    options = prepared.options
    number_N = prepared.decoded.number_M[prepared.rows_N]
    fingerprint = Fingerprint()
    fingerprint.add("taxonomy", prepared.taxonomy.as_json())
    fingerprint.add("attributes", [[a.name, list(a.states)] for a in prepared.attributes])
    fingerprint.add("words", "\n".join(prepared.vocabulary.words))
    fingerprint.add("tokenizer", [prepared.vocabulary.tokenizer, prepared.vocabulary.tokenizer_version])
    for name, array in arrays.items():
        fingerprint.add(name, array)
    fingerprint.add("photos", prepared.decoded.digests[number_N])
    fingerprint.add("stored", [options.in_place, None if options.in_place else options.size])
    for column in ("id", "title"):
        fingerprint.add(column, "\n".join(value or "" for value in products[column]))
    return fingerprint.hexdigest()
