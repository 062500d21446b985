"""Servers for the tests: one with a stub for all of a module, and one with the built-in pack for the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

for needed in ("starlette", "uvicorn", "python_multipart", "websockets"):
    pytest.importorskip(needed, reason="the extra `serve` is not installed")

from tests.support.server_client import Server  # noqa: E402


@pytest.fixture(scope="session")
def stub() -> Iterator[Server]:
    """A server without a model: a queue of 8, answers within 2 s, bodies of 1 MiB."""
    server = Server("--queue", "8", "--deadline", "2", "--max-upload-mb", "1").wait_until_ready()
    yield server
    assert server.stop() == 0, server.said


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """Starts further servers, and ends them."""
    started: list[Server] = []

    def call(*flags: str, **options: object) -> Server:
        started.append(Server(*flags, **options))  # type: ignore[arg-type]
        return started[-1]

    yield call
    for server in started:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture(scope="session")
def real() -> Iterator[Server]:
    """A server with the pack `emer-nano`."""
    server = Server(stub=False).wait_until_ready()
    yield server
    assert server.stop() == 0, server.said
