"""A session from outside: what it tells, what it counts, how it ends, and that nothing kills it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import emer_edge as ee
from emer_edge.errors import DeviceError, InputError
from emer_edge.live.events import LiveEvent, Reasoned, Token, event_to_dict
from emer_edge.live.policy import Ladder
from emer_edge.live.windows import Windows
from emer_edge.llm.context import Branch
from tests.unit.live.streams import RATE, dropped, failures, noise, push_all, pushes, reasoned, states

FRAME = np.zeros((40, 60, 3), np.uint8)


def test_states_come_every_hop_and_carry_what_they_rest_on(stub: ee.Reasoner) -> None:
    with stub.live(window_seconds=4.0, hop_seconds=1.0, policy="block", speech=None) as live:
        live.push_text("Well.", 1.2, 1.9)
        push_all(live, noise(6.0), offset=1000.0 - 1000.0)
    told = states(list(live))
    assert [state.end_pts_seconds for state in told] == pytest.approx([1, 2, 3, 4, 5, 6])
    assert [state.start_pts_seconds for state in told] == pytest.approx([0, 0, 0, 0, 1, 2])
    assert [bool(state.subtitle) for state in told] == [False, True, True, True, True, False]
    for state in told:
        assert sum(state.scores.values()) == pytest.approx(1)
        assert -1 <= state.valence <= 1
        assert -1 <= state.arousal <= 1
        assert state.age_seconds >= 0
        assert state.emotions[0].confidence == max(state.scores.values())
    assert told[-1].quality.frames == 8
    assert told[-1].quality.audio_seconds == pytest.approx(live.plan.heard_seconds)
    assert event_to_dict(told[0])["kind"] == "state"


def test_times_are_the_callers_own(stub: ee.Reasoner) -> None:
    with stub.live(window_seconds=2.0, hop_seconds=1.0, policy="block", speech=None) as live:
        push_all(live, noise(3.0), offset=1.7e9)
    assert [s.end_pts_seconds - 1.7e9 for s in states(list(live))] == pytest.approx([1, 2, 3], abs=1e-3)


def test_late_jumping_and_invalid_time_stamps_are_told(stub: ee.Reasoner) -> None:
    with stub.live(window_seconds=2.0, hop_seconds=1.0, policy="block", speech=None) as live:
        push_all(live, noise(2.0))
        live.push_frame(FRAME, float("nan"))
        live.push_frame(FRAME, 1.5)
        live.push_frame(FRAME, 9e9)
        live.push_audio(np.zeros(1600, np.float32), RATE, 1.5)
        live.push_text("x", 2.0, 1.0)
        live.push_text("x", float("nan"), 1.0)
        push_all(live, noise(2.0).between(0, 1), offset=2.0)
    events = list(live)
    assert dropped(events) == {
        ("invalid", "frames"): 1,
        ("late", "frames"): 1,
        ("jump", "frames"): 1,
        ("late", "audio"): 1,
        ("invalid", "text"): 2,
    }
    assert [s.end_pts_seconds for s in states(events)] == pytest.approx([1, 2, 3])


def test_a_stream_that_begins_again_goes_on_with_an_empty_window(stub: ee.Reasoner) -> None:
    with stub.live(window_seconds=4.0, hop_seconds=1.0, policy="block", speech=None) as live:
        for _ in range(3):
            push_all(live, noise(3.0))
    events = list(live)
    told = states(events)
    assert [state.index for state in told] == list(range(len(told)))
    assert [round(s.end_pts_seconds) for s in told].count(3) == 3
    assert all(s.quality.audio_seconds <= s.end_pts_seconds + 1e-6 for s in told)
    assert set(dropped(events)) == {("jump", "audio")}
    assert not failures(events)


def test_words_of_before_a_jump_do_not_come_back(stub: ee.Reasoner) -> None:
    with stub.live(window_seconds=4.0, hop_seconds=2.0, policy="block", speech=None) as live:
        live.push_text("Before anything.", 0.0, 1.0)
        push_all(live, noise(4.0))
        live.push_text("At the end.", 3.0, 3.9)
        live.flush()
        push_all(live, noise(4.0))
    told = states(list(live))
    assert told[0].subtitle == "Before anything."
    assert told[-1].subtitle == ""
    assert told[-1].end_pts_seconds == pytest.approx(4.0)


def test_sound_that_is_no_number_is_a_gap_and_told(stub: ee.Reasoner) -> None:
    stream = noise(6.0)
    stream.sound[2 * RATE : 2 * RATE + 5] = np.nan
    with stub.live(window_seconds=2.0, hop_seconds=1.0, policy="block", speech=None) as live:
        push_all(live, stream)
    events = list(live)
    assert dropped(events) == {("invalid", "audio"): 1}
    assert not failures(events)
    assert len(states(events)) == 6


def test_without_time_stamps_the_wall_clock_is_taken(stub: ee.Reasoner) -> None:
    with stub.live(window_seconds=2.0, hop_seconds=0.5, policy="block", speech=None) as live:
        for _ in range(10):
            live.push_frame(FRAME)
            live.push_audio(noise(0.1).sound, RATE)
            time.sleep(0.1)
    assert live.stats()["stamped_here"] == 20
    assert len(states(list(live))) >= 2


def test_one_modality_alone_is_not_kept_waiting(stub: ee.Reasoner) -> None:
    for kind in ("frames", "sound"):
        stream = noise(3.0)
        empty = {"frames": stream.frames[:0], "sound": stream.sound[:0]}
        parts = {
            "frames": stream.frames,
            "sound": stream.sound,
            **{k: v for k, v in empty.items() if k != kind},
        }
        with stub.live(window_seconds=2.0, hop_seconds=1.0, policy="block", speech=None) as live:
            push_all(live, type(stream)(**parts))
        told = states(list(live))
        assert len(told) == 3
        assert {state.quality.modalities for state in told} == {
            ("vision",) if kind == "frames" else ("audio",)
        }


def test_a_modality_that_stops_is_waited_for_a_moment_and_then_left_out(stub: ee.Reasoner) -> None:
    stream = noise(6.0)
    with stub.live(window_seconds=2.0, hop_seconds=1.0, policy="block", speech=None) as live:
        push_all(live, type(stream)(stream.frames[:25], stream.sound))
    told = states(list(live))
    assert len(told) == 6
    assert told[1].quality.modalities == ("vision", "audio")
    assert told[-1].quality.modalities == ("audio",)


def test_nothing_to_sense_gives_a_state_that_says_so(stub: ee.Reasoner) -> None:
    with stub.live(window_seconds=2.0, hop_seconds=1.0, policy="block", speech=None) as live:
        live.push_audio(np.zeros(2 * RATE, np.float32), RATE, 0.0)
        live.ask()
    events = list(live)
    for state in states(events):
        assert (state.emotions, state.scores, state.quality.modalities) == ((), {}, ())
        assert (state.valence, state.arousal) == (0.0, 0.0)
    assert "Nothing was sensed" in str(failures(events)[0].error["what"])


def test_a_slow_model_drops_old_windows_and_stays_fresh(
    stub: ee.Reasoner, slow: Callable[[float], None]
) -> None:
    slow(0.5)
    with stub.live(window_seconds=2.0, hop_seconds=0.25, speech=None) as live:
        for kind, at, stream in ((k, k * 0.1, noise(0.1, k)) for k in range(30)):
            live.push_audio(stream.sound, RATE, at)
            time.sleep(0.05)
            assert kind < 30
    events = list(live)
    told = states(events)
    lost = dropped(events)["skipped_hop", "hops"]
    assert lost >= 4
    assert len(told) + lost == 12
    assert [state.index for state in told] == list(range(len(told)))
    assert max(state.age_seconds for state in told) < 1.6


def test_the_queue_is_bounded_and_what_is_lost_is_told(
    stub: ee.Reasoner, slow: Callable[[float], None]
) -> None:
    slow(0.7)
    with stub.live(window_seconds=2.0, hop_seconds=1.0, speech=None) as live:
        push_all(live, noise(60.0))
        waiting = live.stats()["waiting"]
    events = list(live)
    plan = live.plan
    assert waiting["frames"] <= plan.frames + plan.frames_per_hop
    assert waiting["audio"] <= plan.reach_seconds + plan.hop_seconds + 0.2
    assert dropped(events)["queue_full", "audio"] > 100
    assert dropped(events)["queue_full", "frames"] > 10
    stats = live.stats()
    assert sum(stats["dropped"].values()) == sum(dropped(events).values())


def test_blocking_loses_nothing(stub: ee.Reasoner, slow: Callable[[float], None]) -> None:
    slow(0.05)
    with stub.live(window_seconds=2.0, hop_seconds=1.0, policy="block", speech=None) as live:
        push_all(live, noise(20.0))
    events = list(live)
    assert len(states(events)) == 20
    assert dropped(events) == {}


def test_degrading_leaves_out_reasoning_then_states_then_a_modality_and_recovers(
    stub: ee.Reasoner, monkeypatch: pytest.MonkeyPatch
) -> None:
    observe, late, rungs = Ladder.observe, [True], [0]

    def told(self: Ladder, _age: float, _busy: float) -> bool:
        if changed := observe(self, 9.0 * late[0], 9.0 * late[0]):
            rungs.append(self.rung)
        late[0] = late[0] and self.rung < 4
        return changed

    monkeypatch.setattr(Ladder, "observe", told)
    stream = noise(8.0)
    with stub.live(
        window_seconds=0.8, hop_seconds=0.1, policy="degrade", deadline_seconds=99.0, speech=None,
        reasoning=0.1, max_tokens=2
    ) as live:  # fmt: skip
        for kind, pts, array in pushes(stream, 0.05):
            if kind == "frame":
                live.push_frame(array, pts)
            else:
                live.push_audio(array, RATE, pts)
            time.sleep(0.01)
    seen = list(live)
    assert rungs == [0, 1, 2, 3, 4, 3, 2, 1, 0]
    lost = dropped(seen)
    assert lost["skipped_reasoning", "reasonings"] >= 2
    assert lost["skipped_hop", "hops"] >= 8
    assert any(lost.get(("skipped_modality", what), 0) for what in ("frames", "audio"))
    degraded = [state.quality.degraded for state in states(seen)]
    assert any(len(what) == 3 for what in degraded)
    assert degraded[0] == degraded[-1] == ()
    assert states(seen)[-1].quality.modalities == ("vision", "audio")


def test_a_late_window_gives_way_to_the_newest(stub: ee.Reasoner, slow: Callable[[float], None]) -> None:
    slow(0.4)
    with stub.live(window_seconds=2.0, hop_seconds=0.1, deadline_seconds=0.5, speech=None) as live:
        for k in range(60):
            live.push_audio(noise(0.05, k).sound, RATE, k * 0.05)
            time.sleep(0.05)
    ages = [state.age_seconds for state in states(list(live))]
    assert len(ages) >= 3
    assert max(ages) < 2.0


def test_reasoning_comes_token_by_token_and_whole(stub: ee.Reasoner) -> None:
    with stub.live(
        window_seconds=2.0, hop_seconds=1.0, policy="block", speech=None, reasoning=2.0, max_tokens=10
    ) as live:
        push_all(live, noise(6.0))
    events = list(live)
    answers = reasoned(events)
    assert [answer.state_index for answer in answers] == [0, 2, 4]
    for answer in answers:
        pieces = [e.text for e in events if isinstance(e, Token) and e.state_index == answer.state_index]
        assert "".join(pieces).strip() == answer.text
        assert answer.finish in ("stop", "length")


def test_change_of_state_is_reasoned_about(stub: ee.Reasoner, monkeypatch: pytest.MonkeyPatch) -> None:
    with stub.live(
        window_seconds=2.0, hop_seconds=1.0, policy="block", speech=None, reasoning="on_change", max_tokens=2
    ) as live:
        push_all(live, noise(10.0))
    events = list(live)
    told = states(events)
    changes = [s.index for before, s in zip([None, *told], told, strict=False)
               if before is None or before.emotions[0].label != s.emotions[0].label]  # fmt: skip
    assert [answer.state_index for answer in reasoned(events)] == changes


def test_silence_is_not_reasoned_about(stub: ee.Reasoner) -> None:
    with stub.live(window_seconds=2.0, hop_seconds=1.0, policy="block", reasoning=1.0, max_tokens=2) as live:
        push_all(live, noise(4.0))
        live.flush()
        live.ask("labels")
    events = list(live)
    assert len(reasoned(events)) == 1  # the one that was asked for
    assert not any(state.quality.speech for state in states(events))


def test_interrupt_stops_within_one_token(nano: ee.Reasoner) -> None:
    told: list[LiveEvent] = []
    after: list[int] = []

    def hear(event: LiveEvent) -> None:
        told.append(event)
        if isinstance(event, Token) and sum(isinstance(e, Token) for e in told) == 5:
            live.interrupt()
            after.append(len(told))

    with nano.live(policy="block", on_event=hear, speech=None) as live:
        live.push_text("I am so happy for you!", 0.0, 1.0)
        live.push_audio(noise(2.0).sound, RATE, 0.0)
        live.flush()
        live.ask("explain")
        live.flush()
        live.ask("explain")
    rest = told[after[0] :]
    assert isinstance(rest[0], Reasoned)
    assert rest[0].finish == "interrupted"
    assert rest[0].text
    assert reasoned(told)[1].finish == "stop"
    assert reasoned(told)[1].text.startswith(rest[0].text)


def test_interrupt_from_another_thread_is_quick(nano: ee.Reasoner, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Branch.step

    def slowly(*given: Any) -> Any:
        time.sleep(0.03)  # a token is quicker than a thread that waits for its turn
        return step(*given)

    monkeypatch.setattr(Branch, "step", slowly)
    with nano.live(policy="block", speech=None) as live:
        live.push_text("I am so happy for you!", 0.0, 1.0)
        live.push_audio(noise(2.0).sound, RATE, 0.0)
        live.ask("explain")
        while not isinstance(live.get(30), Token):
            pass
        live.interrupt()
        rest = []
        while not isinstance(rest[-1] if rest else None, Reasoned):
            rest.append(live.get(30))
    assert rest[-1].finish == "interrupted"
    assert len(rest) <= 4  # what was on its way when it was interrupted


def test_a_failure_is_told_and_the_session_goes_on(
    stub: ee.Reasoner, monkeypatch: pytest.MonkeyPatch
) -> None:
    perceive, calls = Windows._perceive, [0]

    def failing(self: Windows, *arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == 2:
            raise DeviceError("The device has gone.", "It was unplugged.")
        if calls[0] == 3:
            raise ValueError("a bug")
        return perceive(self, *arguments)

    monkeypatch.setattr(Windows, "_perceive", failing)
    with stub.live(window_seconds=2.0, hop_seconds=1.0, policy="block", speech=None) as live:
        push_all(live, noise(5.0))
    events = list(live)
    assert [event.error["kind"] for event in failures(events)] == ["DeviceError", "EmerError"]
    assert not any(event.fatal for event in failures(events))
    assert [state.index for state in states(events)] == [0, 1, 2]


@pytest.mark.parametrize("seconds", [1.0, 20.0])  # of one push: a window or two, or forty at a time
def test_a_model_that_always_fails_ends_the_session_with_a_fatal_error(
    stub: ee.Reasoner, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    def failing(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Windows, "_perceive", failing)
    live = stub.live(window_seconds=2.0, hop_seconds=0.5, policy="block", speech=None)
    with pytest.raises(InputError, match="closed"):
        for piece in range(1000):
            live.push_audio(noise(seconds).sound, RATE, piece * seconds)
    events = list(live)
    assert failures(events)[-1].fatal
    assert len(failures(events)) == 10


def test_what_the_callback_raises_is_counted_and_told(stub: ee.Reasoner) -> None:
    told: list[LiveEvent] = []

    def bad(event: LiveEvent) -> None:
        told.append(event)
        raise RuntimeError("mine")

    with stub.live(window_seconds=2.0, hop_seconds=1.0, policy="block", speech=None, on_event=bad) as live:
        push_all(live, noise(3.0))
    assert len(states(told)) == 3
    assert "mine" in str(failures(told)[0].error["why"])
    assert live.stats()["callback_errors"] == 6


def test_asyncio_reads_the_same_events(stub: ee.Reasoner) -> None:
    async def watch() -> list[LiveEvent]:
        live = stub.live(window_seconds=2.0, hop_seconds=1.0, policy="block", speech=None)
        pushing = asyncio.create_task(asyncio.to_thread(lambda: (push_all(live, noise(4.0)), live.close())))
        events = [event async for event in live.events_async()]
        await pushing
        return events

    assert [state.index for state in states(asyncio.run(watch()))] == [0, 1, 2, 3]
