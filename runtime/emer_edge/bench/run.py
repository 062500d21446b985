"""One benchmark from load to result: warm-up, scenarios, cold starts, ceilings, in that order.

Knows which measurement follows which, so that none disturbs the one before. Knows no terminal and no file.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from emer_edge.bench import loadgen
from emer_edge.bench.ceilings import Ceilings, measure_ceilings
from emer_edge.bench.clips import made_clips, own_clips
from emer_edge.bench.cold import cold_starts
from emer_edge.bench.costs import llm_shape
from emer_edge.bench.early_stopping import queries_needed
from emer_edge.bench.energy import Energy, joules_per_clip
from emer_edge.bench.engines import look_at_engines
from emer_edge.bench.fingerprint import Neighbours, fingerprint, state
from emer_edge.bench.gate import TOLERANCE, Judgement, judge
from emer_edge.bench.machine import Machine
from emer_edge.bench.memory import device_bytes, forget_peak, host_bytes
from emer_edge.bench.result import Parts, assemble
from emer_edge.bench.roofline import rooflines
from emer_edge.bench.scenarios import MULTI_SAMPLES, SHARES, Name, Outcome, Rule, run_native
from emer_edge.bench.serial import PROCESSES, Errand, profile
from emer_edge.bench.stream import HOP_SECONDS, stream
from emer_edge.bench.subject import Subject
from emer_edge.errors import InputError

if TYPE_CHECKING:
    from emer_edge.reasoner import Reasoner

SCENARIOS = ("stages", "single_stream", "multi_stream", "offline", "server", "live", "cold_start")
SHARES_AND_RATES = ("single_stream", "multi_stream", "offline", "server")
"""MLPerf's own."""
VISITED_CLIPS = 8
"""Clips of the scenario `stages`, the first of the set."""
Driver = Literal["auto", "native", "loadgen"]
Tell = Callable[[str], None]
MLPERF_SECONDS = 600.0
"""Least duration of every scenario by MLPerf's rules."""
_BUSY = 0.5
"""Share of the single-stream rate that the server gets unless told otherwise."""
_PATIENCE = 4.0
"""The server's default bound, in medians of single-stream."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to measure, and for how long."""

    pack: str = "emer-nano"
    device: str = "cpu"
    threads: int | None = None
    decoder: str = "auto"
    clips: tuple[str, ...] = ()
    """Own clips; none draws `count` clips from `seed`."""
    count: int = 16
    seed: int = 0
    scenarios: tuple[str, ...] = SCENARIOS
    seconds: float = 10.0
    """Least duration of each scenario; none goes on beyond six times that for the sake of its queries."""
    mlperf: bool = False
    """Run as long as MLPerf's rules ask: ten minutes, and as many queries as the percentile needs."""
    question: str = "explain"
    max_tokens: int | None = None
    driver: Driver = "auto"
    rate: float | None = None
    bound_seconds: float | None = None
    warm_up: int = 4
    cold_runs: int = 5
    rounds: int = 2
    """How often each process of the scenario `stages` visits every clip."""
    order: int = 0
    """Added to the seed of the order in which they do."""
    command: tuple[str, ...] = field(default=())

    def check(self) -> None:
        """Raise InputError where something makes no sense."""
        for name in self.scenarios:
            if name not in SCENARIOS:
                raise InputError(f"No scenario is called {name!r}.", todo=f"Use {', '.join(SCENARIOS)}.")
        if not 0 < self.seconds <= 86_400 or self.warm_up < 1 or self.cold_runs < 1:
            raise InputError("The benchmark's length makes no sense.", todo="Use positive numbers.")
        for value in (self.rate, self.bound_seconds):
            if value is not None and not 0 < value < 1e6:
                raise InputError("The server's rate and bound are positive numbers.")


def run_bench(request: Request, tell: Tell = lambda _: None) -> dict[str, Any]:
    """Measure, and return the result as `schemas/bench.schema.json` has it.

    Args:
        request: what and how long.
        tell: told what is going on, in a few words.

    Raises:
        InputError, PackError, DeviceError and whatever a clip raises.
    """
    import emer_edge as ee

    request.check()
    driver = _driver(request.driver)
    tell("clips")
    clips = own_clips(request.clips) if request.clips else made_clips(request.count, request.seed)
    machine, neighbours = Machine(), Neighbours(Machine())
    before = state(machine)
    forget_peak()
    empty, device_before = host_bytes(), device_bytes()
    tell("load")
    began = time.perf_counter()
    with ee.load(
        request.pack, device=request.device, threads=request.threads, decoder=request.decoder
    ) as reasoner:
        parts = Parts(request=request, clips=clips, reasoner=reasoner, driver=driver)
        parts.load_seconds = time.perf_counter() - began
        subject = Subject(reasoner, clips.paths, request.question, ee.Options(max_tokens=request.max_tokens))
        _warm(parts, subject, tell)
        for name in (name for name in SHARES_AND_RATES if name in request.scenarios):
            tell(name)
            _scenario(parts, subject, name, machine)
        if "live" in request.scenarios:
            tell("live")
            parts.live = stream(reasoner, max(2 * HOP_SECONDS, request.seconds), request.seed)
        parts.memory = {
            "host_before_load_bytes": empty["resident"],
            "host_peak_bytes": host_bytes()["peak"],
            "device_bytes": max(0, device_bytes() - device_before),
        }
        # Ceilings come after the peak was read, and twice: others may have had the machine at one time.
        tell("ceilings")
        ceilings = _ceilings(reasoner)
        if "stages" in request.scenarios:
            tell("stages")
            parts.visits = profile(clips.paths[:VISITED_CLIPS], errand_of(request, reasoner))
        if "cold_start" in request.scenarios:
            tell("cold_start")
            _cold(parts, reasoner)
        tell("ceilings")
        _roofline(parts, reasoner, _ceilings(reasoner, ceilings))
    parts.states = {"before": before, "after": state(machine), "others_busy_cores": neighbours.cores()}
    parts.device = fingerprint(machine, look_at_engines())
    return assemble(parts)


def errand_of(request: Request, reasoner: Reasoner) -> Errand:
    """What the processes of the scenario `stages` ask."""
    return Errand(
        question=request.question,
        pack=str(reasoner.folder),
        device=request.device,
        threads=reasoner.threads,
        decoder=request.decoder,
        max_tokens=request.max_tokens,
        rounds=request.rounds,
        seed=request.seed + request.order,
    )


def _driver(wanted: Driver) -> Literal["native", "loadgen"]:
    if wanted == "auto":
        return "loadgen" if loadgen.is_installed() else "native"
    return wanted


def _warm(parts: Parts, subject: Subject, tell: Tell) -> None:
    """The first call apart, then the rest of the warm-up, then how long a clip may take."""
    tell("warm-up")
    order = subject.order(parts.request.seed + 7)
    for _ in range(parts.request.warm_up):
        subject.run(next(order))
    parts.warm_up = list(subject.samples)
    later = parts.warm_up[1:] or parts.warm_up
    parts.expected_seconds = median(sample.seconds for sample in later)


def rule_of(request: Request, name: Name, expected_seconds: float, clips: int) -> Rule:
    """How long a scenario runs for this request."""
    share = SHARES.get(name)
    least = {"single_stream": queries_needed(0.9), "multi_stream": 8, "offline": clips, "server": 32}[name]
    if request.mlperf and share is not None:
        least = queries_needed(share)
    seconds = max(MLPERF_SECONDS, request.seconds) if request.mlperf else request.seconds
    rate = request.rate or _BUSY / expected_seconds
    return Rule(
        name=name,
        least_seconds=seconds,
        least_queries=least,
        most_seconds=6 * seconds,
        per_query=MULTI_SAMPLES if name == "multi_stream" else 1,
        rate=rate if name == "server" else 0.0,
        bound_seconds=(request.bound_seconds or _PATIENCE * expected_seconds) if name == "server" else 0.0,
        seed=request.seed,
        expected_seconds=expected_seconds,
    )


def _scenario(parts: Parts, subject: Subject, name: Any, machine: Machine) -> None:
    rule = rule_of(parts.request, name, parts.expected_seconds, len(parts.clips.paths))
    energy = Energy(machine)
    energy.start()
    drive = loadgen.run_loadgen if parts.driver == "loadgen" else run_native
    outcome: Outcome = drive(subject, rule)
    parts.energy[name] = joules_per_clip(energy.stop(), len(outcome.samples))
    parts.outcomes.append(outcome)


def _cold(parts: Parts, reasoner: Reasoner) -> None:
    request = parts.request
    child = {
        "pack": str(reasoner.folder),
        "device": request.device,
        "threads": reasoner.threads,
        "decoder": request.decoder,
        "question": request.question,
        "max_tokens": request.max_tokens,
    }
    for name, evict in (("files_cached", False), ("files_evicted", True)):
        parts.cold[name] = cold_starts(
            reasoner.folder, parts.clips.paths, child, runs=request.cold_runs, evict=evict
        )


def _ceilings(reasoner: Reasoner, earlier: Ceilings | None = None) -> Ceilings:
    llm = reasoner.manifest.llm
    shape = llm_shape(reasoner.folder / llm.files[llm.default].path)
    # TensorRT computes on the same cores as CUDA.
    device = "cuda" if reasoner.device == "tensorrt" else reasoner.device
    return measure_ceilings(device, reasoner.threads, shape.block_bytes + shape.head_bytes, earlier)


def _roofline(parts: Parts, reasoner: Reasoner, ceilings: Ceilings) -> None:
    single = [outcome for outcome in parts.outcomes if outcome.rule.name == "single_stream"]
    samples = [s for outcome in single or parts.outcomes for s in outcome.samples] or parts.warm_up
    parts.ceilings = ceilings.to_dict()
    parts.roofline = rooflines(reasoner.folder, reasoner.manifest, samples, ceilings, parts.visits)


MOST_BATCHES = 3
"""How often the gate measures at most, where it is unclear."""


def gate_now(before: dict[str, Any], tolerance: float) -> Judgement:
    """Measure the baseline's scenario `stages` now and judge; while that is unclear, measure more.

    Raises:
        InputError: the clips were one's own, so that they can't be found again. And errors of the pack.
    """
    return judge_until_clear(
        before, measure_again(before), lambda batch: measure_again(before, batch), tolerance
    )


def judge_until_clear(
    before: dict[str, Any],
    after: dict[str, Any],
    measure: Callable[[int], dict[str, Any]],
    tolerance: float = TOLERANCE,
) -> Judgement:
    """Judge `after`; while that is unclear, add what `measure(batch)` gives, up to `MOST_BATCHES` in all."""
    judgement = judge(before, after, tolerance)
    for batch in range(1, MOST_BATCHES):
        if not judgement.unclear:
            break
        pool(after, measure(batch), batch)
        judgement = judge(before, after, tolerance)
    return judgement


def pool(after: dict[str, Any], more: dict[str, Any], batch: int) -> None:
    """Add the visits of a further batch to a result, as visits of further processes."""
    after["visits"] += [
        {**visit, "process": visit["process"] + batch * PROCESSES} for visit in more["visits"]
    ]
    neighbours = [result["state"].get("others_busy_cores") for result in (after, more)]
    after["state"]["others_busy_cores"] = max((n for n in neighbours if n is not None), default=None)


def measure_again(result: dict[str, Any], batch: int = 0) -> dict[str, Any]:
    """The scenario `stages` of a result, measured now on the same clips with the same pack.

    Raises:
        InputError: the clips were one's own, so that they can't be found again. And errors of the pack.
    """
    made, settings = result["clips"], result["settings"]
    if made["origin"] != "made" or not result.get("visits"):
        raise InputError(
            "The baseline can't be measured again.",
            "It is of clips of your own, or holds no visits.",
            "Make NEW with: emer-edge bench run CLIPS --scenario stages -o NEW",
        )
    request = Request(
        pack=result["pack"]["name"],
        device=settings["device"],
        threads=settings["threads"],
        decoder=settings["decoder"],
        count=made["count"],
        seed=made["seed"],
        question=settings["question"],
        max_tokens=settings["max_tokens"],
        order=batch,
        scenarios=("stages",),
        rounds=1 + max(visit["round"] for visit in result["visits"]),
        warm_up=1,
    )
    return run_bench(request)
