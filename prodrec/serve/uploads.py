"""The photos of a request: files of a form, the bytes of one photo, or base64 in JSON.

No form names a file or an address on the server: the name of an uploaded file is not used.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from fastapi import Request

from prodrec.serve.failures import Refused

FORM, JSON = "multipart/form-data", "application/json"
MAX_FIELDS = 16
"""Fields of a form that are no files."""
FIELD_BYTES = 64 << 10

PHOTO_FILE = {"type": "string", "contentMediaType": "application/octet-stream"}
"""The schema of the bytes of a photo file."""


def _photos_schema(photo: dict[str, str], **description: str) -> dict[str, Any]:
    """Return the schema of an object with a list of photos."""
    photos = {"type": "array", "minItems": 1, "items": photo, **description}
    return {"schema": {"type": "object", "required": ["photos"], "properties": {"photos": photos}}}


MAX_WORDS = 500
"""Characters of the words by which products are searched."""
PHOTOS_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        FORM: _photos_schema(PHOTO_FILE),
        JSON: _photos_schema({"type": "string", "contentEncoding": "base64"}, description="Photo files in base64."),
        "image/*": {"schema": PHOTO_FILE},
    },
}
"""The body of requests with photos, for the OpenAPI document."""

_WORDS = {"type": "string", "minLength": 1, "maxLength": MAX_WORDS, "description": "Words of titles, tags, categories."}
_WORDS_BODY = {"type": "object", "required": ["words"], "properties": {"words": _WORDS}, "additionalProperties": False}
SEARCH_BODY = {
    "required": True,
    "content": {
        **PHOTOS_BODY["content"],
        JSON: {"schema": {"oneOf": [PHOTOS_BODY["content"][JSON]["schema"], _WORDS_BODY]}},
    },
}
"""The body of requests with photos or words."""


async def read_photos(request: Request, *, most: int) -> list[bytes]:
    """Return the photo files of a request. Raise Refused if there is none, more than `most`, or none can be found."""
    kind = _kind(request)
    if kind == FORM:
        photos = (await read_form(request, most=most))[0]
    elif kind == JSON:
        photos = _from_json(await request.body(), most)
    elif kind.startswith("image/") or kind == "application/octet-stream":
        photos = [await request.body()]
    else:
        raise Refused(
            415,
            f"The content type {kind or '(none)'} cannot be read: expected multipart/form-data with photo files, the "
            "bytes of one photo as image/jpeg, or application/json with photos in base64.",
        )
    if not photos or not any(photos):
        raise Refused(400, "The request has no photo: send one at least.")
    return photos


async def read_words(request: Request) -> str | None:
    """Return the words of a JSON body; None for a body of photos. Raise Refused if both or other values are there."""
    if _kind(request) != JSON:
        return None
    content = parse_json(await request.body())
    if "words" not in content:
        return None
    words = content["words"]
    if len(content) > 1:
        raise Refused(400, "The JSON has words and other keys: search by words or by photos.")
    if not isinstance(words, str) or not words.strip() or len(words) > MAX_WORDS:
        raise Refused(400, f"The words are no text of 1 to {MAX_WORDS} characters.")
    return words


async def read_form(request: Request, *, most: int) -> tuple[list[bytes], dict[str, str]]:
    """Return the files and the other fields of a form. Raise Refused if it is damaged or has more than `most` files."""
    photos: list[bytes] = []
    fields: dict[str, str] = {}
    try:
        async with request.form(max_files=most, max_fields=MAX_FIELDS, max_part_size=FIELD_BYTES) as form:
            for name, value in form.multi_items():
                if isinstance(value, str):
                    fields[name] = value
                else:
                    photos.append(await value.read())
    except Refused:
        raise
    except Exception as error:
        # The framework reports a damaged form by an HTTPException, and some defects by errors of its parser.
        detail = str(getattr(error, "detail", "")) or "the form is damaged"
        too_many = f"The request has more than {most} photos: send fewer in each request."
        raise Refused(400, too_many if "Too many files" in detail else f"The form cannot be read: {detail}.") from error
    return photos, fields


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


def _from_json(body: bytes, most: int) -> list[bytes]:
    content = parse_json(body)
    photos = content.get("photos")
    if not isinstance(photos, list) or not all(isinstance(photo, str) for photo in photos):
        raise Refused(400, 'The JSON has no list "photos" of texts: expected {"photos": ["base64…"]}.')
    if len(photos) > most:
        raise Refused(400, f"The request has {len(photos):,} photos, more than {most}: send fewer in each request.")
    return [decode_base64(photo, number) for number, photo in enumerate(photos)]


def parse_json(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body. Raise Refused if it is none."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "The body is not JSON: expected an object with a list of photos.") from error
    if not isinstance(content, dict):
        raise Refused(400, "The body is no JSON object: expected an object with a list of photos.")
    return content


def decode_base64(text: str, number: int) -> bytes:
    """Return the bytes of a photo in base64, or in a data URL. Raise Refused if it is neither."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(400, f"Photo {number} (from 0) is not base64.") from error
