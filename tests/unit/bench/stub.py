"""A reasoner that sleeps: clip `12.mp4` takes 12 ms, so that every percentile is known beforehand."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from emer_edge.bench.subject import Subject
from emer_edge.results import Timings


class Sleeper:
    """Answers clip N after N milliseconds."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def infer(self, clip: str | Path, *, question: str = "explain", options: object = None) -> Any:
        self.asked.append(Path(clip).name)
        began = time.perf_counter()
        time.sleep(int(Path(clip).stem) / 1000)
        total = time.perf_counter() - began
        timings = Timings(total=total, first_label=total / 2, audio=total / 4, new_tokens=5, prompt_tokens=9)
        return SimpleNamespace(timings=timings, used=SimpleNamespace(modalities=("audio",)))


def sleeper(first: int = 4, clips: int = 16) -> Subject:
    """A subject of `clips` clips, from `first` milliseconds on."""
    return Subject(Sleeper(), [Path(f"{first + index}.mp4") for index in range(clips)])
