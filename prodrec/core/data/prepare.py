"""`prodrec prepare`: tables and photos in, one clean dataset directory out. Reads top to bottom as the work is done.

Shapes: M rows of all tables, N rows that are kept, L levels, A attributes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core import console
from prodrec.core.artefact import new_directory, refuse_if_taken
from prodrec.core.data import duplicates, rejects, splits
from prodrec.core.data.catalogue import Catalogue, catalogue_of_folders, read_catalogue
from prodrec.core.data.decoding import Decoded, decode_photos
from prodrec.core.data.labels import SeveralParents, build_taxonomy
from prodrec.core.data.near import join_near
from prodrec.core.data.options import PrepareOptions
from prodrec.core.data.photo_sources import PhotoSource, open_photos, photo_names
from prodrec.core.data.photos import PhotoRules
from prodrec.core.data.ragged import Ragged
from prodrec.core.data.rejects import Rejects
from prodrec.core.data.selection import categories, choose_attributes, drop_rare_leaves, given_splits, refuse_if_empty
from prodrec.core.data.titles import Tokenizer, TrimReport, Vocabulary, choose_tokenizer, encode_titles
from prodrec.core.errors import BadOption
from prodrec.core.taxonomy import Attribute, Taxonomy

if TYPE_CHECKING:
    import polars as pl


@dataclass(eq=False)
class Prepared:
    """Everything that goes into the dataset directory.

    frame:      N rows of the catalogue that are kept, in order; rows_N: their positions among the M rows
    conflicts:  positions among the M rows whose photo, to the pixel, stands under several leaves, and their group
    """

    options: PrepareOptions
    catalogue: Catalogue
    source: PhotoSource
    decoded: Decoded
    rejected: Rejects
    conflicts: tuple[NDArray[np.int64], NDArray[np.int64]]
    rows_N: NDArray[np.int64]
    taxonomy: Taxonomy
    labels_NL: NDArray[np.int32]
    several_parents: list[SeveralParents]
    rows_moved: int
    attributes: tuple[Attribute, ...]
    attributes_NA: NDArray[np.int32]
    attributes_dropped: dict[str, int]
    split_N: NDArray[np.uint8]
    leaks_avoided: int
    crossing: int
    exact_N: NDArray[np.int64]
    group_N: NDArray[np.int64]
    near: dict[str, Any]
    tokens: Ragged
    vocabulary: Vocabulary
    trim: TrimReport

    @property
    def frame(self) -> pl.DataFrame:
        return self.catalogue.frame[self.rows_N]


def prepare(
    tables: Sequence[Path],
    *,
    images: Path | None = None,
    out: Path,
    options: PrepareOptions | None = None,
    workers: int | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Write the dataset directory `out` and return its dataset.json.

    Without `images` the photos' names are relative to the folder of the first table.

    Raises NotFound, BadTable, BadOption or OutputExists; then nothing is left at `out` but what was there before.
    """
    from prodrec.core.data.write import write_dataset

    options = options or PrepareOptions()
    workers = workers or available_cores()
    if images is None and not tables:
        raise BadOption(
            "there is nothing to prepare: give a table, or with --images a folder of root/…/leaf/photo.jpg."
        )
    where = Path(images) if images is not None else Path(tables[0]).parent
    tokenizer = choose_tokenizer(options.tokenizer)
    refuse_if_taken(out, kind="dataset", force=force)
    with new_directory(out, kind="dataset", force=force) as directory:
        prepared = build([Path(table) for table in tables], where, directory, options, tokenizer, workers)
        return write_dataset(directory, prepared)


def available_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def build(
    tables: Sequence[Path], images: Path, directory: Path, options: PrepareOptions, tokenizer: Tokenizer, workers: int
) -> Prepared:
    """Everything but the writing; only photos are written already, into `directory`/photos."""
    columns = options.columns
    if tables:
        catalogue = read_catalogue(tables, columns, missing_values=options.missing_values)
    source = open_photos(images, unpack_into=None if options.in_place else directory)
    if not tables:
        catalogue = catalogue_of_folders(photo_names(source), images, columns.levels)
    console.note(f"{catalogue.frame.height:,} rows · {catalogue.found}")

    rejected = Rejects.of(catalogue.frame.height)
    names, codes_ML = categories(catalogue, rejected, path_identity=options.path_identity)
    given_M = given_splits(catalogue, rejected) if columns.split else None
    rules = PhotoRules(size=options.size, pixel_limit=options.pixel_limit, store=not options.in_place)
    (directory / "photos").mkdir()
    decoded = decode_photos(source, catalogue.frame["image"], rejected, directory / "photos", rules, workers=workers)
    refuse_if_empty(rejected, catalogue)

    conflicts = _conflicts(decoded, rejected.kept, codes_ML[:, -1])
    if options.drop_conflicts:
        rejected.add(
            rejects.CONFLICT, conflicts[0], "the same photo stands under another leaf as well, see conflicts.csv"
        )
    drop_rare_leaves(codes_ML[:, -1], names[-1], rejected, least=options.min_leaf_images)
    attributes, attributes_MA, dropped = choose_attributes(catalogue, rejected, options)
    refuse_if_empty(rejected, catalogue)

    rows = rejected.kept
    leaf_N = codes_ML[rows, -1]
    exact_N = duplicates.exact_groups(decoded.digests[decoded.number_M[rows]])
    group_N, near = join_near(exact_N, decoded.hashes[decoded.number_M[rows]], leaf_N, options.near_duplicates)
    split_N, leaks, crossing = _split(
        leaf_N, group_N, names[-1], given_M[rows] if given_M is not None else None, options
    )
    tokens, vocabulary, trim = _titles(catalogue.frame["title"][rows], split_N, tokenizer, options, workers)
    if options.drop_wordless:
        keep = tokens.lengths > 0
        rejected.add(rejects.WORDLESS, rows[~keep], "no word of its title is in the vocabulary")
        refuse_if_empty(rejected, catalogue)
        rows, split_N, tokens = rows[keep], split_N[keep], tokens.take(np.flatnonzero(keep))
        exact_N, group_N = (duplicates.in_order_of_first(groups[keep]) for groups in (exact_N, group_N))

    taxonomy, labels_NL, unclear = build_taxonomy(catalogue.levels, names, codes_ML[rows])
    return Prepared(
        options=options,
        catalogue=catalogue,
        source=source,
        decoded=decoded,
        rejected=rejected,
        conflicts=conflicts,
        rows_N=rows,
        taxonomy=taxonomy,
        labels_NL=labels_NL,
        several_parents=unclear,
        rows_moved=_rows_moved(taxonomy, labels_NL, names, codes_ML[rows]),
        attributes=attributes,
        attributes_NA=attributes_MA[rows],
        attributes_dropped=dropped,
        split_N=split_N,
        leaks_avoided=leaks,
        crossing=crossing,
        exact_N=exact_N,
        group_N=group_N,
        near=near,
        tokens=tokens,
        vocabulary=vocabulary,
        trim=trim,
    )


def _conflicts(
    decoded: Decoded, rows: NDArray[np.int64], leaf_M: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    exact = duplicates.exact_groups(decoded.digests[decoded.number_M[rows]])
    conflict = duplicates.conflicting(exact, leaf_M[rows])
    return rows[conflict], duplicates.in_order_of_first(exact[conflict])


def _split(
    leaf_N: NDArray[np.int32],
    group_N: NDArray[np.int64],
    leaves: list[str],
    given_N: NDArray[np.uint8] | None,
    options: PrepareOptions,
) -> tuple[NDArray[np.uint8], int, int]:
    """Splits, the number of leaks that groups avoid, and rows of a given split in groups that cross it."""
    if given_N is not None:
        split_N, crossing = splits.keep_groups_together(given_N, group_N)
        return split_N, splits.leaked(given_N, group_N), int(crossing.sum())
    ratios = splits.parse_ratios(options.split)

    def split(groups: NDArray[np.int64]) -> NDArray[np.uint8]:
        return splits.split_rows(
            leaf_N, groups, leaves, ratios=ratios, seed=options.seed, balanced_test=options.balanced_test
        )

    return split(group_N), splits.leaked(split(np.arange(len(leaf_N))), group_N), 0


def _titles(
    titles: pl.Series, split_N: NDArray[np.uint8], tokenizer: Tokenizer, options: PrepareOptions, workers: int
) -> tuple[Ragged, Vocabulary, TrimReport]:
    """Word ids of every title, with the vocabulary of the training rows' titles."""
    train, other = np.flatnonzero(split_N == splits.TRAIN), np.flatnonzero(split_N != splits.TRAIN)
    of_train, vocabulary, trim = encode_titles(
        titles[train],
        tokenizer,
        drop_frequent=options.drop_frequent,
        drop_rare=options.drop_rare,
        by=options.trim_by,
        workers=workers if len(titles) > 1_000_000 else 1,
    )
    of_other = Ragged.from_lists(vocabulary.encode(tokenizer(title)) if title else () for title in titles[other])
    lengths = np.concatenate([of_train.lengths, of_other.lengths])
    both = Ragged.from_lengths(np.concatenate([of_train.values, of_other.values]), lengths)
    return both.take(np.argsort(np.concatenate([train, other]))), vocabulary, trim


def _rows_moved(
    taxonomy: Taxonomy, labels_NL: NDArray[np.int32], names: list[list[str]], codes_NL: NDArray[np.int32]
) -> int:
    """Rows that stand under another parent now than their table says."""
    moved = np.zeros(len(codes_NL), bool)
    for level, classes in enumerate(taxonomy.names):
        place = {name: i for i, name in enumerate(names[level])}
        moved |= np.array([place[name] for name in classes])[labels_NL[:, level]] != codes_NL[:, level]
    return int(moved.sum())
