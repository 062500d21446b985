"""`WS /v1/live` with a WebSocket client, and the messages by themselves."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import struct
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from emer_edge.errors import EmerError, InputError, LimitError, MediaError
from emer_edge.limits import Limits
from emer_edge.media.pyav_picture import decode_jpeg, jpeg_size
from emer_edge.server.live_messages import AUDIO, FRAME, HEADER, parse_binary, parse_text
from tests.support.server_client import Server

SECOND = np.zeros(16_000, "<i2").tobytes()


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    pixels = np.zeros((36, 64, 3), np.uint8)
    pixels[:, 32:] = (250, 10, 10)
    out = BytesIO()
    with av.open(out, "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=1, width=64, height=36, pix_fmt="yuvj444p")
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode(None))
    return out.getvalue()


def audio(pts: float, data: bytes = SECOND) -> bytes:
    return HEADER.pack(AUDIO, 1, 0, 16_000, pts) + data


def frame(pts: float, data: bytes) -> bytes:
    return HEADER.pack(FRAME, 0, 0, 0, pts) + data


def opened(server: Server, **config: Any) -> ClientConnection:
    line = connect(f"ws://127.0.0.1:{server.port}/v1/live", open_timeout=20)
    line.send(json.dumps(config))
    return line


def received(line: ClientConnection) -> dict[str, Any]:
    return dict(json.loads(line.recv(timeout=20)))


def test_pictures_sound_and_words_in_events_out(stub: Server, jpeg: bytes) -> None:
    with opened(stub, window_seconds=4, hop_seconds=1, policy="block") as line:
        head = received(line)
        assert (head["kind"], head["window_seconds"], head["pack"]["name"]) == ("session", 4, "stub")
        line.send(frame(0.0, jpeg))
        encoded = base64.b64encode(jpeg).decode()
        line.send(json.dumps({"kind": "frame", "pts_seconds": 0.5, "jpeg": encoded}))
        words = {"kind": "text", "text": "I am fine.", "start_seconds": 0, "end_seconds": 1}
        line.send(json.dumps(words))
        line.send(audio(0.0))
        state = received(line)
        assert (state["kind"], state["index"], state["subtitle"]) == ("state", 0, "I am fine.")
        assert state["quality"]["frames"] == 2
        line.send(json.dumps({"kind": "ask"}))
        kinds = [received(line)["kind"] for _ in range(5)]
        assert kinds == ["token"] * 4 + ["reasoning"]
        line.send(json.dumps({"kind": "close"}))
        assert received(line) == {"kind": "closed", "stats": {"frames": 2, "states": 1}}
        with pytest.raises(ConnectionClosed) as closed:
            line.recv(timeout=5)
        assert closed.value.rcvd.code == 1000  # type: ignore[union-attr]


def test_what_makes_no_sense_is_told_and_the_session_goes_on(stub: Server) -> None:
    with opened(stub) as line:
        received(line)
        for wrong in (b"", b"\x09" * 20, frame(0, b"no jpeg"), "{", '{"kind": "dance"}', audio(float("nan"))):
            line.send(wrong)
            event = received(line)
            assert (event["kind"], event["fatal"]) == ("error", False)
        line.send(audio(0.0))
        assert received(line)["kind"] == "state"


@pytest.mark.parametrize(
    "config", [{"colour": "red"}, {"window_seconds": "long"}, {"window_seconds": -1}, {"policy": 3}]
)
def test_a_session_that_can_not_be_is_refused(stub: Server, config: dict[str, Any]) -> None:
    with opened(stub, **config) as line:
        event = received(line)
        assert (event["kind"], event["fatal"]) == ("error", True)
        assert event["error"]["kind"] == "InputError"
        with pytest.raises(ConnectionClosed) as closed:
            line.recv(timeout=5)
        assert closed.value.rcvd.code == 1008  # type: ignore[union-attr]


def test_sessions_are_counted_and_given_back(stub: Server) -> None:
    lines = [opened(stub) for _ in range(2)]
    assert [received(line)["kind"] for line in lines] == ["session"] * 2
    assert stub.metric("emer_live_sessions") == 2
    with opened(stub) as third:
        assert received(third)["error"]["kind"] == "BusyError"
        with pytest.raises(ConnectionClosed) as closed:
            third.recv(timeout=5)
        assert closed.value.rcvd.code == 1013  # type: ignore[union-attr]
    for line in lines:
        line.close()
    end = time.monotonic() + 10
    while stub.metric("emer_live_sessions"):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_worker_that_is_killed_ends_the_session(stub: Server) -> None:
    with opened(stub) as line:
        received(line)
        killed = time.monotonic()
        os.kill(stub.worker_id(), signal.SIGKILL)
        event = received(line)
        assert time.monotonic() - killed < 2
        assert (event["error"]["kind"], event["fatal"]) == ("WorkerError", True)
        with pytest.raises(ConnectionClosed) as closed:
            line.recv(timeout=5)
        assert closed.value.rcvd.code == 1012  # type: ignore[union-attr]
    assert stub.clip().status == 200
    with opened(stub) as line:
        assert received(line)["kind"] == "session"


def test_other_origins_may_not_listen(stub: Server) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{stub.port}/v1/live", origin="https://evil.example")  # type: ignore[arg-type]
    assert refused.value.response.status_code == 403


def test_the_key_may_come_in_the_first_message(start: Callable[..., Server]) -> None:
    server = start("--api-key", "a-key-of-16-char").wait_until_ready()
    with opened(server) as line:
        assert received(line)["error"]["kind"] == "KeyRefusedError"
    with opened(server, api_key="a-key-of-16-char") as line:
        assert received(line)["kind"] == "session"


def test_pictures_are_decoded_and_checked(jpeg: bytes) -> None:
    assert jpeg_size(jpeg) == (64, 36)
    pixels = decode_jpeg(jpeg, Limits())
    assert (pixels.shape, pixels.dtype) == ((36, 64, 3), np.uint8)
    assert pixels[18, 10].max() < 30
    assert pixels[18, 50, 0] > 200
    with pytest.raises(LimitError):
        decode_jpeg(jpeg, Limits(pixels=100))
    for wrong in (b"", b"\xff\xd8", b"GIF89a", jpeg[:150], b"\xff\xd8" + b"\xff" * 50):
        with pytest.raises(MediaError):
            decode_jpeg(wrong, Limits())


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_an_input_error(data: bytes) -> None:
    for parse, given_ in ((parse_binary, data), (parse_text, data.decode("latin-1"))):
        with contextlib.suppress(InputError):
            assert parse(given_).what  # type: ignore[operator]


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_picture_or_an_emer_error(data: bytes) -> None:
    head = b"\xff\xd8\xff\xc0" + struct.pack(">HBHH", 17, 8, 16, 16)
    for picture in (data, head + data):
        with contextlib.suppress(EmerError):
            assert decode_jpeg(picture, Limits()).ndim == 3


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "audio", "pts_seconds": 0, "sample_rate": 10, "pcm": ""},
        {"kind": "audio", "pts_seconds": 0, "sample_rate": 16000, "pcm": "AA=="},
        {"kind": "audio", "pts_seconds": True, "sample_rate": 16000, "pcm": "AAAA"},
        {"kind": "frame", "pts_seconds": 0, "jpeg": "?"},
        {"kind": "text", "text": 3, "start_seconds": 0},
        {"kind": "text", "text": "a", "start_seconds": 2, "end_seconds": 1},
        {"kind": "ask", "question": 3},
        [],
    ],
)
def test_messages_that_make_no_sense(message: Any) -> None:
    with pytest.raises(InputError):
        parse_text(json.dumps(message))
