"""Check the words of a fastText .bin before gensim reads them: at the end of a file that ends inside a word, it would
read on for ever.

    int32 magic, version · int32 × 12 settings, float64 · int32 words and labels in all, words, labels · int64 tokens,
    pruned · for every word: UTF-8 and a zero byte, int64 count, int8 type · matrices
"""

from __future__ import annotations

import struct
from typing import IO

NEW_VERSION = 12
MAX_WORD_BYTES = 1 << 18
BLOCK_BYTES = 1 << 20
AFTER_WORD = struct.calcsize("<qb")


def check_fasttext_words(file: IO[bytes]) -> None:
    """Read the header and all words. Raise ValueError if the file ends before the last of them."""
    _, version = _unpack(file, "<2i")
    if version != NEW_VERSION:
        raise ValueError(f"its version is {version}, expected {NEW_VERSION}")
    _unpack(file, "<12id")
    entries, *_ = _unpack(file, "<3i2q")
    block, start = b"", 0
    for number in range(1, entries + 1):
        while (end := block.find(b"\0", start)) < 0 or len(block) < end + 1 + AFTER_WORD:
            more = file.read(BLOCK_BYTES)
            if not more or len(block) - start > MAX_WORD_BYTES + BLOCK_BYTES:
                raise ValueError(f"it ends in word {number:,} of {entries:,}")
            block, start = block[start:] + more, 0
        start = end + 1 + AFTER_WORD


def _unpack(file: IO[bytes], form: str) -> tuple[int, ...]:
    """Return the next numbers of the file."""
    data = file.read(struct.calcsize(form))
    if len(data) < struct.calcsize(form):
        raise ValueError("it ends in its header")
    return struct.unpack(form, data)
