"""The words of a stream: what was said in a window, and which of it is not final yet. Knows no model."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from emer_edge.results import Cue

_MOST = 1024


@dataclass(frozen=True, slots=True)
class _Said:
    start: float
    end: float
    text: str
    final: bool


class Words:
    """Texts with their times, on the caller's clock."""

    def __init__(self) -> None:
        self._said: deque[_Said] = deque(maxlen=_MOST)

    def __len__(self) -> int:
        """Texts that are kept."""
        return len(self._said)

    def clear(self) -> None:
        """Forget everything."""
        self._said.clear()

    def take(self, text: str, start: float, end: float, final: bool) -> None:
        """Keep a text; one that was not final and began at the same time gives way to it."""
        for index, old in enumerate(self._said):
            if not old.final and abs(old.start - start) < 1e-3:
                del self._said[index]
                break
        words = " ".join(text.split())
        if words:
            self._said.append(_Said(start, end, words, final))

    def forget(self, before: float) -> None:
        """Forget what ended before that time."""
        for said in [said for said in self._said if said.end < before]:
            self._said.remove(said)

    def between(self, start: float, end: float, most_chars: int) -> tuple[Cue, ...]:
        """What was said in the window, in order; the oldest is left out where it is too much."""
        cues: list[Cue] = []
        room = most_chars
        for said in sorted(self._said, key=lambda said: (-said.start, -said.end)):
            if said.start >= end or said.end <= start:
                continue
            room -= len(said.text) + 1
            if room < -1 and cues:
                break
            cues.append(Cue(said.start, said.end, said.text))
        return tuple(reversed(cues))
