"""The bridge and a session of zenoh that knows nothing of it, over TCP on the loopback interface."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from emer_edge.bridges.wire import decode_event
from emer_edge.bridges.zenoh import ZenohBridge, ZenohOptions
from emer_edge.errors import DeviceError, InputError
from tests.support.recorder import Recorder
from tests.support.sample_timeline import EVENTS, state

zenoh = pytest.importorskip("zenoh")


@pytest.fixture
def endpoint() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp/127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def bridge(endpoint: str) -> Iterator[ZenohBridge]:
    with ZenohBridge(ZenohOptions(prefix="robot/head", listen=(endpoint,))) as opened:
        yield opened


@pytest.fixture
def peer(endpoint: str, bridge: ZenohBridge) -> Iterator[Any]:
    config = zenoh.Config()
    config.insert_json5("scouting/multicast/enabled", "false")
    config.insert_json5("connect/endpoints", json.dumps([endpoint]))
    config.insert_json5("listen/endpoints", "[]")
    with zenoh.open(config) as session:
        wait(lambda: bridge.peers == 1)
        yield session


def wait(condition: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.005)


def test_every_event_arrives_in_order(bridge: ZenohBridge, peer: Any) -> None:
    got: list[tuple[str, str, Any]] = []
    heard: list[Any] = []

    def take(sample: Any) -> None:
        event = decode_event(sample.payload.to_bytes())
        heard.append(event)
        if event != state(99):
            got.append((str(sample.key_expr), str(sample.encoding), event))

    peer.declare_subscriber("robot/head/event/*", take)

    def call() -> bool:
        bridge.send(state(99))
        return bool(heard)

    wait(call)  # the declaration has to reach the bridge
    for event in EVENTS:
        bridge.send(event)
    wait(lambda: len(got) >= len(EVENTS))
    assert [event for *_, event in got] == list(EVENTS)
    assert [key for key, *_ in got] == [f"robot/head/event/{event.kind}" for event in EVENTS]
    assert {encoding for _, encoding, _ in got} == {"application/json"}


def test_the_newest_state_can_be_asked_for(bridge: ZenohBridge, peer: Any) -> None:
    assert list(peer.get("robot/head/state")) == []
    bridge.send(state(1))
    bridge.send(state(2))
    (reply,) = peer.get("robot/head/state")
    assert decode_event(reply.ok.payload.to_bytes()) == state(2)


def test_frames_sound_words_and_questions_come_in(bridge: ZenohBridge, peer: Any) -> None:
    recorder = Recorder()
    intake = bridge.listen(recorder)
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    facts = {"format": "rgb8", "width": 2, "height": 2, "pts_seconds": 7.5}

    def put(name: str, data: bytes, facts: Any) -> None:
        peer.put(f"robot/head/in/{name}", data, attachment=json.dumps(facts))

    def frame() -> bool:
        put("frame", pixels.tobytes(), facts)
        return bool(recorder.frames)

    wait(frame)
    put("audio", np.array([1, -1], "<i2").tobytes(), {"sample_rate": 16_000, "pts_seconds": 7})
    put("text", b"I am glad", {"start_seconds": 6, "end_seconds": 7})
    put("ask", b"Why?", {})
    assert recorder.wait(frames=1, sound=1, words=1)
    wait(lambda: recorder.questions == ["Why?"])
    np.testing.assert_array_equal(recorder.frames[0][0], pixels)
    assert recorder.frames[0][1] == 7.5
    assert recorder.sound[0][1:] == (16_000, 7.0)
    assert recorder.words == [("I am glad", 6.0, 7.0, True)]
    peer.put("robot/head/in/text", b"x", attachment=b"no json")
    peer.put("robot/head/in/text", b"x", attachment=b"[]")
    peer.put("robot/head/in/text", b"x", attachment=b'{"a": "' + b"x" * 5000 + b'"}')
    peer.put("robot/head/in/text", b"x")
    wait(lambda: intake.counts.get("refused") == 4)


def test_a_slow_session_gets_the_newest_frames(bridge: ZenohBridge, peer: Any) -> None:
    class Slow(Recorder):
        def push_frame(self, array: Any, pts_seconds: float) -> None:
            super().push_frame(array, pts_seconds)
            time.sleep(0.2)

    slow = Slow()
    bridge.listen(slow)
    pixels = bytes(12)

    def put(seconds: float) -> None:
        facts = {"format": "rgb8", "width": 2, "height": 2, "pts_seconds": seconds}
        peer.put(
            "robot/head/in/frame",
            pixels,
            attachment=json.dumps(facts),
            congestion_control=zenoh.CongestionControl.BLOCK,
        )

    def first() -> bool:
        put(0)
        return bool(slow.frames)

    wait(first)
    for number in range(1, 101):
        put(number)
    wait(lambda: slow.frames[-1][1] == 100.0)
    assert len(slow.frames) < 20


def test_closing_ends_the_threads(endpoint: str) -> None:
    bridge = ZenohBridge(ZenohOptions(listen=(endpoint,)))
    bridge.listen(Recorder())
    bridge.close()
    assert not any(thread.is_alive() for thread in bridge._threads)


def test_an_endpoint_that_is_taken(endpoint: str, bridge: ZenohBridge) -> None:
    with pytest.raises(DeviceError, match="endpoints"):
        ZenohBridge(ZenohOptions(listen=(endpoint,)))


@pytest.mark.parametrize(
    "values",
    [
        {"prefix": ""},
        {"prefix": "/a"},
        {"prefix": "a/**"},
        {"prefix": "a b"},
        {"listen": ("tcp/0.0.0.0:7447",)},
        {"connect": ("tcp/192.168.1.5:7447",)},
        {"connect": ("tcp/127.0.0.1.evil.org:7447",)},
        {"client": True},
    ],
    ids=str,
)
def test_options_that_make_no_sense(values: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        ZenohOptions(**values)


def test_the_network_must_be_allowed() -> None:
    assert ZenohOptions(listen=("tcp/0.0.0.0:0",), local_only=False).local_only is False


def test_without_zenoh_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zenoh", None)
    with pytest.raises(DeviceError, match="bridges"):
        ZenohBridge()
