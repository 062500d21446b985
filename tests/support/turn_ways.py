"""Small ways for the tests of `benchmarks.turns`; each runs in a process of its own."""

from __future__ import annotations

import os
from typing import Any

from benchmarks.turns import Absent, Figures, Job


def counting(step: float) -> Job:
    """Tells the item times `step`; "fail" is an error and "die" ends the process."""

    def run(item: Any) -> Figures:
        if item == "fail":
            raise ValueError("it did not work")
        if item == "die":
            os._exit(3)
        return {"x_ms": item * step, "process": os.getpid()}

    return run


def absent() -> Job:
    """A peer that can't be had."""
    raise Absent("not for this machine")


def broken() -> Job:
    """A peer whose making fails."""
    raise RuntimeError("no such file")
