"""How far a run over many clips is, and how long it may still take. Knows the clock, no clip."""

from __future__ import annotations

import time
from pathlib import Path

from emer_edge.cli.progress import Progress
from emer_edge.cli.terminal import Terminal, say

LINE_SECONDS = 30.0
"""Off a terminal, how long it is quiet between two lines."""


class Pace:
    """Tells clips done, of how many, and the time left, on standard error.

    Args:
        terminal: what the streams can show.
        quiet: say nothing.
    """

    def __init__(self, terminal: Terminal, *, quiet: bool) -> None:
        self.progress = Progress(terminal, quiet=quiet)
        self._live = terminal.err_is_tty
        self._quiet = quiet
        self._first: int | None = None
        self._began = self._last = 0.0

    def __call__(self, done: int, of: int, name: str) -> None:
        """`done` clips are finished and `name` comes next; "" at the end."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._began, self._last = done, now, now
        left = self._left(done, of, now)
        if not name:
            self.progress.clear()
        elif self._live:
            self.progress.start(name, done + 1, of)
            self.progress.hint(left)
        elif now - self._last >= LINE_SECONDS and not self._quiet:
            self._last = now
            say(f"{done} of {of} clips{', ' if left else ''}{left}")

    def one(self, place: int, of: int, clip: str) -> None:
        """The clip at `place`, counting from 0, comes next."""
        self(place, of, Path(clip).name)

    def _left(self, done: int, of: int, now: float) -> str:
        finished = done - (self._first or 0)
        if finished < 1:
            return ""
        each = (now - self._began) / finished
        return f"{each:.1f} s each, {duration((of - done) * each)} left"


class JudgePace:
    """Tells now and then how many prompts a judge has answered.

    Args:
        quiet: say nothing.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._last = self._began = time.monotonic()

    def __call__(self, asked: int) -> None:
        """`asked` prompts are answered."""
        now = time.monotonic()
        if now - self._last >= LINE_SECONDS and not self._quiet:
            self._last = now
            say(f"the judge has answered {asked} times, {(now - self._began) / asked:.1f} s each")


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
