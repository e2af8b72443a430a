"""JSON files of artefacts have values of known types: a damaged one is named before anything uses it."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base.errors import BadArtefact

if TYPE_CHECKING:
    from pydantic import TypeAdapter

JSON_ERRORS = (OSError, ValueError, RecursionError, MemoryError)
"""What reading a file and parsing its JSON raise."""


def read_json(path: Path, *, remedy: str) -> dict[str, Any]:
    """Return the object in a JSON file. Raise BadArtefact, which ends with the `remedy`, if it contains none."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except JSON_ERRORS as error:
        raise BadArtefact(f"{path} is not readable as JSON ({error}); {remedy}.") from error
    if not isinstance(content, dict):
        raise BadArtefact(f"{path} contains no JSON object; {remedy}.")
    return content


def check_types(content: dict[str, Any], schema: Any, path: Path, *, remedy: str) -> None:
    """Raise BadArtefact if a value has another type than in `schema`, a TypedDict. Other keys are allowed."""
    problem = type_problem(content, schema)
    if problem is not None:
        raise BadArtefact(f"{path} is damaged: {problem}; {remedy}.")


def type_problem(content: dict[str, Any], schema: Any) -> str | None:
    """Return which value has another type than in `schema`, a TypedDict, or None. Other keys are allowed."""
    from pydantic import ValidationError

    try:
        _adapter(schema).validate_python(content, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing":
            return f"{place} is missing"
        return f"{place} is {_shortened(first['input'])}, and {first['msg']}"
    return None


@functools.cache
def _adapter(schema: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(schema)


def _shortened(value: Any, length: int = 30) -> str:
    text = repr(value)
    return text if len(text) <= length else f"{text[:length]}…"
