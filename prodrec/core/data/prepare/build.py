"""Build a clean dataset from tables and photos, step by step in the order of the work.

Shapes: M rows of all tables, N kept rows, K rows with conflicting labels, L levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.wording import counted
from prodrec.core.data.duplicates.groups import conflicting_rows, merge_groups, renumber_groups
from prodrec.core.data.photos.blobs import photos_from_blobs
from prodrec.core.data.photos.decoding import decode_photos
from prodrec.core.data.photos.examine import PhotoRules
from prodrec.core.data.photos.features import open_features, read_features
from prodrec.core.data.photos.sources import PhotoSource, open_photos
from prodrec.core.data.prepare import selection, splits
from prodrec.core.data.prepare.class_table import in_order, read_class_titles
from prodrec.core.data.prepare.contents import DatasetContents
from prodrec.core.data.prepare.inputs import ModelInputs, NoInputs, PhotoInputs
from prodrec.core.data.prepare.labels import build_taxonomy
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.prepare.products import find_products
from prodrec.core.data.prepare.row_labels import read_labels
from prodrec.core.data.prepare.sources import (
    open_folders,
    photo_folder,
    photos_in_tables,
    read_tables,
    unused_images_note,
)
from prodrec.core.data.prepare.titles import encode_rows
from prodrec.core.data.tables import rejects
from prodrec.core.data.tables.borrowed_titles import refuse_held_out_lenders
from prodrec.core.data.tables.catalogue import Catalogue
from prodrec.core.data.tables.rejects import Rejects
from prodrec.core.data.titles.tokenizer import Tokenizer

PHOTOS_FROM_TABLES = "photos-from-tables"
"""The file in the scratch directory to which photos are written that a table contains."""


@dataclass(frozen=True)
class Workspace:
    """The directories and the numbers of processes of one build.

    directory:        the new dataset, not yet at its final place
    scratch:          for temporary files; it is removed after the dataset is written
    decode_workers:   processes that decode photos; every other rank of this machine starts as many
    tokenize_workers: processes that split titles into words, while the other ranks wait
    """

    directory: Path
    scratch: Path
    decode_workers: int
    tokenize_workers: int


def build(
    tables: Sequence[Path],
    source_path: Path | None,
    workspace: Workspace,
    options: PrepareOptions,
    tokenizer: Tokenizer,
) -> DatasetContents:
    """Compute the contents of the dataset. Write its photos to `workspace.directory`/photos, and no other file.

    tables:      the product tables; without any, the folders of the photos are the categories
    source_path: the folder or archive of photos, or the file of feature vectors; None is the folder of the first table

    Raise NotFound, BadTable, BadFeatures or BadOption if an input cannot be used or no row is left.
    """
    catalogue, photos = _open_sources(tables, source_path, workspace, options)
    photo_count = counted(catalogue.row_count, "photo", "photos")
    photo_count = f" ({photo_count})" if catalogue.row_count != catalogue.table_rows else ""
    console.info(f"{counted(catalogue.table_rows, 'row', 'rows')}{photo_count} · {catalogue.column_summary}")

    labels = read_labels(catalogue, options, from_folders=not tables)
    rejected, names, codes_ML, table_split_M = labels.rejected, labels.names, labels.codes_ML, labels.split_M
    leaves, leaf_M = names[-1], codes_ML[:, -1]
    for note in labels.notes:
        console.info(f"{note}")
    class_titles = read_class_titles(options, leaves, level=catalogue.levels[-1])
    inputs = _read_inputs(photos, source_path, catalogue, rejected, workspace, options)
    selection.refuse_if_empty(rejected, catalogue)

    conflict_rows_K, conflict_group_K = _find_conflicts(inputs, rejected.kept_rows, leaf_M)
    if options.drop_conflicts:
        noun = "photo" if options.inputs == "photos" else "vector"
        detail = f"the {noun} stands under another leaf as well, see conflicts.csv"
        rejected.add(rejects.CONFLICT, conflict_rows_K, detail)
    selection.reject_rare_leaves(leaf_M, leaves, rejected, min_images=options.min_leaf_images)
    attributes, attributes_MA, dropped_attributes = selection.select_attributes(catalogue, rejected, options)
    selection.refuse_if_empty(rejected, catalogue)

    rows_N = rejected.kept_rows
    class_N, class_names = selection.deepest_classes(codes_ML[rows_N], names)
    identical_N = inputs.identical_groups(rows_N)
    duplicate_N, near_duplicates = inputs.duplicate_groups(rows_N, identical_N, class_N, options.near_duplicates)
    product_N, product_notes = find_products(catalogue, rows_N, class_N, group_by=options.columns.group_by)
    for note in product_notes:
        console.warn(note)
    group_N = merge_groups(duplicate_N, product_N)
    table_split_N = None if table_split_M is None else table_split_M[rows_N]
    split_N, split_counts = _split(class_N, group_N, class_names, table_split_N, options)
    for note in splits.empty_split_notes(split_N, options.split, is_given=table_split_N is not None):
        console.warn(note)

    refuse_held_out_lenders(catalogue, rows_N, split_N != splits.TRAIN)
    tokens, vocabulary, trim_report, is_class_title_N = encode_rows(
        catalogue,
        rows_N,
        leaf_M[rows_N],
        split_N,
        class_titles,
        tokenizer,
        options,
        workers=workspace.tokenize_workers,
    )
    if options.drop_wordless:
        with_words = np.flatnonzero(tokens.lengths)
        rejected.add(rejects.NO_WORDS, np.delete(rows_N, with_words), "no word of it is in the vocabulary")
        selection.refuse_if_empty(rejected, catalogue)
        rows_N, split_N, tokens = rows_N[with_words], split_N[with_words], tokens.take(with_words)
        is_class_title_N = is_class_title_N[with_words]
        identical_N, duplicate_N, product_N, group_N = (
            renumber_groups(groups[with_words]) for groups in (identical_N, duplicate_N, product_N, group_N)
        )

    labelled = build_taxonomy(catalogue.levels, names, codes_ML[rows_N])
    return DatasetContents(
        options=options,
        catalogue=catalogue,
        inputs=inputs,
        rejected=rejected,
        rows_N=rows_N,
        conflict_rows_K=conflict_rows_K,
        conflict_group_K=conflict_group_K,
        labelled=labelled,
        attributes=attributes,
        attributes_NA=attributes_MA[rows_N],
        dropped_attributes=dropped_attributes,
        split_N=split_N,
        split_counts=split_counts,
        identical_N=identical_N,
        duplicate_N=duplicate_N,
        product_N=product_N,
        group_N=group_N,
        near_duplicates=near_duplicates,
        tokens=tokens,
        vocabulary=vocabulary,
        trim_report=trim_report,
        class_titles=None if class_titles is None else in_order(class_titles, leaves, labelled.taxonomy.leaves),
        class_title_rows=int(is_class_title_N.sum()),
        notes=(*labels.notes, *product_notes),
    )


def _open_sources(
    tables: Sequence[Path], source_path: Path | None, workspace: Workspace, options: PrepareOptions
) -> tuple[Catalogue, PhotoSource | None]:
    """Return the catalogue of the tables, or of the folders, and the listed photos; None without photos."""
    scratch = workspace.scratch
    unpack_into = None if options.in_place else scratch
    if not tables:
        folder = photo_folder(tables, source_path)
        listed = open_photos(folder, unpack_into=unpack_into)
        return open_folders(listed, folder, options, scratch), listed
    catalogue = read_tables(tables, options, scratch)
    if options.inputs != "photos":
        return catalogue, None
    if photos_in_tables(catalogue, options) is not None:
        if source_path is not None:
            console.warn(unused_images_note(catalogue, source_path))
        photos = (photo for table, column in catalogue.photo_tables for photo in table.photos(column))
        path = catalogue.photo_tables[0][0].path
        return catalogue, photos_from_blobs(photos, scratch / PHOTOS_FROM_TABLES, path=path)
    return catalogue, open_photos(photo_folder(tables, source_path), unpack_into=unpack_into)


def _read_inputs(
    photos: PhotoSource | None,
    source_path: Path | None,
    catalogue: Catalogue,
    rejected: Rejects,
    workspace: Workspace,
    options: PrepareOptions,
) -> ModelInputs:
    """Read and check the photos or vectors of the kept rows; reject the rows whose photo cannot be used."""
    if options.inputs == "nothing":
        return NoInputs()
    if photos is None:
        assert source_path is not None
        tables = ", ".join(Path(table).name for table in catalogue.tables)
        features = open_features(source_path, rows=catalogue.row_count, tables=tables)
        return read_features(features, rejected.kept_rows, catalogue)
    rules = PhotoRules(size=options.size, pixel_limit=options.pixel_limit, store=not options.in_place)
    directory = workspace.directory / "photos"
    directory.mkdir()
    names = catalogue.read_column("image")
    decoded = decode_photos(photos, names, rejected, directory, rules, workers=workspace.decode_workers)
    for archive in ("photos.tar", PHOTOS_FROM_TABLES):  # unpacked photos; free their space early
        (workspace.scratch / archive).unlink(missing_ok=True)
    return PhotoInputs(photos, decoded, None if options.in_place else options.size)


def _find_conflicts(
    inputs: ModelInputs, rows: NDArray[np.int64], leaf_M: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows whose photo or vector also occurs under another leaf, and the group of each: int64 [K]."""
    rows = rows[leaf_M[rows] >= 0]
    identical = inputs.identical_groups(rows)
    is_conflict = conflicting_rows(identical, leaf_M[rows])
    return rows[is_conflict], renumber_groups(identical[is_conflict])


def _split(
    class_N: NDArray[np.int32],
    group_N: NDArray[np.int64],
    class_names: Sequence[str],
    table_split_N: NDArray[np.uint8] | None,
    options: PrepareOptions,
) -> tuple[NDArray[np.uint8], dict[str, int]]:
    """Return the split of every row and its counts for dataset.json.

    leaks_avoided:       test and validation photos that would have a duplicate in train if groups were ignored
    rows_moved_to_train: rows of a split column that were moved because their group has rows in several splits
    """
    if table_split_N is not None:
        split_N, is_crossing_N = splits.move_crossing_groups(table_split_N, group_N)
        moved = int((is_crossing_N & (table_split_N != splits.TRAIN)).sum())
        return split_N, {"leaks_avoided": splits.count_leaks(table_split_N, group_N), "rows_moved_to_train": moved}

    def split(groups: NDArray[np.int64]) -> NDArray[np.uint8]:
        ratios = splits.parse_ratios(options.split)
        return splits.split_rows(
            class_N, groups, class_names, ratios=ratios, seed=options.seed, balanced_test=options.balanced_test
        )

    leaks = splits.count_leaks(split(np.arange(len(class_N))), group_N)
    return split(group_N), {"leaks_avoided": leaks, "rows_moved_to_train": 0}
