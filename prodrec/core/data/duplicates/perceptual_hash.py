"""A 64-bit perceptual hash, and the pairs of photos whose hashes differ in a few bits only.

The hash (after Zauner 2010, "pHash"): the photo in grey, 32 × 32; its discrete cosine transform; of the 8 × 8 lowest
frequencies, whether each lies above their median. All in whole numbers, so that every machine computes the same bits.

Shapes: N photos, H distinct hashes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

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
_COMPARED_AT_ONCE = 1 << 20


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
    ones_N: NDArray[np.uint8] = ((bits * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.uint8)
    return ones_N  # the product wraps around, as it should


def comparisons(hashes_H: NDArray[np.uint64], most: int) -> int:
    """How many pairs `near_pairs` will compare: those in the buckets of every band.

    Photos alike, as before one plain background, fill few buckets, and then these are not far from all pairs.
    """
    buckets = (np.unique(hashes_H & band, return_counts=True)[1] for band in _bands(most))
    return sum(int((sizes * (sizes - 1) // 2).sum()) for sizes in buckets)


def near_pairs(
    hashes_H: NDArray[np.uint64], most: int, *, advance: Callable[[int], object] = lambda compared: None
) -> Iterator[NDArray[np.int64]]:
    """Every pair of positions, i < j, whose hashes differ in at most `most` bits, once: int64 [pairs, 2], in blocks.

    Two hashes that differ in at most `most` bits are equal in at least one of `most` + 1 bands of bits: only hashes
    with an equal band are compared (multi-index hashing, Norouzi et al. 2012). Memory is bounded by the block.
    `advance` is called with the pairs compared since the last call.
    """
    bands = _bands(most)
    for number, band in enumerate(bands):
        values = hashes_H & band
        order = np.argsort(values, kind="stable")
        ends = np.searchsorted(values[order], values[order], side="right")
        for i, j in _compare(hashes_H, order, ends, most, advance):
            difference = hashes_H[i] ^ hashes_H[j]
            found_before = np.zeros(len(i), bool)
            for earlier in bands[:number]:
                found_before |= (difference & earlier) == 0
            yield np.sort(np.stack([i, j], axis=1)[~found_before], axis=1)


def _bands(most: int) -> list[np.uint64]:
    """Masks of `most` + 1 bands, which together are all bits."""
    edges = np.linspace(0, BITS, most + 2).astype(int).tolist()
    return [np.uint64((1 << high) - (1 << low)) for low, high in itertools.pairwise(edges)]


def _compare(
    hashes_H: NDArray[np.uint64],
    order: NDArray[np.int64],
    ends: NDArray[np.int64],
    most: int,
    advance: Callable[[int], object],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Compare every hash with those behind it in its bucket, about a million at once."""
    following = ends - np.arange(len(order)) - 1
    before = np.concatenate([[0], np.cumsum(following)])
    start = 0
    while start < len(order):
        stop = max(start + 1, int(np.searchsorted(before, before[start] + _COMPARED_AT_ONCE, side="right")) - 1)
        counts = following[start:stop]
        first = np.repeat(np.arange(start, stop), counts)
        second = first + 1 + np.arange(len(first)) - np.repeat(before[start:stop] - before[start], counts)
        i, j = order[first], order[second]
        near = distance(hashes_H[i], hashes_H[j]) <= most
        if near.any():
            yield i[near], j[near]
        advance(len(i))
        start = stop
