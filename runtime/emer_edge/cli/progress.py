"""Progress on standard error: a live line on a terminal, plain lines for long stages elsewhere.

Knows stages by name and the clock; knows nothing of what the stages do.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time

from emer_edge.cli.terminal import Terminal, columns, one_line, say

LONG_STAGE_SECONDS = 2.0
"""Off a terminal, a stage is worth a line when it took longer than this."""


class Progress:
    """Says where a run is. Events may come from several threads.

    Args:
        terminal: what the streams can show.
        quiet: say nothing at all.
    """

    def __init__(self, terminal: Terminal, *, quiet: bool) -> None:
        self._terminal = terminal
        self._quiet = quiet
        self._live = terminal.err_is_tty and not quiet
        self._lock = threading.Lock()
        self._title = ""
        self._done: list[str] = []
        self._stage = ""
        self._hint = ""
        self._since = 0.0
        self._drawn = False

    def start(self, title: str, place: int = 1, of: int = 1) -> None:
        """A clip begins; `place` counts from 1."""
        with self._lock:
            bar = f"{self._terminal.bar((place - 1) / of, 10)} {place}/{of} " if of > 1 else ""
            self._title = f"{bar}{one_line(title)}"
            self._done, self._stage, self._hint = [], "", ""

    def stage(self, name: str) -> None:
        """A stage begins, and the one before it ends."""
        with self._lock:
            self._end_stage()
            self._stage, self._since = name, time.monotonic()
            self._draw()

    def hint(self, text: str) -> None:
        """Something worth seeing while one waits; stays on the live line until it is cleared."""
        with self._lock:
            self._hint = one_line(text)
            self._draw()

    def clear(self) -> None:
        """End the stage and take the live line away, so that something else can be written."""
        with self._lock:
            self._end_stage()
            self._hint = ""
            self._erase()

    def note(self, text: str) -> None:
        """A line that stays."""
        with self._lock:
            self._erase()
            if not self._quiet:
                say(text)

    def _end_stage(self) -> None:
        if not self._stage:
            return
        seconds = time.monotonic() - self._since
        self._done.append(f"{self._stage} {seconds:.1f} s")
        if not self._live and not self._quiet and seconds >= LONG_STAGE_SECONDS:
            say(f"{self._title}: {self._stage} took {seconds:.1f} s")
        self._stage = ""

    def _draw(self) -> None:
        if not self._live:
            return
        current = f"{self._stage} …" if self._stage else ""
        line = f"{self._title}  {' · '.join(part for part in (self._hint, *self._done, current) if part)}"
        width = columns() - 1
        line = line if len(line) <= width else line[: width - 1] + "…"
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(f"\r\x1b[2K{line}")
            sys.stderr.flush()
            self._drawn = True

    def _erase(self) -> None:
        if self._drawn:
            with contextlib.suppress(OSError, ValueError, AttributeError):
                sys.stderr.write("\r\x1b[2K")
                sys.stderr.flush()
        self._drawn = False
