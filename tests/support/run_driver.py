"""Carries out a small run in a process of its own, to be killed: FOLDER, CLIPS, SECONDS each."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from emer_edge.errors import MediaError
from emer_edge.evaluate.carry import carry_out
from emer_edge.evaluate.datasets import DataSet, Row, Truth
from emer_edge.evaluate.outputs import Output
from emer_edge.evaluate.runs import RunConfig, RunFolder


def rows(count: int) -> DataSet:
    """A data set of `count` clips."""
    clips = (Row(f"clip {n}", Truth(label="happy"), f"words {n}") for n in range(count))
    return DataSet("made", "plain", tuple(clips), ("happy",))


def config(data: DataSet) -> RunConfig:
    """Of the driver's run."""
    return RunConfig("driver", {"pack": "none"}, {"question": "labels"}, data.describe())


def answer(row: Row) -> Output:
    """The same for the same row; every seventh fails."""
    if int(row.id.split()[1]) % 7 == 3:
        raise MediaError(f"Can't read {row.id}.", "It is damaged.", "Record it again.")
    return Output(row.id, ("happy",), f"{row.subtitle}: he smiles. " * 40, {"happy": 1.0})


def main() -> None:
    """Carry the run out."""
    folder, count, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    data = rows(count)

    def slow(row: Row) -> Output:
        time.sleep(seconds)
        return answer(row)

    with RunFolder(folder, config(data), data) as run:
        carry_out(run, slow)


if __name__ == "__main__":
    main()
