"""Results of several devices side by side: a table of rates and latencies, and what their settings differ in.

Knows the result file's layout. Does not draw. The table's form is that of Isaac ROS's performance summary
(https://nvidia-isaac-ros.github.io/performance): a row by workload, a column by device, rate above latency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from emer_edge.bench.show import milliseconds

Result = Mapping[str, Any]
_ROWS = (
    ("single_stream", "single-stream (p90)"),
    ("multi_stream", "multi-stream (p99)"),
    ("offline", "offline"),
    ("server", "server (p99)"),
)
_POINTS = (("first_label", "first label"), ("first_token", "first token"), ("per_token", "token"))

DECISIVE = {
    "pack": ("pack", "manifest_sha256"),
    "question": ("settings", "question"),
    "ceiling of the text": ("settings", "max_tokens"),
    "clips": ("clips", "recipe"),
    "seed of the clips": ("clips", "seed"),
    "number of clips": ("clips", "count"),
}
"""Where these differ, other work was done: figures can't be compared."""
NOTED = {
    "engine": ("settings", "device"),
    "threads": ("settings", "threads"),
    "decoder": ("settings", "decoder"),
    "driver of the scenarios": ("settings", "driver"),
    "least seconds": ("settings", "seconds"),
    "bytes of the clips": ("clips", "sha256"),
    "governor": ("device", "cpu", "governor"),
    "usable cores": ("device", "cpu", "usable_cores"),
    "vector instructions": ("device", "cpu", "flags"),
    "virtual machine": ("device", "cpu", "virtual"),
    "NVIDIA driver": ("device", "driver"),
    "CUDA": ("device", "cuda"),
    "TensorRT": ("device", "tensorrt"),
    "JetPack": ("device", "jetson", "jetpack"),
    "power mode": ("device", "jetson", "power_mode"),
    "kernel": ("device", "system", "kernel"),
    "Python": ("device", "system", "python"),
    "build of llama.cpp": ("device", "build", "llama.cpp"),
    "build of onnxruntime": ("device", "build", "onnxruntime"),
    "libavcodec": ("device", "build", "libavcodec"),
}
"""Worth knowing where figures differ."""


def names_of(results: Sequence[Result]) -> list[str]:
    """A short name for each result: its device, with the engine and a number where two would be one."""
    names = [f"{result['device']['name']} {result['settings']['device']}".strip() for result in results]
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(f"{name} #{seen[name]}" if names.count(name) > 1 else name)
    return out


def table(results: Sequence[Result]) -> list[list[str]]:
    """Rows of words, the head first; a cell tells the rate and the latency."""
    rows = [["", *names_of(results)]]
    rows += [
        [title, *(_scenario(result, name) for result in results)]
        for name, title in _ROWS
        if any(name in result["scenarios"] for result in results)
    ]
    rows += [
        [title, *(_point(result, name) for result in results)]
        for name, title in _POINTS
        if any(name in result["summary"]["stages"] for result in results)
    ]
    rows.append(["live: age of a state (p99)", *(_age(result) for result in results)])
    rows.append(["cold start", *(_cold(result) for result in results)])
    rows.append(
        ["peak memory", *(f"{result['memory']['host_peak_bytes'] / 1e6:.0f} MB" for result in results)]
    )
    rows.append(["energy", *(_energy(result) for result in results)])
    return [row for row in rows if any(cell not in ("", "-") for cell in row[1:])]


def _scenario(result: Result, name: str) -> str:
    record = result["scenarios"].get(name)
    if record is None:
        return "-"
    figures = record["figures"]
    rate = f"{figures['clips_per_second']:.2f} clips/s"
    if figures["metric"] == "clips_per_second":
        return rate
    return f"{rate} {milliseconds(figures['value'])}{'' if figures['valid'] else ' *'}"


def _point(result: Result, name: str) -> str:
    points = result["summary"]["stages"].get(name)
    if points is None:
        return "-"
    rate = f"{1 / points['p50']:.0f}/s " if name == "per_token" and points["p50"] else ""
    return f"{rate}{milliseconds(points['p50'])}"


def _age(result: Result) -> str:
    return milliseconds(result.get("live", {}).get("age_p99_seconds"))


def _cold(result: Result) -> str:
    runs = result["cold_start"].get("files_evicted") or result["cold_start"].get("files_cached")
    return milliseconds(median(run["total"] for run in runs)) if runs else "-"


def _energy(result: Result) -> str:
    spent = result["scenarios"].get("single_stream", {}).get("joules_per_clip", {})
    return ", ".join(f"{joules:.2f} J/clip ({source})" for source, joules in spent.items()) or "-"


def differences(results: Sequence[Result]) -> list[str]:
    """One line for everything that differs; what makes figures incomparable comes first and says so."""
    found = [f"not comparable: {line}" for line in _differing(DECISIVE, results)]
    found += _differing(NOTED, results)
    packages = sorted({name for result in results for name in result["device"]["versions"]})
    found += _differing({name: ("device", "versions", name) for name in packages}, results)
    for name, result in zip(names_of(results), results, strict=True):
        busy = result["state"].get("others_busy_cores")
        if busy and busy > 0.25:
            found.append(f"others kept {busy:.1f} cores busy on {name}: its figures are too bad")
    return found


def _differing(paths: Mapping[str, Sequence[str]], results: Sequence[Result]) -> list[str]:
    lines = []
    for title, path in paths.items():
        values = [_plain(_at(result, path)) for result in results]
        if len(set(values)) > 1:
            lines.append(f"{title}: {' | '.join(values)}")
    return lines


def _at(result: Any, path: Sequence[str]) -> Any:
    for key in path:
        result = result.get(key) if isinstance(result, Mapping) else None
    return result


def _plain(value: Any) -> str:
    if value in (None, "", []):
        return "-"
    words = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return words if len(words) <= 60 else f"{words[:57]}..."


def text_table(results: Sequence[Result]) -> list[str]:
    """The table for a terminal, then what differs."""
    rows = table(results)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
    if any("*" in cell for row in rows for cell in row[1:]):
        lines.append("* too few queries for MLPerf's early stopping: a figure without confidence")
    notes = differences(results)
    return [*lines, "", *(notes or ["the environments are equal"])]
