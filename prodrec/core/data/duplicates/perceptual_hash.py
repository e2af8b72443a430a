"""A perceptual hash of 64 bits, and all pairs of photos whose hashes differ in a few bits.

The hash follows Zauner (2010), "pHash": reduce the photo to 32 × 32 grey pixels, apply the discrete cosine transform,
and set one bit for each of the 8 × 8 lowest frequencies that exceeds their median. All arithmetic is in integers, which
makes the bits the same on every machine.

Shapes: N photos, S = SIDE pixels of a grey photo's side, H distinct hashes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.ranges import concatenated_ranges

SIDE = 32
BITS = 64
FLAT = 0
"""The hash of a photo without structure, such as a single plain colour. It is not compared with other hashes."""

_LOW = 8  # frequencies in each direction
_COSINES = np.rint(  # basis of the discrete cosine transform, scaled to integers
    4096 * np.cos(np.pi / SIDE * np.outer(np.arange(_LOW), np.arange(SIDE) + 0.5)),
).astype(np.int64)
_FLAT_BELOW = 2 * 4096**2 * SIDE  # the largest coefficient that JPEG noise produces in a plain photo
_CHUNK_PAIRS = 1 << 20


def hash_grey(grey_NSS: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the perceptual hashes, uint64 [N], of grey photos, uint8 [N, 32, 32]."""
    spectrum = (_COSINES @ grey_NSS.astype(np.int64) @ _COSINES.T).reshape(len(grey_NSS), BITS)
    without_mean = spectrum[:, 1:]
    bits = spectrum > np.median(without_mean, axis=1, keepdims=True)
    bits[:, 0] = True  # the mean is not structure; the constant bit also keeps every other hash distinct from FLAT
    hashes_N = np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64)
    hashes_N[np.abs(without_mean).max(axis=1, initial=0) < _FLAT_BELOW] = FLAT
    return hashes_N


def hamming_distance(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return the number of bits in which a and b differ, element by element: uint8."""
    distance: NDArray[np.uint8] = np.bitwise_count(a ^ b)
    return distance


def count_comparisons(hashes_H: NDArray[np.uint64], max_bits: int) -> int:
    """Return the number of pairs that `near_pairs` compares: all pairs within the buckets of every band.

    Photos that look alike, for example before one plain background, fall into few buckets; nearly all pairs are then
    compared.
    """
    bucket_sizes = (np.unique(hashes_H & band, return_counts=True)[1] for band in _bands(max_bits))
    return sum(int((sizes * (sizes - 1) // 2).sum()) for sizes in bucket_sizes)


def near_pairs(
    hashes_H: NDArray[np.uint64], max_bits: int, *, advance: Callable[[int], object] = lambda compared: None
) -> Iterator[NDArray[np.int64]]:
    """Yield every pair of positions i < j whose hashes differ in at most `max_bits` bits, once: int64 [pairs, 2].

    The pairs come in chunks, which bound the memory. Two hashes that differ in at most k bits are equal in at least
    one of k + 1 bands of bits, so only hashes with an equal band are compared (multi-index hashing, Norouzi et al.
    2012). `advance` is called with the number of pairs compared since its last call.
    """
    bands = _bands(max_bits)
    for number, band in enumerate(bands):
        values_H = hashes_H & band
        order_H = np.argsort(values_H, kind="stable")
        bucket_ends_H = np.searchsorted(values_H[order_H], values_H[order_H], side="right")
        for i, j in _compare_buckets(hashes_H, order_H, bucket_ends_H, max_bits, advance):
            difference = hashes_H[i] ^ hashes_H[j]
            in_earlier_band = np.zeros(len(i), bool)
            for earlier in bands[:number]:
                in_earlier_band |= (difference & earlier) == 0
            yield np.sort(np.stack([i, j], axis=1)[~in_earlier_band], axis=1)


def _bands(max_bits: int) -> list[np.uint64]:
    """Return the masks of `max_bits` + 1 bands that partition the bits."""
    edges = np.linspace(0, BITS, max_bits + 2).astype(int).tolist()
    return [np.uint64((1 << high) - (1 << low)) for low, high in itertools.pairwise(edges)]


def _compare_buckets(
    hashes_H: NDArray[np.uint64],
    order_H: NDArray[np.int64],
    bucket_ends_H: NDArray[np.int64],
    max_bits: int,
    advance: Callable[[int], object],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Compare every hash with the following ones of its bucket, in chunks of about a million pairs.

    order_H:       positions sorted by bucket
    bucket_ends_H: for every entry of `order_H`, where in `order_H` its bucket ends

    Yields the positions i and j of the pairs that differ in at most `max_bits` bits.
    """
    following_H = bucket_ends_H - np.arange(len(order_H)) - 1
    pairs_before = np.concatenate([[0], np.cumsum(following_H)])
    start = 0
    while start < len(order_H):
        limit = pairs_before[start] + _CHUNK_PAIRS
        stop = max(start + 1, int(np.searchsorted(pairs_before, limit, side="right")) - 1)
        counts = following_H[start:stop]
        first = np.repeat(np.arange(start, stop), counts)
        second = concatenated_ranges(np.arange(start, stop) + 1, counts)
        i, j = order_H[first], order_H[second]
        is_near = hamming_distance(hashes_H[i], hashes_H[j]) <= max_bits
        if is_near.any():
            yield i[is_near], j[is_near]
        advance(len(i))
        start = stop
