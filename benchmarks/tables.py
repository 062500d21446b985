"""Markdown tables from result files. Knows the files' keys; measures nothing.

python -m benchmarks.tables FILE.json...
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.decode_floor import FLOORS
from benchmarks.decode_ways import OURS

Row = Mapping[str, Any]
_FLOORS = {way.name for way in FLOORS}


def decode_table(cells: Sequence[Row], head: bool = True) -> str:
    """Ours, the best peer and the floor of each cell: wall milliseconds, and processor time's ratios.

    The best peer is the one with the least wall time in that cell; in the last column the one with the least
    processor time. A ratio above 1 says that we are faster, below 1 that we lose.
    """
    lines = []
    if head:
        lines += [
            "| clip | frames | ours, ms | best peer, ms | peer / ours | floor, ms | ours / floor"
            " | processor: peer / ours | ours / floor | sound: ours, best peer, ms |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
    return "\n".join([*lines, *map(_decode_row, cells)])


def _decode_row(cell: Row) -> str:
    peers = cell["peers"]
    if "median" not in peers.get(OURS, {}):
        return f"| {cell['cell']} | {cell['count']} | failed: {peers.get(OURS, {}).get('error')} |"
    ours = peers[OURS]["median"]
    wall, wall_name = best_peer(cell, "frames_ms")
    cpu, cpu_name = best_peer(cell, "frames_cpu_ms")
    sound, _ = best_peer(cell, "sound_ms")
    floor, floor_cpu = (floor_of(cell, figure) for figure in ("frames_ms", "frames_cpu_ms"))
    parts = [cell["cell"], str(cell["count"]), f"{ours['frames_ms']:.1f}", f"{wall:.1f} {wall_name}"]
    parts += [_ratio(wall, ours["frames_ms"]), f"{floor:.1f}", _ratio(ours["frames_ms"], floor)]
    parts += [f"{_ratio(cpu, ours['frames_cpu_ms'])} {cpu_name}", _ratio(ours["frames_cpu_ms"], floor_cpu)]
    parts += [f"{ours['sound_ms']:.1f}, {sound:.1f}"]
    return "| " + " | ".join(parts) + " |"


def best_peer(cell: Row, figure: str) -> tuple[float, str]:
    """The least median among the peers that are neither ours nor a floor and gave the right frames."""
    rows = [
        (found["median"][figure], name)
        for name, found in cell["peers"].items()
        if is_peer(name) and "median" in found and "wrong_frames" not in found
    ]
    return min(rows, default=(math.nan, "none"))


def is_peer(name: str) -> bool:
    """Whether it is somebody else's decoder."""
    return name not in _FLOORS and not name.startswith(OURS)


def floor_of(cell: Row, figure: str) -> float:
    """The least median of libavcodec itself, NaN where it was not measured."""
    values = [
        cell["peers"][name]["median"][figure] for name in _FLOORS if "median" in cell["peers"].get(name, {})
    ]
    return min(values, default=math.nan)


def _ratio(over: float, under: float) -> str:
    return "-" if math.isnan(over) or math.isnan(under) or not under else f"{over / under:.2f}"


def decode_all_table(cells: Sequence[Row]) -> str:
    """Every peer in every cell: wall milliseconds of the pictures, processor milliseconds in brackets."""
    names = list(dict.fromkeys(name for cell in cells for name in cell["peers"]))
    lines = ["| way | " + " | ".join(f"{cell['cell']}, {cell['count']} frames" for cell in cells) + " |"]
    lines.append("|---" * (len(cells) + 1) + "|")
    for name in names:
        lines.append(f"| {name} | " + " | ".join(_cost(cell["peers"].get(name, {})) for cell in cells) + " |")
    return "\n".join(lines)


def _cost(found: Row) -> str:
    if "median" not in found:
        return "fails" if found else "-"
    wrong = f", {found['wrong_frames']} wrong" if "wrong_frames" in found else ""
    return f"{found['median']['frames_ms']:.0f} ({found['median']['frames_cpu_ms']:.0f}){wrong}"


def figures_table(rows: Mapping[str, Row], columns: Sequence[tuple[str, str]], digits: int = 2) -> str:
    """Medians of chosen figures, one row per peer.

    Args:
        rows: summaries by peer.
        columns: (key of the median, heading).
        digits: behind the point.
    """
    lines = ["| | " + " | ".join(heading for _, heading in columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, found in rows.items():
        if "median" not in found:
            lines.append(f"| {name} | {found.get('error', 'absent')} |")
            continue
        values = [found["median"].get(key) for key, _ in columns]
        cells = ["-" if value is None else f"{value:.{digits}f}" for value in values]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(paths: Iterable[str]) -> None:
    for path in paths:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
        if report["benchmark"] == "decode":
            print(decode_table(report["cells"]), decode_all_table(report["cells"]), sep="\n\n")
        else:
            columns = [tuple(column) for column in report["columns"]]
            print(figures_table(report["peers"], columns))


if __name__ == "__main__":
    main(sys.argv[1:])
