"""Time stamps that are late, jump, go back or are none; and the grid they fall on."""

from __future__ import annotations

import math

import pytest

import emer_edge as ee
from emer_edge.live.clock import Clock
from emer_edge.live.plan import make_plan, spread


def _clock() -> Clock:
    clock = Clock(10.0)
    assert clock.admit("frames", 100.0, 100.0, 0.0) == "restart"
    assert clock.admit("audio", 100.01, 100.11, 0.0) == "ok"
    return clock


def test_the_first_time_stamp_is_the_origin_wherever_it_lies() -> None:
    clock = Clock(10.0)
    assert clock.admit("audio", 1.7e9, 1.7e9 + 0.02, 5.0) == "restart"
    assert clock.origin == 1.7e9
    assert clock.epoch == 1


@pytest.mark.parametrize("pts", [math.nan, math.inf, -math.inf])
def test_what_is_no_time_is_invalid(pts: float) -> None:
    assert _clock().admit("frames", pts, pts, 0.1) == "invalid"


def test_out_of_order_is_late() -> None:
    clock = _clock()
    assert clock.admit("frames", 100.5, 100.5, 0.5) == "ok"
    assert clock.admit("frames", 100.4, 100.4, 0.5) == "late"
    assert clock.admit("frames", 100.5, 100.5, 0.5) == "late"
    assert clock.admit("frames", 100.6, 100.6, 0.6) == "ok"


def test_one_wrong_time_stamp_does_not_throw_the_window_away() -> None:
    clock = _clock()
    assert clock.admit("frames", 5e8, 5e8, 0.1) == "jump"
    assert clock.admit("frames", 100.2, 100.2, 0.2) == "ok"
    assert clock.admit("frames", 3.0, 3.0, 0.3) == "jump"
    assert clock.admit("frames", 100.3, 100.3, 0.4) == "ok"
    assert clock.epoch == 1


def test_a_jump_of_both_modalities_starts_anew() -> None:
    clock = _clock()
    assert clock.admit("frames", 0.0, 0.0, 0.1) == "jump"
    assert clock.admit("audio", 0.0, 0.1, 0.1) == "restart"
    assert clock.origin == 0.0
    assert clock.admit("frames", 0.04, 0.04, 0.14) == "ok"
    assert clock.epoch == 2


def test_a_modality_that_jumps_alone_is_not_believed_while_the_other_goes_on() -> None:
    clock = _clock()
    for i in range(1, 30):
        assert clock.admit("frames", 500 + i / 30, 500 + i / 30, i / 30) == "jump"
        assert clock.admit("audio", 100.01 + i / 30, 100.11 + i / 30, i / 30) == "ok"
    assert clock.epoch == 1


def test_a_single_modality_confirms_its_own_jump() -> None:
    clock = Clock(10.0)
    clock.admit("frames", 0.0, 0.0, 0.0)
    assert clock.admit("frames", 50.0, 50.0, 1.0) == "jump"
    assert clock.admit("frames", 50.04, 50.04, 1.04) == "restart"


def test_a_pause_is_no_jump_while_the_other_modality_goes_on() -> None:
    clock = _clock()
    for second in range(1, 31):
        clock.admit("audio", 100.0 + second, 101.0 + second, float(second))
    assert clock.admit("frames", 130.0, 130.0, 30.0) == "ok"


def test_what_lies_before_the_origin_is_late_and_not_a_jump() -> None:
    clock = Clock(10.0)
    clock.admit("frames", 10.0, 10.0, 0.0)
    assert clock.admit("audio", 9.9, 10.1, 0.0) == "ok"
    assert clock.admit("frames", 9.5, 9.5, 0.0) == "late"


@pytest.mark.parametrize(
    ("window", "hop", "seen", "heard"),
    [(8.0, 2.0, 8.0, 9.0), (16.0, 2.0, 16.0, 16.0), (9.0, 1.0, 8.0, 9.0), (4.0, 1.0, 4.0, 3.75)],
)
def test_the_grid_comes_as_near_to_the_window_as_sharing_allows(
    stub: ee.Reasoner, window: float, hop: float, seen: float, heard: float
) -> None:
    plan = make_plan(stub.manifest, window, hop)
    assert plan.seen_seconds == pytest.approx(seen, abs=0.2)
    assert plan.heard_seconds == pytest.approx(heard, abs=1e-9)
    for m in range(1, 40):
        assert plan.sound_ends(m + 1) == [end + plan.hop_samples for end in plan.sound_ends(m)]
        assert plan.sound_ends(m)[-1] == m * plan.hop_samples
        assert plan.slots(m).stop == m * plan.frames_per_hop


@pytest.mark.parametrize("fps", [5, 10, 15, 24, 25, 29.97, 30, 60])
def test_each_stretch_takes_the_frame_that_is_shown_at_its_beginning(stub: ee.Reasoner, fps: float) -> None:
    plan = make_plan(stub.manifest, 8.0, 2.0)
    taken: dict[int, float] = {}
    for i in range(int(20 * fps)):
        slot = plan.slot_of(i / fps, 1 / fps if i else 0.0)
        taken.setdefault(slot, i / fps)
    for slot in range(19):
        place = slot * plan.frame_step_seconds
        assert taken[slot] == pytest.approx(math.floor(place * fps + 1e-6) / fps, abs=1e-6)


def test_few_frames_are_spread_over_the_window() -> None:
    assert spread([7], 8) == [7] * 8
    assert spread([1, 2, 3], 8) == [1, 1, 1, 2, 2, 2, 3, 3]
    assert spread(list(range(8)), 8) == list(range(8))
