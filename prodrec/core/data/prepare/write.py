"""Writes what `prepare` built: arrays, products, photos' index, vocabulary, figure, and dataset.json last.

Shapes: N rows that are kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.artefact import Fingerprint, header, write_json
from prodrec.core.data.prepare.long_tail import draw_long_tail
from prodrec.core.data.prepare.prepared import Prepared
from prodrec.core.data.prepare.summary import images_of_leaves, summarise
from prodrec.core.data.prepare.write_lists import write_conflicts, write_duplicates, write_parents, write_rejected
from prodrec.core.data.prepare.write_products import write_products

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
    write_products(directory / "products.parquet", prepared)
    prepared.vocabulary.save(directory / "vocabulary.tsv")
    write_rejected(directory / "rejected.csv", prepared)
    write_duplicates(directory / "duplicates.csv", prepared)
    write_conflicts(directory / "conflicts.csv", prepared)
    write_parents(directory / "parents.csv", prepared)
    draw_long_tail(directory, images_of_leaves(prepared, "train"), head_from=options.head_from)

    counts = summarise(prepared) | {what: {"distinct": part["count"]} for what, part in shown.items()}
    libraries = {name: version(name) for name in ("numpy", "pillow", "polars")}
    found = header("dataset", fingerprint=_fingerprint(prepared, arrays), made_from={}, **libraries)
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


def _fingerprint(prepared: Prepared, arrays: dict[str, NDArray[Any]]) -> str:
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
        pieces = prepared.catalogue.pieces(column, rows=prepared.rows_N)
        fingerprint.add(column, _hashed(piece.to_series() for piece in pieces))
    return fingerprint.hexdigest()


def _hashed(pieces: Iterable[pl.Series]) -> list[str]:
    """Hashes of texts and of where each ends, whatever the pieces they come in; a null counts as an empty text."""
    ends, data = hashlib.blake2b(digest_size=16), hashlib.blake2b(digest_size=16)
    for piece in pieces:
        texts = piece.fill_null("")
        ends.update(texts.str.len_bytes().to_numpy().astype("<i8").tobytes())
        data.update(texts.str.join("").item().encode())
    return [ends.hexdigest(), data.hexdigest()]
