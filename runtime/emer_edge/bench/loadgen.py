"""The same scenarios driven by MLCommons' own LoadGen. The only import of mlperf_loadgen.

Knows LoadGen's settings, callbacks and summary. Queries, clocks and percentiles are LoadGen's; what each clip
cost stage by stage is kept beside them.
"""

from __future__ import annotations

import importlib.util
import queue
import re
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emer_edge.bench.scenarios import Outcome, Query, Rule
from emer_edge.bench.subject import Sample, Subject
from emer_edge.errors import DeviceError

_SUMMARY = "mlperf_log_summary.txt"
_FIELDS = {
    "percentile_ns": r"^\d+(?:\.\d+)?th percentile latency \(ns\)\s*:\s*(\d+)",
    "p50_ns": r"^50\.00 percentile latency \(ns\)\s*:\s*(\d+)",
    "p90_ns": r"^90\.00 percentile latency \(ns\)\s*:\s*(\d+)",
    "p99_ns": r"^99\.00 percentile latency \(ns\)\s*:\s*(\d+)",
    "mean_ns": r"^Mean latency \(ns\)\s*:\s*(\d+)",
    "samples_per_second": r"^(?:Samples|Completed samples|Scheduled samples) per second\s*:\s*([\d.]+)",
    "least_queries": r"^min_query_count\s*:\s*(\d+)",
    "result": r"^Result is\s*:\s*(\w+)",
    "early_stopping": r"^Early Stopping Result:\s*\n((?:\s\*.*\n)*)",
}


def is_installed() -> bool:
    """Whether mlcommons-loadgen is there."""
    return importlib.util.find_spec("mlperf_loadgen") is not None


def version() -> str:
    """Version of the installed package."""
    from importlib import metadata

    return metadata.version("mlcommons-loadgen")


def run_loadgen(subject: Subject, rule: Rule) -> Outcome:
    """Run one scenario under LoadGen; arguments and result as `scenarios.run_native`.

    Raises:
        DeviceError: mlcommons-loadgen is missing. And whatever the reasoner raises.
    """
    if not is_installed():
        raise DeviceError(
            "LoadGen is not installed.", todo="pip install 'emer-edge[bench]', or use --driver native"
        )
    import mlperf_loadgen as lg

    under_test = _UnderTest(lg, subject, rule)
    count = len(subject.clips)
    with tempfile.TemporaryDirectory(prefix="emer-edge-loadgen-") as folder:
        sut = lg.ConstructSUT(under_test.issue, under_test.flush)
        library = lg.ConstructQSL(count, count, _nothing, _nothing)
        try:
            under_test.start()
            lg.StartTestWithLogSettings(sut, library, _settings(lg, rule), _log_settings(lg, folder), "")
        finally:
            under_test.stop()
            lg.DestroyQSL(library)
            lg.DestroySUT(sut)
        if under_test.failure is not None:
            raise under_test.failure
        text = (Path(folder) / _SUMMARY).read_text(encoding="utf-8", errors="replace")
    outcome = Outcome(rule, "loadgen", under_test.queries, under_test.seconds())
    outcome.extra = {"version": version(), **parse_summary(text)}
    return outcome


def parse_summary(text: str) -> dict[str, Any]:
    """The figures of LoadGen's summary that are there."""
    found: dict[str, Any] = {}
    for name, pattern in _FIELDS.items():
        match = re.search(pattern, text, re.MULTILINE)
        if match is None:
            continue
        value = match[1].strip()
        found[name] = float(value) if re.fullmatch(r"[\d.]+", value) else " ".join(value.split())
    return found


class _UnderTest:
    """LoadGen's system under test. Its callbacks must not raise: an error is kept for later."""

    def __init__(self, lg: Any, subject: Subject, rule: Rule) -> None:
        self._lg, self._subject, self._rule = lg, subject, rule
        self.queries: list[Query] = []
        self.failure: BaseException | None = None
        self._waiting: queue.SimpleQueue[tuple[float, Any] | None] = queue.SimpleQueue()
        self._worker: threading.Thread | None = None

    def start(self) -> None:
        self._subject.start()
        if self._rule.name == "server":
            self._worker = threading.Thread(target=self._work, name="emer-edge-bench", daemon=True)
            self._worker.start()

    def stop(self) -> None:
        if self._worker is not None:
            self._waiting.put(None)
            self._worker.join()

    def seconds(self) -> float:
        if self._rule.name in ("single_stream", "multi_stream"):
            return sum(query.seconds for query in self.queries)
        return max((query.issued_seconds + query.seconds for query in self.queries), default=0.0)

    def issue(self, asked: Sequence[Any]) -> None:
        issued, asked = self._subject.now(), list(asked)
        if self._worker is not None:
            for one in asked:
                self._waiting.put((issued, one))
            return
        samples = [self._answer(one) for one in asked]
        self.queries.append(
            Query(issued, self._subject.now() - issued, [sample for sample in samples if sample is not None])
        )
        self._rest(samples)

    def flush(self) -> None:
        """Nothing is ever held back."""

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            issued, one = item
            sample = self._answer(one)
            if sample is not None:
                self.queries.append(Query(issued, self._subject.now() - issued, [sample]))

    def _answer(self, one: Any) -> Sample | None:
        """Answer one clip and tell LoadGen; after a failure LoadGen is told without any work."""
        sample = None
        if self.failure is None:
            try:
                sample = self._subject.run(one.index)
            except BaseException as error:  # it must not pass LoadGen's C++ frames
                self.failure = error
        self._lg.QuerySamplesComplete([self._lg.QuerySampleResponse(one.id, 0, 0)])
        return sample

    def _rest(self, samples: Sequence[Sample | None]) -> None:
        if self._rule.name in ("single_stream", "multi_stream"):
            for sample in samples:
                if sample is not None:
                    self._subject.rest(sample)


def _settings(lg: Any, rule: Rule) -> Any:
    out = lg.TestSettings()
    out.scenario = {
        "single_stream": lg.TestScenario.SingleStream,
        "multi_stream": lg.TestScenario.MultiStream,
        "offline": lg.TestScenario.Offline,
        "server": lg.TestScenario.Server,
    }[rule.name]
    out.mode = lg.TestMode.PerformanceOnly
    out.min_query_count = 1 if rule.name == "offline" else rule.least_queries
    out.min_duration_ms = int(rule.least_seconds * 1000)
    out.max_duration_ms = int(rule.most_seconds * 1000)
    # Every clip once before any comes again, as the native driver does.
    out.sample_concatenate_permutation = True
    for name in ("qsl_rng_seed", "sample_index_rng_seed", "schedule_rng_seed"):
        setattr(out, name, rule.seed + 1)
    # LoadGen makes its queries beforehand, as many as fit the least duration if each takes this long; the
    # margin is for a machine that turns out quicker than it was while it warmed up.
    expected = int((rule.expected_seconds or 0.01) * 0.8e9)
    out.single_stream_expected_latency_ns = expected
    out.multi_stream_expected_latency_ns = expected * rule.per_query
    out.multi_stream_samples_per_query = rule.per_query
    if rule.name == "offline":
        # One query has to hold everything: LoadGen makes it of 1.1 times the clips that fit the duration.
        least = max(rule.least_seconds, rule.least_queries * rule.expected_seconds, 1e-3)
        out.offline_expected_qps = 1 / (rule.expected_seconds or 0.01)
        out.min_duration_ms = int(least * 1000)
    if rule.name == "server":
        out.server_target_qps = rule.rate
        out.server_target_latency_ns = int(rule.bound_seconds * 1e9)
    return out


def _log_settings(lg: Any, folder: str) -> Any:
    output = lg.LogOutputSettings()
    output.outdir, output.copy_summary_to_stdout = folder, False
    out = lg.LogSettings()
    out.log_output, out.enable_trace = output, False
    return out


def _nothing(_indices: Any) -> None:
    """Clips are files: there is nothing to load or unload beforehand."""
