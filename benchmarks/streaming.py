"""What a new state costs while a stream runs, beside computing the same window anew.

    python -m benchmarks.streaming CLIP [--pack emer-nano] [--window 16] [--hop 2] [--json FILE]

Each window of the clip is computed twice in turn: by a live session that has seen everything before, and from
arrays of its whole span. Decoding is left out of both. CPU seconds are of all threads and hardly depend on
what else the machine does; wall-clock seconds do.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

import emer_edge as ee
from benchmarks.environment import environment, median
from emer_edge.limits import Limits
from emer_edge.media.flow import Picture, file_flow
from emer_edge.media.source import AudioSpec, open_media

RATE = 16_000


class Clock:
    """Wall and CPU seconds of what is done in between."""

    def __enter__(self) -> Clock:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu


def read(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames, their times, and the sound of a clip."""
    pictures = [item for item in file_flow(path, Limits()) if isinstance(item, Picture)]
    frames = np.stack([picture.pixels() for picture in pictures])
    sound = open_media(path, Limits()).waveform(AudioSpec(RATE)).samples
    return frames, np.array([picture.seconds for picture in pictures]), sound


def measure(reasoner: ee.Reasoner, clip: Path, window: float, hop: float, speech: Any) -> dict[str, Any]:
    """Medians over all whole windows of the clip, and the largest difference of a confidence."""
    frames, times, sound = read(clip)
    frames.setflags(write=False)
    end = min(times[-1], len(sound) / RATE)
    streamed: list[Clock] = []
    anew: list[Clock] = []
    apart = 0.0
    with reasoner.live(window_seconds=window, hop_seconds=hop, policy="block", speech=speech) as live:
        plan = live.plan
        for number in range(1, int(end / hop) + 1):
            at, until = (number - 1) * hop, number * hop
            with Clock() as clock:
                for index in np.flatnonzero((times >= at) & (times < until)):
                    live.push_frame(frames[index], float(times[index]))
                live.push_audio(sound[round(at * RATE) : round(until * RATE)], RATE, at)
                live.flush()
            state = live.get(0)
            if until < plan.reach_seconds or state is None or state.kind != "state":
                continue
            streamed.append(clock)
            first = round((until - plan.heard_seconds) * RATE)
            heard = sound[first : first + round((plan.heard_seconds + plan.sound_step_seconds) * RATE)]
            short = round((plan.heard_seconds + plan.sound_step_seconds) * RATE) - len(heard)
            heard = np.concatenate([heard, np.zeros(short, np.float32)])
            seen = frames[(times >= until - plan.seen_seconds - 1e-6) & (times < until - 1e-6)]
            with Clock() as clock:
                whole = reasoner.infer(
                    ee.Clip(frames=seen, waveform=heard), question="labels", options=ee.Options(max_tokens=0)
                )
            anew.append(clock)
            apart = max(apart, *(abs(p - state.scores[label]) for label, p in whole.scores.items()))
        stats = live.stats()
    cpu = [median([clock.cpu for clock in clocks]) for clocks in (streamed, anew)]
    wall = [median([clock.wall for clock in clocks]) for clocks in (streamed, anew)]
    return {
        "windows": len(streamed),
        "seen_seconds": plan.seen_seconds,
        "heard_seconds": plan.heard_seconds,
        "streamed_cpu_seconds": round(cpu[0], 5),
        "anew_cpu_seconds": round(cpu[1], 5),
        "cpu_ratio": round(cpu[0] / cpu[1], 3),
        "streamed_wall_seconds": round(wall[0], 5),
        "anew_wall_seconds": round(wall[1], 5),
        "wall_ratio": round(wall[0] / wall[1], 3),
        "largest_difference_of_a_confidence": round(apart, 6),
        "encoded": stats["encoded"],
        "reused": stats["reused"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", type=Path)
    parser.add_argument("--pack", default="emer-nano")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--window", type=float, default=16.0)
    parser.add_argument("--hop", type=float, default=2.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with ee.load(arguments.pack, threads=arguments.threads) as reasoner:
        spec = reasoner.manifest.encoders
        report = {
            "environment": environment(),
            "pack": arguments.pack,
            "threads": arguments.threads,
            "window_seconds": arguments.window,
            "hop_seconds": arguments.hop,
            "encoder_batches": {
                name: encoder.files[encoder.default].input.shape[0]
                for name, encoder in (("vision", spec.vision), ("audio", spec.audio))
            },
            "without_speech_detection": measure(
                reasoner, arguments.clip, arguments.window, arguments.hop, None
            ),
            "with_speech_detection": measure(
                reasoner, arguments.clip, arguments.window, arguments.hop, "auto"
            ),
        }
    print(json.dumps(report, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
