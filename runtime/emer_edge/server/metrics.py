"""Counters, gauges and histograms in Prometheus' text format. Knows names; knows nothing of what they count.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4).
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)

HELP = {
    "emer_requests_total": "Requests by route and HTTP status.",
    "emer_answers_total": "Answers that were begun, by outcome.",
    "emer_refused_total": "Requests that were turned away before any work, by reason.",
    "emer_live_events_total": "Events sent to live clients, by kind.",
    "emer_live_dropped_total": "Live messages that the server dropped because the worker was behind.",
    "emer_wait_seconds": "Seconds between the end of a body and the start of the work.",
    "emer_answer_seconds": "Seconds of work for one answer.",
    "emer_places": "Requests inside: received, waiting or answered now.",
    "emer_live_sessions": "Live sessions that are open.",
    "emer_worker_up": "1 while a worker is ready.",
    "emer_worker_starts_total": "Workers that became ready since the server started.",
}
"""Every metric and what it says."""

Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Histogram:
    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_SECONDS) + 1))
    total: float = 0.0


class Metrics:
    """All metrics of one server; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[str, dict[Labels, float]] = {}
        self._histograms: dict[str, _Histogram] = {}
        self._gauges: dict[str, Callable[[], float]] = {}

    def count(self, name: str, n: float = 1, /, **labels: str) -> None:
        """Add `n` to a counter."""
        with self._lock:
            series = self._counters.setdefault(name, {})
            key = tuple(sorted(labels.items()))
            series[key] = series.get(key, 0) + n

    def observe(self, name: str, seconds: float) -> None:
        """Put a time into a histogram."""
        with self._lock:
            histogram = self._histograms.setdefault(name, _Histogram())
            histogram.counts[bisect_left(BUCKETS_SECONDS, seconds)] += 1
            histogram.total += seconds

    def watch(self, name: str, read: Callable[[], float]) -> None:
        """Ask `read` for the value each time the metrics are shown."""
        self._gauges[name] = read

    def text(self) -> str:
        """Everything, as Prometheus reads it.

        >>> metrics = Metrics()
        >>> metrics.count("emer_refused_total", reason="queue_full")
        >>> print(metrics.text().splitlines()[-1])
        emer_refused_total{reason="queue_full"} 1
        """
        lines: list[str] = []
        with self._lock:
            for name, series in self._counters.items():
                lines += _head(name, "counter")
                lines += [f"{name}{_labels(key)} {value:g}" for key, value in series.items()]
            for name, histogram in self._histograms.items():
                lines += _histogram_lines(name, histogram)
        for name, read in self._gauges.items():
            lines += [*_head(name, "counter" if name.endswith("_total") else "gauge"), f"{name} {read():g}"]
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str) -> list[str]:
    return [f"# HELP {name} {HELP[name]}", f"# TYPE {name} {kind}"]


def _histogram_lines(name: str, histogram: _Histogram) -> list[str]:
    lines, seen = _head(name, "histogram"), 0
    for edge, n in zip((*BUCKETS_SECONDS, "+Inf"), histogram.counts, strict=True):
        seen += n
        lines.append(f'{name}_bucket{{le="{edge}"}} {seen}')
    return [*lines, f"{name}_sum {histogram.total:.6g}", f"{name}_count {seen}"]


def _labels(key: Labels) -> str:
    def plain(value: str) -> str:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    return "{" + ",".join(f'{name}="{plain(value)}"' for name, value in key) + "}" if key else ""
