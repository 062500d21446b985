"""A live session for minutes: looped real clips at real time, and what became of age, losses and memory.

    python -m benchmarks.soak CLIP... [--minutes 30] [--slow 1.0] [--pack emer-nano] [--policy drop_oldest]
                              [--json FILE]

`--slow 3` lets every state take three times its own time, as on a slower machine. Clips follow one another
on one clock, so that the session sees one endless stream. Frames are decoded as a camera would give them.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import emer_edge as ee
from benchmarks.environment import environment
from emer_edge.limits import Limits
from emer_edge.live.events import Dropped, Failed, LiveEvent, Reasoned, State
from emer_edge.live.session import LiveSession
from emer_edge.live.windows import Windows
from emer_edge.media.flow import Picture, file_flow

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_megabytes() -> float:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 1e6


def slow_down(factor: float) -> None:
    """Let every window take `factor` times as long."""
    make = Windows.make

    def slowed(self: Windows, *arguments: Any) -> Any:
        began = time.perf_counter()
        made = make(self, *arguments)
        time.sleep((factor - 1) * (time.perf_counter() - began))
        return made

    Windows.make = slowed  # type: ignore[method-assign]


def feed(live: LiveSession, clips: list[Path], end: float, pushes: list[float]) -> float:
    """Push the clips again and again until the wall clock shows `end`; returns the stream's seconds."""
    began, offset = time.monotonic(), 0.0
    buffer = np.empty((0, 0, 3), np.uint8)
    while True:
        for clip in clips:
            first = offset
            for item in file_flow(clip, Limits()):
                at = first + max(0.0, item.seconds)
                time.sleep(max(0.0, began + at - time.monotonic()))
                if time.monotonic() >= end:
                    return at
                if isinstance(item, Picture):
                    # As a camera's driver would: into one buffer, which the next frame overwrites.
                    buffer = _into(buffer, item.pixels())
                clock = time.perf_counter()
                if isinstance(item, Picture):
                    live.push_frame(buffer, at)
                    offset = max(offset, at + 0.04)
                else:
                    live.push_audio(item.pcm, item.sample_rate, at)
                    offset = max(offset, at + item.pcm.shape[1] / item.sample_rate)
                pushes.append(time.perf_counter() - clock)


def _into(buffer: NDArray[np.uint8], pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if buffer.shape != pixels.shape:
        return pixels.copy()
    np.copyto(buffer, pixels)
    return buffer


class Watch:
    """Takes the events of the session and samples memory."""

    def __init__(self) -> None:
        self.ages: list[float] = []
        self.gaps: list[float] = []
        self.dropped: dict[str, int] = {}
        self.failed: list[str] = []
        self.reasonings = 0
        self.memory: list[tuple[float, float]] = []
        self.degraded = 0
        self._last: float | None = None

    def take(self, event: LiveEvent) -> None:
        if isinstance(event, State):
            self.ages.append(event.age_seconds)
            if self._last is not None:
                self.gaps.append(event.end_pts_seconds - self._last)
            self._last = event.end_pts_seconds
            self.degraded += bool(event.quality.degraded)
        elif isinstance(event, Dropped):
            name = f"{event.what}_{event.why}"
            self.dropped[name] = self.dropped.get(name, 0) + event.n
        elif isinstance(event, Failed):
            self.failed.append(str(event.error.get("what")))
        elif isinstance(event, Reasoned):
            self.reasonings += 1

    def sample(self, stop: threading.Event) -> None:
        while not stop.wait(1.0):
            self.memory.append((time.monotonic(), resident_megabytes()))

    def slope(self) -> float:
        """Megabytes an hour, by least squares over the second half: the first one still loads."""
        late = np.array(self.memory[len(self.memory) // 2 :])
        return float(np.polyfit(late[:, 0] / 3600, late[:, 1], 1)[0]) if len(late) > 2 else 0.0


def percentiles(values: list[float], scale: float = 1.0) -> dict[str, float]:
    if not values:
        return {}
    marks = np.percentile(np.array(values) * scale, [50, 95, 99])
    return {"p50": round(marks[0], 4), "p95": round(marks[1], 4), "p99": round(marks[2], 4)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--slow", type=float, default=1.0)
    parser.add_argument("--pack", default="emer-nano")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--window", type=float, default=8.0)
    parser.add_argument("--hop", type=float, default=2.0)
    parser.add_argument("--policy", default="drop_oldest")
    parser.add_argument("--reasoning", default="never")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.slow > 1:
        slow_down(options.slow)
    watch, stop, pushes = Watch(), threading.Event(), list[float]()
    with ee.load(options.pack, threads=options.threads) as reasoner:
        reasoner.infer(options.clips[0], question="labels")  # the engines' first run is not the stream's
        threading.Thread(target=watch.sample, args=(stop,), daemon=True).start()
        loads = [os.getloadavg()[0]]
        live = reasoner.live(
            window_seconds=options.window,
            hop_seconds=options.hop,
            policy=options.policy,
            reasoning=options.reasoning,
            on_event=watch.take,
        )
        cpu = time.process_time()
        seconds = feed(live, options.clips, time.monotonic() + 60 * options.minutes, pushes)
        cpu = time.process_time() - cpu
        loads.append(os.getloadavg()[0])
        live.close()
        stop.set()
    stats = live.stats()
    expected = int(seconds / options.hop)
    lost = watch.dropped.get("hops_skipped_hop", 0)
    report = {
        "environment": environment(),
        "pack": options.pack,
        "threads": options.threads,
        "policy": options.policy,
        "reasoning": options.reasoning,
        "slow_down": options.slow,
        "load_average": loads,
        "stream_seconds": round(seconds, 1),
        "states": len(watch.ages),
        "states_expected": expected,
        "states_neither_told_nor_dropped": max(0, expected - len(watch.ages) - lost),
        "state_age_seconds": percentiles(watch.ages),
        "push_milliseconds": percentiles(pushes, 1e3),
        "longest_gap_between_states_seconds": round(max(watch.gaps, default=0.0), 2),
        "dropped": watch.dropped,
        "failed": watch.failed[:10],
        "reasonings": watch.reasonings,
        "states_degraded": watch.degraded,
        "cpu_share_of_one_core": round(cpu / max(seconds, 1e-9), 3),
        "resident_megabytes": round(resident_megabytes(), 1),
        "resident_megabytes_an_hour": round(watch.slope(), 2),
        "stats": stats,
    }
    print(json.dumps(report, indent=1))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
