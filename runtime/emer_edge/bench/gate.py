"""Whether a stage became slower than a baseline, beyond noise. Knows visits and statistics, no engine.

Every visit is compared with the baseline's visits of the same clip, on a logarithmic scale. What the stages
of one visit share - another clock, a busy machine, cold caches - is their median, and is taken out of each,
so that a stage is judged against the others of its visits; what they share is judged by itself, more widely.
Neighbours who come or go weigh on stages unevenly (memory is shared): then each is judged more widely too.
A stage has regressed when its excess is above the tolerance with confidence 0.99 (bootstrap over visits,
widened by what two runs of the same code differ) and Mann-Whitney's test, corrected by Holm's method, agrees.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emer_edge.bench.subject import STAGES
from emer_edge.errors import InputError

TOLERANCE = 0.03
"""Excess over the other stages that is not worth a failure."""
BETWEEN_RUNS = 0.015
"""Standard deviation of a stage's excess between runs of the same code, measured on two cores that 13
processes wanted: what no number of visits in one run can tell."""
SHARED_TOLERANCE, BUSY_SHARED_TOLERANCE = 0.15, 0.40
"""The same for what all stages share, on a quiet machine and on one that others use."""
BUSY_CORES = 0.25
NEIGHBOURS_CHANGED_CORES, CHANGED_TOLERANCE = 0.25, 0.25
"""Where others use so many cores more or fewer than at the baseline, stages are judged no finer. Measured:
1.0 cores that became 1.5 made `generate`, which waits for memory, 15 to 31 % (at least 9 to 22 %) slower."""
LEVEL = 0.01
_SUSPICIOUS = 0.05
_DRAWS = 500
_Z = 2.326  # of confidence 0.99, one-sided
_TRIM = 0.2  # cut from either end of a mean
_LEAST_SECONDS = 1e-3
"""Stages below are not judged: 15 % of them are less than a visit's noise."""

Cube = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One stage, or `all stages`."""

    stage: str
    before_seconds: float
    after_seconds: float
    excess: float
    """Slower by this share than the other stages say; 0.1 is 10 %."""
    low: float
    high: float
    """Interval of the excess, confidence 0.99 on either side."""
    p_value: float
    regressed: bool


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the gate says."""

    verdicts: tuple[Verdict, ...]
    measure: str
    """`cpu_seconds` or `seconds`."""
    busy: bool
    tolerance: float = TOLERANCE
    """That stages were judged at."""
    neighbours_changed: bool = False

    @property
    def passed(self) -> bool:
        """Whether nothing regressed."""
        return not any(verdict.regressed for verdict in self.verdicts)

    @property
    def unclear(self) -> bool:
        """Whether a stage looks slower than the tolerance, but there are too few visits to say so."""
        return any(
            not verdict.regressed and verdict.excess > self.tolerance and verdict.p_value < _SUSPICIOUS
            for verdict in self.verdicts[:-1]
        )

    def to_dict(self) -> dict[str, Any]:
        """The documented JSON object."""
        return {
            "schema_version": "1.0",
            "passed": self.passed,
            "unclear": self.unclear,
            "tolerance": self.tolerance,
            "measure": self.measure,
            "busy": self.busy,
            "neighbours_changed": self.neighbours_changed,
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
        }


def judge(before: Mapping[str, Any], after: Mapping[str, Any], tolerance: float = TOLERANCE) -> Judgement:
    """Compare two results that hold visits of the same clips by the same pack.

    Raises:
        InputError: they hold none, or can't be compared.
    """
    _comparable(before, after)
    # On a GPU the processor only waits: there the wall clock is what there is.
    measure = "cpu_seconds" if after["settings"]["device"] == "cpu" else "seconds"
    neighbours = [result["state"].get("others_busy_cores") or 0.0 for result in (before, after)]
    busy, changed = max(neighbours) > BUSY_CORES, np.ptp(neighbours) > NEIGHBOURS_CHANGED_CORES
    if changed:
        tolerance = max(tolerance, CHANGED_TOLERANCE)
    clips = 1 + max(int(visit["index"]) for result in (before, after) for visit in result["visits"])
    cubes = _cubes(before["visits"], measure, clips), _cubes(after["visits"], measure, clips)
    stages = [
        stage
        for stage in STAGES
        if all(stage in cube and np.nanmedian(cube[stage]) > _LEAST_SECONDS for cube in cubes)
    ]
    if len(stages) < 3:
        raise InputError(
            "There are too few stages to judge.", f"Common to both: {', '.join(stages) or 'none'}."
        )
    old, new = (np.log(np.stack([cube[stage] for stage in stages])) for cube in cubes)
    middle = _nanmedian(old)[:, :, None]
    (old_shared, old_own), (new_shared, new_own) = _split(old - middle), _split(new - middle)
    pairs = [(_there(old_own[at]), _there(new_own[at])) for at in range(len(stages))]
    p_values = _holm([_mann_whitney(*pair) for pair in pairs])
    seconds = [
        tuple(float(np.exp(np.nanmedian(cube[at]))) for cube in (old, new)) for at in range(len(stages))
    ]
    verdicts = [
        _verdict(stage, seconds[at], pairs[at], p_values[at], tolerance) for at, stage in enumerate(stages)
    ]
    whole = sum(first for first, _ in seconds), sum(second for _, second in seconds)
    wide = BUSY_SHARED_TOLERANCE if busy else SHARED_TOLERANCE
    shared = _there(old_shared), _there(new_shared)
    verdicts.append(_verdict("all stages", whole, shared, _mann_whitney(*shared), max(wide, tolerance)))
    return Judgement(tuple(verdicts), measure, busy, tolerance, bool(changed))


def _comparable(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    for result, name in ((before, "The baseline"), (after, "The new result")):
        if not result.get("visits"):
            raise InputError(
                f"{name} holds no visits.", todo="Make it with: emer-edge bench run --scenario stages -o FILE"
            )
    for key in ("question", "max_tokens", "device", "threads", "decoder"):
        old, new = before["settings"].get(key), after["settings"].get(key)
        if old != new:
            raise InputError(f"The results differ in {key}: {old!r} and {new!r}.")
    if before["clips"]["sha256"] != after["clips"]["sha256"]:
        raise InputError("The results are of different clips.", todo="Use the same clips or the same --seed.")


def _cubes(visits: Sequence[Mapping[str, Any]], measure: str, clips: int) -> dict[str, Cube]:
    """By stage: seconds (clips, visits of a clip), NaN where a clip had no such stage."""
    columns = sorted({(visit["process"], visit["round"]) for visit in visits})
    found: dict[str, Cube] = {}
    for visit in visits:
        column = columns.index((visit["process"], visit["round"]))
        for stage, seconds in visit[measure].items():
            cube = found.setdefault(stage, np.full((clips, len(columns)), np.nan))
            cube[visit["index"], column] = seconds
    return found


def _split(change: Cube) -> tuple[Cube, Cube]:
    """What the stages of a visit share (clips, visits), and each stage's own (stages, clips, visits)."""
    shared = _nanmedian(np.moveaxis(change, 0, -1))
    return shared, change - shared


def _there(values: Cube) -> Cube:
    """The values that are there, in one row."""
    flat = values.ravel()
    return np.asarray(flat[~np.isnan(flat)])


def _nanmedian(values: Cube) -> Cube:
    """Along the last axis; NaN where there is nothing, without a warning."""
    ordered = np.sort(values, axis=-1)  # NaN goes to the end
    count = np.asarray(np.sum(~np.isnan(values), axis=-1))
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, values.shape[-1] - 1)
    picked = [np.take_along_axis(ordered, at[..., None], -1)[..., 0] for at in (low, high)]
    return np.asarray(np.where(count > 0, (picked[0] + picked[1]) / 2, np.nan))


def _trimmed_mean(values: Cube) -> Cube:
    """Along the last axis, without the lowest and the highest fifth."""
    cut = int(values.shape[-1] * _TRIM)
    return np.asarray(np.sort(values, axis=-1)[..., cut : values.shape[-1] - cut].mean(axis=-1))


def _verdict(
    stage: str, seconds: tuple[float, ...], pair: tuple[Cube, Cube], p_value: float, tolerance: float
) -> Verdict:
    old, new = pair
    change = float(_trimmed_mean(new) - _trimmed_mean(old))
    random = np.random.default_rng(0)
    drawn = [_trimmed_mean(row[random.integers(0, len(row), (_DRAWS, len(row)))]) for row in pair]
    reach = _Z * math.hypot(float(np.std(drawn[1] - drawn[0])), BETWEEN_RUNS)
    low, high = math.exp(change - reach) - 1, math.exp(change + reach) - 1
    return Verdict(
        stage,
        round(seconds[0], 7),
        round(seconds[1], 7),
        round(math.exp(change) - 1, 5),
        round(low, 5),
        round(high, 5),
        round(p_value, 6),
        bool(low > tolerance and p_value < LEVEL),
    )


def _mann_whitney(first: Cube, second: Cube) -> float:
    """One-sided p-value that `second` is larger, by the normal approximation with ties."""
    n, m = len(first), len(second)
    values = np.concatenate([first, second])
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    above = float(ranks[n:].sum()) - m * (m + 1) / 2
    ties = float((counts**3 - counts).sum()) / ((n + m) * (n + m - 1)) if n + m > 1 else 0.0
    deviation = math.sqrt(n * m / 12 * (n + m + 1 - ties))
    return 0.5 * math.erfc((above - n * m / 2 - 0.5) / deviation / math.sqrt(2)) if deviation else 1.0


def _holm(p_values: Sequence[float]) -> list[float]:
    """Corrected for the number of tests, by Holm's step-down method."""
    out, worst = [1.0] * len(p_values), 0.0
    for place, at in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        worst = max(worst, min(1.0, (len(p_values) - place) * p_values[at]))
        out[at] = worst
    return out


def lines(judgement: Judgement) -> list[str]:
    """The judgement for a terminal."""
    out = [f"{'stage':14} {'baseline':>10} {'now':>10} {'excess':>8}   interval"]
    for verdict in judgement.verdicts:
        before, after = 1000 * verdict.before_seconds, 1000 * verdict.after_seconds
        words = f"{verdict.stage:14} {before:7.2f} ms {after:7.2f} ms "
        words += f"{100 * verdict.excess:+7.1f}%   {100 * verdict.low:+.1f} to {100 * verdict.high:+.1f} %"
        out.append(f"{words}{'  REGRESSED' if verdict.regressed else ''}")
    if judgement.busy:
        out.append("others used the machine: what all stages share is judged widely")
    if judgement.neighbours_changed:
        out.append(
            f"others use more or less of the machine than at the baseline: stages are judged at "
            f"{100 * judgement.tolerance:.0f} %"
        )
    if judgement.unclear:
        out.append("a stage looks slower, but there are too few visits to say so: measure more --rounds")
    widest = median(verdict.high - verdict.low for verdict in judgement.verdicts)
    out.append(f"{'passed' if judgement.passed else 'FAILED'}; typical interval {100 * widest:.1f} % wide")
    return out
