"""The server of the application: uvicorn on a socket that is bound before anything slow begins."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import uvicorn

from prodrec.core.base.errors import BadOption
from prodrec.core.base.stop_signals import raise_waiting

if TYPE_CHECKING:
    from fastapi import FastAPI

KEEP_ALIVE = 30
"""Seconds for which a connection without a request stays open."""
MAX_CONNECTIONS = 1000
"""Connections beyond are answered with 503: each may have a body in memory."""
BACKLOG = 2048


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address; port 0 chooses a free one. Raise BadOption if that is impossible."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        detail = getattr(error, "strerror", None) or str(error)
        raise BadOption(
            f"--host {host} --port {port} cannot be served at ({detail.lower()}); give another --port, or 0 for a free "
            "one."
        ) from error
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the address of the service for a browser on this machine."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run_server(app: FastAPI, listener: socket.socket, *, seconds_to_stop: float) -> None:
    """Serve until SIGTERM or Ctrl-C. Requests that are being answered then have `seconds_to_stop` to finish."""
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=max(1, round(seconds_to_stop)),
        limit_concurrency=MAX_CONNECTIONS,
    )
    # uvicorn raises the signal again after it has stopped, which is how it was asked to end: no error.
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
        raise_waiting()
