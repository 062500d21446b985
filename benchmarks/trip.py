"""The whole trip, file to words: emer-edge beside the reference way, on the same clips and random weights.

    python -m benchmarks.trip --models FOLDER --pack PACK [--pack PACK2] [--tokens 64] [--json FILE]
    python -m benchmarks.trip --small FOLDER

FOLDER holds published weights, PACK what `emer-edge export light-mer` made of them with `--look frames`
(`benchmarks.export_full_size` makes both). Each way lives in a process of its own; they take turns, every
sample is another made clip, the first clip is the first call and stands apart. The clock starts at the path.

    first_label  ours: the confidences of all candidates. Reference: the logits of one forward pass over the
                 label question with the answer begun, as if nothing else were asked.
    first_token  the first word's token of the explanation. Ours has told the labels by then; the reference is
                 not charged for them.
    total        the last of --tokens tokens of it, greedy; both sides write exactly as many.

Peak memory is the largest resident size of the process, the interpreter and libraries included. Frames and
sound of the reference come from decord, as the authors', or from PyAV where it is absent.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.environment import environment
from benchmarks.tables import figures_table
from benchmarks.trip_ways import REFERENCES, our_job, our_look, reference_job
from benchmarks.turns import Figures, Peer, Way, summary, take_turns

COLUMNS = (
    ("first_label_ms", "first label, ms"),
    ("first_token_ms", "first token, ms"),
    ("total_ms", "total, ms"),
    ("per_token_ms", "per token, ms"),
    ("decode_ms", "decode, ms"),
    ("encode_ms", "encoders, ms"),
    ("peak_megabytes", "peak, MB"),
)
_LIBRARIES = ("torch", "transformers", "decord")


def agreement(ours: Figures, truth: Figures) -> Figures:
    """How far our soft tokens and first logits stray from the reference's on the same pictures and sound.

    Returns:
        `soft`: the largest relative distance |a - b| / |b| of the three soft tokens; `logits`: the same of
        the first token's logits; `same_first_token`.
    """
    soft = max(distance(ours["soft"][name], truth["soft"][name]) for name in truth["soft"])
    return {
        "soft": soft,
        "logits": distance(ours["logits"], truth["logits"]),
        "same_first_token": int(np.argmax(ours["logits"])) == int(np.argmax(truth["logits"])),
        "prompt_tokens": [ours["prompt_tokens"], truth["prompt_tokens"]],
    }


def distance(found: Any, truth: Any) -> float:
    """|found - truth| / |truth|.

    >>> distance([3.0, 4.0], [3.0, 4.0])
    0.0
    """
    a, b = np.asarray(found, np.float64).ravel(), np.asarray(truth, np.float64).ravel()
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def run(options: argparse.Namespace, clips: list[tuple[str, str]]) -> dict[str, Any]:
    """Start every way, hold their numbers together, then take turns."""
    threads = options.threads
    ways = [Way(f"emer-edge {pack.name}", our_job, (pack, threads, options.tokens)) for pack in options.pack]
    wanted = [row for row in REFERENCES if not options.ways or row[0] in options.ways.split(",")]
    ways += [
        Way(f"reference {name}", reference_job, (options.models, *how, threads, options.tokens))
        for name, *how in wanted
    ]
    peers = [Peer(way) for way in ways]
    try:
        for peer in peers:
            print(f"{peer.name}: {peer.absent or peer.start}", file=sys.stderr, flush=True)
        held = {}
        for pack in options.pack:
            looker = Peer(Way(pack.name, our_look, (pack, threads)))  # apart: its memory is not the peer's
            look = looker.ask({"clip": clips[0]})
            looker.close()
            for peer in peers:
                if peer.name == "reference float32" and not peer.absent and "error" not in look:
                    given = {key: look[key] for key in ("pictures", "windows", "subtitle")}
                    held[pack.name] = agreement(look, peer.ask({"clip": clips[0], "look": given}))
            if "error" in look:
                held[pack.name] = look
        found = take_turns(peers, [{"clip": clip} for clip in clips])
        return {
            "benchmark": "trip",
            "command": ["python", "-m", "benchmarks.trip", *sys.argv[1:]],
            "environment": environment(_LIBRARIES),
            "threads": threads,
            "new_tokens": options.tokens,
            "columns": COLUMNS,
            "started": {peer.name: peer.start for peer in peers},
            "agreement": held,
            "peers": {name: summary(samples) for name, samples in found.items()},
        }
    finally:
        for peer in peers:
            peer.close()


def make_small(folder: Path) -> None:
    """Small weights in the published layout and the packs that the exporter makes of them, unless there."""
    import subprocess

    from tests.data.make_published import write_published

    models = folder / "models"
    if not (models / "checkpoint.pth").exists():
        write_published(models)
    command = [sys.executable, "-m", "emer_edge", "export", "light-mer", "--look", "frames", "--force"]
    command += ["--checkpoint", str(models / "checkpoint.pth"), "--models", str(models)]
    if not (folder / "exact" / "manifest.json").exists():
        command += ["-o", str(folder / "exact"), "--precision", "fp32", "--quantize", "F16"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def made(count: int) -> list[tuple[str, str]]:
    """Drawn clips with a voice-like hum, and their words."""
    from emer_edge.bench.clips import made_clips

    paths = made_clips(count).paths
    return [(str(path), path.with_suffix(".srt").read_text().splitlines()[2]) for path in paths]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path)
    parser.add_argument("--pack", type=Path, action="append", default=[])
    parser.add_argument(
        "--small", type=Path, help="make and compare a small model here; no figure of it counts"
    )
    parser.add_argument("--ways", default="", help=f"of {', '.join(row[0] for row in REFERENCES)}")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--samples", type=int, default=7)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.small:
        make_small(options.small)
        options.models, options.pack = options.small / "models", [options.small / "exact"]
    if not options.models or not options.pack:
        parser.error("--models and --pack are needed")
    began = time.perf_counter()
    report = run(options, made(options.samples + 1))
    report["seconds"] = round(time.perf_counter() - began, 1)
    print(figures_table(report["peers"], COLUMNS, 1))
    print(json.dumps(report["agreement"], indent=1))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if not options.small:
        return 0
    # float16 rows and weights of the language model: 2^-11 each, over a few layers.
    held = report["agreement"].values()
    return int(not held or any("error" in row or row["soft"] > 1e-3 or row["logits"] > 2e-2 for row in held))


if __name__ == "__main__":
    sys.exit(main())
