"""Group near-duplicate photos: choose how many bits of their perceptual hashes may differ, then join the near pairs.

Photos of one product that were encoded or resized again differ in few bits. So do photos of different products in the
same pose before a plain background. The leaf labels distinguish the two cases, by three shares of pairs that have
different leaves:

    noise   among pixel-identical pairs, whose labels differ only by mistake; 0 if there are too few such pairs
    chance  among random pairs
    apart   among near pairs, whose hashes differ in few bits

The share of near pairs that show different products is at least

    (apart - noise) / (chance - noise)

This is a lower bound, because products that look alike have the same leaf more often than random products do. `auto`
joins near pairs only if this bound is at most MAX_DIFFERENT, and if no group of joined pairs contains more than
MAX_GROUP_SHARE of the catalogue.

Shapes: N rows, P distinct photos, H distinct hashes, s sampled photos.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.errors import BadOption
from prodrec.core.data.duplicates.groups import join_pairs
from prodrec.core.data.duplicates.perceptual_hash import BITS, FLAT, count_comparisons, near_pairs

AUTO_BITS = 4
"""Bits that may differ with `auto`. Measured on 800 photos of 60 x 80 pixels, encoded again as JPEG: at quality 75 all
stay within 2 bits, at quality 40 99 % stay within 4. Resized and encoded again, 72 % stay within 4."""

PROGRESS_FROM_PAIRS = 100_000_000
"""Fewer pairs are compared within seconds, too soon for a progress bar."""
WARN_FROM_PAIRS = 3_000_000_000
"""Comparing this many pairs takes minutes."""

MAX_DIFFERENT = 0.05
"""With `auto`, the share of near pairs that may show different products."""
MAX_GROUP_SHARE = 0.01
"""With `auto`, the share of the catalogue that one group may contain."""
MIN_CHANCE = 0.2
"""If random pairs have different leaves less often than this, labels cannot distinguish products."""

_SAMPLE_PHOTOS = 50_000
_SMALL_GROUP = 20  # photos; a group up to this size is never too large
_MIN_IDENTICAL_PAIRS = 50  # fewer pairs do not estimate `noise`


def parse_near_duplicates(text: str) -> int | None:
    """Return the number of bits that --near-duplicates sets: None for `auto`, 0 for `off`. Raise BadOption."""
    if text == "auto":
        return None
    if text == "off":
        return 0
    if text.isdecimal() and 1 <= int(text) <= BITS // 4:
        return int(text)
    raise BadOption(
        f"--near-duplicates {text} is not usable: expected auto, off or a number of bits, 1 to {BITS // 4}."
    )


def join_near_duplicates(
    identical_N: NDArray[np.int64], hashes_N: NDArray[np.uint64], leaf_N: NDArray[np.int32], choice: str
) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """Return the groups of identical and near-identical photos, int64 [N], and a report of the decision.

    identical_N: groups of identical photos
    hashes_N:    perceptual hashes
    choice:      the value of --near-duplicates

    The report contains `bits`, the number of bits that may differ (0 if nothing is joined), the reason as `why`, and
    the statistics behind the reason.
    """
    chosen_bits = parse_near_duplicates(choice)
    if chosen_bits == 0:
        return identical_N, {"bits": 0, "why": "off, as asked for"}
    bits = chosen_bits or AUTO_BITS
    first_P = np.unique(identical_N, return_index=True)[1]
    statistics = _leaf_statistics(identical_N, hashes_N[first_P], leaf_N, first_P, bits)
    objection = _objection(statistics, bits) if chosen_bits is None else None
    if objection:
        return identical_N, {"bits": 0, "why": f"off: {objection}", **statistics}
    group_N = _near_groups(hashes_N[first_P], bits)[identical_N]
    largest = int(np.bincount(group_N).max())
    statistics["largest_group"] = largest
    largest_allowed = max(MAX_GROUP_SHARE * len(group_N), _SMALL_GROUP, np.bincount(identical_N).max())
    if chosen_bits is None and largest > largest_allowed:
        objection = f"within {bits} bits one chain would join {largest:,} of {len(group_N):,} photos"
        return identical_N, {"bits": 0, "why": f"off: {objection}", **statistics}
    why = "as asked for" if chosen_bits else f"on: {_summary(statistics, bits)}"
    return group_N, {"bits": bits, "why": why, **statistics}


def _near_groups(hashes_P: NDArray[np.uint64], bits: int) -> NDArray[np.int64]:
    """Return the groups of photos whose hashes differ in at most `bits` bits: int64 [P].

    Photos with equal hashes are joined too. A photo without structure is never joined.
    """
    hashes_H, first_H, hash_P = np.unique(hashes_P, return_index=True, return_inverse=True)
    structured = np.flatnonzero(hashes_H != FLAT)
    parent_P = np.where(hashes_P == FLAT, np.arange(len(hashes_P)), first_H[hash_P])
    total = count_comparisons(hashes_H[structured], bits)
    if total >= WARN_FROM_PAIRS:
        console.info(f"{total:,} pairs of photos are compared, which takes minutes; --near-duplicates off skips this")
    with console.progress("comparing photos", total=total, unit="pairs", minimum=PROGRESS_FROM_PAIRS) as advance:
        pairs = near_pairs(hashes_H[structured], bits, advance=advance)
        return join_pairs(parent_P, (first_H[structured[chunk]] for chunk in pairs))


def _leaf_statistics(
    identical_N: NDArray[np.int64],
    hashes_P: NDArray[np.uint64],
    leaf_N: NDArray[np.int32],
    first_P: NDArray[np.int64],
    bits: int,
) -> dict[str, Any]:
    """Return the shares of identical, near and random pairs of photos that have different leaves.

    Near pairs are counted among at most _SAMPLE_PHOTOS random photos. first_P: the first row of every photo
    """
    by_photo = np.argsort(identical_N, kind="stable")
    is_identical = identical_N[by_photo][1:] == identical_N[by_photo][:-1]
    identical_apart = (leaf_N[by_photo][1:] != leaf_N[by_photo][:-1])[is_identical]
    sample_s = np.flatnonzero(hashes_P != FLAT)
    if len(sample_s) > _SAMPLE_PHOTOS:
        sample_s = np.sort(np.random.default_rng(0).choice(sample_s, _SAMPLE_PHOTOS, replace=False))
    leaf_s = leaf_N[first_P][sample_s]
    near_count = near_apart_count = 0
    for i, j in (chunk.T for chunk in near_pairs(hashes_P[sample_s], bits)):
        near_count += len(i)
        near_apart_count += int((leaf_s[i] != leaf_s[j]).sum())
    leaf_shares = np.bincount(leaf_N) / max(len(leaf_N), 1)
    return {
        "identical_pairs": len(identical_apart),
        "identical_apart": float(identical_apart.mean()) if len(identical_apart) else None,
        "near_pairs": near_count,
        "near_apart": near_apart_count / near_count if near_count else None,
        "chance_apart": float(1 - (leaf_shares**2).sum()),
        "sampled_photos": len(sample_s),
    }


def _objection(statistics: dict[str, Any], bits: int) -> str | None:
    """Return why `auto` must not join near duplicates, or None."""
    apart, chance = statistics["near_apart"], statistics["chance_apart"]
    noise = statistics["identical_apart"] if statistics["identical_pairs"] >= _MIN_IDENTICAL_PAIRS else 0.0
    if apart is None:
        return None
    if chance < MIN_CHANCE:
        return (
            "nearly all photos stand under one leaf, so labels cannot tell near-identical photos from similar products"
        )
    if (apart - noise) / (chance - noise) > MAX_DIFFERENT:
        return f"{_summary(statistics, bits)}, so it would join different products"
    return None


def _summary(statistics: dict[str, Any], bits: int) -> str:
    """Return the shares of pairs with different leaves, as text for `why`."""
    if not statistics["near_pairs"]:
        return f"no two photos are within {bits} bits"
    identical = statistics["identical_apart"]
    compared = f"identical photos {identical:.1%}, " if identical is not None else ""
    near_apart, chance = statistics["near_apart"], statistics["chance_apart"]
    return (
        f"of {statistics['near_pairs']:,} pairs within {bits} bits {near_apart:.1%} stand under different leaves "
        f"({compared}any two {chance:.0%})"
    )
