"""Write the contents of a dataset directory: arrays, tables, lists, the long-tail plot, and dataset.json last.

Shapes: N kept rows.
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

from prodrec.core.base.artefact import Fingerprint, make_header
from prodrec.core.base.outputs import write_json
from prodrec.core.data.prepare.contents import DatasetContents
from prodrec.core.data.prepare.long_tail import plot_long_tail
from prodrec.core.data.prepare.splits import TRAIN
from prodrec.core.data.prepare.summary import images_per_leaf, summarise
from prodrec.core.data.prepare.write_lists import write_conflicts, write_duplicates, write_parents, write_rejected
from prodrec.core.data.prepare.write_products import write_products

if TYPE_CHECKING:
    import polars as pl


def write_dataset(directory: Path, contents: DatasetContents) -> dict[str, Any]:
    """Write everything to `directory`, which contains the decoded photos already. Return dataset.json."""
    options, vocabulary = contents.options, contents.vocabulary
    arrays: dict[str, NDArray[Any]] = {
        "labels": contents.labels_NL,
        "attributes": contents.attributes_NA,
        "split": contents.split_N,
        "group": contents.group_N,
        "tokens": contents.tokens.values,
        "token_offsets": contents.tokens.offsets,
    }
    if contents.product_N.max(initial=-1) + 1 < len(contents.product_N):  # some product has several photos
        arrays["product"] = contents.product_N
    (directory / "arrays").mkdir()
    for name, array in arrays.items():
        np.save(directory / "arrays" / f"{name}.npy", array, allow_pickle=False)
    input_entries = contents.inputs.write(directory, contents.rows_N)
    write_products(directory / "products.parquet", contents)
    vocabulary.save(directory / "vocabulary.tsv")
    write_rejected(directory / "rejected.csv", contents.catalogue, contents.rejected)
    write_duplicates(directory / "duplicates.csv", contents)
    write_conflicts(directory / "conflicts.csv", contents)
    write_parents(directory / "parents.csv", contents)
    plot_long_tail(directory, images_per_leaf(contents, TRAIN), head_from=options.head_from)

    counts = summarise(contents) | {kind: {"distinct": entry["count"]} for kind, entry in input_entries.items()}
    libraries = {name: version(name) for name in ("numpy", "pillow", "polars")}
    taxonomy_entry = contents.taxonomy.save(directory / "classes")
    class_table = {}
    if contents.class_titles is not None:
        assert options.class_table is not None
        entry = contents.class_titles.save(directory / "classes")
        class_table = {"class_table": {"table": Path(options.class_table).name, **entry}}
    dataset_json = {
        **make_header("dataset", fingerprint=_fingerprint(contents, arrays), made_from={}, **libraries),
        "taxonomy": taxonomy_entry,
        "attributes": [{"name": a.name, "states": list(a.states)} for a in contents.attributes],
        "inputs": options.inputs,
        **input_entries,
        **class_table,
        "vocabulary": {
            "words": len(vocabulary),
            "tokenizer": vocabulary.tokenizer,
            "version": vocabulary.tokenizer_version,
            "trim": contents.trim_report.as_json(),
        },
        "tables": contents.catalogue.table_names,
        "options": asdict(options),
        "counts": counts,
        "notes": list(contents.notes),
    }
    write_json(directory / "dataset.json", dataset_json)
    return dataset_json


def _fingerprint(contents: DatasetContents, arrays: dict[str, NDArray[Any]]) -> str:
    """Return the fingerprint of classes, attributes, words, arrays, inputs, ids and titles.

    It does not depend on the paths of the inputs, the number of workers or the time.
    """
    vocabulary = contents.vocabulary
    fingerprint = Fingerprint()
    contents.taxonomy.add_to(fingerprint)
    fingerprint.add("attributes", [[a.name, list(a.states)] for a in contents.attributes])
    fingerprint.add("words", vocabulary.words)
    fingerprint.add("tokenizer", [vocabulary.tokenizer, vocabulary.tokenizer_version])
    for name, array in arrays.items():
        fingerprint.add(name, array)
    contents.inputs.add_to(fingerprint, contents.rows_N)
    for column in ("id", "title"):
        chunks = contents.catalogue.read_chunks(column, rows_R=contents.rows_N)
        fingerprint.add(column, _hash_texts(chunk.to_series() for chunk in chunks))
    if contents.class_titles is not None:
        fingerprint.add("class titles", contents.class_titles.texts())
    return fingerprint.hexdigest()


def _hash_texts(chunks: Iterable[pl.Series]) -> list[str]:
    """Return a hash of the lengths of all texts and one of their bytes, in which null counts as an empty text.

    The result does not depend on how the texts are divided into chunks.
    """
    lengths_hash, bytes_hash = hashlib.blake2b(digest_size=16), hashlib.blake2b(digest_size=16)
    for chunk in chunks:
        texts = chunk.fill_null("")
        lengths_hash.update(texts.str.len_bytes().to_numpy().astype("<i8").tobytes())
        bytes_hash.update(texts.str.join("").item().encode())
    return [lengths_hash.hexdigest(), bytes_hash.hexdigest()]
