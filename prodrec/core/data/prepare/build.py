"""Build a clean dataset from tables and photos, step by step in the order of the work.

Shapes: M rows of all tables, N rows that are kept, L levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.ragged import Ragged
from prodrec.core.data.duplicates import groups as duplicates
from prodrec.core.data.photos.decoding import decode_photos
from prodrec.core.data.photos.examine import PhotoRules
from prodrec.core.data.photos.features import open_features, read_features
from prodrec.core.data.photos.sources import PhotoSource, open_photos, photo_names
from prodrec.core.data.prepare import splits
from prodrec.core.data.prepare.inputs import Inputs, Nothing, Photos
from prodrec.core.data.prepare.labels import build_taxonomy
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.prepare.prepared import Prepared
from prodrec.core.data.prepare.selection import (
    categories,
    choose_attributes,
    drop_rare_leaves,
    given_splits,
    refuse_if_empty,
)
from prodrec.core.data.tables import rejects
from prodrec.core.data.tables.catalogue import Catalogue, catalogue_of_folders, read_catalogue
from prodrec.core.data.tables.rejects import Rejects
from prodrec.core.data.titles.encode import encode_titles
from prodrec.core.data.titles.tokenizer import Tokenizer
from prodrec.core.data.titles.vocabulary import TrimReport, Vocabulary

MANY_TITLES = 100_000
"""Fewer are cut sooner than other processes start."""


@dataclass(frozen=True)
class Work:
    """Where and by how many processes is worked; what is in `scratch` goes when the work is done.

    decoders: processes that decode photos, as every other rank of this machine has them
    cutters:  processes that cut titles into words, while the other ranks wait
    """

    directory: Path
    scratch: Path
    decoders: int
    cutters: int


def build(tables: Sequence[Path], where: Path, work: Work, options: PrepareOptions, tokenizer: Tokenizer) -> Prepared:
    """Everything but the writing; photos alone are written already, into `work.directory`/photos.

    where: the photos, or the file of feature vectors
    """
    source, shows_photos = None, options.inputs == "photos"
    if tables:
        catalogue = read_catalogue(
            tables,
            options.columns,
            missing_values=options.missing_values,
            shows_photos=shows_photos,
            beside=work.scratch,
        )
    if shows_photos:
        source = open_photos(where, unpack_into=None if options.in_place else work.scratch)
        if not tables:
            catalogue = catalogue_of_folders(photo_names(source), where, options.columns.levels)
    console.info(f"{catalogue.rows:,} rows · {catalogue.found}")

    rejected = Rejects.of(catalogue.rows)
    names, codes_ML = categories(catalogue, rejected, path_identity=options.path_identity)
    leaves, leaf_M = names[-1], codes_ML[:, -1]
    given_M = given_splits(catalogue, rejected) if options.columns.split else None
    inputs = _inputs(source, where, catalogue, rejected, work, options)
    refuse_if_empty(rejected, catalogue)

    conflict_rows, conflict_groups = _conflicts(inputs, rejected.kept, leaf_M)
    if options.drop_conflicts:
        what = "the photo" if shows_photos else "the vector"
        rejected.add(rejects.CONFLICT, conflict_rows, f"{what} stands under another leaf as well, see conflicts.csv")
    drop_rare_leaves(leaf_M, leaves, rejected, least=options.min_leaf_images)
    attributes, attributes_MA, attributes_dropped = choose_attributes(catalogue, rejected, options)
    refuse_if_empty(rejected, catalogue)

    rows = rejected.kept
    leaf_N, exact_N = leaf_M[rows], inputs.identical(rows)
    group_N, near = inputs.near(rows, exact_N, leaf_N, options.near_duplicates)
    split_N, split_report = _split(leaf_N, group_N, leaves, None if given_M is None else given_M[rows], options)

    tokens, vocabulary, trim = _titles(catalogue, rows, split_N, tokenizer, options, work.cutters)
    if options.drop_wordless:
        with_words = np.flatnonzero(tokens.lengths)
        rejected.add(rejects.WORDLESS, np.delete(rows, with_words), "no word of it is in the vocabulary")
        refuse_if_empty(rejected, catalogue)
        rows, split_N, tokens = rows[with_words], split_N[with_words], tokens.take(with_words)
        exact_N, group_N = (duplicates.in_order_of_first(groups[with_words]) for groups in (exact_N, group_N))

    labelled = build_taxonomy(catalogue.levels, names, codes_ML[rows])
    return Prepared(
        options=options,
        catalogue=catalogue,
        inputs=inputs,
        rejected=rejected,
        conflict_rows=conflict_rows,
        conflict_groups=conflict_groups,
        rows_N=rows,
        labelled=labelled,
        attributes=attributes,
        attributes_NA=attributes_MA[rows],
        attributes_dropped=attributes_dropped,
        split_N=split_N,
        split_report=split_report,
        exact_N=exact_N,
        group_N=group_N,
        near=near,
        tokens=tokens,
        vocabulary=vocabulary,
        trim=trim,
    )


def _inputs(
    source: PhotoSource | None,
    where: Path,
    catalogue: Catalogue,
    rejected: Rejects,
    work: Work,
    options: PrepareOptions,
) -> Inputs:
    """What the rows show, read and checked; rejects rows whose photo cannot be used."""
    if options.inputs == "nothing":
        return Nothing()
    if source is None:
        tables = ", ".join(Path(table).name for table in catalogue.tables)
        return read_features(open_features(where, rows=catalogue.rows, tables=tables), rejected.kept, catalogue)
    rules = PhotoRules(size=options.size, pixel_limit=options.pixel_limit, store=not options.in_place)
    photos = work.directory / "photos"
    photos.mkdir()
    decoded = decode_photos(source, catalogue.column("image"), rejected, photos, rules, workers=work.decoders)
    (work.scratch / "photos.tar").unlink(missing_ok=True)
    return Photos(source, decoded, None if options.in_place else options.size)


def _conflicts(
    inputs: Inputs, rows: NDArray[np.int64], leaf_M: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Those of `rows` whose very photo or vector stands under another leaf as well, and which of them share it."""
    exact = inputs.identical(rows)
    conflict = duplicates.conflicting(exact, leaf_M[rows])
    return rows[conflict], duplicates.in_order_of_first(exact[conflict])


def _split(
    leaf_N: NDArray[np.int32],
    group_N: NDArray[np.int64],
    leaves: Sequence[str],
    given_N: NDArray[np.uint8] | None,
    options: PrepareOptions,
) -> tuple[NDArray[np.uint8], dict[str, int]]:
    """The split of every row; how many leaks groups avoid, and rows moved to train as their group crosses splits."""
    if given_N is not None:
        split_N, crossing = splits.keep_groups_together(given_N, group_N)
        moved = int((crossing & (given_N != splits.TRAIN)).sum())
        return split_N, {"leaks_avoided": splits.leaked(given_N, group_N), "rows_moved_to_train": moved}

    def split(groups: NDArray[np.int64]) -> NDArray[np.uint8]:
        ratios = splits.parse_ratios(options.split)
        return splits.split_rows(
            leaf_N, groups, leaves, ratios=ratios, seed=options.seed, balanced_test=options.balanced_test
        )

    leaks = splits.leaked(split(np.arange(len(leaf_N))), group_N)
    return split(group_N), {"leaks_avoided": leaks, "rows_moved_to_train": 0}


def _titles(
    catalogue: Catalogue,
    rows_N: NDArray[np.int64],
    split_N: NDArray[np.uint8],
    tokenizer: Tokenizer,
    options: PrepareOptions,
    workers: int,
) -> tuple[Ragged, Vocabulary, TrimReport]:
    """Word ids of every title, with the vocabulary of the training rows' titles."""
    titles = (title for piece in catalogue.pieces("title", rows=rows_N) for title in piece.to_series().to_list())
    with console.progress("reading titles", total=len(rows_N), unit="titles") as advance:
        return encode_titles(
            titles,
            tokenizer,
            drop_frequent=options.drop_frequent,
            drop_rare=options.drop_rare,
            by=options.trim_by,
            counted_N=split_N == splits.TRAIN,
            workers=workers if len(rows_N) > MANY_TITLES else 1,
            advance=advance,
        )
