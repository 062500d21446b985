"""Three plots of results: stacked stages, distributions of latency, the roofline. Knows numbers, no page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from statistics import median
from typing import Any

from emer_edge.bench.compare import names_of
from emer_edge.bench.result import samples_of
from emer_edge.bench.show import milliseconds
from emer_edge.bench.subject import STAGES, Sample
from emer_edge.bench.summary import path_of
from emer_edge.writers.drawing import PALETTE, STYLE, picture, shorten, text

Result = Mapping[str, Any]
_WIDTH, _NAME = 860, 200
_COLOURS = dict(zip(STAGES, PALETTE, strict=True))


def stage_bars(results: Sequence[Result]) -> str:
    """A bar for each device: the stages an answer waits for, of seeing and hearing the slower one."""
    rows = [(name, _path(result)) for name, result in zip(names_of(results), results, strict=True)]
    longest = max(sum(stages.values()) for _, stages in rows) or 1.0
    scale, parts = (_WIDTH - _NAME - 90) / longest, list[str]()
    for row, (name, stages) in enumerate(rows):
        y, x = 34 + 34 * row, float(_NAME)
        parts.append(text(_NAME - 10, y + 17, shorten(name, 28), "end", full=name))
        for stage, seconds in stages.items():
            wide = seconds * scale
            if wide >= 0.3:
                parts.append(
                    f'<rect x="{x:.1f}" y="{y}" width="{wide:.1f}" height="24" fill="{_COLOURS[stage]}">'
                    f"<title>{stage.replace('_', ' ')} {milliseconds(seconds)}</title></rect>"
                )
            if wide > 52:
                parts.append(text(x + wide / 2, y + 16, milliseconds(seconds), "middle", "on"))
            x += wide
        parts.append(text(x + 8, y + 17, milliseconds(sum(stages.values()))))
    below = 34 + 34 * len(rows) + 14
    used = [stage for stage in STAGES if any(stages.get(stage) for _, stages in rows)]
    parts += _legend([(stage.replace("_", " "), _COLOURS[stage]) for stage in used], below)
    return picture(_WIDTH, below + 24, "Where an answer's time goes, median clip", parts, STYLE)


def _path(result: Result) -> dict[str, float]:
    """The median over the clips of each stage on the path of an answer."""
    records = samples_of(result, "single_stream") or result["warm_up"]["samples"]
    paths = [path_of(Sample(**record)) for record in records]
    return {
        stage: median(path.get(stage, 0.0) for path in paths)
        for stage in STAGES
        if any(path.get(stage) for path in paths)
    }


def latency_curves(results: Sequence[Result]) -> str:
    """For each device the share of clips that are answered within a time (single-stream); p90 is marked."""
    left, top, wide, tall = 60, 40, 700, 260
    curves = [
        (name, sorted(sample["seconds"] for sample in samples_of(result, "single_stream")))
        for name, result in zip(names_of(results), results, strict=True)
    ]
    curves = [curve for curve in curves if curve[1]]
    if not curves:
        return picture(_WIDTH, 60, "Latency of single-stream: not measured", [], STYLE)
    low = min(values[0] for _, values in curves) / 1.15
    high = max(values[-1] for _, values in curves) * 1.15
    span = math.log(high / low)

    def place(seconds: float, share: float) -> tuple[float, float]:
        return left + wide * math.log(seconds / low) / span, top + tall * (1 - share)

    parts = [f'<rect x="{left}" y="{top}" width="{wide}" height="{tall}" class="rule"/>']
    for share in (0.0, 0.5, 0.9, 1.0):
        y = top + tall * (1 - share)
        parts.append(text(left - 8, y + 4, f"{share:.0%}", "end", "soft"))
        parts.append(f'<path d="M{left} {y:.1f}h{wide}" class="rule" stroke-dasharray="2 4"/>')
    for seconds in _decades(low, high):
        x, _ = place(seconds, 0)
        parts.append(text(x, top + tall + 16, milliseconds(seconds), "middle", "soft"))
        parts.append(f'<path d="M{x:.1f} {top}v{tall}" class="rule" stroke-dasharray="2 4"/>')
    for (name, values), colour in zip(curves, PALETTE * 8, strict=False):
        points = [place(value, (index + 1) / len(values)) for index, value in enumerate(values)]
        drawn = "".join(f"L{x:.1f} {y:.1f}" for x, y in points)
        x, y = points[min(len(values) - 1, int(0.9 * len(values)))]
        parts.append(
            f'<path d="M{points[0][0]:.1f} {top + tall:.1f}{drawn}" fill="none" stroke="{colour}" '
            f'stroke-width="2"/><circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}">'
            f"<title>{escape(shorten(name, 60))}: p90</title></circle>"
        )
    below = top + tall + 36
    parts += _legend([(name, colour) for (name, _), colour in zip(curves, PALETTE * 8, strict=False)], below)
    return picture(_WIDTH, below + 24, "Clips answered within a time, single-stream", parts, STYLE)


def _decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 of every decade between the two."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    ticks = [digit * 10.0**power for power in range(first, last + 1) for digit in (1, 2, 5)]
    return [tick for tick in ticks if low < tick < high]


def roofline_plot(result: Result, name: str) -> str:
    """Operations a second over operations a byte: the ceilings, and where each stage lies below them."""
    left, top, wide, tall = 80, 40, 560, 300
    stages = {key: value for key, value in result["roofline"].items() if value["product_operations"]}
    if not stages:
        return picture(_WIDTH, 60, f"Roofline of {name}: not measured", [], STYLE)
    points = {
        key: (
            value["product_operations"] / value["bytes"],
            value["product_operations"] / value["measured_seconds"],
        )
        for key, value in stages.items()
    }
    rates = result["ceilings"]["operations_per_second"]
    x_low, x_high = 0.1, max(10 * max(x for x, _ in points.values()), 100.0)
    y_high = 3 * max([*rates.values(), *(y for _, y in points.values())])
    y_low = min(min(y for _, y in points.values()) / 3, y_high / 1e3)

    def place(intensity: float, rate: float) -> tuple[float, float]:
        x = left + wide * math.log(max(intensity, x_low) / x_low) / math.log(x_high / x_low)
        return x, top + tall * (1 - math.log(max(rate, y_low) / y_low) / math.log(y_high / y_low))

    parts = [f'<rect x="{left}" y="{top}" width="{wide}" height="{tall}" class="rule"/>']
    for power in range(math.ceil(math.log10(y_low)), math.floor(math.log10(y_high)) + 1):
        parts.append(
            text(left - 8, place(1, 10.0**power)[1] + 4, f"{10.0 ** (power - 9):g} G", "end", "soft")
        )
    for power in range(math.ceil(math.log10(x_low)), math.floor(math.log10(x_high)) + 1):
        parts.append(text(place(10.0**power, 1)[0], top + tall + 16, f"{10.0**power:g}", "middle", "soft"))
    parts.append(text(left + wide / 2, top + tall + 34, "operations a byte", "middle", "soft"))
    parts += _roofs(result["ceilings"], place, x_high)
    for at, (key, (intensity, rate)) in enumerate(points.items()):
        (x, y), colour = place(intensity, rate), PALETTE[at % len(PALETTE)]
        share = f"{key} {stages[key]['percent']:.0f} %"
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>')
        parts.append(f'<circle cx="{left + wide + 24}" cy="{top + 12 + 20 * at}" r="5" fill="{colour}"/>')
        parts.append(
            text(left + wide + 36, top + 16 + 20 * at, share, full=f"bound by {stages[key]['bound']}")
        )
    return picture(_WIDTH, top + tall + 46, f"Roofline of {name}", parts, STYLE)


def _roofs(ceilings: Mapping[str, Any], place: Any, x_high: float) -> list[str]:
    """The measured limits: a slope for each bandwidth up to the highest rate, a line for each rate."""
    parts = []
    best = max(ceilings["operations_per_second"].values())
    for name, key in (("cache", "resident_bytes_per_second"), ("memory", "bytes_per_second")):
        bandwidth = ceilings.get(key) or 0.0
        if bandwidth:
            knee = best / bandwidth
            (x1, y1), (x2, y2) = place(0.1, 0.1 * bandwidth), place(knee, best)
            parts.append(f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" class="rule" stroke-width="1.5"/>')
            parts.append(text(x1 + 14, y1 + 10, f"{name} {bandwidth / 1e9:.1f} GB/s", tone="soft"))
    for above, (name, rate) in enumerate(
        sorted(ceilings["operations_per_second"].items(), key=lambda e: e[1])
    ):
        (x1, y1), (x2, _) = place(rate / max(ceilings["bytes_per_second"], 1.0), rate), place(x_high, rate)
        parts.append(f'<path d="M{x1:.1f} {y1:.1f}H{x2:.1f}" class="rule" stroke-width="1.5"/>')
        parts.append(text(x2 - 4 - 90 * above, y1 - 5, f"{name} {rate / 1e9:.0f} G/s", "end", "soft"))
    return parts


def _legend(items: Sequence[tuple[str, str]], y: float) -> list[str]:
    parts, x = [], 20.0
    for words, colour in items:
        short = shorten(words, 40)
        parts.append(f'<rect x="{x:.0f}" y="{y}" width="12" height="12" rx="2" fill="{colour}"/>')
        parts.append(text(x + 17, y + 10, short, full=words))
        x += 34 + 6.4 * len(short)
    return parts
