"""Read word vectors of other tools: word2vec text and binary, GloVe text, fastText .vec and .bin, also gzipped.

The content of a file determines its format. Text and word2vec binary are read in one pass with constant memory, because
the usual files contain millions of words and a catalogue needs a few thousand. gensim reads fastText .bin: it loads the
whole model, which can derive vectors for unknown words from their n-grams.

Shapes: E numbers in a vector.
"""

from __future__ import annotations

import gzip
import io
import logging
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadArtefact, NotFound
from prodrec.core.data.titles.fasttext_words import check_fasttext_words

_GZIP_MAGIC = b"\x1f\x8b"
_FASTTEXT_MAGIC = struct.pack("<i", 793712314)
_PEEK_BYTES = 1 << 18
"""Bytes at the start of a file that are read to determine its format."""
_MAX_WORD_BYTES = 1 << 18
"""Bytes. A binary file with a longer word is no word2vec file."""
_MAX_DIMENSION = 1 << 16
"""Numbers of a vector. A file that states more has another format."""
_MAX_LINE_BYTES = 1 << 22
"""Bytes of a line of text: 64 for each of the most numbers."""
_MAX_DIGITS = 20
_BLOCK_BYTES = 1 << 22
"""Bytes of a binary file that are read at once."""
_LINES_BETWEEN_ADVANCES = 5_000

Advance = Callable[[int], object]
WordFilter = Callable[[str], bool]
WordAndVector = tuple[str, NDArray[np.float32]]


@dataclass
class VectorFile:
    """A file of word vectors.

    format:      text, binary or fasttext
    dimension:   numbers in a vector
    read:        yields the words that a filter accepts, with their vectors; may be called once
    from_ngrams: returns a vector for a word that is not in the file, or None (fastText .bin only)
    """

    format: str
    dimension: int
    read: Callable[[WordFilter], Iterator[WordAndVector]]
    from_ngrams: Callable[[str], NDArray[np.float32] | None] = field(default=lambda word: None)


def open_vectors(path: Path, *, advance: Advance = lambda bytes_read: None) -> VectorFile:
    """Detect the format of a file of word vectors.

    advance: called with the bytes that were read since the last call

    Raise NotFound, or BadArtefact if the file contains no word vectors. Reading raises BadArtefact if it is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise NotFound(f"{path} does not exist; expected a file of word vectors.")
    if path.is_dir():
        raise BadArtefact(f"{path} is a directory; expected a file of word vectors.")
    try:
        file, raw = _open(path)
        with file, raw:
            start = file.read(_PEEK_BYTES)
    except (OSError, EOFError) as error:
        raise BadArtefact(f"{path} cannot be read ({error}); expected a file of word vectors.") from error
    if start.startswith(_FASTTEXT_MAGIC):
        return _open_fasttext(path, advance)
    first, _, rest = start.partition(b"\n")
    sizes = _parse_header(first)
    if sizes is None:
        dimension = len(_parse_numbers(first))
        if dimension < 2:
            raise BadArtefact(
                f"{path} contains no word vectors: it begins with {first[:60]!r}, expected a word and numbers."
            )
        return VectorFile("text", dimension, lambda accepts: _read_text(path, None, dimension, accepts, advance))
    words, dimension = sizes
    second = rest.partition(b"\n")[0]
    if len(_parse_numbers(second)) == dimension:
        return VectorFile("text", dimension, lambda accepts: _read_text(path, words, dimension, accepts, advance))
    if _is_text(rest):
        raise BadArtefact(f"{path}, line 2: expected a word and {dimension} numbers, found {second[:60]!r}.")
    return VectorFile("binary", dimension, lambda accepts: _read_binary(path, words, dimension, accepts, advance))


def _open(path: Path) -> tuple[IO[bytes], IO[bytes]]:
    """Return the content of a plain or gzipped file, and the file itself, whose position measures the progress."""
    raw = path.open("rb")
    zipped = raw.read(2) == _GZIP_MAGIC
    raw.seek(0)
    return (io.BufferedReader(gzip.GzipFile(fileobj=raw)) if zipped else raw), raw


def _parse_header(line: bytes) -> tuple[int, int] | None:
    """Return the number of words and the dimension from the first line of a word2vec file; None for another line."""
    parts = line.split()
    if len(parts) != 2 or not all(part.isdigit() and len(part) < _MAX_DIGITS for part in parts):
        return None
    words, dimension = map(int, parts)
    return (words, dimension) if 0 < dimension <= _MAX_DIMENSION else None


def _parse_numbers(line: bytes) -> list[float]:
    """Return the numbers after the first word of a line, or an empty list if one of them cannot be parsed."""
    try:
        return [float(part) for part in line.split()[1:]]
    except ValueError:
        return []


def _is_text(block: bytes) -> bool:
    return b"\0" not in block and all(byte >= 32 or byte in b"\t\r\n" for byte in block)


def _read_text(
    path: Path, words: int | None, dimension: int, accepts: WordFilter, advance: Advance
) -> Iterator[WordAndVector]:
    """Yield the accepted words of a text file; `words` is the number in its header, or None without header."""
    file, raw = _open(path)
    with file, raw:
        first_line = 1 if words is None else 2
        if words is not None:
            file.readline()
        number, line, reported = first_line - 1, b"", 0
        try:
            for number, line in enumerate(iter(lambda: file.readline(_MAX_LINE_BYTES), b""), start=first_line):
                if len(line) == _MAX_LINE_BYTES:
                    raise BadArtefact(f"{path}, line {number}: it is longer than {_MAX_LINE_BYTES:,} bytes.")
                encoded = line[: line.find(b" ")] if b" " in line else line.partition(b"\t")[0]
                word = encoded.decode("utf-8", "replace")
                if accepts(word):
                    numbers = _parse_numbers(line)
                    if len(numbers) == dimension:
                        yield word, _finite(numbers, path, f"line {number}")
                    elif not numbers and _is_phrase(line, dimension):
                        continue
                    else:
                        raise BadArtefact(
                            f"{path}, line {number}: found {len(numbers)} numbers after {word!r}, expected {dimension}."
                        )
                if number % _LINES_BETWEEN_ADVANCES == 0:
                    advance(raw.tell() - reported)
                    reported = raw.tell()
        except (OSError, EOFError) as error:
            raise BadArtefact(f"{path} is damaged after line {number} ({error}).") from error
        words_read = number - first_line + 1
        if words is not None and words_read < words:
            raise BadArtefact(f"{path} is truncated: its first line promises {words:,} words, it has {words_read:,}.")
        if len(_parse_numbers(line)) != dimension and not _is_phrase(line, dimension):
            raise BadArtefact(f"{path} is truncated: line {number} does not contain {dimension} numbers.")
        advance(raw.tell() - reported)


def _is_phrase(line: bytes, dimension: int) -> bool:
    """Return whether the line starts with several words. Such a phrase equals no word of a title and is skipped."""
    parts = line.split()
    return len(parts) > dimension + 1 and len(_parse_numbers(b"phrase " + b" ".join(parts[-dimension:]))) == dimension


def _read_binary(
    path: Path, words: int, dimension: int, accepts: WordFilter, advance: Advance
) -> Iterator[WordAndVector]:
    """Yield the accepted words of a word2vec binary file, whose header promises `words` words."""
    vector_bytes = 4 * dimension  # float32
    file, raw = _open(path)
    with file, raw:
        file.readline()
        block, start, reported = b"", 0, 0
        for number in range(1, words + 1):
            while (blank := block.find(b" ", start)) < 0 or len(block) < blank + 1 + vector_bytes:
                try:
                    more = file.read(_BLOCK_BYTES)
                except (OSError, EOFError) as error:
                    raise BadArtefact(f"{path} is damaged after word {number - 1:,} ({error}).") from error
                if not more or (blank < 0 and len(block) - start > _MAX_WORD_BYTES):
                    raise BadArtefact(
                        f"{path} is truncated or no word2vec file: its first line promises {words:,} words of "
                        f"{dimension} numbers, and word {number:,} is missing."
                    )
                block, start = block[start:] + more, 0
                advance(raw.tell() - reported)
                reported = raw.tell()
            word = block[start:blank].lstrip(b"\n").decode("utf-8", "replace")
            start = blank + 1 + vector_bytes
            if accepts(word):
                vector = np.frombuffer(block, dtype="<f4", count=dimension, offset=blank + 1)
                yield word, _finite(vector, path, f"word {number:,} ({word!r})")


def _open_fasttext(path: Path, advance: Advance) -> VectorFile:
    """Load a fastText .bin with gensim."""
    from gensim.models.fasttext import load_facebook_vectors

    logging.getLogger("gensim").setLevel(logging.ERROR)
    try:
        file, raw = _open(path)
        with file, raw:
            check_fasttext_words(file)
        vectors: Any = load_facebook_vectors(str(path))
    except (OSError, EOFError, ValueError, AssertionError, NotImplementedError, struct.error, MemoryError) as error:
        raise BadArtefact(f"{path} begins like a fastText model but cannot be read ({error}).") from error
    advance(path.stat().st_size)

    def read(accepts: WordFilter) -> Iterator[WordAndVector]:
        for word in vectors.key_to_index:
            if accepts(word):
                yield word, _finite(vectors[word], path, f"word {word!r}")

    def from_ngrams(word: str) -> NDArray[np.float32] | None:
        try:
            return _finite(vectors[word], path, f"word {word!r}")
        except KeyError:
            return None

    return VectorFile("fasttext", int(vectors.vector_size), read, from_ngrams)


def _finite(numbers: Any, path: Path, where: str) -> NDArray[np.float32]:
    """Return `numbers` as a vector. Raise BadArtefact if one of them is not finite."""
    vector = np.array(numbers, dtype=np.float32)
    if not np.isfinite(vector).all():
        raise BadArtefact(f"{path}, {where}: the vector contains numbers that are not finite.")
    return vector
