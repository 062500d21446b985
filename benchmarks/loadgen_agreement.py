"""Do LoadGen and the native driver agree on p90? Single-stream of a pack, in turns, on the same clips.

    python -m benchmarks.loadgen_agreement [--pack emer-nano] [--queries 64] [--turns 3] [--question labels]
        [--json FILE]

Two comparisons: LoadGen's own p90 beside our definition on the very queries that it issued, which only a
mistake in clocks or definitions can part; and p90 of runs of their own, which noise parts too. The order
of the drivers changes with every turn, and their latencies are pooled over the turns.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import emer_edge as ee
from benchmarks.environment import environment
from emer_edge.bench.clips import made_clips
from emer_edge.bench.early_stopping import percentile
from emer_edge.bench.loadgen import run_loadgen
from emer_edge.bench.scenarios import Rule, run_native
from emer_edge.bench.subject import Subject


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pack", default="emer-nano")
    parser.add_argument("--queries", type=int, default=64)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--question", default="labels")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    pooled: dict[str, list[float]] = {"native": [], "loadgen": []}
    same: list[float] = []
    with ee.load(arguments.pack) as reasoner:
        subject = Subject(
            reasoner, made_clips(arguments.clips).paths, arguments.question, ee.Options(max_tokens=0)
        )
        expected = min(subject.run(index % arguments.clips).seconds for index in range(4))
        for turn in range(arguments.turns):
            rule = Rule("single_stream", 0.0, arguments.queries, 600.0, seed=turn, expected_seconds=expected)
            drivers: list[tuple[str, Any]] = [("native", run_native), ("loadgen", run_loadgen)]
            for name, drive in drivers if turn % 2 == 0 else drivers[::-1]:
                outcome = drive(subject, rule)
                pooled[name] += outcome.latencies
                if name == "loadgen":
                    same.append(outcome.figures()["p90_seconds"] / (outcome.extra["p90_ns"] / 1e9) - 1)
    p90 = {name: percentile(values, 0.9) for name, values in pooled.items()}
    report = {
        "environment": environment(),
        "queries": {name: len(values) for name, values in pooled.items()},
        "p90_seconds": p90,
        "apart": round(p90["native"] / p90["loadgen"] - 1, 5),
        "same_queries_apart": [round(value, 6) for value in same],
    }
    print(json.dumps(report, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
