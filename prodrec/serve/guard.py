"""Around every request: its number, key, rate, size and time, its line in the log, and the headers of its answer."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any

from prodrec.core.base.streams import MESSAGES
from prodrec.serve.failures import Refused
from prodrec.serve.limits import BYTES_IN_FLIGHT, ApiKeys, Limits, RateLimiter
from prodrec.serve.metrics import Metrics

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

OPEN_PATHS = ("/health", "/ready")
"""Routes that need no key and have no limit, for those that watch the service. The page's files need no key either."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(self), geolocation=(), microphone=()",
}


def write_log(values: dict[str, Any]) -> None:
    """Write a line of JSON to standard error."""
    MESSAGES.write(json.dumps(values, ensure_ascii=True, default=str) + "\n")
    MESSAGES.flush()


class Guard:
    """The outermost part of the application, as ASGI middleware.

    page: paths that need no key and no rate, because a browser asks for them before it has a key
    log:  called with the values of a line for every request; None logs nothing
    """

    def __init__(
        self,
        app: Application,
        *,
        limits: Limits,
        metrics: Metrics,
        keys: ApiKeys | None,
        page: tuple[str, ...] = (),
        log: Callable[[dict[str, Any]], None] | None = write_log,
    ) -> None:
        self._app, self._limits, self._metrics, self._keys, self._log = app, limits, metrics, keys, log
        self._open = (*OPEN_PATHS, *page)
        self._rates = RateLimiter(limits.rate)
        self._bytes = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(scope, receive, send, self._limits)
        self._metrics.active.inc()
        try:
            if scope["path"] not in self._open:
                self._admit(request)
            await self._app(scope, self._counted(request), request.send)
        except Refused as refused:
            request.state["problem"] = refused.sentence
            await request.answer(refused)
        except Exception as error:
            request.state |= {"problem": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
            await request.answer(Refused(500, "The service failed; its log has the reason under this request's id."))
        finally:
            self._bytes -= request.received
            self._metrics.active.dec()
            self._finish(request)

    def _admit(self, request: _Request) -> None:
        """Raise Refused for a wrong key, for too many requests, or for a body that announces too many bytes."""
        if self._keys is not None:
            kind, _, bearer = request.header("authorization").partition(" ")
            key = request.header("x-api-key") or (bearer.strip() if kind.lower() == "bearer" else "")
            name = self._keys.name_of(key)
            if name is None:
                sentence = "The API key is wrong" if key else "The request has no API key"
                headers = {"WWW-Authenticate": "Bearer"}
                raise Refused(401, f"{sentence}: send one as `Authorization: Bearer KEY`.", headers)
            request.client = name
        wait = self._rates.wait(request.client)
        if wait:
            seconds = str(int(wait) + 1)
            sentence = f"More than {self._limits.rate:g} requests per second: try again in {seconds} s."
            raise Refused(429, sentence, {"Retry-After": seconds})
        length = request.header("content-length")
        if length.isdigit() and int(length) > self._limits.body_bytes:
            raise request.too_large()

    def _counted(self, request: _Request) -> Receive:
        """Return `receive` with limits of bytes and time."""

        async def receive() -> Message:
            if request.is_complete:
                return await request.receive()
            try:
                message = await asyncio.wait_for(request.receive(), request.deadline - time.monotonic())
            except TimeoutError as error:
                sentence = f"The body did not arrive within {self._limits.seconds:g} s: send smaller photos."
                raise Refused(408, sentence, {"Connection": "close"}) from error
            if message["type"] == "http.request":
                size = len(message.get("body", b""))
                request.received += size
                self._bytes += size
                request.is_complete = not message.get("more_body", False)
                if request.received > self._limits.body_bytes:
                    raise request.too_large()
                if self._bytes > BYTES_IN_FLIGHT:
                    raise Refused(429, "The service is receiving too much: try again in 1 s.", {"Retry-After": "1"})
            return message

        return receive

    def _finish(self, request: _Request) -> None:
        seconds = time.monotonic() - request.started
        route = getattr(request.scope.get("route"), "path", "other")
        self._metrics.requests.labels(route, str(request.status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if self._log is None:
            return
        values = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "id": request.id,
            "client": request.client,
            "method": request.scope["method"],
            "route": route,
            "status": request.status,
            "ms": round(1000 * seconds, 1),
            "bytes": request.received,
        }
        details = ("photos", "batch_ms", "problem", "traceback")
        self._log(values | {name: request.state[name] for name in details if name in request.state})


class _Request:
    """A request while it is answered.

    client:      name of its API key, or its address
    received:    bytes of the body that have arrived
    is_complete: whether the whole body has arrived
    status:      status of the answer; 499 if there was none, because the client went away
    """

    def __init__(self, scope: Message, receive: Receive, send: Send, limits: Limits) -> None:
        self.scope, self.receive, self._send = scope, receive, send
        self.started = time.monotonic()
        self.deadline = self.started + limits.seconds
        self.id = secrets.token_hex(8)
        self.client = str((scope.get("client") or ("unknown",))[0])
        self.received, self.is_complete, self.status = 0, False, 499
        self.state: dict[str, Any] = scope.setdefault("state", {})
        self._headers: dict[str, str] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        self._limits = limits

    def header(self, name: str) -> str:
        return self._headers.get(name, "")

    def too_large(self) -> Refused:
        sentence = f"The body is larger than {self._limits.max_upload} MiB: send smaller or fewer photos."
        return Refused(413, sentence, {"Connection": "close"})

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            added = HEADERS | {"x-request-id": self.id}
            message["headers"] = [*message.get("headers", ()), *((k.encode(), v.encode()) for k, v in added.items())]
        await self._send(message)

    async def answer(self, refused: Refused) -> None:
        """Answer with a refusal, unless an answer has begun."""
        if self.status == 499:
            await refused.response()(self.scope, self.receive, self.send)
