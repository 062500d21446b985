"""Sampled frames and 16 s of sound to ready tensors: emer-edge beside its peers and libavcodec's own floor.

    python -m benchmarks.decode [--grid cross|full] [--cells TEXT] [--frames 8,16] [--json FILE]
    python -m benchmarks.decode CLIP... [--frames 8]
    python -m benchmarks.decode --make-only

The grid's clips (codecs x sizes x lengths x keyframe distances) are drawn from seeds into the cache. Every
peer lives in a process of its own and may use all cores; peers take turns on each clip, every sample is
another clip, the first clip is the first call and stands apart. Before anything is timed the pictures and
the sound of each peer are held to PyAV with Pillow. Milliseconds are wall-clock; processor time of all
threads is in the JSON too. Sound counts after the pictures, though the runtime decodes both at once.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.decode_clips import BASE, CLIPS, RECIPE, Cell, clip_cache, cross, digest, full, made_clip
from benchmarks.decode_floor import FLOORS
from benchmarks.decode_ways import MEAN, REFERENCE, STD, WAYS
from benchmarks.environment import environment
from benchmarks.tables import decode_table
from benchmarks.turns import Figures, Peer, summary, take_turns

WRONG_LEVELS = 12.0
"""Mean difference to the reference, of 255 levels, from which pictures count as other frames. swscale in one
pass differs by up to 4.5 on saturated clips."""
_PEERS_LIBRARIES = ("torch", "torchcodec", "decord", "opencv-python-headless", "pillow")


def measure(peers: Sequence[Peer], clips: Sequence[Path], count: int) -> dict[str, Figures]:
    """Look at what every peer makes of the first clip, then take turns over all; figures by peer.

    Args:
        peers: running; floors among them have no pictures to look at.
        clips: the first is the first call, the others are the samples.
        count: sampled frames.
    """
    looks = {peer.name: peer.ask((str(clips[0]), count, True)) for peer in peers}
    truth = looks.get(REFERENCE, {})
    found = take_turns(peers, [(str(clip), count, False) for clip in clips])
    return {name: {**summary(found[name]), **_agreement(looks[name], truth)} for name in found}


def _agreement(look: Figures, truth: Figures) -> Figures:
    """How far pictures (in levels of 255) and sound stray from the reference's."""
    if "pictures" not in look or "pictures" not in truth:
        return {}
    scale = 255 * np.array(STD, np.float32).reshape(1, 3, 1, 1)
    apart = np.abs(look["pictures"] - truth["pictures"]) * scale
    levels = apart.mean(axis=(1, 2, 3))
    out: Figures = {"levels_apart": round(float(levels.mean()), 2)}
    if levels.max() > WRONG_LEVELS:
        out["wrong_frames"] = int((levels > WRONG_LEVELS).sum())
    out["sound_samples"] = len(look["sound"])
    return out


def _clips_of(cell: Cell, count: int) -> list[Path]:
    paths = []
    for seed in range(count):
        began = time.perf_counter()
        paths.append(made_clip(clip_cache(), cell, seed))
        if time.perf_counter() - began > 1:
            print(f"made {paths[-1].name}", file=sys.stderr, flush=True)
    return paths


def _cells(options: argparse.Namespace) -> list[tuple[Cell, int]]:
    """Cells and counts: the base cell gets every count, the others of a cross the first."""
    counts = [int(part) for part in options.frames.split(",")]
    cells = full() if options.grid == "full" else cross()
    if options.cells:
        cells = [cell for cell in cells if any(part in cell.name for part in options.cells.split(","))]
    rows = [(cell, counts[0]) for cell in cells]
    more = cells if options.grid == "full" else [cell for cell in cells if cell == BASE]
    return rows + [(cell, count) for count in counts[1:] for cell in more]


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the grid, or the clips that were named."""
    peers = [Peer(way) for way in (*WAYS, *FLOORS)]
    try:
        absent = {peer.name: peer.absent for peer in peers if peer.absent}
        peers = [peer for peer in peers if not peer.absent]
        report: dict[str, Any] = {
            "benchmark": "decode",
            "command": ["python", "-m", "benchmarks.decode", *sys.argv[1:]],
            "environment": environment(_PEERS_LIBRARIES),
            "clips": "own" if options.clips else {"recipe": RECIPE, "seeds": list(range(options.clips_each))},
            "mean": MEAN,
            "absent": absent,
            "cells": [],
        }
        if options.clips:
            for count in (int(part) for part in options.frames.split(",")):
                row = {"cell": "own clips", "count": count, "peers": measure(peers, options.clips, count)}
                report["cells"].append(row)
        else:
            for cell, count in _cells(options):
                clips = _clips_of(cell, options.clips_each)
                row = {"cell": cell.name, "codec": cell.codec, "height": cell.height, "gop": cell.gop}
                row |= {"seconds": cell.seconds, "count": count, "clips_sha256": digest(clips)}
                row |= {"peers": measure(peers, clips, count)}
                report["cells"].append(row)
                print(decode_table([row], head=len(report["cells"]) == 1), flush=True)
        report["load_average_after"] = environment()["load_average"]
        return report
    finally:
        for peer in peers:
            peer.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--grid", choices=("cross", "full"), default="cross")
    parser.add_argument("--cells", default="", help="only cells whose name holds one of these, by commas")
    parser.add_argument("--frames", default="8,16")
    parser.add_argument(
        "--clips-each",
        type=int,
        default=CLIPS,
        choices=range(2, CLIPS + 1),
        metavar=f"2..{CLIPS}",
        help="first call and samples per cell",
    )
    parser.add_argument("--make-only", action="store_true", help="draw the clips and stop")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.make_only:
        for cell, _ in _cells(options):
            _clips_of(cell, options.clips_each)
        return
    report = run(options)
    if options.clips:
        print(decode_table(report["cells"]))
    for name, why in report["absent"].items():
        print(f"absent: {name}: {why}")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
