"""Scenarios by LoadGen's definitions, natively and under LoadGen itself."""

from __future__ import annotations

import doctest
import os
from collections import Counter
from itertools import islice

import numpy as np
import pytest

from emer_edge.bench import early_stopping
from emer_edge.bench.loadgen import is_installed, parse_summary, run_loadgen
from emer_edge.bench.scenarios import Rule, run_native, schedule
from emer_edge.errors import InputError
from tests.unit.bench.stub import Sleeper, sleeper

needs_loadgen = pytest.mark.skipif(
    not is_installed(), reason="mlcommons-loadgen is absent: pip install '.[bench]'"
)


def test_the_examples_of_early_stopping_hold() -> None:
    assert doctest.testmod(early_stopping).failed == 0
    assert early_stopping.queries_needed(0.9) == 64
    assert early_stopping.queries_needed(0.99) == 662


def test_early_stopping_is_right_as_often_as_it_says() -> None:
    """Over many runs of 100 queries the estimate is below the true percentile in at most 1 % of them."""
    random, truth = np.random.default_rng(3), float(-np.log(0.1))
    runs = [early_stopping.estimate(list(random.exponential(1.0, 100)), 0.9) for _ in range(2000)]
    low = sum(run is not None and run < truth for run in runs)
    assert low <= 2000 * 0.015


def test_too_few_queries_give_no_estimate() -> None:
    assert early_stopping.estimate([1.0] * 63, 0.9) is None
    assert early_stopping.estimate([1.0] * 64, 0.9) == 1.0
    with pytest.raises(ValueError, match="no latencies"):
        early_stopping.percentile([], 0.9)


def test_a_bound_needs_459_queries_although_none_is_over_it() -> None:
    assert not early_stopping.bound_holds([0.1] * 458, 0.99, 1.0)
    assert early_stopping.bound_holds([0.1] * 459, 0.99, 1.0)
    assert not early_stopping.bound_holds([0.1] * 459 + [2.0], 0.99, 1.0)


def test_single_stream_asks_every_clip_before_any_comes_again() -> None:
    subject = sleeper(2, 8)
    outcome = run_native(subject, Rule("single_stream", 0.0, 24, 10.0))
    assert Counter(sample.index for sample in outcome.samples) == dict.fromkeys(range(8), 3)
    asked = [sample.index for sample in outcome.samples]
    assert len(set(asked[:8])) == len(set(asked[8:16])) == 8
    assert asked[:8] != asked[8:16]
    figures = outcome.figures()
    assert figures["metric"] == "p90_seconds"
    assert figures["value"] >= 0.008  # the second slowest clip; a busy machine makes it later, never sooner
    assert not figures["valid"]
    assert all(sample.yardstick_seconds > 0 for sample in outcome.samples)


def test_a_run_reaches_both_minima_and_stops_at_its_end() -> None:
    longer = run_native(sleeper(2, 4), Rule("single_stream", 0.2, 1, 10.0))
    assert sum(longer.latencies) > 0.1
    cut = run_native(sleeper(20, 4), Rule("single_stream", 0.0, 1000, 0.2))
    assert 0 < len(cut.queries) < 20


def test_a_query_of_multi_stream_holds_eight_clips() -> None:
    outcome = run_native(sleeper(1, 16), Rule("multi_stream", 0.0, 4, 10.0, per_query=8))
    assert [len(query.samples) for query in outcome.queries] == [8] * 4
    assert min(outcome.latencies) > 0.02


def test_offline_is_one_query_judged_by_its_rate() -> None:
    outcome = run_native(sleeper(2, 8), Rule("offline", 0.0, 20, 10.0))
    figures = outcome.figures()
    assert (figures["queries"], figures["clips"]) == (1, 20)
    assert figures["metric"] == "clips_per_second"
    assert 0 < figures["value"] < 220


def test_arrivals_are_poisson_and_come_from_the_seed() -> None:
    rule = Rule("server", 0.0, 1, 1.0, rate=50.0, seed=5)
    due = np.array(list(islice(schedule(rule), 4000)))
    gaps = np.diff(due)
    assert abs(gaps.mean() - 0.02) < 0.001
    assert abs(gaps.std() - 0.02) < 0.0015
    assert np.array_equal(due[:10], np.array(list(islice(schedule(rule), 10))))


def test_the_server_counts_the_time_in_the_queue() -> None:
    """At more than one query per service time the queue grows, and so do the latencies."""
    outcome = run_native(sleeper(10, 2), Rule("server", 0.0, 20, 10.0, rate=400.0, bound_seconds=0.03))
    # 20 clips of at least 10 ms each, all due within about 50 ms: the last one waits for the others.
    assert outcome.latencies[-1] > 0.1
    assert outcome.figures()["over_bound"] > 5


def test_an_error_of_the_reasoner_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise InputError("no")

    monkeypatch.setattr(Sleeper, "infer", fail)
    for name in ("single_stream", "server"):
        with pytest.raises(InputError, match="no"):
            run_native(sleeper(), Rule(name, 0.0, 4, 1.0, rate=50.0))


def test_rules_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="can't run"):
        run_native(sleeper(), Rule("single_stream", 0.0, 0, 1.0))
    with pytest.raises(InputError, match="rate"):
        run_native(sleeper(), Rule("server", 0.0, 1, 1.0))


@needs_loadgen
def test_loadgen_and_the_native_definitions_agree_on_the_same_queries() -> None:
    """Our clock and our percentiles beside LoadGen's, on queries that LoadGen issued."""
    driven = run_loadgen(sleeper(10), Rule("single_stream", 0.0, 64, 60.0, expected_seconds=0.02))
    assert driven.extra["result"] == "VALID"
    assert abs(driven.figures()["p90_seconds"] / (driven.extra["p90_ns"] / 1e9) - 1) < 0.03
    told = int(driven.extra["early_stopping"].split("estimate: ")[1].split()[0]) / 1e9
    assert abs(driven.figures()["early_stopping_seconds"] / told - 1) < 0.03


@needs_loadgen
@pytest.mark.skipif(
    os.getloadavg()[0] > 0.5 * (os.cpu_count() or 1),
    reason="a busy machine wakes sleepers late, in either run",
)
def test_loadgen_and_the_native_driver_agree_on_p90_within_3_percent() -> None:
    """In runs of their own, on a subject whose latencies are known; both see every clip equally often."""
    rule = Rule("single_stream", 0.0, 64, 60.0, expected_seconds=0.04)
    native, driven = run_native(sleeper(30), rule), run_loadgen(sleeper(30), rule)
    assert abs(driven.extra["p90_ns"] / 1e9 / native.figures()["p90_seconds"] - 1) < 0.03


@needs_loadgen
@pytest.mark.parametrize("name", ["multi_stream", "offline", "server"])
def test_loadgen_drives_every_scenario(name: str) -> None:
    per_query = 8 if name == "multi_stream" else 1
    rule = Rule(name, 0.2, 4, 5.0, per_query, 100.0, 1.0, expected_seconds=0.006)  # type: ignore[arg-type]
    outcome = run_loadgen(sleeper(2, 8), rule)
    assert outcome.driver == "loadgen"
    assert len(outcome.samples) >= 4
    assert outcome.extra["version"]
    if per_query > 1:
        assert {len(query.samples) for query in outcome.queries} == {8}


@needs_loadgen
def test_an_error_under_loadgen_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise InputError("no")

    monkeypatch.setattr(Sleeper, "infer", fail)
    with pytest.raises(InputError, match="no"):
        run_loadgen(sleeper(), Rule("single_stream", 0.0, 4, 1.0, expected_seconds=0.01))


def test_a_summary_is_read_by_its_lines() -> None:
    text = (
        "90.0th percentile latency (ns) : 1200\nResult is : VALID\n90.00 percentile latency (ns)   : 1200\n"
    )
    assert parse_summary(text) == {"percentile_ns": 1200.0, "p90_ns": 1200.0, "result": "VALID"}
