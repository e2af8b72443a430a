"""Remove the texts of a PNG file, which Pillow refuses to read if they are long."""

from __future__ import annotations

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")  # no chunk of the image; all are compressed or as long as one likes


def without_texts(data: bytes) -> bytes:
    """Return a PNG file without its texts and its colour profile: its pixels are the same."""
    kept, position = [data[: len(SIGNATURE)]], len(SIGNATURE)
    while position + 8 <= len(data):
        # a chunk: the length of its data, its type, the data, and a checksum
        end = position + 12 + int.from_bytes(data[position : position + 4])
        if data[position + 4 : position + 8] not in _TEXT_CHUNKS:
            kept.append(data[position:end])
        position = end
    return b"".join(kept)
