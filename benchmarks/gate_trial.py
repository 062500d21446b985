"""Does `emer-edge bench gate` find a planted slowdown, and let clean repeats pass?

    python -m benchmarks.gate_trial [--clean 10] [--clips 8] [--rounds 2] [--slow vision,audio,generate]
        [--share 0.15] [--json FILE]

One baseline is measured, with twice the rounds; then, in turns, repeats of the same code and repeats with
one stage made slower. Where the gate is unclear more is measured, up to thrice, as `bench gate` does.
Every repeat is three fresh processes, as in `bench gate`. Nothing is repeated until it fits: all verdicts
count.
"""

from __future__ import annotations

import argparse
import json
import os
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.environment import environment
from emer_edge.bench.clips import made_clips
from emer_edge.bench.fingerprint import Neighbours
from emer_edge.bench.gate import lines
from emer_edge.bench.machine import Machine
from emer_edge.bench.run import judge_until_clear
from emer_edge.bench.serial import Errand, profile


def measure(clips: int, rounds: int, seed: int, slow: str = "") -> dict[str, Any]:
    """A result with as much in it as the gate looks at."""
    found, neighbours = made_clips(clips), Neighbours(Machine())
    if slow:
        os.environ["SLOWED_STAGE"] = slow
    module = "benchmarks.slowed" if slow else "emer_edge.bench.serial"
    visits = profile(found.paths, Errand(rounds=rounds, seed=seed), module=module)
    settings = {"device": "cpu"}
    state = {"others_busy_cores": neighbours.cores()}
    return {"visits": visits, "settings": settings, "clips": found.to_dict(), "state": state}


def measure_turn(arguments: argparse.Namespace, number: int, stage: str, batch: int) -> dict[str, Any]:
    """A batch of one turn, with visits in an order of its own."""
    return measure(arguments.clips, arguments.rounds, 10 * number + 10 + batch, stage)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clean", type=int, default=10)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--slow", default="vision,audio,generate")
    parser.add_argument("--share", default="0.15")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    os.environ["SLOWED_SHARE"] = arguments.share
    stages = [name for name in arguments.slow.split(",") if name]
    turns = [""] * arguments.clean
    for place, stage in enumerate(stages):  # spread over the clean ones
        turns.insert((place + 1) * len(turns) // (len(stages) + 1), stage)
    baseline = measure(arguments.clips, 2 * arguments.rounds, 0)
    rows = []
    for number, stage in enumerate(turns):
        more = partial(measure_turn, arguments, number, stage)
        result = more(0)
        judgement = judge_until_clear(baseline, result, more)
        regressed = [verdict.stage for verdict in judgement.verdicts if verdict.regressed]
        wanted = [stage] if stage else []
        rows.append(
            {
                "slowed": stage,
                "regressed": regressed,
                "right": regressed == wanted,
                "visits": len(result["visits"]),
                "others_busy_cores": result["state"]["others_busy_cores"],
                "excess": {verdict.stage: verdict.excess for verdict in judgement.verdicts},
                "low": {verdict.stage: verdict.low for verdict in judgement.verdicts},
            }
        )
        print(f"{stage or 'clean'}: found {', '.join(regressed) or 'nothing'}", flush=True)
        print("\n".join(f"  {line}" for line in lines(judgement)), flush=True)
        if arguments.json:
            report = {"environment": environment(), "arguments": vars(arguments) | {"json": ""}, "rows": rows}
            arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    print(f"{sum(bool(row['right']) for row in rows)} of {len(rows)} right")


if __name__ == "__main__":
    main()
