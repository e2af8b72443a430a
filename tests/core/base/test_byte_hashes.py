"""The hash of a text is its polynomial, whatever the size of the chunks."""

from __future__ import annotations

import numpy as np
import pytest

from prodrec.core.base import byte_hashes
from prodrec.core.base.byte_hashes import BASE, hash_texts

TEXTS = [b"a", b"", b"ab", b"ba", b"\xe6\x81\xa4" * 9, b"a", b""]


def flat(texts: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.cumsum([0, *map(len, texts)]).astype(np.int64)
    return np.frombuffer(b"".join(texts), np.uint8), offsets


@pytest.mark.parametrize("chunk_bytes", [1, 4, 2**17])
def test_every_hash_is_its_polynomial(chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_hashes, "CHUNK_BYTES", chunk_bytes)
    expected = [sum(byte * BASE**i for i, byte in enumerate(text)) % 2**64 for text in TEXTS]
    assert hash_texts(*flat(TEXTS)).tolist() == expected
    assert hash_texts(*flat([])).tolist() == []
