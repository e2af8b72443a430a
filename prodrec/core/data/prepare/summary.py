"""What `prodrec prepare` prints and `prodrec inspect` shows again: counted once, kept in dataset.json under "counts".

Shapes: N rows that are kept, V words.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.artefact import SPLITS
from prodrec.core.data.prepare.prepared import Prepared


def summarise(prepared: Prepared) -> dict[str, Any]:
    """All counts, as plain JSON values. Asserts that no row was lost."""
    options, rejected = prepared.options, prepared.rejected
    kept, by_reason = len(prepared.rows_N), rejected.counts()
    assert len(rejected.code_N) == kept + sum(by_reason.values()), "rows in = rows kept + rows rejected"
    in_split = np.bincount(prepared.split_N, minlength=len(SPLITS)).tolist()
    leaves = len(prepared.taxonomy.leaves)
    by_leaf = [images_of_leaves(prepared, split) for split in SPLITS]
    head = by_leaf[0] >= options.head_from
    titles = prepared.catalogue.pieces("title", rows=prepared.rows_N)
    return {
        "rows": {
            "in": len(rejected.code_N),
            "kept": kept,
            "rejected": sum(by_reason.values()),
            "by_reason": by_reason,
            "repeated_ids": kept - prepared.catalogue.column("id").gather(prepared.rows_N).n_unique(),
        },
        "levels": {
            level: len(classes)
            for level, classes in zip(prepared.taxonomy.levels, prepared.taxonomy.names, strict=True)
        },
        "several_parents": {
            "classes": sum(int(of_level.taken_P.sum()) for of_level in prepared.labelled.several_parents),
            "rows_moved": prepared.labelled.rows_moved,
        },
        "attributes": {
            a.name: {"states": len(a.states), "rows": int((prepared.attributes_NA[:, i] > 0).sum())}
            for i, a in enumerate(prepared.attributes)
        },
        "attributes_dropped": prepared.attributes_dropped,
        "duplicates": {
            "identical": _groups(prepared.exact_N),
            "all": _groups(prepared.group_N),
            "near": prepared.near,
            **prepared.split_report,
        },
        "conflicts": {
            "groups": len(np.unique(prepared.conflict_groups)),
            "rows": len(prepared.conflict_rows),
            "dropped": options.drop_conflicts,
        },
        "table_1": {
            "classes": leaves,
            **dict(zip(SPLITS, in_split, strict=True)),
            "vocabulary": len(prepared.vocabulary),
        },
        "leaves_without": {SPLITS[s]: int((by_leaf[s] == 0).sum()) for s in range(len(SPLITS))},
        "head_tail": {
            "head_from": options.head_from,
            "head": _part(head, by_leaf),
            "tail": _part(~head, by_leaf),
        },
        "words": {
            **_shared_words(prepared, head),
            "titles": kept - sum(piece.to_series().null_count() for piece in titles),
            "rows_without_words": int((prepared.tokens.lengths == 0).sum()),
        },
    }


def images_of_leaves(prepared: Prepared, split: str) -> NDArray[np.int64]:
    """Photos of every leaf in one split: int64 [leaves]."""
    leaf_N = prepared.labels_NL[prepared.split_N == SPLITS.index(split), -1]
    return np.bincount(leaf_N, minlength=len(prepared.taxonomy.leaves)).astype(np.int64)


def _groups(group_N: NDArray[np.int64]) -> dict[str, int]:
    """Groups of more than one row, and how many rows they have together."""
    sizes = np.bincount(group_N)
    several = sizes[sizes > 1]
    return {"groups": len(several), "rows": int(several.sum())}


def _part(leaves: NDArray[np.bool_], by_leaf: list[NDArray[np.int64]]) -> dict[str, int]:
    images = {name: int(counts[leaves].sum()) for name, counts in zip(SPLITS, by_leaf, strict=True)}
    return {"classes": int(leaves.sum()), **images, "without_test": int((by_leaf[1][leaves] == 0).sum())}


def _shared_words(prepared: Prepared, head: NDArray[np.bool_]) -> dict[str, Any]:
    """Words of the vocabulary in training titles of head classes, of tail classes, and of both (paper A §1: 12 %)."""
    train = prepared.split_N == 0
    words = len(prepared.vocabulary)
    of_head = head[prepared.labels_NL[:, -1]]
    seen = {
        name: prepared.tokens.counts(train & part, below=words + 1)[1:] > 0
        for name, part in (("head", of_head), ("tail", ~of_head))
    }
    shared = int((seen["head"] & seen["tail"]).sum())
    return {
        "in_head": int(seen["head"].sum()),
        "in_tail": int(seen["tail"].sum()),
        "shared": shared,
        "shared_share": shared / words if words else None,
    }
