"""Writes what `prepare` built: arrays, products, photos' index, vocabulary, figure, and dataset.json last.

Shapes: N rows that are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.artefact import Fingerprint, header, write_json
from prodrec.core.data.dataset import SPLITS
from prodrec.core.data.long_tail import draw_long_tail
from prodrec.core.data.prepared import Prepared
from prodrec.core.data.summary import images_of_leaves, summarise
from prodrec.core.data.write_lists import named, write_conflicts, write_duplicates, write_parents, write_rejected

if TYPE_CHECKING:
    import polars as pl


def write_dataset(directory: Path, prepared: Prepared) -> dict[str, Any]:
    """Write everything into `directory` (which holds the photos already) and return dataset.json."""
    options = prepared.options
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
    shown = prepared.inputs.write(directory, prepared.rows_N)
    products = _products(prepared)
    products.write_parquet(directory / "products.parquet")
    prepared.vocabulary.save(directory / "vocabulary.tsv")
    write_rejected(directory / "rejected.csv", prepared)
    write_duplicates(directory / "duplicates.csv", prepared, products)
    write_conflicts(directory / "conflicts.csv", prepared)
    write_parents(directory / "parents.csv", prepared)
    draw_long_tail(directory, images_of_leaves(prepared, "train"), head_from=options.head_from)

    counts = summarise(prepared) | {what: {"distinct": part["count"]} for what, part in shown.items()}
    libraries = {name: version(name) for name in ("numpy", "pillow", "polars")}
    found = header("dataset", fingerprint=_fingerprint(prepared, products, arrays), made_from={}, **libraries)
    found |= {
        "taxonomy": prepared.taxonomy.save(directory / "classes"),
        "attributes": [{"name": a.name, "states": list(a.states)} for a in prepared.attributes],
        "inputs": options.inputs,
        **shown,
        "vocabulary": {
            "words": len(prepared.vocabulary),
            "tokenizer": prepared.vocabulary.tokenizer,
            "version": prepared.vocabulary.tokenizer_version,
            "trim": prepared.trim.as_json(),
        },
        "tables": [Path(table).name for table in prepared.catalogue.tables],
        "options": asdict(options),
        "counts": counts,
    }
    write_json(directory / "dataset.json", found)
    return found


def _products(prepared: Prepared) -> pl.DataFrame:
    """One row for every product, with the names that its numbers stand for."""
    import polars as pl

    frame = prepared.frame
    columns = [
        pl.Series("row", np.arange(frame.height, dtype=np.int64)),
        prepared.table_names(frame),
        *(frame[name] for name in ("table_row", "id", "image", "title")),
        named("split", SPLITS, prepared.split_N),
        pl.Series("group", prepared.group_N),
        *prepared.inputs.columns(prepared.rows_N),
    ]
    for level, classes, code_N in zip(
        prepared.taxonomy.levels, prepared.taxonomy.names, prepared.labels_NL.T, strict=True
    ):
        columns.append(named(f"level_{level}", classes, code_N))
    for attribute, code_N in zip(prepared.attributes, prepared.attributes_NA.T, strict=True):
        columns.append(named(f"attribute_{attribute.name}", (None, *attribute.states), code_N))
    return pl.DataFrame(columns)


def _fingerprint(prepared: Prepared, products: pl.DataFrame, arrays: dict[str, NDArray[Any]]) -> str:
    """Of everything that a model can see; not of where it came from, how many workers there were, or the time."""
    vocabulary = prepared.vocabulary
    fingerprint = Fingerprint()
    prepared.taxonomy.add_to(fingerprint)
    fingerprint.add("attributes", [[a.name, list(a.states)] for a in prepared.attributes])
    fingerprint.add("words", vocabulary.words)
    fingerprint.add("tokenizer", [vocabulary.tokenizer, vocabulary.tokenizer_version])
    for name, array in arrays.items():
        fingerprint.add(name, array)
    prepared.inputs.add_to(fingerprint, prepared.rows_N)
    for column in ("id", "title"):
        fingerprint.add(column, _joined(products[column]))
    return fingerprint.hexdigest()


def _joined(texts: Sequence[str | None] | pl.Series) -> bytes:
    """Texts, and where each ends, as bytes."""
    encoded = [(text or "").encode() for text in texts]
    return np.fromiter(map(len, encoded), np.int64, len(encoded)).tobytes() + b"".join(encoded)
