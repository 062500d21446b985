"""A result as lines for a terminal. Knows the result's layout, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from emer_edge.bench.subject import STAGES

_METRICS = {"clips_per_second": "clips/s"}


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """The whole result, shortly."""
    device, settings, pack = result["device"], result["settings"], result["pack"]
    engines = f"{settings['device']}, {settings['threads']} threads"
    yield f"{pack['name']} {pack['version']} on {device['name']}, {engines}"
    busy = result["state"].get("others_busy_cores")
    if busy is not None and busy > 0.1:
        yield f"others kept {busy:.1f} cores busy meanwhile: figures are worse than this device can do"
    yield ""
    yield from _scenarios(result)
    if live := result.get("live"):
        ages = f"p50 {milliseconds(live['age_p50_seconds'])}  p99 {milliseconds(live['age_p99_seconds'])}"
        yield f"{'live stream':14} age of a state {ages}  {live['states']} states, {live['lost']} inputs lost"
    yield from _cold(result)
    yield ""
    yield from _stages(result)
    yield ""
    yield from _rates(result)


def _scenarios(result: Mapping[str, Any]) -> Iterator[str]:
    for name, record in result["scenarios"].items():
        figures = record["figures"]
        if figures["metric"] == "clips_per_second":
            words = f"{figures['value']:.2f} clips/s"
        else:
            words = f"{figures['metric'].split('_')[0]} {milliseconds(figures['value'])}"
            words += f"  p50 {milliseconds(figures['p50_seconds'])}"
        if not figures["valid"]:
            words += f"  (without confidence: {figures['queries']} of {figures['queries_needed']} queries)"
        if "bound_kept" in figures:
            over = figures["over_bound"]
            words += f"  at {figures['rate']:.2f} queries/s, {over} of {figures['queries']} over "
            words += milliseconds(figures["bound_seconds"])
        joules = record["joules_per_clip"]
        words += "".join(f"  {value:.2f} J/clip ({source})" for source, value in joules.items())
        yield f"{name.replace('_', '-'):14} {words}  [{record['driver']}]"


def _cold(result: Mapping[str, Any]) -> Iterator[str]:
    for name, runs in result["cold_start"].items():
        total = median(run["total"] for run in runs)
        parts = ", ".join(
            f"{phase} {milliseconds(median(run[phase] for run in runs))}"
            for phase in ("start", "imports", "load", "first_call")
        )
        kind = name.replace("_", " ")
        yield f"{'cold start':14} {milliseconds(total)} to the first answer, {kind}: {parts}"


def _stages(result: Mapping[str, Any]) -> Iterator[str]:
    found, roofline = result["summary"]["stages"], result["roofline"]
    yield f"{'stage':14} {'p50':>10} {'p90':>10} {'p99':>10}   of roofline"
    rows = [*STAGES, "first_label", "first_token", "per_token", "seconds"]
    for name in (name for name in rows if name in found):
        points = found[name]
        near = roofline.get({"per_token": "token"}.get(name, name))
        words = f"{near['percent']:.1f} %, bound by {near['bound']}" if near else ""
        if near and near["percent"] > 100:
            words += " (the ceilings were measured while others took the machine)"
        title = {"seconds": "whole call"}.get(name, name.replace("_", " "))
        values = " ".join(f"{milliseconds(points[key]):>10}" for key in ("p50", "p90", "p99"))
        yield f"{title:14} {values}   {words}".rstrip()


def _rates(result: Mapping[str, Any]) -> Iterator[str]:
    found, memory = result["summary"], result["memory"]
    yield (
        f"{found['tokens_per_second']:.0f} tokens/s generated, "
        f"{found['prompt_tokens_per_second']:.0f} prompt tokens/s, "
        f"{100 * found['overhead_share']:.1f} % of a call in no stage"
    )
    words = f"peak memory {memory['host_peak_bytes'] / 1e6:.0f} MB"
    if memory["device_bytes"]:
        words += f", on the device {memory['device_bytes'] / 1e6:.0f} MB"
    yield f"{words}, first call {milliseconds(result['first_call_seconds'])}"


def milliseconds(seconds: float | None) -> str:
    """`12.3 ms`, or seconds from ten on; `-` where there is nothing to tell."""
    if seconds is None:
        return "-"
    if seconds >= 10:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.3g} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms"
