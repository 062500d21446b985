"""Carries a run out in groups of rows: what is asked together, what is kept, how it goes on after a kill.

Knows a run's folder and answers that come group by group. Does not know who answers, or where. Groups are
fixed by the rows' places in the data set, so that a run that goes on asks the very groups of an unbroken one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias, TypeVar

from emer_edge.errors import Cancelled, DeviceError, EmerError, OutputError, PackError
from emer_edge.evaluate.datasets import Row
from emer_edge.evaluate.outputs import Output
from emer_edge.evaluate.runs import RunFolder

Found = TypeVar("Found")
Group: TypeAlias = tuple[Row, ...]
Progress: TypeAlias = Callable[[int, int, str], None]

NOT_THE_CLIPS: tuple[type[EmerError], ...] = (PackError, DeviceError, OutputError, Cancelled)
"""Errors that no clip is to blame for: they end a run, which can go on later."""


def groups_left(run: RunFolder, size: int) -> list[Group]:
    """The groups of up to `size` rows in which a row has no output yet, each whole, in order."""
    rows = run.rows
    whole = (rows[start : start + size] for start in range(0, len(rows), size))
    return [group for group in whole if any(row.id not in run.done for row in group)]


def carry_out_groups(
    run: RunFolder,
    answers: Callable[[Sequence[Group]], Iterable[Sequence[Output]]],
    size: int = 1,
    progress: Progress = lambda _done, _of, _id: None,
) -> int:
    """Ask about every row that has no output yet; returns how many outputs are new.

    A group in which some rows have an output is asked as a whole, and what is there already stays.

    Args:
        run: where outputs go.
        answers: groups -> the outputs of each, in the order of the groups.
        size: rows of a group.
        progress: told the outputs so far, of how many, and the id that comes next.

    Raises:
        EmerError: those of `NOT_THE_CLIPS`; all others are outputs.
    """
    total, left, new = len(run.rows), groups_left(run, size), 0
    progress(len(run.done), total, left[0][0].id if left else "")
    for place, outputs in enumerate(answers(left), 1):
        for output in outputs:
            if output.id not in run.done:
                run.append(output)
                new += 1
        progress(len(run.done), total, left[place][0].id if place < len(left) else "")
    return new


def carry_out(
    run: RunFolder,
    answer: Callable[[Row], Output],
    progress: Progress = lambda _done, _of, _id: None,
) -> int:
    """Ask about every row that has no output yet, one by one; otherwise as `carry_out_groups`.

    Args:
        run: where outputs go.
        answer: asks about one row; an error that is the clip's becomes its output.
        progress: as `carry_out_groups`.
    """
    alone = one_by_one(lambda group: [or_failure(row, lambda row=row: answer(row)) for row in group])  # type: ignore[misc]
    return carry_out_groups(run, alone, 1, progress)


def or_failure(row: Row, work: Callable[[], Found]) -> Found | Output:
    """What `work` gives, or its error as the row's output.

    Raises:
        EmerError: those of `NOT_THE_CLIPS`.
    """
    try:
        return work()
    except NOT_THE_CLIPS:
        raise
    except EmerError as error:
        return Output.failure(row.id, error)


def one_by_one(
    answer: Callable[[Group], Sequence[Output]],
) -> Callable[[Sequence[Group]], Iterator[Sequence[Output]]]:
    """Answers of this process: each group when the one before is on the disk."""

    def answers(groups: Sequence[Group]) -> Iterator[Sequence[Output]]:
        return map(answer, groups)

    return answers
