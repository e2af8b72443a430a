"""Decide whether a JPEG without its end marker contains all of its pixels.

Some cameras, web servers and downloads omit the last two bytes. Pillow reports such a file as truncated, as it does for
a file whose lower half is missing.
"""

from __future__ import annotations

from collections.abc import Iterator

END_MARKER = b"\xff\xd9"

_START_OF_SCAN = 0xDA
_FRAMES = {0xC0, 0xC1, 0xC2}  # baseline, extended sequential, progressive: all that decoders support with Huffman codes
_COEFFICIENTS = 64


def is_whole_without_end(data: bytes) -> bool:
    """Return whether a JPEG is complete apart from its end marker.

    It is if a strict decoder reads all pixels, with the end marker appended, and all coefficients are in its scans. A
    progressive file that ends between two scans decodes without an error, but is blurred.
    """
    import simplejpeg

    data += END_MARKER
    try:
        _, _, colours, _ = simplejpeg.decode_jpeg_header(data, strict=True)
        colours = "CMYK" if colours in ("CMYK", "YCCK") else "GRAY"
        simplejpeg.decode_jpeg(data, colours, strict=True)  # raises if a code needs more bits than there are
        return _has_all_scans(data)
    except (ValueError, IndexError, KeyError):  # the last two for segments that are too short
        return False


def _has_all_scans(data: bytes) -> bool:
    """Return whether the scans contain all bits of all coefficients of all components."""
    missing: dict[int, list[int]] = {}  # by component: the lowest bit that is missing of each coefficient, 0 for none
    is_progressive = False
    for marker, body in _segments(data):
        if marker in _FRAMES:
            is_progressive = marker == 0xC2
            missing = {body[6 + 3 * i]: [1] * _COEFFICIENTS for i in range(body[5])}
        elif marker == _START_OF_SCAN:
            components = [body[1 + 2 * i] for i in range(body[0])]
            first, last, bits = body[1 + 2 * body[0] : 4 + 2 * body[0]]
            if not is_progressive:
                first, last, bits = 0, _COEFFICIENTS - 1, 0
            for component in components:
                missing[component][first : last + 1] = [bits & 0x0F] * (last + 1 - first)
    return bool(missing) and not any(any(bits) for bits in missing.values())


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the marker and the body of every segment with a length. Entropy-coded data between segments is skipped."""
    position = 2
    while (position := data.find(b"\xff", position)) >= 0 and position + 4 <= len(data):
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD9:  # an escaped byte, or a marker without a body
            position += 2
        else:
            length = int.from_bytes(data[position + 2 : position + 4])
            yield marker, data[position + 4 : position + 2 + length]
            position += 2 + length
