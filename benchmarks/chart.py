"""Draws the README's chart from the result files: decoding and the whole trip, ours beside the best peers.

    python -m benchmarks.chart [--results benchmarks/results] [-o docs/images/benchmarks.svg]

Knows the result files' keys and plain SVG. Measures nothing; a figure that was not measured is not drawn. The
picture carries its own ground and changes it with the reader's light or dark setting.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.decode_ways import OURS
from benchmarks.tables import best_peer, floor_of

_WIDTH, _NAMES, _RIGHT, _BAR, _GAP = 860, 250, 190, 9, 10
_STYLE = """
.ground{fill:#ffffff;stroke:#d0d7de}.ink{fill:#1f2328}.soft{fill:#59636e}.ours{fill:#0a7d4f}.peer{fill:#8c959f}
.floor{stroke:#bc4c00;stroke-width:2}
@media (prefers-color-scheme: dark){
.ground{fill:#0d1117;stroke:#30363d}.ink{fill:#f0f6fc}.soft{fill:#9198a1}.ours{fill:#3fb87f}.peer{fill:#656c76}
.floor{stroke:#f0883e}}
text{font:12px system-ui,-apple-system,sans-serif}.title{font-size:15px;font-weight:600}
"""


@dataclass(frozen=True)
class Bar:
    """One bar: `kind` is ours or peer, `label` stands behind it."""

    value: float
    kind: str
    label: str


@dataclass(frozen=True)
class Group:
    """A name at the left, bars one below the other, and a mark where the floor is."""

    name: str
    bars: tuple[Bar, ...]
    floor: float | None = None


@dataclass(frozen=True)
class Panel:
    """A heading, one line that says what is counted, and groups on one scale."""

    title: str
    words: str
    groups: tuple[Group, ...]


def draw(panels: Sequence[Panel]) -> str:
    """The chart as SVG.

    Args:
        panels: from the top; at least one.

    >>> group = Group("a clip", (Bar(10.0, "ours", "10 ms"), Bar(20.0, "peer", "20 ms, PyAV")), 8.0)
    >>> text = draw([Panel("Decoding", "milliseconds", (group,))])
    >>> text.count("<rect"), "20 ms, PyAV" in text
    (3, True)
    """
    parts, y = [], 14.0
    for panel in panels:
        parts.append(_text(16, y + 14, panel.title, "ink title"))
        parts.append(_text(16, y + 32, panel.words, "soft"))
        y += 44
        top = max([bar.value for group in panel.groups for bar in group.bars], default=1.0)
        scale = (_WIDTH - _NAMES - _RIGHT) / max(top, 1e-9)
        for group in panel.groups:
            parts += _group(group, y, scale)
            y += len(group.bars) * (_BAR + 4) + _GAP
        y += 12
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y:.0f}" role="img"'
    ground = f'<rect class="ground" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{y - 1:.0f}" rx="8"/>'
    title = "; ".join(panel.title for panel in panels)
    return "\n".join(
        [
            f'{head} width="{_WIDTH}"><title>{escape(title)}</title><style>{_STYLE}</style>',
            ground,
            *parts,
            "</svg>\n",
        ]
    )


def _group(group: Group, y: float, scale: float) -> list[str]:
    height = len(group.bars) * (_BAR + 4)
    parts = [_text(_NAMES - 10, y + height / 2 + 4, group.name, "ink", "end")]
    for place, bar in enumerate(group.bars):
        at = y + place * (_BAR + 4)
        width = max(1.0, bar.value * scale)
        shape = f'x="{_NAMES}" y="{at:.1f}" width="{width:.1f}" height="{_BAR}" rx="2"'
        parts.append(f'<rect class="{bar.kind}" {shape}/>')
        ink = "ink" if bar.kind == "ours" else "soft"
        # The floor's mark crosses the first bar's line, at times behind its end.
        end = max(width, group.floor * scale) if group.floor is not None and place == 0 else width
        parts.append(_text(_NAMES + end + 6, at + _BAR, bar.label, ink))
    if group.floor is not None:
        x = _NAMES + group.floor * scale
        parts.append(f'<path class="floor" d="M{x:.1f} {y - 2:.1f}V{y + _BAR + 2:.1f}"/>')
    return parts


def _text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def decode_panel(report: Mapping[str, Any]) -> Panel:
    """Ours and the best peer of each cell, with libavcodec's floor as a mark on our bar."""
    groups = []
    for cell in report["cells"]:
        if "median" not in cell["peers"].get(OURS, {}):
            continue
        ours = cell["peers"][OURS]["median"]["frames_ms"]
        peer, name = best_peer(cell, "frames_ms")
        bars = [Bar(ours, "ours", f"{ours:.0f} ms")]
        if peer == peer:  # no peer at all is NaN
            bars.append(Bar(peer, "peer", f"{peer:.0f} ms, {name}"))
        title = f"{cell['cell'].replace(', keyframe every ', ' / ')}, {cell['count']} frames"
        floor = floor_of(cell, "frames_ms")
        groups.append(Group(title, tuple(bars), None if floor != floor else floor))
    words = "emer-edge, the best peer of each kind of clip, and what libavcodec needs at least (mark)"
    return Panel(f"From file to ready frames ({_machine(report)})", words, tuple(groups))


def trip_panel(report: Mapping[str, Any]) -> Panel:
    """First label and total of every way."""
    groups = []
    for figure, name in (("first_label_ms", "first label"), ("total_ms", f"{report['new_tokens']} tokens")):
        bars = []
        for way, found in report["peers"].items():
            if "median" in found:
                kind = "ours" if way.startswith(OURS) else "peer"
                value = found["median"][figure]
                bars.append(Bar(value, kind, f"{value / 1e3:.2f} s, {way}"))
        groups.append(Group(name, tuple(bars)))
    words = "the same clips and random weights in PyTorch with transformers, as the authors' inference runs"
    return Panel(f"From file to answer, Light-MER's size ({_machine(report)})", words, tuple(groups))


def _machine(report: Mapping[str, Any]) -> str:
    machine = report["environment"]
    return f"{machine['cpu']}, {machine['cores']} cores"


def latest(folder: Path, kind: str) -> dict[str, Any] | None:
    """The result file of a benchmark whose name comes last; names hold the date."""
    paths = sorted(folder.glob(f"{kind}-*.json"))
    return json.loads(paths[-1].read_text(encoding="utf-8")) if paths else None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/images/benchmarks.svg"))
    options = parser.parse_args()
    panels = []
    for kind, panel in (("trip", trip_panel), ("decode", decode_panel)):
        if (report := latest(options.results, kind)) is not None:
            panels.append(panel(report))
    if not panels:
        raise SystemExit(f"No result lies in {options.results}: run the benchmarks first.")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(draw(panels), encoding="utf-8")
    print(options.output)


if __name__ == "__main__":
    main()
