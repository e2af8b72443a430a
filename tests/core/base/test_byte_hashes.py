"""Hashes are the polynomial that they say they are, however the texts are cut into pieces."""

from __future__ import annotations

import numpy as np
import pytest

from prodrec.core.base import byte_hashes
from prodrec.core.base.byte_hashes import BASE, cuts, hashes_of

TEXTS = [b"a", b"", b"ab", b"ba", b"\xe6\x81\xa4" * 9, b"a", b""]


def flat(texts: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.cumsum([0, *map(len, texts)]).astype(np.int64)
    return np.frombuffer(b"".join(texts), np.uint8), offsets


@pytest.mark.parametrize("piece", [1, 4, 2**17])
def test_every_hash_is_its_polynomial(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_hashes, "PIECE", piece)
    expected = [sum(byte * BASE**i for i, byte in enumerate(text)) % 2**64 for text in TEXTS]
    assert hashes_of(*flat(TEXTS)).tolist() == expected
    assert hashes_of(*flat([])).tolist() == []


@pytest.mark.parametrize("size", [1, 3, 5, 1000])
def test_pieces_hold_every_text_once(size: int) -> None:
    offsets = flat(TEXTS)[1]
    found = list(cuts(offsets, size))
    assert [first for first, _ in found] == [0, *(last for _, last in found[:-1])] and found[-1][1] == len(TEXTS)
    assert all(last > first for first, last in found)
    assert all(offsets[last] - offsets[first] <= size or last == first + 1 for first, last in found)
