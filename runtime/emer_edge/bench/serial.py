"""One stage after the other, nothing beside it: what each costs by itself, on the wall and in CPU time.

Knows the trip's stages through the doors that the pipeline uses. In the pipeline seeing and hearing overlap,
so that neither's cost can be told there; rooflines and the gate go by this. CPU time hardly grows when other
processes take their turns, which wall-clock time does. Run as a module it is one of the processes that visit.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emer_edge.answers import Options, fit_words
from emer_edge.bench.subject import yardstick
from emer_edge.errors import EmerError, GenerationError
from emer_edge.inputs import open_inputs
from emer_edge.pipeline import Event, Perception, answer
from emer_edge.results import Modality, Used
from emer_edge.senses import Percept, hear, see
from emer_edge.session import Session


@dataclass(slots=True)
class Visit:
    """One clip, stage by stage."""

    clip: str
    index: int
    round: int
    process: int
    yardstick_cpu_seconds: float
    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    prompt_tokens: int = 0
    new_tokens: int = 0

    def to_dict(self) -> dict[str, Any]:
        """For the result file."""
        return {
            "clip": self.clip,
            "index": self.index,
            "round": self.round,
            "process": self.process,
            "yardstick_cpu_seconds": round(self.yardstick_cpu_seconds, 7),
            "seconds": {name: round(value, 7) for name, value in self.seconds.items()},
            "cpu_seconds": {name: round(value, 7) for name, value in self.cpu_seconds.items()},
            "prompt_tokens": self.prompt_tokens,
            "new_tokens": self.new_tokens,
        }


@dataclass(frozen=True, slots=True)
class Errand:
    """What is asked about every clip, and how often."""

    question: str = "explain"
    pack: str = "emer-nano"
    device: str = "cpu"
    threads: int | None = None
    decoder: str = "auto"
    max_tokens: int | None = None
    rounds: int = 2
    seed: int = 0


PROCESSES = 3
"""Fresh processes of one profile: where memory lies and where threads run differs from one to the next."""
_TIMEOUT_SECONDS = 3600.0


def profile(
    clips: Sequence[Path], errand: Errand, *, processes: int = PROCESSES, module: str = __name__
) -> list[dict[str, Any]]:
    """Visit all clips in several fresh processes, one after the other.

    Args:
        clips: each is visited `errand.rounds` times by each process.
        errand: what is asked, with which pack.
        processes: how many.
        module: what the processes run; another one may change something and then call `serve`.

    Returns:
        Every `Visit` as plain data.

    Raises:
        GenerationError: a process failed; the cause is the end of what it said.
    """
    found: list[dict[str, Any]] = []
    for number in range(processes):
        task = {"clips": [str(path) for path in clips], "errand": asdict(errand), "process": number}
        try:
            child = subprocess.run(
                [sys.executable, "-m", module, json.dumps(task)],
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise GenerationError("A process that visits clips took more than an hour.") from error
        if child.returncode:
            raise GenerationError("A process that visits clips failed.", child.stderr.strip()[-400:])
        found += json.loads(child.stdout.splitlines()[-1])
    return found


def serve(argument: str) -> None:
    """Be one of the processes of `profile`: visit, and print what was found as one line of JSON."""
    task = json.loads(argument)
    errand, clips = Errand(**task["errand"]), [Path(path) for path in task["clips"]]
    session = Session(errand.pack, device=errand.device, threads=errand.threads)
    random = np.random.default_rng((errand.seed, task["process"]))
    found = []
    try:
        visit(session, clips[0], errand)  # the first call builds what later ones reuse
        for number in range(errand.rounds):
            for index in map(int, random.permutation(len(clips))):
                one = visit(session, clips[index], errand)
                one.index, one.round, one.process = index, number, task["process"]
                found.append(one.to_dict())
    finally:
        session.close()
    print(json.dumps(found))


def visit(session: Session, clip: Path, errand: Errand) -> Visit:
    """One clip, stage by stage.

    Raises:
        InputError, MediaError, LimitError, DeviceError, GenerationError.
    """
    out = Visit(clip.name, 0, 0, 0, _yardstick_cpu())
    inputs = open_inputs(clip, None, session.limits, errand.decoder)
    sight = see(session, inputs) if inputs.has_video else Percept()
    sound = hear(session, inputs) if inputs.has_audio else Percept()
    for percept in (sight, sound):
        out.seconds |= percept.seconds
        out.cpu_seconds |= percept.cpu_seconds
    clock = _Pair()
    soft = session.fusion.fuse(sight.embeddings, sound.embeddings)
    clock.stop(out, "fusion")
    words = fit_words(session, inputs.subtitle)
    there = {"vision": sight.embeddings, "audio": sound.embeddings, "subtitle": words or None}
    order: tuple[Modality, ...] = ("vision", "audio", "subtitle")
    used = Used(
        modalities=tuple(name for name in order if there[name] is not None),
        subtitle=words,
    )
    perception = Perception(inputs.name, soft, used, inputs.cues, inputs.duration_seconds, {})
    _ask(session, perception, errand, out)
    return out


def _ask(session: Session, perception: Perception, errand: Errand, out: Visit) -> None:
    clock = _Pair()

    def hear_of(event: Event) -> None:
        if event.kind == "stage" and event.stage == "prefill":
            clock.start()
        elif event.kind == "labels":
            clock.stop(out, "prefill")
        elif event.kind == "done":
            clock.stop(out, "generate")

    answered = answer(session, perception, errand.question, Options(max_tokens=errand.max_tokens), hear_of)
    out.prompt_tokens, out.new_tokens = answered.timings.prompt_tokens, answered.timings.new_tokens


class _Pair:
    """Wall clock and CPU time of the process, since the last stop."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stop(self, out: Visit, stage: str) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        out.seconds[stage], out.cpu_seconds[stage] = wall - self._wall, cpu - self._cpu
        self._wall, self._cpu = wall, cpu


def _yardstick_cpu() -> float:
    """CPU seconds of a fixed piece of arithmetic, the best of some: how fast a core is at this moment."""
    best = np.inf
    for _ in range(2):
        began = time.process_time()
        yardstick()
        best = min(best, time.process_time() - began)
    return float(best)


if __name__ == "__main__":
    try:
        serve(sys.argv[1])
    except EmerError as error:
        sys.exit(str(error))
