"""A 64-bit perceptual hash, and the pairs of photos whose hashes differ in a few bits only.

The hash (after Zauner 2010, "pHash"): the photo in grey, 32 × 32; its discrete cosine transform; of the 8 × 8 lowest
frequencies, whether each lies above their median. All in whole numbers, so that every machine computes the same bits.

Shapes: N photos, H distinct hashes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SIDE = 32
BITS = 64
FLAT = 0
"""The hash of a photo without structure (one plain colour). It is like no other photo."""

_LOW = 8
_COSINES = np.rint(
    4096 * np.cos(np.pi / SIDE * np.outer(np.arange(_LOW), np.arange(SIDE) + 0.5)),
).astype(np.int64)
_WEAKEST = 2 * 4096**2 * SIDE  # the largest coefficient of a photo that a little JPEG noise could have made
_PAIRS_AT_ONCE = 1 << 20


def hash_grey(grey_N32: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The hashes of grey photos uint8 [N, 32, 32]: uint64 [N]."""
    spectrum = (_COSINES @ grey_N32.astype(np.int64) @ _COSINES.T).reshape(len(grey_N32), BITS)
    without_mean = spectrum[:, 1:]
    above = spectrum > np.median(without_mean, axis=1, keepdims=True)
    above[:, 0] = True  # the mean is not structure; this also keeps every hash apart from FLAT
    hashes = np.packbits(above, axis=1).view(">u8")[:, 0].astype(np.uint64)
    hashes[np.abs(without_mean).max(axis=1, initial=0) < _WEAKEST] = FLAT
    return hashes


def distance(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """In how many bits a and b differ."""
    bits = a ^ b
    ones = np.uint64(1)
    bits = bits - ((bits >> ones) & np.uint64(0x5555555555555555))
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    with np.errstate(over="ignore"):
        return ((bits * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.uint8)


def near_pairs(hashes_H: NDArray[np.uint64], most: int) -> Iterator[NDArray[np.int64]]:
    """Pairs of positions [pairs, 2], i < j, whose distinct hashes differ in at most `most` bits, in blocks; some twice.

    Two hashes that differ in at most `most` bits are equal in at least one of `most` + 1 bands of bits: only hashes with
    an equal band are compared (multi-index hashing, Norouzi et al. 2012). Memory is bounded by the block.
    """
    edges = np.linspace(0, BITS, most + 2).astype(int)
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        band = (hashes_H >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(band, kind="stable")
        sorted_band = band[order]
        ends = np.searchsorted(sorted_band, sorted_band, side="right")
        yield from _compare(hashes_H, order, ends, most)


def _compare(
    hashes: NDArray[np.uint64], order: NDArray[np.int64], ends: NDArray[np.int64], most: int
) -> Iterator[NDArray[np.int64]]:
    """Compare every hash with those behind it in its bucket, in blocks of about a million comparisons."""
    following = ends - np.arange(len(order)) - 1
    total = np.concatenate([[0], np.cumsum(following)])
    start = 0
    while start < len(order):
        stop = max(start + 1, int(np.searchsorted(total, total[start] + _PAIRS_AT_ONCE, side="right")) - 1)
        counts = following[start:stop]
        first = np.repeat(np.arange(start, stop), counts)
        second = first + 1 + np.arange(len(first)) - np.repeat(total[start:stop] - total[start], counts)
        i, j = order[first], order[second]
        near = distance(hashes[i], hashes[j]) <= most
        if near.any():
            yield np.sort(np.stack([i[near], j[near]], axis=1), axis=1)
        start = stop
