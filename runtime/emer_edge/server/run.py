"""Runs the server in this process until a signal. Knows sockets and signals; knows no route."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import socket
from collections.abc import Callable, Generator

import uvicorn

from emer_edge.errors import EmerError, InputError
from emer_edge.server.app import make_app
from emer_edge.server.desk import Desk
from emer_edge.server.metrics import Metrics
from emer_edge.server.settings import ServerSettings

FRAME_BYTES = 8 * 1024**2
"""A WebSocket message may not be larger."""
CONNECTIONS = 1000
BACKLOG = 2048
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve(settings: ServerSettings, on_listening: Callable[[str], None]) -> int:
    """Serve until SIGINT or SIGTERM, then let the answers that were begun end.

    Args:
        settings: of the server.
        on_listening: told the address once the socket is open; the pack may still be loading then.

    Returns:
        0; or 130 where a second signal cut the end short.

    Raises:
        PackError, DeviceError: the pack can't be loaded. InputError: the address can't be had.
    """
    listener = _listen(settings)
    try:
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        on_listening(f"{'https' if settings.certificate else 'http'}://{shown}:{port}")
        return asyncio.run(_serve(settings, listener))
    finally:
        listener.close()


def _listen(settings: ServerSettings) -> socket.socket:
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, address = found[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        todo = "Use another --port." if error.errno == errno.EADDRINUSE else "Use another --host or --port."
        where = f"{settings.host}:{settings.port}"
        raise InputError(f"Can't listen on {where}.", error.strerror or str(error), todo) from error
    return listener


async def _serve(settings: ServerSettings, listener: socket.socket) -> int:
    metrics, failures = Metrics(), list[EmerError]()

    def give_up(error: EmerError) -> None:
        failures.append(error)
        server.should_exit = True

    desk = Desk(settings, metrics, give_up)
    server = _Server(_config(settings, desk, metrics), desk)
    desk.keeper.begin()
    try:
        await server.serve(sockets=[listener])
    finally:
        await desk.keeper.close()
    if failures:
        raise failures[0]
    return 130 if server.force_exit else 0


def _config(settings: ServerSettings, desk: Desk, metrics: Metrics) -> uvicorn.Config:
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    config = uvicorn.Config(
        make_app(desk, metrics),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=FRAME_BYTES,
        ws_per_message_deflate=False,  # JPEG does not shrink, and nobody has time to try
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=int(settings.drain_seconds),
        ssl_certfile=settings.certificate,
        ssl_keyfile=str(settings.certificate_key) if settings.certificate_key else None,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        why = error.strerror or str(error)
        raise InputError("The certificate or its key can't be used.", why, "Use PEM files.") from error
    return config


class _Server(uvicorn.Server):
    """uvicorn that ends with 0 when it was asked to end, and tells the desk first."""

    def __init__(self, config: uvicorn.Config, desk: Desk) -> None:
        super().__init__(config)
        self._desk = desk

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Hear signals in the event loop, and do not raise them again afterwards."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(
            ValueError, RuntimeError
        ):  # in another thread than the main one there are none
            for number in SIGNALS:
                loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.force_exit = self.should_exit
        self._desk.draining = self.should_exit = True
