"""Peers in processes of their own: what they tell, and what becomes of those that fail."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from benchmarks.turns import Peer, Stopwatch, Way, summary, take_turns
from tests.support.turn_ways import absent, broken, counting


@pytest.fixture(scope="module")
def peers() -> Iterator[list[Peer]]:
    made = [Peer(Way("two", counting, (2.0,))), Peer(Way("three", counting, (3.0,)))]
    yield made
    for peer in made:
        peer.close()


def test_peers_take_turns_in_processes_of_their_own(peers: list[Peer]) -> None:
    found = take_turns(peers, [1, 2, 3])
    assert [sample["x_ms"] for sample in found["two"]] == [2, 4, 6]
    assert [sample["x_ms"] for sample in found["three"]] == [3, 6, 9]
    processes = {sample["process"] for rows in found.values() for sample in rows}
    assert len(processes) == 2
    assert os.getpid() not in processes
    assert all(sample["peak_megabytes"] > 1 for sample in found["two"])
    assert peers[0].start["load_seconds"] >= 0


def test_an_error_is_a_figure_and_the_peer_goes_on(peers: list[Peer]) -> None:
    assert peers[0].ask("fail") == {"error": "ValueError: it did not work"}
    assert peers[0].ask(5)["x_ms"] == 10


def test_a_peer_that_dies_is_told_and_stays_away() -> None:
    peer = Peer(Way("mortal", counting, (1.0,)))
    assert peer.ask("die") == {"error": "the process died with code 3"}
    assert "died" in peer.ask(1)["error"]
    peer.close()


def test_absent_and_broken_peers_say_why() -> None:
    away, wrong = Peer(Way("away", absent)), Peer(Way("wrong", broken))
    assert away.absent == "not for this machine"
    assert wrong.absent == "RuntimeError: no such file"
    away.close()
    wrong.close()


def test_the_first_call_stands_apart() -> None:
    found = summary([{"x_ms": 100.0, "name": "a"}, {"x_ms": 3.0}, {"x_ms": 1.0}, {"x_ms": 2.0}])
    assert found["first"] == {"x_ms": 100.0}
    assert (found["median"], found["least"], found["most"]) == ({"x_ms": 2.0}, {"x_ms": 1.0}, {"x_ms": 3.0})
    assert found["runs"] == 3


def test_one_failed_sample_is_no_figure() -> None:
    found = summary([{"x_ms": 1.0}, {"error": "gone"}, {"x_ms": 2.0}])
    assert found == {"error": "gone", "failed": 1, "runs": 3}


def test_a_stopwatch_counts_from_stop_to_stop() -> None:
    watch = Stopwatch()
    sum(range(500_000))
    first, second = watch.stop("work"), watch.stop("rest")
    assert first["work_cpu_ms"] > second["rest_cpu_ms"] >= 0
    assert first["work_ms"] > 0
