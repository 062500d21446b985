"""Waiting, ending and refusing: what a live session does at its edges."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import emer_edge as ee
from emer_edge.errors import EmerError, InputError, LimitError
from emer_edge.live.channel import MOST_WAITING, Channel
from emer_edge.live.events import Token
from tests.unit.live.streams import RATE, failures, noise, push_all, states

FRAME = np.zeros((40, 60, 3), np.uint8)


def test_events_that_nobody_fetches_are_bounded() -> None:
    channel = Channel()
    for i in range(MOST_WAITING + 10):
        channel.put(Token(str(i), 0))
    channel.close()
    assert channel.lost == 10
    assert next(iter(channel)) == Token("10", 0)


def test_flush_tells_of_everything_and_the_stream_goes_on(stub: ee.Reasoner) -> None:
    with stub.live(window_seconds=4.0, hop_seconds=2.0, speech=None) as live:
        stream = noise(6.0)
        push_all(live, stream.between(0, 3))
        assert live.flush(20)
        first = live.stats()["states"]
        assert live.flush(20)
        assert live.stats()["states"] == first == 2
        push_all(live, stream.between(3, 6), offset=3.0)
    assert [s.end_pts_seconds for s in states(list(live))] == pytest.approx([2, 3, 4, 6], abs=0.11)


def test_a_very_short_stream_gets_its_state(stub: ee.Reasoner) -> None:
    with stub.live(policy="block", speech=None) as live:
        live.push_audio(noise(0.1).sound, RATE, 5.0)
    (state,) = states(list(live))
    assert (state.start_pts_seconds, state.end_pts_seconds) == pytest.approx((5.0, 5.1))


def test_closing_without_draining_is_quick(stub: ee.Reasoner, slow: Callable[[float], None]) -> None:
    slow(0.3)
    # No window is too old, and the worker has begun on all of them: draining would take a minute and a half.
    live = stub.live(
        window_seconds=2.0, hop_seconds=0.1, policy="drop_oldest", deadline_seconds=60.0, speech=None
    )
    push_all(live, noise(30.0))
    assert not live.flush(1.0)
    began = time.monotonic()
    live.close(drain=False)
    assert time.monotonic() - began < 15  # a busy machine may take seconds to end a thread
    assert live.closed
    live.close()


def test_an_error_in_the_block_does_not_wait(stub: ee.Reasoner) -> None:
    with pytest.raises(KeyError):
        with stub.live(policy="block", speech=None) as live:
            push_all(live, noise(2.0))
            raise KeyError
    assert live.closed


def test_closing_the_reasoner_ends_its_streams(stub_pack: Path) -> None:
    with ee.load(stub_pack, threads=1) as reasoner:
        live = reasoner.live(speech=None)
        waiting = threading.Thread(target=lambda: list(live))
        waiting.start()
    waiting.join(5)
    assert not waiting.is_alive()
    with pytest.raises(InputError, match="closed"):
        live.push_frame(FRAME, 0.0)
    with pytest.raises(InputError):
        reasoner.live()


def test_clips_and_streams_take_turns(stub: ee.Reasoner) -> None:
    stream = noise(6.0)
    clip = ee.Clip(waveform=stream.sound[: 3 * RATE], subtitle="Well.")
    alone = stub.infer(clip, options=ee.Options(max_tokens=6)).to_dict(timings=False)
    with stub.live(
        window_seconds=2.0, hop_seconds=0.5, policy="block", speech=None, reasoning=0.5, max_tokens=6
    ) as live:
        pushing = threading.Thread(target=push_all, args=(live, stream))
        pushing.start()
        beside = [stub.infer(clip, options=ee.Options(max_tokens=6)).to_dict(timings=False) for _ in range(5)]
        pushing.join()
    events = list(live)
    assert all(one == alone for one in beside)
    assert not failures(events)
    assert len(states(events)) == 12


@pytest.mark.parametrize(
    "settings",
    [
        {"window_seconds": 0},
        {"hop_seconds": 20.0},
        {"hop_seconds": float("nan")},
        {"policy": "hope"},
        {"reasoning": "sometimes"},
        {"reasoning": -1.0},
        {"deadline_seconds": "soon"},
        {"no_such": 1},
        {"question": ""},
        {"max_tokens": -1},
    ],
)
def test_settings_that_make_no_sense_are_refused(stub: ee.Reasoner, settings: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        stub.live(**settings)


def test_pushes_that_make_no_sense_are_refused(stub: ee.Reasoner) -> None:
    with stub.live(speech=None) as live:
        for frame in (None, FRAME[..., 0], FRAME.astype(np.float32), FRAME[:0], FRAME[..., :2]):
            with pytest.raises(InputError):
                live.push_frame(frame, 0.0)  # type: ignore[arg-type]
        with pytest.raises(LimitError):
            live.push_frame(np.broadcast_to(np.zeros(3, np.uint8), (5000, 5000, 3)), 0.0)
        for pcm in (None, np.zeros((0,), np.float32), np.zeros(9, np.int8), np.zeros((100, 9), np.int16)):
            with pytest.raises(InputError):
                live.push_audio(pcm, RATE, 0.0)  # type: ignore[arg-type]
        for rate in (0, True, 16_000.5, 10**9):
            with pytest.raises(EmerError):
                live.push_audio(np.zeros(9, np.float32), rate, 0.0)  # type: ignore[arg-type]
        with pytest.raises(InputError):
            live.push_text(b"x", 0, 1)  # type: ignore[arg-type]
        with pytest.raises(InputError):
            live.ask("")
    assert not states(list(live))
