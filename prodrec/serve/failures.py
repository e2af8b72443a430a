"""Requests that the service refuses: a status, one sentence, and perhaps when to try again."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from prodrec.core.base.errors import BadOption, BadPhoto
from prodrec.serve.batching import QueueFull

EMPTY: Mapping[str, str] = {}


class Refused(Exception):
    """A request that is answered with `status` and a sentence."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] = EMPTY) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, dict(headers)

    def response(self) -> JSONResponse:
        """Return the response: `{"error": sentence}`."""
        return JSONResponse({"error": self.sentence}, self.status, self.headers)


def as_refused(error: Exception) -> Refused | None:
    """Return how the service refuses a request after `error`; None for an error of the service itself."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, BadPhoto | BadOption):
        text = _sentence(str(error)).replace("--min-confidence", "min_confidence").replace("--", "")
        return Refused(400, f"{text[:1].upper()}{text[1:]}")
    if isinstance(error, QueueFull):
        wait = str(error.retry_after)
        return Refused(429, f"The service is busy; try again in {wait} s.", {"Retry-After": wait})
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][1:]) or "the request"
        return Refused(422, _sentence(f"{name}: {first['msg'][0].lower()}{first['msg'][1:]}."))
    return None


def is_status_error(error: Exception) -> bool:
    """Return whether `error` is one of the framework's own, such as an unknown route."""
    return hasattr(error, "status_code")


async def handle(request: Request, error: Exception) -> JSONResponse:
    """Return the response for an error that is the request's; raise others again, for the guard."""
    refused = as_refused(error)
    if refused is None and is_status_error(error):
        refused = Refused(error.status_code, _status_sentence(request, error))  # type: ignore[attr-defined]
    if refused is None:
        raise error
    request.state.problem = refused.sentence
    return refused.response()


def _status_sentence(request: Request, error: Exception) -> str:
    status = error.status_code  # type: ignore[attr-defined]
    if status == 404:
        return "There is no such route; /openapi.json lists all routes."
    if status == 405:
        return f"This route does not take {request.method}; /openapi.json lists all routes."
    return _sentence(f"{getattr(error, 'detail', 'the request cannot be read')}")


def _sentence(text: str) -> str:
    """Return the text in one line that ends with one full stop."""
    return f"{' '.join(text.split()).rstrip('.')}."
