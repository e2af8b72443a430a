"""Count what `prodrec prepare` did. The counts are stored in dataset.json; `prepare` and `inspect` print them.

Shapes: N kept rows, n rows of one split, C leaves, V words.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.artefact import SPLITS
from prodrec.core.base.ragged import Ragged
from prodrec.core.data.prepare.contents import DatasetContents
from prodrec.core.data.prepare.splits import TEST, TRAIN


def summarise(contents: DatasetContents) -> dict[str, Any]:
    """Return the entry "counts" of dataset.json: nested dicts of plain numbers."""
    options, rejected, taxonomy = contents.options, contents.rejected, contents.taxonomy
    rows_in, rows_kept, by_reason = contents.catalogue.row_count, len(contents.rows_N), rejected.counts()
    assert rows_in == rows_kept + sum(by_reason.values()), "rows in = rows kept + rows rejected"
    split_images = np.bincount(contents.split_N, minlength=len(SPLITS)).tolist()
    leaf_images = [images_per_leaf(contents, split) for split in range(len(SPLITS))]
    is_head_C = leaf_images[TRAIN] >= options.head_from
    title_chunks = contents.catalogue.read_chunks("title", rows_R=contents.rows_N)
    return {
        "rows": {
            "in": rows_in,
            "kept": rows_kept,
            "rejected": sum(by_reason.values()),
            "by_reason": by_reason,
            "in_tables": contents.catalogue.table_rows,
        },
        "corrections": None if contents.catalogue.corrections is None else contents.catalogue.corrections.counts,
        "borrowed_titles": None
        if contents.catalogue.borrowed_titles is None
        else contents.catalogue.borrowed_titles.counts,
        "products": _product_counts(contents.product_N),
        "labels_missing": {
            level: int((label_N < 0).sum())
            for level, label_N in zip(taxonomy.levels, contents.labels_NL.T, strict=True)
        },
        "levels": {level: len(names) for level, names in zip(taxonomy.levels, taxonomy.names, strict=True)},
        "several_parents": {
            "classes": sum(int(pairs.chosen_P.sum()) for pairs in contents.labelled.ambiguous_parents),
            "rows_moved": contents.labelled.rows_moved,
        },
        "attributes": {
            attribute.name: {
                "states": len(attribute.states),
                "rows": int((contents.attributes_NA[:, i] > 0).sum()),
            }
            for i, attribute in enumerate(contents.attributes)
        },
        "attributes_dropped": contents.dropped_attributes,
        "duplicates": {
            "identical": _duplicate_counts(contents.identical_N),
            "all": _duplicate_counts(contents.duplicate_N),
            "near": contents.near_duplicates,
            **contents.split_counts,
        },
        "conflicts": {
            "groups": len(np.unique(contents.conflict_group_K)),
            "rows": len(contents.conflict_rows_K),
            "dropped": options.drop_conflicts,
        },
        "table_1": {
            "classes": len(taxonomy.leaves),
            **dict(zip(SPLITS, split_images, strict=True)),
            "vocabulary": len(contents.vocabulary),
        },
        "leaves_without": {
            split: int((images_C == 0).sum()) for split, images_C in zip(SPLITS, leaf_images, strict=True)
        },
        "head_tail": {
            "head_from": options.head_from,
            "head": _leaf_counts(is_head_C, leaf_images),
            "tail": _leaf_counts(~is_head_C, leaf_images),
        },
        "words": {
            **_word_counts(contents, is_head_C),
            "titles": rows_kept - sum(chunk.to_series().null_count() for chunk in title_chunks),
            "class_titles": contents.class_title_rows,
            "rows_without_words": int((contents.tokens.lengths == 0).sum()),
            "one_title": _leaves_with_one_title(contents.tokens, contents.labels_NL[:, -1]),
        },
    }


def images_per_leaf(contents: DatasetContents, split: int) -> NDArray[np.int64]:
    """Return the number of photos of every leaf in one split: int64 [C]."""
    leaf_n = contents.labels_NL[contents.split_N == split, -1]
    return np.bincount(leaf_n[leaf_n >= 0], minlength=len(contents.taxonomy.leaves)).astype(np.int64)


def _product_counts(product_N: NDArray[np.int64]) -> dict[str, int]:
    """Return the number of products, of those with several photos, and of the photos of these."""
    several = _duplicate_counts(product_N)
    return {
        "count": int(product_N.max(initial=-1)) + 1,
        "with_several_photos": several["groups"],
        "their_photos": several["rows"],
    }


def _duplicate_counts(group_N: NDArray[np.int64]) -> dict[str, int]:
    """Return the number of groups of several rows, and the number of their rows."""
    sizes = np.bincount(group_N)
    sizes_of_several = sizes[sizes > 1]
    return {"groups": len(sizes_of_several), "rows": int(sizes_of_several.sum())}


def _leaf_counts(is_member_C: NDArray[np.bool_], leaf_images: list[NDArray[np.int64]]) -> dict[str, int]:
    """Return the number of member leaves, of their photos by split, and of those without test photos."""
    images = {split: int(images_C[is_member_C].sum()) for split, images_C in zip(SPLITS, leaf_images, strict=True)}
    without_test = int((leaf_images[TEST][is_member_C] == 0).sum())
    return {"classes": int(is_member_C.sum()), **images, "without_test": without_test}


def _leaves_with_one_title(tokens: Ragged, leaf_N: NDArray[np.int32]) -> dict[str, int]:
    """Return the number of leaves whose rows, at least two, all have the same words in their titles, and their rows.

    Such titles say no more than the class. Rows without words do not count.
    """
    hash_N = np.zeros(len(tokens), np.uint64)
    for rows, part in tokens.chunks():
        hashes = part.values.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # of splitmix64
        hashes = (hashes ^ (hashes >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(hashes, dtype=np.uint64)])  # of any order; it wraps
        hash_N[rows] = sums[part.offsets[1:]] - sums[part.offsets[:-1]]
    is_used_N = (tokens.lengths > 0) & (leaf_N >= 0)
    order_n = np.lexsort((hash_N[is_used_N], leaf_N[is_used_N]))
    leaf_n, hash_n = leaf_N[is_used_N][order_n], hash_N[is_used_N][order_n]
    _, first_C, rows_C = np.unique(leaf_n, return_index=True, return_counts=True)
    is_one_C = (rows_C > 1) & (hash_n[first_C] == hash_n[first_C + rows_C - 1])
    return {"leaves": int(is_one_C.sum()), "rows": int(rows_C[is_one_C].sum())}


def _word_counts(contents: DatasetContents, is_head_C: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the numbers of words in training titles of head leaves, tail leaves and both (paper A §1: 12 % shared)."""
    words = len(contents.vocabulary)
    is_train_N = contents.split_N == TRAIN
    leaf_N = contents.labels_NL[:, -1]
    is_head_N, is_tail_N = (np.append(is_member_C, False)[leaf_N] for is_member_C in (is_head_C, ~is_head_C))

    def occurring_words(is_member_N: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return contents.tokens.value_counts(is_train_N & is_member_N, size=words + 1)[1:] > 0  # without id 0, padding

    in_head_V, in_tail_V = occurring_words(is_head_N), occurring_words(is_tail_N)
    shared = int((in_head_V & in_tail_V).sum())
    return {
        "in_head": int(in_head_V.sum()),
        "in_tail": int(in_tail_V.sum()),
        "shared": shared,
        "shared_share": shared / words if words else None,
    }
