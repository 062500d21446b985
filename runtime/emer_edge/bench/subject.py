"""What is measured: one question about one clip, with everything that its answer tells about time.

Knows the reasoner and the clocks. Does not know scenarios.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from emer_edge.answers import Options
    from emer_edge.results import Reasoning

STAGES = ("decode_video", "faces", "vision", "decode_audio", "audio", "fusion", "prefill", "generate")
"""Stages in the order of the trip; the first three and the next two run side by side."""
_YARD = 40_000


class Answers(Protocol):
    """The part of a reasoner that a benchmark needs."""

    def infer(
        self, clip: str | Path, *, question: str = "explain", options: Options | None = None
    ) -> Reasoning:
        """The answer for one clip."""


@dataclass(slots=True)
class Sample:
    """One clip that was answered."""

    clip: str
    index: int
    """Of the clip in its set."""
    began_seconds: float
    """On the scenario's clock."""
    seconds: float
    """Wall clock, from the call to the whole answer."""
    cpu_seconds: float
    """Of this process, over all threads."""
    yardstick_seconds: float
    """A fixed piece of arithmetic right after the answer: how fast the machine was at that moment."""
    stages: dict[str, float] = field(default_factory=dict)
    first_label: float = 0.0
    first_token: float = 0.0
    per_token: float = 0.0
    prompt_tokens: int = 0
    new_tokens: int = 0
    modalities: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For the result file, rounded to microseconds."""
        record = asdict(self)
        for name, value in record.items():
            if isinstance(value, float):
                record[name] = round(value, 6)
        record["stages"] = {name: round(value, 6) for name, value in self.stages.items()}
        record["modalities"] = list(self.modalities)
        return record


@dataclass(slots=True)
class Subject:
    """A loaded pack, a set of clips and a question; `run` answers one clip and keeps the sample."""

    reasoner: Answers
    clips: Sequence[Path]
    question: str = "explain"
    options: Options | None = None
    samples: list[Sample] = field(default_factory=list)
    clock_zero: float = field(default_factory=time.perf_counter)

    def start(self) -> None:
        """Forget the samples and set the clock to zero."""
        self.samples = []
        self.clock_zero = time.perf_counter()

    def now(self) -> float:
        """Seconds on the scenario's clock."""
        return time.perf_counter() - self.clock_zero

    def run(self, index: int) -> Sample:
        """Answer clip `index`; raises what the reasoner raises."""
        clip = self.clips[index]
        began, cpu = time.perf_counter(), time.process_time()
        out = self.reasoner.infer(clip, question=self.question, options=self.options)
        ended, cpu = time.perf_counter(), time.process_time() - cpu
        timings = out.timings
        sample = Sample(
            clip=clip.name,
            index=index,
            began_seconds=began - self.clock_zero,
            seconds=ended - began,
            cpu_seconds=cpu,
            yardstick_seconds=0.0,
            stages={name: float(getattr(timings, name)) for name in STAGES[:-1]}
            | {"generate": timings.total - timings.first_label},
            first_label=timings.first_label,
            first_token=timings.first_token,
            per_token=timings.per_token,
            prompt_tokens=timings.prompt_tokens,
            new_tokens=timings.new_tokens,
            modalities=out.used.modalities,
        )
        self.samples.append(sample)
        return sample

    def rest(self, sample: Sample) -> None:
        """What comes after the clock has stopped for a sample: the yardstick."""
        sample.yardstick_seconds = yardstick()

    def order(self, seed: int) -> Iterator[int]:
        """Clips without end: every clip once in an order drawn from the seed, then again in another order."""
        random = np.random.default_rng(seed)
        while True:
            yield from map(int, random.permutation(len(self.clips)))


def yardstick() -> float:
    """Seconds that a fixed piece of single-threaded arithmetic takes now, about 2 ms."""
    values = np.linspace(0.0, 3.0, _YARD, dtype=np.float32)
    best = np.inf
    for _ in range(3):
        began = time.perf_counter()
        np.sort(np.tanh(np.sin(values) + values[::-1]))
        best = min(best, time.perf_counter() - began)
    return float(best)
