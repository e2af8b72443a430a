"""The application: routes, their OpenAPI document, the page, and the guard around them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from prodrec import __version__
from prodrec.core.base.errors import BadOption, BadPhoto
from prodrec.serve.batching import QueueFull
from prodrec.serve.failures import Refused, handle
from prodrec.serve.guard import Guard, write_log
from prodrec.serve.limits import ApiKeys
from prodrec.serve.metrics import CONTENT_TYPE
from prodrec.serve.routes import index_router, router
from prodrec.serve.schemas import Problem, State
from prodrec.serve.service import Service

PAGE = Path(__file__).with_name("page")
PAGE_FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/draw.js": ("draw.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
REFUSALS = {
    400: "A photo or a parameter cannot be used",
    401: "The API key is missing or wrong",
    404: "There is no such product, class or route",
    408: "The body did not arrive in time",
    413: "The body is too large",
    415: "The content type cannot be read",
    422: "A parameter has the wrong type or is out of range",
    429: "Too many requests; Retry-After has the seconds to wait",
    503: "Not recognised within the time limit, or the service is stopping",
}
FAILURES = (Refused, QueueFull, BadPhoto, BadOption, RequestValidationError, 404, 405)


def create_app(
    service: Service, *, keys: ApiKeys | None = None, log: Callable[[dict[str, Any]], None] | None = write_log
) -> FastAPI:
    """Return the application of a service.

    keys: the API keys that clients must use; None if none is needed
    log:  called with the values of every request; None logs nothing
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.stop()

    responses: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem, "description": text} for status, text in REFUSALS.items()
    }
    app = FastAPI(
        title="prodrec",
        version=__version__,
        summary="Recognise products in photos.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses=responses,
    )
    app.state.service = service
    app.include_router(router)
    if service.engine.index is not None:
        app.include_router(index_router)
    _add_operations(app, service)
    _add_page(app)
    for failure in FAILURES:
        app.add_exception_handler(failure, handle)
    app.add_middleware(
        Guard, limits=service.limits, metrics=service.metrics, keys=keys, page=tuple(PAGE_FILES), log=log
    )
    return app


def _add_operations(app: FastAPI, service: Service) -> None:
    @app.get("/health", response_model=State)
    async def health() -> JSONResponse:
        """Report that the process works, and with what."""
        return JSONResponse(service.state())

    @app.get("/ready", response_model=State)
    async def ready(request: Request) -> JSONResponse:
        """Report whether photos can be recognised now."""
        if not service.is_ready:
            raise Refused(503, "The service is stopping.")
        return JSONResponse(service.state())

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Return the metrics in the text format of Prometheus."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)


def _add_page(app: FastAPI) -> None:
    for path, (name, kind) in PAGE_FILES.items():
        app.get(path, include_in_schema=False)(_file_route((PAGE / name).read_bytes(), kind))


def _file_route(content: bytes, kind: str) -> Callable[[], Awaitable[Response]]:
    async def route() -> Response:
        return Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})

    return route
