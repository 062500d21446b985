"""What is streamed equals what the whole clip of the same span gives, and nothing is computed twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import emer_edge as ee
from emer_edge.limits import Limits
from emer_edge.live.plan import make_plan
from emer_edge.live.session import LiveSession
from emer_edge.media.source import AudioSpec, open_media
from tests.unit.live.streams import FPS, RATE, Stream, noise, push_all, states

NEAR = 2e-4
"""Difference of confidences that rounding in another batch may make."""


def _clip(stream: Stream, live: LiveSession, end: float, words: str | None = None) -> ee.Clip:
    """The clip that one window is equal to: its pictures, and its sound with one unheard step behind it."""
    plan = live.plan
    first = round((end - plan.heard_seconds) * RATE)
    count = round((plan.heard_seconds + plan.sound_step_seconds) * RATE)
    heard = stream.sound[first : first + count]
    heard = np.concatenate([heard, np.ones(count - len(heard), np.float32)])
    seen = stream.frames[round((end - plan.seen_seconds) * FPS) : round(end * FPS)]
    return ee.Clip(frames=seen, waveform=heard, subtitle=words)


@pytest.mark.parametrize(("window", "hop"), [(8.0, 2.0), (16.0, 2.0), (4.0, 1.0), (6.0, 3.0), (9.0, 1.0)])
def test_a_window_equals_the_clip_of_its_span(stub: ee.Reasoner, window: float, hop: float) -> None:
    stream = noise(window + 4 * hop)
    with stub.live(window_seconds=window, hop_seconds=hop, policy="block", speech=None) as live:
        live.push_text("I did not expect that.", 0.5, window + 4 * hop)
        push_all(live, stream)
    told = states(list(live))
    assert [state.index for state in told] == list(range(len(told)))
    whole = [s for s in told if s.end_pts_seconds >= live.plan.reach_seconds]
    assert len(whole) >= 3
    for state in whole:
        clip = _clip(stream, live, state.end_pts_seconds, "I did not expect that.")
        expected = stub.infer(clip, question="labels", options=ee.Options(max_tokens=0))
        assert state.scores == pytest.approx(expected.scores, abs=NEAR)
        assert state.quality.modalities == ("vision", "audio", "subtitle") == expected.used.modalities
        assert state.subtitle == expected.used.subtitle


def test_each_frame_and_each_piece_of_sound_is_encoded_once(stub: ee.Reasoner) -> None:
    with stub.live(window_seconds=16.0, hop_seconds=2.0, policy="block", speech=None) as live:
        push_all(live, noise(30.0))
    stats = live.stats()
    assert stats["encoded"] == {"frames": 15, "sounds": 15}
    assert stats["states"] == 15
    assert stats["reused"]["frames"] > 70
    assert stats["dropped"] == {}


def test_reasoning_equals_that_about_the_clip(stub: ee.Reasoner) -> None:
    stream = noise(8.0)
    with stub.live(window_seconds=4.0, hop_seconds=1.0, policy="block", speech=None, max_tokens=12) as live:
        push_all(live, stream)
        live.flush()
        live.ask("explain")
        live.flush()
        answers = [event for event in live_events(live) if event.kind == "reasoning"]
    clip = _clip(stream, live, 8.0)
    expected = stub.infer(clip, question="explain", options=ee.Options(max_tokens=12))
    assert [answer.text for answer in answers] == [expected.text]
    assert answers[0].clues == expected.clues


def live_events(live: LiveSession) -> list[object]:
    """Everything that waits now."""
    out = []
    while (event := live.get(0)) is not None:
        out.append(event)
    return out


def test_a_rule_that_mixes_pieces_is_followed_without_sharing(mixing: ee.Reasoner) -> None:
    stream = noise(12.0)
    with mixing.live(window_seconds=8.0, hop_seconds=2.0, policy="block", speech=None) as live:
        push_all(live, stream)
    last = states(list(live))[-1]
    clip = _clip(stream, live, last.end_pts_seconds)
    expected = mixing.infer(clip, question="labels", options=ee.Options(max_tokens=0))
    assert last.scores == pytest.approx(expected.scores, abs=NEAR)
    assert live.stats()["encoded"]["frames"] == 12
    assert live.stats()["reused"]["sounds"] == 0


def test_faces_are_followed_as_in_the_clip(nano: ee.Reasoner, demo_clip: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(demo_clip)) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        fps = round(float(container.streams.video[0].average_rate))
    sound = open_media(demo_clip, Limits()).waveform(AudioSpec(RATE)).samples
    with nano.live(window_seconds=4.0, hop_seconds=1.0, policy="block", speech=None) as live:
        at = 0
        for i, frame in enumerate(frames):
            live.push_frame(frame, i / fps)
            until = min(len(sound), round((i + 1) / fps * RATE))
            if until > at:
                live.push_audio(sound[at:until], RATE, at / RATE)
                at = until
    plan = live.plan
    compared = 0
    for state in states(list(live)):
        end = state.end_pts_seconds
        if end < plan.reach_seconds or abs(end - round(end)) > 1e-6:
            continue
        first = round((end - plan.heard_seconds) * RATE)
        count = round((plan.heard_seconds + plan.sound_step_seconds) * RATE)
        heard = np.zeros(count, np.float32)
        part = sound[first : first + count]
        heard[: len(part)] = part
        seen = frames[round((end - plan.seen_seconds) * fps) : round(end * fps)]
        clip = ee.Clip(frames=seen, waveform=heard)
        expected = nano.infer(clip, question="labels", options=ee.Options(max_tokens=0))
        assert state.quality.faces == expected.used.faces == 8
        assert state.scores == pytest.approx(expected.scores, abs=NEAR)
        compared += 1
    assert compared >= 2


def test_sound_at_another_rate_is_resampled_as_in_the_clip(stub: ee.Reasoner) -> None:
    rate = 44_100
    random = np.random.default_rng(9)
    sound = random.normal(0, 3000, (2, 10 * rate)).astype(np.int16)
    with stub.live(window_seconds=9.0, hop_seconds=1.0, policy="block", speech=None) as live:
        for at in range(0, 10 * rate, 441):
            live.push_audio(sound[:, at : at + 441], rate, at / rate)
    last = states(list(live))[-1]
    plan = make_plan(stub.manifest, 9.0, 1.0)
    span = plan.heard_seconds + plan.sound_step_seconds
    first = round((last.end_pts_seconds - plan.heard_seconds) * rate)
    heard = np.zeros((2, round(span * rate)), np.int16)
    heard[:, : 10 * rate - first] = sound[:, first:]
    expected = stub.infer(ee.Clip(waveform=heard, sample_rate=rate), question="labels")
    assert last.end_pts_seconds == pytest.approx(10.0)
    assert last.scores == pytest.approx(expected.scores, abs=5e-3)
