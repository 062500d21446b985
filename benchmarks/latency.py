"""Where the time of `emer-edge infer` goes: the whole process, and warm calls stage by stage.

    python -m benchmarks.latency CLIP... [--pack emer-nano] [--threads 2] [--runs 5] [--json FILE]

Each warm sample is the next clip of the list, so that nothing comes from a cache; the first call is apart.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import emer_edge as ee
from benchmarks.environment import environment, median

STAGES = (
    "decode_video",
    "faces",
    "vision",
    "decode_audio",
    "audio",
    "fusion",
    "prefill",
    "first_label",
    "first_token",
    "per_token",
    "total",
)


def whole_process(clip: Path, pack: str, threads: int) -> dict[str, float]:
    """Wall seconds and peak resident megabytes of one `emer-edge infer --json` from start to finish."""
    began = time.perf_counter()
    child = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "emer_edge",
            "infer",
            str(clip),
            "--json",
            "--quiet",
            "--pack",
            pack,
            "--threads",
            str(threads),
        ],
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"emer-edge infer failed with exit code {child.returncode}")
    return {"seconds": time.perf_counter() - began, "peak_megabytes": usage.ru_maxrss / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--pack", default="emer-nano")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    clips: list[Path] = arguments.clips
    processes = [whole_process(clip, arguments.pack, arguments.threads) for clip in clips[: arguments.runs]]
    began = time.perf_counter()
    with ee.load(arguments.pack, threads=arguments.threads) as reasoner:
        load_seconds = time.perf_counter() - began
        results = [
            reasoner.infer(clips[index % len(clips)]) for index in range(arguments.runs * len(clips) + 1)
        ]
    warm = results[1:]
    report: dict[str, Any] = {
        "environment": environment(),
        "pack": arguments.pack,
        "threads": arguments.threads,
        "clips": len(clips),
        "process_seconds": round(median([p["seconds"] for p in processes]), 3),
        "process_peak_megabytes": round(max(p["peak_megabytes"] for p in processes), 1),
        "load_seconds": round(load_seconds, 3),
        "first_call_seconds": round(results[0].timings.total, 3),
        "warm_median_seconds": {s: round(median([getattr(r.timings, s) for r in warm]), 5) for s in STAGES},
        "warm_worst_total_seconds": round(max(r.timings.total for r in warm), 3),
        "median_new_tokens": median([r.timings.new_tokens for r in warm]),
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
    print(json.dumps(report, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
