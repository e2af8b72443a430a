"""Word vectors that others made: word2vec text and binary, GloVe text, fastText .vec and .bin, plain or gzipped.

What a file is, is told by its content. Text and word2vec binary are read in one pass at constant memory, because the
usual files hold millions of words and a catalogue needs a few thousand; fastText .bin goes through gensim, which loads
it whole and can make up vectors for unknown words from their n-grams.

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

_GZIP = b"\x1f\x8b"
_FASTTEXT = struct.pack("<i", 793712314)
_PEEK = 1 << 18
_BLOCK = 1 << 22
_WORDS_BETWEEN_ADVANCES = 5_000

Wanted = Callable[[str], bool]
WordAndVector = tuple[str, NDArray[np.float32]]


@dataclass
class VectorFile:
    """A recognised file: its format, the numbers in a vector, and `read` over the words that are wanted.

    `read` may be used once. `from_parts` makes a vector for a word that the file does not have (fastText .bin only).
    """

    format: str
    dimension: int
    read: Callable[[Wanted], Iterator[WordAndVector]]
    from_parts: Callable[[str], NDArray[np.float32] | None] = field(default=lambda word: None)


def open_vectors(path: Path, *, advance: Callable[[int], object] = lambda count: None) -> VectorFile:
    """Recognise a file of word vectors. `advance` is called with the bytes that were read since the last call.

    Raises NotFound, or BadArtefact for a file without word vectors; reading raises BadArtefact where it is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise NotFound(f"{path} does not exist; expected a file of word vectors.")
    if path.is_dir():
        raise BadArtefact(f"{path} is a directory; expected a file of word vectors.")
    try:
        file, raw = _open(path)
        with file, raw:
            head = file.read(_PEEK)
    except (OSError, EOFError) as error:
        raise BadArtefact(f"{path} cannot be read ({error}); expected a file of word vectors.") from error
    if head.startswith(_FASTTEXT):
        return _fasttext(path, advance)
    first, _, rest = head.partition(b"\n")
    counts = _two_counts(first)
    if counts is None:
        dimension = len(_numbers(first))
        if dimension < 2:
            raise BadArtefact(
                f"{path} holds no word vectors: it begins with {first[:60]!r}, expected a word and numbers."
            )
        return VectorFile("text", dimension, lambda wanted: _read_text(path, None, dimension, wanted, advance))
    words, dimension = counts
    second = rest.partition(b"\n")[0]
    if len(_numbers(second)) == dimension:
        return VectorFile("text", dimension, lambda wanted: _read_text(path, words, dimension, wanted, advance))
    if _is_text(rest):
        raise BadArtefact(f"{path}, line 2: expected a word and {dimension} numbers, found {second[:60]!r}.")
    return VectorFile("binary", dimension, lambda wanted: _read_binary(path, words, dimension, wanted, advance))


def _open(path: Path) -> tuple[IO[bytes], IO[bytes]]:
    """The content of a plain or gzipped file, and the file below it, which knows how far we are."""
    raw = path.open("rb")
    zipped = raw.read(2) == _GZIP
    raw.seek(0)
    return (io.BufferedReader(gzip.GzipFile(fileobj=raw)) if zipped else raw), raw


def _two_counts(line: bytes) -> tuple[int, int] | None:
    """The header `words dimension` of word2vec and fastText text."""
    parts = line.split()
    if len(parts) == 2 and all(part.isdigit() for part in parts) and int(parts[1]) > 0:
        return int(parts[0]), int(parts[1])
    return None


def _numbers(line: bytes) -> list[float]:
    """The numbers after the first word of a line; empty where one of them is none."""
    try:
        return [float(part) for part in line.split()[1:]]
    except ValueError:
        return []


def _is_text(block: bytes) -> bool:
    return b"\0" not in block and all(byte >= 32 or byte in b"\t\r\n" for byte in block)


def _read_text(
    path: Path, words: int | None, dimension: int, wanted: Wanted, advance: Callable[[int], object]
) -> Iterator[WordAndVector]:
    file, raw = _open(path)
    with file, raw:
        first = 1 if words is None else 2
        if words is not None:
            file.readline()
        number, line, told = first - 1, b"", 0
        try:
            for number, line in enumerate(file, start=first):
                word = line[: line.find(b" ")] if b" " in line else line.partition(b"\t")[0]
                name = word.decode("utf-8", "replace")
                if wanted(name):
                    numbers = _numbers(line)
                    if len(numbers) == dimension:
                        yield name, _finite(numbers, path, f"line {number}")
                    elif not numbers and _is_phrase(line, dimension):
                        continue
                    else:
                        raise BadArtefact(
                            f"{path}, line {number}: found {len(numbers)} numbers after {name!r}, expected {dimension}."
                        )
                if number % _WORDS_BETWEEN_ADVANCES == 0:
                    advance(raw.tell() - told)
                    told = raw.tell()
        except (OSError, EOFError) as error:
            raise BadArtefact(f"{path} is damaged after line {number} ({error}).") from error
        read = number - first + 1
        if words is not None and read < words:
            raise BadArtefact(f"{path} is truncated: its first line promises {words:,} words, it has {read:,}.")
        if len(_numbers(line)) != dimension and not _is_phrase(line, dimension):
            raise BadArtefact(f"{path} is truncated: line {number} does not hold {dimension} numbers.")
        advance(raw.tell() - told)


def _is_phrase(line: bytes, dimension: int) -> bool:
    """Whether the line is a phrase with blanks inside and then its numbers; no word of a title is one."""
    parts = line.split()
    return len(parts) > dimension + 1 and len(_numbers(b"phrase " + b" ".join(parts[-dimension:]))) == dimension


def _read_binary(
    path: Path, words: int, dimension: int, wanted: Wanted, advance: Callable[[int], object]
) -> Iterator[WordAndVector]:
    size = 4 * dimension
    file, raw = _open(path)
    with file, raw:
        file.readline()
        block, at, told = b"", 0, 0
        for number in range(1, words + 1):
            while (blank := block.find(b" ", at)) < 0 or len(block) < blank + 1 + size:
                try:
                    more = file.read(_BLOCK)
                except (OSError, EOFError) as error:
                    raise BadArtefact(f"{path} is damaged after word {number - 1:,} ({error}).") from error
                if not more or (blank < 0 and len(block) - at > _PEEK):
                    raise BadArtefact(
                        f"{path} is truncated or no word2vec file: its first line promises {words:,} words of "
                        f"{dimension} numbers, and word {number:,} is not there."
                    )
                block, at = block[at:] + more, 0
                advance(raw.tell() - told)
                told = raw.tell()
            name = block[at:blank].lstrip(b"\n").decode("utf-8", "replace")
            at = blank + 1 + size
            if wanted(name):
                vector = np.frombuffer(block, dtype="<f4", count=dimension, offset=blank + 1)
                yield name, _finite(vector, path, f"word {number:,} ({name!r})")


def _fasttext(path: Path, advance: Callable[[int], object]) -> VectorFile:
    from gensim.models.fasttext import load_facebook_vectors

    logging.getLogger("gensim").setLevel(logging.ERROR)
    try:
        vectors: Any = load_facebook_vectors(str(path))
    except (OSError, EOFError, ValueError, AssertionError, NotImplementedError, struct.error, MemoryError) as error:
        raise BadArtefact(f"{path} begins as a fastText model and cannot be read ({error}).") from error
    advance(path.stat().st_size)

    def read(wanted: Wanted) -> Iterator[WordAndVector]:
        for name in vectors.key_to_index:
            if wanted(name):
                yield name, _finite(vectors[name], path, f"word {name!r}")

    def from_parts(word: str) -> NDArray[np.float32] | None:
        try:
            return _finite(vectors[word], path, f"word {word!r}")
        except KeyError:
            return None

    return VectorFile("fasttext", int(vectors.vector_size), read, from_parts)


def _finite(numbers: Any, path: Path, where: str) -> NDArray[np.float32]:
    vector = np.array(numbers, dtype=np.float32)
    if not np.isfinite(vector).all():
        raise BadArtefact(f"{path}, {where}: the vector holds numbers that are not finite.")
    return vector
