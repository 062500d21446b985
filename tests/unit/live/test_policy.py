"""The ladder of what is left out: it climbs one rung at a time, comes back, and does not swing."""

from __future__ import annotations

from itertools import pairwise

from emer_edge.live.policy import RUNGS, Ladder


def test_it_climbs_when_states_are_late_and_comes_back_when_there_is_time() -> None:
    ladder = Ladder(deadline=2.0, hop=1.0)
    rungs = [ladder.rung]
    for _ in range(20):
        if ladder.observe(3.0, 5.0):
            rungs.append(ladder.rung)
    assert rungs == [0, 1, 2, 3, 4]
    assert ladder.drops_modality
    assert ladder.stride == 4
    for _ in range(40):
        if ladder.observe(0.1, 0.1):
            rungs.append(ladder.rung)
    assert rungs == [0, 1, 2, 3, 4, 3, 2, 1, 0]
    assert ladder.reasons


def test_one_late_state_changes_nothing() -> None:
    ladder = Ladder(deadline=1.0, hop=1.0)
    for _ in range(10):
        assert not ladder.observe(5.0, 0.1)
        assert not ladder.observe(0.1, 0.1)


def test_it_stops_where_there_is_just_enough_time() -> None:
    ladder = Ladder(deadline=3.0, hop=1.0)
    for _ in range(100):  # 1.5 s for a state: every second one can be kept up with
        ladder.observe(1.5, 1.5)
    assert RUNGS[ladder.rung] == "every second state"


def test_it_waits_longer_each_time_that_coming_back_was_wrong() -> None:
    ladder = Ladder(deadline=1.0, hop=1.0)
    changes = []
    for i in range(400):  # slow with words, quick without
        slow = ladder.reasons
        if ladder.observe(2.0 if slow else 0.1, 2.0 if slow else 0.1):
            changes.append(i)
    assert ladder.rung <= 1
    waits = [b - a for a, b in pairwise(changes)]
    assert max(waits[-4:]) >= 40


def test_without_the_policy_it_stays_on_the_ground() -> None:
    ladder = Ladder(deadline=1.0, hop=1.0, active=False)
    assert not any(ladder.observe(9.0, 9.0) for _ in range(50))
    assert ladder.rung == 0
