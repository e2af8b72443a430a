"""Near-identical photos: within how many bits of the perceptual hash, or not at all, and what the decision rests on.

Photos of one product, encoded or resized again, differ in few bits; but so do different products photographed alike
before a plain background. The leaf labels tell which it is. Two photos of one product stand under different leaves only
by mistake, as often as pixel-identical photos do (share `noise`, 0 where these are too few to say); two photos of any
products do so with probability `chance`. Of the pairs that the hash finds, a share `near` does, so at least

    (near - noise) / (chance - noise)

of them show different products: "at least", because products that look alike share their leaf more often than any two.
`auto` joins only where this is at most 5 %, and where no chain of near photos swallows 1 % of the catalogue.

Shapes: N rows, P distinct photos.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.errors import BadOption
from prodrec.core.data.duplicates.groups import join_pairs
from prodrec.core.data.duplicates.perceptual_hash import BITS, FLAT, comparisons, near_pairs

AUTO_BITS = 4
"""All of 800 photos of 60 x 80 pixels, encoded again as JPEG at quality 75, came back within 2 bits, 99 % at quality 40
within 4; of those resized and encoded again 72 % within 4."""

MANY_PAIRS = 100_000_000
"""Fewer are compared in seconds."""
MINUTES_OF_PAIRS = 3_000_000_000

MOST_DIFFERENT = 0.05
LARGEST_SHARE = 0.01
LEAST_CHANCE = 0.2

_SAMPLE = 50_000
_SMALL_GROUP = 20
_ENOUGH_PAIRS = 50


def parse_near(text: str) -> int | None:
    """`auto` is None, `off` is 0, a number of bits is itself. Raises BadOption."""
    if text == "auto":
        return None
    if text == "off":
        return 0
    if text.isdecimal() and 1 <= int(text) <= BITS // 4:
        return int(text)
    raise BadOption(
        f"--near-duplicates {text} is not usable: expected auto, off or a number of bits, 1 to {BITS // 4}."
    )


def join_near(
    exact_N: NDArray[np.int64], hashes_N: NDArray[np.uint64], leaf_N: NDArray[np.int32], choice: str
) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """Groups of identical and near-identical photos, and what was decided: {bits, why, figures …}, bits 0 for off."""
    asked = parse_near(choice)
    if asked == 0:
        return exact_N, {"bits": 0, "why": "off, as asked for"}
    bits = asked or AUTO_BITS
    first_P = np.unique(exact_N, return_index=True)[1]
    figures = _disagreement(exact_N, hashes_N[first_P], leaf_N, first_P, bits)
    why_not = _why_not(figures, bits) if asked is None else None
    if why_not:
        return exact_N, {"bits": 0, "why": f"off: {why_not}", **figures}
    group_P = _join(hashes_N[first_P], bits)
    group_N = group_P[exact_N]
    largest = int(np.bincount(group_N).max())
    figures["largest_group"] = largest
    if asked is None and largest > max(LARGEST_SHARE * len(group_N), _SMALL_GROUP, np.bincount(exact_N).max()):
        why_not = f"within {bits} bits one chain would join {largest:,} of {len(group_N):,} photos"
        return exact_N, {"bits": 0, "why": f"off: {why_not}", **figures}
    return group_N, {"bits": bits, "why": "as asked for" if asked else f"on: {_seen(figures, bits)}", **figures}


def _join(hashes_P: NDArray[np.uint64], bits: int) -> NDArray[np.int64]:
    """Group numbers of P photos in order of first photos; equal hashes join too, photos without structure never."""
    hashes_H, first_H, hash_P = np.unique(hashes_P, return_index=True, return_inverse=True)
    with_structure = np.flatnonzero(hashes_H != FLAT)
    start_P = np.where(hashes_P == FLAT, np.arange(len(hashes_P)), first_H[hash_P])
    total = comparisons(hashes_H[with_structure], bits)
    if total >= MINUTES_OF_PAIRS:
        console.info(f"{total:,} pairs of photos are to be compared; --near-duplicates off leaves them out")
    with console.progress("comparing photos", total=total, unit="pairs", least=MANY_PAIRS) as advance:
        found = near_pairs(hashes_H[with_structure], bits, advance=advance)
        return join_pairs(start_P, (first_H[with_structure[pair]] for pair in found))


def _disagreement(
    exact_N: NDArray[np.int64],
    hashes_P: NDArray[np.uint64],
    leaf_N: NDArray[np.int32],
    first_P: NDArray[np.int64],
    bits: int,
) -> dict[str, Any]:
    """Shares of pairs that stand under different leaves: pixel-identical, near, any two. Near ones in a sample of P."""
    by_photo = np.argsort(exact_N, kind="stable")
    identical = exact_N[by_photo][1:] == exact_N[by_photo][:-1]
    apart = (leaf_N[by_photo][1:] != leaf_N[by_photo][:-1])[identical]
    sample = np.flatnonzero(hashes_P != FLAT)
    if len(sample) > _SAMPLE:
        sample = np.sort(np.random.default_rng(0).choice(sample, _SAMPLE, replace=False))
    leaf_S = leaf_N[first_P][sample]
    near = near_apart = 0
    for i, j in (pair.T for pair in near_pairs(hashes_P[sample], bits)):
        near += len(i)
        near_apart += int((leaf_S[i] != leaf_S[j]).sum())
    shares = np.bincount(leaf_N) / max(len(leaf_N), 1)
    return {
        "identical_pairs": len(apart),
        "identical_apart": float(apart.mean()) if len(apart) else None,
        "near_pairs": near,
        "near_apart": near_apart / near if near else None,
        "chance_apart": float(1 - (shares**2).sum()),
        "sampled_photos": len(sample),
    }


def _why_not(figures: dict[str, Any], bits: int) -> str | None:
    near, chance = figures["near_apart"], figures["chance_apart"]
    noise = figures["identical_apart"] if figures["identical_pairs"] >= _ENOUGH_PAIRS else 0.0
    if near is None:
        return None
    if chance < LEAST_CHANCE:
        return (
            "nearly all photos stand under one leaf, so labels cannot tell near-identical photos from similar products"
        )
    if (near - noise) / (chance - noise) > MOST_DIFFERENT:
        return f"{_seen(figures, bits)}, so it would join different products"
    return None


def _seen(figures: dict[str, Any], bits: int) -> str:
    if not figures["near_pairs"]:
        return f"no two photos are within {bits} bits"
    identical = figures["identical_apart"]
    compared = f"identical photos {identical:.1%}, " if identical is not None else ""
    return (
        f"of {figures['near_pairs']:,} pairs within {bits} bits {figures['near_apart']:.1%} stand under different "
        f"leaves ({compared}any two {figures['chance_apart']:.0%})"
    )
