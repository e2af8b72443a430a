"""Read a text file as blocks of whole lines in UTF-8, whatever its compression, text encoding and line ends.

A line that is not text in the file's encoding does not stop the reading: it is reported with its number.
"""

from __future__ import annotations

import codecs
import gzip
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, cast

from prodrec.core.base.errors import BadOption, BadTable

BLOCK_BYTES = 8 << 20
"""Bytes of a block; its last line may make it longer."""

SAMPLE_BYTES = 4 << 20
"""Bytes from which the encoding is guessed."""

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""UTF-32 comes first: its little-endian mark begins with that of UTF-16."""


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

    def lines(self) -> list[str]:
        """Return the lines without their ends."""
        lines = self.data.decode().split("\n")
        return lines if lines[-1] else lines[:-1]

    def from_line(self, offset: int) -> LineBlock:
        """Return the block without its first `offset` lines."""
        start = 0
        for _ in range(offset):
            start = self.data.find(b"\n", start) + 1
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
    """A text file that may be compressed (`.gz`, or the only file of a `.zip`), and its encoding."""

    path: Path
    encoding: str

    def blocks(self) -> Iterator[LineBlock]:
        """Yield the lines of the file in blocks of about BLOCK_BYTES. A byte order mark at its start is skipped.

        Lines end in `\\n`, `\\r\\n`, or `\\r` if the first block has no `\\n`; in the blocks they all end in `\\n`.

        Raise BadTable if the file cannot be decompressed.
        """
        line, rest, has_newlines = 1, b"", True
        for number, data in enumerate(self._read_utf8_or_bytes()):
            data = rest + data
            if number == 0:
                data = data.removeprefix(codecs.BOM_UTF8)
                has_newlines = b"\n" in data
            if not has_newlines:
                data = data.replace(b"\r", b"\n")
            end = data.rfind(b"\n") + 1
            data, rest = data[:end], data[end:]
            if data:
                block = self._decode(line, data)
                yield block
                line += block.data.count(b"\n")
        if rest:
            yield self._decode(line, rest)

    def _read_utf8_or_bytes(self) -> Iterator[bytes]:
        """Yield the bytes of the file, those of UTF-16 and UTF-32 as UTF-8."""
        with open_decompressed(self.path) as stream:
            if self.encoding in ("utf-16", "utf-32"):
                decoder = codecs.getincrementaldecoder(self.encoding)(errors="replace")
                while chunk := stream.read(BLOCK_BYTES):
                    yield decoder.decode(chunk).encode("utf-8", "replace")
                return
            while chunk := read_bytes(stream, BLOCK_BYTES, self.path):
                yield chunk

    def _decode(self, first_line: int, data: bytes) -> LineBlock:
        """Return the lines `data` in UTF-8, with `\\n` as line end and without other control characters."""
        encoding = "utf-8" if self.encoding in ("utf-16", "utf-32") else self.encoding
        undecodable: dict[int, str] = {}
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            lines: list[str] = []
            for offset, line in enumerate(data.split(b"\n")):
                try:
                    lines.append(line.decode(encoding))
                except UnicodeDecodeError as error:
                    undecodable[offset] = f"byte 0x{line[error.start]:02x} is not {encoding.upper()} text"
                    lines.append(line.decode(encoding, "replace"))
            text = "\n".join(lines)
        if encoding != "utf-8" or undecodable:
            data = text.encode("utf-8", "replace")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b" ")
        return LineBlock(first_line, data.replace(b"\0", b""), undecodable)


def open_decompressed(path: Path) -> IO[bytes]:
    """Open `path` for reading bytes. A `.gz` is decompressed, and of a `.zip` the only file is read.

    Raise BadTable if a zip contains several files or none.
    """
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path))
    if suffix != ".zip":
        return path.open("rb")
    archive = zipfile.ZipFile(path)
    return archive.open(zipped_table(path, archive))


def zipped_table(path: Path, archive: zipfile.ZipFile | None = None) -> str:
    """Return the name of the only file in a zip. Raise BadTable if it contains several or none."""
    try:
        archive = archive or zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise BadTable(f"{path} is not a readable zip file ({error}); zip the table again.") from error
    names = [
        member.filename
        for member in archive.infolist()
        if not member.is_dir()
        and not member.filename.startswith("__MACOSX/")
        and not PurePosixPath(member.filename).name.startswith(".")
    ]
    if len(names) != 1:
        raise BadTable(f"{path} contains {len(names)} files; expected one table: unpack it and name the table.")
    return names[0]


def read_bytes(stream: IO[bytes], size: int, path: Path) -> bytes:
    """Return the next `size` bytes of `stream`. Raise BadTable if `path` cannot be decompressed."""
    try:
        return stream.read(size)
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise BadTable(f"{path} cannot be read: {error}.") from error


def open_text(path: Path, encoding: str | None = None) -> tuple[TextFile, str | None]:
    """Return the file with its encoding, and a note for the user if the encoding is a guess.

    encoding: the encoding that the user named; None is UTF-8, unless a byte order mark or most of the lines with
    characters beyond ASCII show another one

    Raise BadOption for an unknown encoding, and BadTable if the file is empty or contains binary data.
    """
    with open_decompressed(path) as stream:
        sample = read_bytes(stream, SAMPLE_BYTES, path)
    if not sample.strip():
        raise BadTable(f"{path} is empty; expected a table with a header and rows.")
    if encoding is not None:
        try:
            return TextFile(path, codecs.lookup(encoding).name), None
        except LookupError as error:
            raise BadOption(
                f"--encoding {encoding} is unknown; use a name such as utf-8, gb18030 or cp1252."
            ) from error
    marked = next((name for mark, name in _BYTE_ORDER_MARKS if sample.startswith(mark)), None)
    if marked:
        return TextFile(path, marked), None
    if b"\0" in sample[: 1 << 16]:
        raise BadTable(
            f"{path} is not a text table: it contains binary data; expected CSV, TSV or JSON (for UTF-16 without a "
            "byte order mark, add --encoding utf-16-le)."
        )
    guess = guess_encoding(sample)
    if guess == "utf-8":
        return TextFile(path, guess), None
    return TextFile(path, guess), f"{path} is not UTF-8; it is read as {guess.upper()} (--encoding names another one)"


_LIKELY_ENCODINGS = (
    *("gb18030", "big5", "shift_jis", "euc_kr", "euc_jp"),
    *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp874"),
)
"""The encodings of shop exports that are guessed; with more of them, short samples are mistaken more often."""

_SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "big5": "cp950", "shift_jis": "cp932", "euc_kr": "cp949"}
"""Encodings of which a larger one is in use."""


def guess_encoding(sample: bytes) -> str:
    """Return the encoding of text: UTF-8 if at least half of its lines beyond ASCII are, else a statistical guess."""
    beyond_ascii = [line for line in sample.split(b"\n")[:-1] or [sample] if not line.isascii()]
    if sum(_is_utf8(line) for line in beyond_ascii) * 2 >= len(beyond_ascii):
        return "utf-8"
    from charset_normalizer import from_bytes

    text = b"\n".join(line for line in beyond_ascii if not _is_utf8(line))[: 1 << 18]
    best = from_bytes(text, cp_isolation=list(_LIKELY_ENCODINGS)).best()
    encoding = "cp1252" if best is None else best.encoding
    return _SUPERSETS.get(encoding, encoding)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
