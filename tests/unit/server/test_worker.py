"""What happens when the worker is killed, crashes or hangs, and when more come than it can answer."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.support.server_client import Answer, Server


def wait_for_places(server: Server, n: int) -> None:
    end = time.monotonic() + 10
    while server.get("/health/ready").json["places"] < n:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_killing_the_worker_costs_one_answer(stub: Server) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(stub.clip, question="slow")
        wait_for_places(stub, 1)
        time.sleep(0.2)
        killed = time.monotonic()
        os.kill(stub.worker_id(), signal.SIGKILL)
        answer = asked.result()
    assert time.monotonic() - killed < 2
    assert (answer.status, answer.error["kind"]) == (502, "WorkerError")
    assert "new one is being started" in answer.error["why"]
    assert stub.clip().status == 200
    assert stub.get("/health/live").status == 200


def test_a_worker_killed_between_answers_costs_none(stub: Server) -> None:
    os.kill(stub.worker_id(), signal.SIGKILL)
    assert stub.clip().status == 200


def test_a_crash_in_mid_stream_is_an_event(stub: Server) -> None:
    answer = stub.clip(question="crash", sse=True)
    assert [event["kind"] for event in answer.events][-2:] == ["text", "error"]
    assert answer.events[-1]["error"]["kind"] == "WorkerError"
    assert stub.clip().status == 200


def test_a_worker_that_hangs_is_ended_at_the_deadline(stub: Server) -> None:
    began = time.monotonic()
    answer = stub.clip(question="stuck", filename="odd.mkv")
    assert 2 <= time.monotonic() - began < 10
    assert (answer.status, answer.error["kind"]) == (504, "DeadlineError")
    assert "odd.mkv took longer than the 2 s" in answer.error["what"]
    assert stub.clip().status == 200


def test_an_answer_that_is_late_but_listens_keeps_its_worker(stub: Server) -> None:
    before = stub.worker_id()
    assert stub.clip(question="slow").status == 504
    assert stub.worker_id() == before
    assert stub.clip().status == 200


def test_a_client_that_leaves_frees_the_worker(stub: Server) -> None:
    before = stub.worker_id()
    line = socket.create_connection(("127.0.0.1", stub.port))
    head = f"POST /v1/emotion?question=slow HTTP/1.1\r\nHost: 127.0.0.1:{stub.port}\r\n"
    line.sendall(f"{head}Content-Length: 1\r\n\r\nx".encode())
    wait_for_places(stub, 1)
    time.sleep(0.2)
    line.close()
    began = time.monotonic()
    assert stub.clip().status == 200
    assert time.monotonic() - began < 10  # of the minute that it would write
    assert stub.worker_id() == before


def test_fifty_clients_before_a_queue_of_eight(stub: Server) -> None:
    gate = threading.Barrier(50)

    def ask(_: int) -> tuple[Answer, float]:
        gate.wait()
        began = time.monotonic()
        return stub.clip(bytes(20_000)), time.monotonic() - began

    with ThreadPoolExecutor(50) as pool:
        outcomes = list(pool.map(ask, range(50)))
    statuses = [answer.status for answer, _ in outcomes]
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= 9
    for answer, seconds in outcomes:
        assert seconds < 25
        if answer.status == 503:
            assert answer.error["kind"] == "BusyError"
            assert int(answer.headers["retry-after"]) >= 1
    assert stub.get("/health/ready").json["places"] == 0


def test_nobody_waits_for_ever(start: Callable[..., Server]) -> None:
    server = start("--deadline", "60", "--wait", "0.3").wait_until_ready()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(server.clip, question="slow")
        wait_for_places(server, 1)
        time.sleep(0.2)
        answer = server.clip()
        assert (answer.status, answer.error["kind"]) == (503, "BusyError")
        assert "within 0.3 s" in answer.error["what"]
        assert int(answer.headers["retry-after"]) >= 1
        os.kill(server.worker_id(), signal.SIGKILL)
        assert slow.result().status == 502
    assert server.clip().status == 200


def test_a_body_that_stands_still_gives_its_place_back(stub: Server) -> None:
    line = socket.create_connection(("127.0.0.1", stub.port))
    line.sendall(
        f"POST /v1/emotion HTTP/1.1\r\nHost: 127.0.0.1:{stub.port}\r\nContent-Length: 9\r\n\r\nx".encode()
    )
    wait_for_places(stub, 1)
    assert stub.clip().status == 200  # it holds a place, not the worker
    line.close()
    end = time.monotonic() + 10
    while stub.get("/health/ready").json["places"]:
        assert time.monotonic() < end
        time.sleep(0.02)
