"""Perceptual hashes of similar and of different photos, and the search for near pairs."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from prodrec.core.data.duplicates import perceptual_hash
from prodrec.core.data.duplicates.perceptual_hash import (
    FLAT,
    SIDE,
    count_comparisons,
    hamming_distance,
    hash_grey,
    near_pairs,
)


def grey(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))


def picture(seed: int) -> Image.Image:
    patches = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize((120, 100), Image.Resampling.BICUBIC)


def hashes_of(*images: Image.Image) -> NDArray[np.uint64]:
    return hash_grey(np.stack([grey(image) for image in images]))


def test_distance_counts_bits() -> None:
    a = np.random.default_rng(0).integers(0, 2**64, 200, dtype=np.uint64)
    b = np.roll(a, 1)
    expected = [(int(x) ^ int(y)).bit_count() for x, y in zip(a, b, strict=True)]
    assert hamming_distance(a, b).tolist() == expected
    assert hamming_distance(a, a).max() == 0


def test_the_same_photo_encoded_or_resized_again_is_near() -> None:
    for seed in range(20):
        original = picture(seed)
        stream = io.BytesIO()
        original.resize((90, 75), Image.Resampling.LANCZOS).save(stream, "JPEG", quality=60)
        a, b = hashes_of(original, Image.open(stream))
        assert hamming_distance(a[None], b[None])[0] <= 8


def test_other_photos_are_far() -> None:
    hashes = hashes_of(*(picture(seed) for seed in range(60)))
    i, j = np.triu_indices(60, 1)
    assert np.median(hamming_distance(hashes[i], hashes[j])) > 24
    assert hamming_distance(hashes[i], hashes[j]).min() > 8


def test_photos_without_structure_have_the_flat_hash() -> None:
    noisy = Image.fromarray(np.random.default_rng(0).integers(250, 253, (60, 60), dtype=np.uint8))
    assert hashes_of(Image.new("RGB", (50, 50), (9, 99, 200)), noisy).tolist() == [FLAT, FLAT]
    assert (hashes_of(*(picture(seed) for seed in range(20))) != FLAT).all()


def test_a_hash_does_not_depend_on_the_other_photos() -> None:
    """All arithmetic is in integers: neither the batch nor the machine changes a bit."""
    images = [picture(seed) for seed in range(9)]
    together = hashes_of(*images)
    assert together.tolist() == [int(hashes_of(image)[0]) for image in images]
    y, x = np.mgrid[:SIDE, :SIDE]
    waves = ((x * y) // 5 + (x - 9) ** 2 // 3 + 7 * y).astype(np.uint8)
    assert f"{int(hash_grey(waves[None])[0]):016x}" == "b51e254a52665de3"


@pytest.mark.parametrize("bits", [1, 2, 4, 7])
@pytest.mark.parametrize("at_once", [1, 50, 1 << 20])
def test_banded_pairs_are_all_pairs(bits: int, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual_hash, "_CHUNK_PAIRS", at_once)
    random = np.random.default_rng(bits)
    hashes = random.integers(0, 2**64, 40, dtype=np.uint64)
    flips = [np.bitwise_or.reduce(np.uint64(1) << random.integers(0, 64, k).astype(np.uint64)) for k in range(1, 9)]
    hashes = np.unique(np.concatenate([hashes, *(hashes ^ flip for flip in flips)]))
    i, j = np.triu_indices(len(hashes), 1)
    near = hamming_distance(hashes[i], hashes[j]) <= bits
    expected = sorted(zip(i[near].tolist(), j[near].tolist(), strict=True))
    compared: list[int] = []
    pairs = near_pairs(hashes, bits, advance=compared.append)
    listed = sorted(tuple(pair) for chunk in pairs for pair in chunk.tolist())
    assert listed == expected and len(expected) > 0  # each pair once
    assert sum(compared) == count_comparisons(hashes, bits) < (bits + 1) * len(i)


def test_no_pairs_among_none() -> None:
    assert list(near_pairs(np.empty(0, np.uint64), 4)) == []
