from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from emer_edge.bridges.payloads import Intake
from emer_edge.errors import InputError
from emer_edge.limits import Limits
from tests.support.recorder import Recorder

PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
RAW = {"format": "rgb8", "width": 3, "height": 2, "pts_seconds": 1.5}


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def test_frames(recorder: Recorder) -> None:
    intake = Intake(recorder)
    assert intake.take("frame", PIXELS.tobytes(), RAW)
    assert intake.take("frame", PIXELS[:, :, ::-1].tobytes(), RAW | {"format": "bgr8"})
    for pixels, seconds in recorder.frames:
        np.testing.assert_array_equal(pixels, PIXELS)
        assert seconds == 1.5
    assert intake.counts == {"frame": 2}


def test_a_jpeg(recorder: Recorder) -> None:
    image = pytest.importorskip("PIL.Image")
    out = io.BytesIO()
    image.fromarray(np.full((16, 24, 3), (200, 30, 30), np.uint8)).save(out, "JPEG", quality=95)
    assert Intake(recorder).take("frame", out.getvalue(), {"pts_seconds": 2})
    pixels, seconds = recorder.frames[0]
    assert (pixels.shape, pixels.dtype, seconds) == ((16, 24, 3), np.uint8, 2.0)
    assert np.abs(pixels.astype(int) - (200, 30, 30)).max() < 12


def test_sound(recorder: Recorder) -> None:
    intake = Intake(recorder)
    ints, floats = np.array([1, -1, 2, -2], np.int16), np.array([0.5, -0.5], np.float32)
    assert intake.take("audio", ints.tobytes(), {"sample_rate": 16_000, "channels": 2, "pts_seconds": 1})
    assert intake.take("audio", floats, {"sample_rate": 48_000, "format": "f32"})
    np.testing.assert_array_equal(recorder.sound[0][0], [[1, 2], [-1, -2]])
    np.testing.assert_array_equal(recorder.sound[1][0], [[0.5, -0.5]])
    assert [rest for _, *rest in recorder.sound] == [[16_000, 1.0], [48_000, None]]


def test_words_and_questions(recorder: Recorder) -> None:
    intake = Intake(recorder)
    times = {"start_seconds": 1, "end_seconds": 2.5}
    assert intake.take("text", "grüße".encode(), times)
    assert intake.take("text", b"hel", times | {"final": False})
    assert intake.take("ask", b"", {})
    assert intake.take("ask", b"Why?", {})
    assert recorder.words == [("grüße", 1.0, 2.5, True), ("hel", 1.0, 2.5, False)]
    assert recorder.questions == ["explain", "Why?"]


REFUSED: list[tuple[str, bytes, dict[str, Any]]] = [
    ("frame", PIXELS.tobytes(), {**RAW, "width": 4}),
    ("frame", PIXELS.tobytes(), {**RAW, "width": 3.0}),
    ("frame", PIXELS.tobytes(), {**RAW, "width": 65_536, "height": 65_536}),
    ("frame", PIXELS.tobytes(), {**RAW, "format": "png"}),
    ("frame", PIXELS.tobytes(), {**RAW, "pts_seconds": None}),
    ("frame", PIXELS.tobytes(), {**RAW, "pts_seconds": float("inf")}),
    ("frame", b"no jpeg", {"pts_seconds": 1}),
    ("audio", b"xxx", {"sample_rate": 16_000}),
    ("audio", b"", {"sample_rate": 16_000}),
    ("audio", b"xx", {"sample_rate": 16_000, "channels": 2}),
    ("audio", b"xx", {"sample_rate": 16_000, "format": "mp3"}),
    ("audio", b"xx", {}),
    ("text", b"\xff", {"start_seconds": 0, "end_seconds": 1}),
    ("text", b"x" * 20_000, {"start_seconds": 0, "end_seconds": 1}),
    ("text", b"x", {"start_seconds": 0}),
    ("text", b"x", {"start_seconds": 0, "end_seconds": 1, "final": 1}),
    ("smell", b"", {}),
]


@pytest.mark.parametrize(("name", "data", "facts"), REFUSED, ids=str)
def test_what_can_not_be_read_is_counted(recorder: Recorder, name: str, data: bytes, facts: Any) -> None:
    intake = Intake(recorder, Limits())
    assert not intake.take(name, data, facts)
    assert intake.counts == {"refused": 1}
    assert intake.last_error is not None
    assert [recorder.frames, recorder.sound, recorder.words] == [[], [], []]


def test_a_refusal_of_the_session_is_counted_too(recorder: Recorder) -> None:
    def closed(question: str = "explain") -> None:
        raise InputError("The session is closed.")

    recorder.ask = closed  # type: ignore[method-assign]
    intake = Intake(recorder)
    assert not intake.take("ask", b"", {})
    assert str(intake.last_error) == "The session is closed."
