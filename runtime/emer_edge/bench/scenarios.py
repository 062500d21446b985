"""MLPerf Inference's scenarios, driven natively by LoadGen's definitions.

Knows when a query is issued and what its latency is. Does not know what answers it. Definitions:
https://github.com/mlcommons/inference_policies/blob/master/inference_rules.adoc (scenarios) and LoadGen's
results: percentiles are element floor(n * p) of the sorted latencies.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

import numpy as np

from emer_edge.bench.early_stopping import bound_holds, estimate, percentile, queries_needed
from emer_edge.bench.subject import Sample, Subject
from emer_edge.errors import InputError

Name = Literal["single_stream", "multi_stream", "offline", "server"]
SHARES: dict[str, float] = {"single_stream": 0.90, "multi_stream": 0.99, "server": 0.99}
"""The percentile by which each scenario is judged; offline is judged by its rate."""
MULTI_SAMPLES = 8
"""Clips in one query of multi-stream (LoadGen's `multi_stream_samples_per_query`)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How long a scenario runs: until both minima are reached, but never beyond `most_seconds`."""

    name: Name
    least_seconds: float
    least_queries: int
    most_seconds: float
    per_query: int = 1
    rate: float = 0.0
    """Queries a second, for the server."""
    bound_seconds: float = 0.0
    """Latency that the server promises."""
    seed: int = 0
    expected_seconds: float = 0.0
    """What one clip took while warming up; LoadGen has to know beforehand."""


@dataclass(slots=True)
class Query:
    """One query: one clip, or several that are asked at once."""

    issued_seconds: float
    """When it was issued, or for the server when it was due."""
    seconds: float
    """Until its last clip was answered."""
    samples: list[Sample]


@dataclass(slots=True)
class Outcome:
    """What a scenario gave."""

    rule: Rule
    driver: Literal["native", "loadgen"]
    queries: list[Query]
    seconds: float
    """From the first query's issue to the last answer."""
    extra: dict[str, Any] = field(default_factory=dict)
    """What LoadGen itself reported."""

    @property
    def latencies(self) -> list[float]:
        """Of the queries, in the order of issue."""
        return [query.seconds for query in self.queries]

    @property
    def samples(self) -> list[Sample]:
        """Of all queries, in order."""
        return [sample for query in self.queries for sample in query.samples]

    def figures(self) -> dict[str, Any]:
        """The scenario's own figure, percentiles, and whether the run was long enough to state it."""
        share, latencies = SHARES.get(self.rule.name), self.latencies
        clips = len(self.samples)
        out: dict[str, Any] = {
            "queries": len(self.queries),
            "clips": clips,
            "seconds": round(self.seconds, 6),
            "clips_per_second": round(clips / self.seconds, 6) if self.seconds else 0.0,
            **{f"p{round(100 * at)}_seconds": round(percentile(latencies, at), 6) for at in (0.5, 0.9, 0.99)},
        }
        if share is None:
            return out | {"metric": "clips_per_second", "value": out["clips_per_second"], "valid": True}
        name = f"p{round(100 * share)}_seconds"
        believed = estimate(latencies, share)
        out |= {
            "metric": name,
            "value": out[name],
            "early_stopping_seconds": None if believed is None else round(believed, 6),
            "queries_needed": queries_needed(share),
            "valid": believed is not None,
        }
        if self.rule.name == "server":
            kept = bound_holds(latencies, share, self.rule.bound_seconds)
            over = sum(latency > self.rule.bound_seconds for latency in latencies)
            out |= {"rate": self.rule.rate, "bound_seconds": self.rule.bound_seconds, "over_bound": over}
            # With confidence 0.99, which takes 459 queries although none is over the bound.
            out |= {"bound_kept": kept}
        return out


def run_native(subject: Subject, rule: Rule) -> Outcome:
    """Run one scenario by our own clock.

    Raises:
        InputError: the rule makes no sense. And whatever the reasoner raises.
    """
    if rule.per_query < 1 or rule.least_queries < 1 or rule.most_seconds <= 0:
        raise InputError(f"The scenario {rule.name} can't run like this.", str(rule))
    if rule.name == "server":
        return _server(subject, rule)
    if rule.name == "offline":
        return _offline(subject, rule)
    return _streams(subject, rule)


def _streams(subject: Subject, rule: Rule) -> Outcome:
    """Single- and multi-stream: the next query is issued when the one before is answered."""
    order, queries = subject.order(rule.seed), list[Query]()
    subject.start()
    while not _enough(rule, len(queries), subject.now()):
        issued = subject.now()
        samples = [subject.run(index) for index in islice(order, rule.per_query)]
        queries.append(Query(issued, subject.now() - issued, samples))
        for sample in samples:
            subject.rest(sample)
    return Outcome(rule, "native", queries, _busy(queries))


def _enough(rule: Rule, queries: int, seconds: float) -> bool:
    if queries and seconds >= rule.most_seconds:
        return True
    return queries >= rule.least_queries and seconds >= rule.least_seconds


def _busy(queries: list[Query]) -> float:
    """Seconds of the stream without the yardsticks between its queries."""
    return sum(query.seconds for query in queries)


def _offline(subject: Subject, rule: Rule) -> Outcome:
    """All clips at once; here the reasoner takes them one by one, as `infer` does."""
    order, query = subject.order(rule.seed), Query(0.0, 0.0, [])
    subject.start()
    while not _enough(rule, len(query.samples), subject.now()):
        query.samples.append(subject.run(next(order)))
    query.seconds = subject.now()
    return Outcome(rule, "native", [query], query.seconds)


def schedule(rule: Rule) -> Iterator[float]:
    """Poisson arrivals: seconds at which queries are due, from the rule's seed."""
    random, now = np.random.default_rng(rule.seed), 0.0
    while True:
        now += float(random.exponential(1 / rule.rate))
        yield now


def _server(subject: Subject, rule: Rule) -> Outcome:
    """Queries come when they are due, whether the one before is answered or not; one worker answers them."""
    if rule.rate <= 0:
        raise InputError("The server needs a rate of queries.", todo="Pass --rate.")
    waiting: queue.SimpleQueue[tuple[float, int] | None] = queue.SimpleQueue()
    queries, failure = list[Query](), list[BaseException]()

    def work() -> None:
        while (item := waiting.get()) is not None:
            due, index = item
            try:
                sample = subject.run(index)
            except BaseException as error:  # handed to the caller's thread
                failure.append(error)
                return
            queries.append(Query(due, subject.now() - due, [sample]))

    order, count = subject.order(rule.seed), 0
    worker = threading.Thread(target=work, name="emer-edge-bench", daemon=True)
    subject.start()
    worker.start()
    try:
        for due in schedule(rule):
            if failure or _enough(rule, count, due):
                break
            time.sleep(max(0.0, due - subject.now()))
            waiting.put((due, next(order)))
            count += 1
    finally:
        waiting.put(None)
        worker.join()
    if failure:
        raise failure[0]
    return Outcome(rule, "native", queries, max(query.issued_seconds + query.seconds for query in queries))
