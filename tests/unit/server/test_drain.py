"""The end of a server: answers that were begun end, nothing new is begun."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support.server_client import Server
from tests.unit.server.test_worker import wait_for_places


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_answers_that_were_begun_end(start: Callable[..., Server], number: int) -> None:
    server = start("--deadline", "1").wait_until_ready()
    worker = server.worker_id()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.clip, question="slow")  # ends at its deadline, after a second
        wait_for_places(server, 1)
        began = time.monotonic()
        server.process.send_signal(number)
        answer = asked.result()
    assert answer.status == 504
    assert server.process.wait(10) == 0
    assert time.monotonic() - began < 15
    with pytest.raises(ConnectionRefusedError):
        server.get("/health/live")
    end = time.monotonic() + 10
    while _alive(worker):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_live_sessions_are_closed(start: Callable[..., Server]) -> None:
    server = start().wait_until_ready()
    with connect(f"ws://127.0.0.1:{server.port}/v1/live", open_timeout=20) as line:
        line.send("{}")
        assert "session" in line.recv(timeout=20)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            line.recv(timeout=20)
        assert closed.value.rcvd.code == 1012  # type: ignore[union-attr]
    assert server.process.wait(15) == 0
    assert time.monotonic() - began < 15


def test_an_answer_that_takes_too_long_is_cut_off(start: Callable[..., Server]) -> None:
    server = start("--deadline", "60", "--drain", "1").wait_until_ready()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.clip, question="stuck")
        wait_for_places(server, 1)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        assert time.monotonic() - began < 15
        asked.exception()


def test_the_worker_ends_with_a_server_that_is_killed(start: Callable[..., Server]) -> None:
    server = start().wait_until_ready()
    worker = server.worker_id()
    server.process.kill()
    server.process.wait()
    end = time.monotonic() + 10
    while _alive(worker):
        assert time.monotonic() < end
        time.sleep(0.02)


def _alive(process: int) -> bool:
    from pathlib import Path

    stat = Path(f"/proc/{process}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
