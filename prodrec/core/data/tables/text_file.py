"""Read a text file as blocks of whole lines in UTF-8, whatever its compression, text encoding and line ends.

A line that is not text in the file's encoding does not stop the reading: it is reported with its number.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from prodrec.core.base.errors import BadOption, BadTable
from prodrec.core.data.tables.decompress import open_decompressed, read_bytes
from prodrec.core.data.tables.encodings import (
    MARK_UNDECODABLE,
    guess_encoding,
    is_binary,
    is_wide,
    marked_encoding,
    named_encoding,
    wide_encoding,
)

BLOCK_BYTES = 8 << 20
"""Bytes of a block; its last line may make it longer."""

MAX_LINE_BYTES = 256 << 20
"""Bytes after which a line without an end is refused: a few kilobytes of a compressed file can contain gigabytes."""

SAMPLE_BYTES = 4 << 20
"""Bytes from which the encoding and the line ends are guessed."""

_OTHER_FORMATS = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "with .zip or .xlsx at the end"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", "with .xls at the end"),
    (b"PAR1", "a Parquet table", "with .parquet at the end"),
)
"""First bytes of tables in another format than the file's name shows, and the name that they need."""


NOT_TEXT = " text"
"""How the reason of a line that is not text ends."""


@dataclass(frozen=True)
class LineBlock:
    """Whole lines of a file.

    first_line:  the number of the first line, from 1
    data:        the lines in UTF-8; each ends in `\\n`, apart from the last one of the file
    undecodable: the offsets from `first_line` of lines that are not text, with the reason
    """

    first_line: int
    data: bytes
    undecodable: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of lines."""
        return self.data.count(b"\n") + (self.data[-1:] not in (b"", b"\n"))

    def lines(self) -> list[str]:
        """Return the lines without their ends."""
        lines = self.data.decode().split("\n")
        return lines if lines[-1] else lines[:-1]

    def from_line(self, offset: int) -> LineBlock:
        """Return the block without its first `offset` lines, or without any line if it has no more."""
        remaining = len(self) - offset
        if remaining <= 0:
            start = len(self.data)
        elif offset < remaining:
            start = 0
            for _ in range(offset):
                start = self.data.find(b"\n", start) + 1
        else:  # a few lines at the end
            start = len(self.data) - self.data.endswith(b"\n")
            for _ in range(remaining):
                start = self.data.rfind(b"\n", 0, start)
            start += 1
        undecodable = {i - offset: reason for i, reason in self.undecodable.items() if i >= offset}
        return LineBlock(self.first_line + offset, self.data[start:], undecodable)

    def join(self, following: LineBlock) -> LineBlock:
        """Return this block with the lines of the following one."""
        if not self.data:
            return following
        lines = following.first_line - self.first_line
        undecodable = self.undecodable | {i + lines: reason for i, reason in following.undecodable.items()}
        return LineBlock(self.first_line, self.data + following.data, undecodable)


@dataclass(frozen=True)
class TextFile:
    """A text file that may be compressed, see `decompress`.

    encoding:    its text encoding
    has_cr_ends: whether lines end in `\\r`, as in old files of macOS
    """

    path: Path
    encoding: str
    has_cr_ends: bool = False

    def blocks(self) -> Iterator[LineBlock]:
        """Yield the lines of the file in blocks of about BLOCK_BYTES. A byte order mark at its start is skipped.

        Lines end in `\\n` or `\\r\\n`, and in `\\r` too if most lines of the file do; in the blocks they all end in
        `\\n`. Any other `\\r` becomes a space, and NUL bytes are dropped.

        Raise BadTable if the file cannot be decompressed, or a line has more than MAX_LINE_BYTES.
        """
        line, unfinished = 1, list[bytes]()
        for chunk in self._read():
            end = self._end_of_lines(chunk)
            if not end:
                unfinished.append(chunk)
                if sum(map(len, unfinished)) > MAX_LINE_BYTES:
                    raise BadTable(
                        f"{self.path}, line {line}: it does not end within {MAX_LINE_BYTES >> 20} MiB; expected a "
                        "table with a line for each product."
                    )
                continue
            block = self._decode(line, b"".join([*unfinished, chunk[:end]]))
            yield block
            line += len(block)
            unfinished = [chunk[end:]]
        rest = self._decode(line, b"".join(unfinished))
        if rest.data:
            yield rest

    def _end_of_lines(self, chunk: bytes) -> int:
        """Return where the last line of `chunk` that surely is complete ends; 0 if there is none."""
        if not self.has_cr_ends:
            return chunk.rfind(b"\n") + 1
        end = chunk.rfind(b"\r", 0, len(chunk) - 1) + 1  # after a last \r, a \n may follow
        return end + 1 if end and chunk[end : end + 1] == b"\n" else end

    def _read(self) -> Iterator[bytes]:
        """Yield the bytes of the file; those of an encoding that cannot be cut at line ends as UTF-8.

        What is not text in such an encoding becomes bytes that are not UTF-8 either.
        """
        decoder = codecs.getincrementaldecoder(self.encoding)(MARK_UNDECODABLE) if is_wide(self.encoding) else None
        with open_decompressed(self.path) as stream:
            while chunk := read_bytes(stream, BLOCK_BYTES, self.path):
                yield chunk if decoder is None else decoder.decode(chunk).encode("utf-8", "surrogatepass")
        if decoder is not None:
            yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")

    def _decode(self, first_line: int, data: bytes) -> LineBlock:
        """Return the lines `data` in UTF-8, with `\\n` as line end and without other control characters."""
        while first_line == 1 and data.startswith(codecs.BOM_UTF8):  # a program may have added another one
            data = data.removeprefix(codecs.BOM_UTF8)
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n" if self.has_cr_ends else b" ")
        encoding = "utf-8" if is_wide(self.encoding) else self.encoding
        undecodable: dict[int, str] = {}
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            lines: list[str] = []
            for offset, line in enumerate(data.split(b"\n")):
                try:
                    lines.append(line.decode(encoding))
                except UnicodeDecodeError as error:
                    what = "a character" if is_wide(self.encoding) else f"byte 0x{line[error.start]:02x}"
                    undecodable[offset] = f"{what} is not {self.encoding.upper()}{NOT_TEXT}"
                    lines.append(line.decode(encoding, "replace"))
            text = "\n".join(lines)
        if encoding != "utf-8" or undecodable:
            data = text.encode("utf-8", "replace")
        return LineBlock(first_line, data.replace(b"\0", b""), undecodable)


def open_text(path: Path, encoding: str | None = None) -> tuple[TextFile, str | None]:
    """Return the file with its encoding, and a note for the user if the encoding is a guess.

    encoding: the encoding that the user named; None is UTF-8, unless a byte order mark, the places of NUL bytes, or
    most of the lines with characters beyond ASCII show another one

    Raise BadOption for an unknown encoding, and BadTable if the file is empty or contains binary data.
    """
    with open_decompressed(path) as stream:
        sample = read_bytes(stream, SAMPLE_BYTES, path)
    if not sample.strip(b"\0 \t\r\n\f\xef\xbb\xbf\xff\xfe"):
        raise BadTable(f"{path} is empty; expected a table with a header and rows.")
    for first_bytes, content, name in _OTHER_FORMATS:
        if sample.startswith(first_bytes):
            raise BadTable(f"{path} contains {content}; expected a text table: give it a name {name}.")
    guessed = False
    if encoding is not None:
        try:
            encoding = named_encoding(encoding)
        except LookupError as error:
            raise BadOption(
                f"--encoding {encoding} is unknown; use a name such as utf-8, gb18030 or cp1252."
            ) from error
        if is_wide(encoding):
            encoding = _named_wide_encoding(path, encoding, sample)
    else:
        encoding = marked_encoding(sample)
    if encoding is None:
        start = sample[: 1 << 16]
        encoding = wide_encoding(start)
        if encoding is None and is_binary(start):
            raise BadTable(f"{path} is not a text table: it contains binary data; expected CSV, TSV or JSON.")
        encoding = encoding or guess_encoding(sample, is_whole=len(sample) < SAMPLE_BYTES)
        guessed = encoding != "utf-8"
    note = f"{path} is not UTF-8; it is read as {encoding.upper()} (--encoding names another one)" if guessed else None
    return TextFile(path, encoding, _has_cr_ends(sample, encoding)), note


def _named_wide_encoding(path: Path, encoding: str, sample: bytes) -> str:
    """Return `encoding` with the order of its bytes. Raise BadOption if the file contains no lines of such text."""
    if encoding in ("utf-16", "utf-32") and marked_encoding(sample) != encoding:
        encoding = wide_encoding(sample) or f"{encoding}-le"
    if not re.search("[\r\n]", sample.decode(encoding, "replace")):
        raise BadOption(f"--encoding {encoding}: {path} contains no lines of such text; omit it to have it guessed.")
    return encoding


def _has_cr_ends(sample: bytes, encoding: str) -> bool:
    """Return whether `\\r` ends more lines than `\\n` does."""
    if is_wide(encoding):
        sample = sample.decode(encoding, "replace").encode()
    return sample.count(b"\r") - sample.count(b"\r\n") > sample.count(b"\n")
