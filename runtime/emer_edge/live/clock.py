"""One clock for frames and sound: which time stamps can be used, and when the stream starts anew.

Knows time stamps as numbers. Knows no queue, no array and no model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["frames", "audio"]
Verdict = Literal["ok", "restart", "late", "jump", "invalid"]

JUMP_BACK_SECONDS = 1.0
"""A time stamp that lies further back than this is another clock's and not merely late."""
AGREE_SECONDS = 2.0
"""Two time stamps after a jump that are nearer than this confirm one another."""
ACTIVE_SECONDS = 1.0
"""A modality of which nothing came for so long, wall-clock, is not waited for."""


@dataclass(slots=True)
class _Track:
    end: float = -math.inf
    """Stream time up to which this modality is there."""
    heard_of: float = -math.inf
    """Wall clock of the last item that was taken."""
    jumped_to: float | None = None


@dataclass(slots=True)
class Clock:
    """Judges time stamps; not safe for threads.

    Args:
        jump_seconds: a time stamp that lies further ahead of everything else than this is a jump.
    """

    jump_seconds: float
    origin: float | None = None
    epoch: int = 0
    """Goes up by one whenever the stream starts anew."""
    tracks: dict[Kind, _Track] = field(default_factory=lambda: {"frames": _Track(), "audio": _Track()})

    def admit(self, kind: Kind, start: float, end: float, now: float) -> Verdict:
        """Judge an item that covers `start` to `end` on the stream's clock, at the wall clock `now`.

        A jump is believed when a second item confirms it: the next of the same modality where it is the only
        one, or one of the other modality. Until then what jumps is not used, so that one wrong time stamp
        does not throw the window away.
        """
        if not (math.isfinite(start) and math.isfinite(end)):
            return "invalid"
        if self.origin is None:
            self._start(start)
            return self._take(kind, end, now, "restart")
        track = self.tracks[kind]
        newest = max(other.end for other in self.tracks.values())
        back = track.end if track.end > -math.inf else self.origin
        if start < back - JUMP_BACK_SECONDS or start > newest + self.jump_seconds:
            if not self._confirmed(kind, start, now):
                track.jumped_to = start
                return "jump"
            self._start(start)
            return self._take(kind, end, now, "restart")
        track.jumped_to = None
        if end <= track.end or start < self.origin - JUMP_BACK_SECONDS:
            return "late"
        return self._take(kind, end, now, "ok")

    def active(self, now: float) -> dict[Kind, float]:
        """End, on the stream's clock, of every modality that something came of lately."""
        return {
            kind: track.end for kind, track in self.tracks.items() if now - track.heard_of <= ACTIVE_SECONDS
        }

    def now(self, now: float) -> float:
        """The stream's time at the wall clock `now`, reckoned from what came last."""
        newest = max(self.tracks.values(), key=lambda track: track.heard_of)
        return newest.end + now - newest.heard_of

    def ends(self) -> dict[Kind, float]:
        """End of every modality of which anything came at all."""
        return {kind: track.end for kind, track in self.tracks.items() if track.end > -math.inf}

    def _confirmed(self, kind: Kind, start: float, now: float) -> bool:
        for other, track in self.tracks.items():
            jumped = track.jumped_to
            if jumped is None or abs(jumped - start) > AGREE_SECONDS:
                continue
            if other != kind:
                return True
            if not any(self.tracks[k].heard_of >= now - ACTIVE_SECONDS for k in self.tracks if k != kind):
                return True
        return False

    def _start(self, origin: float) -> None:
        self.origin = origin
        self.epoch += 1
        for track in self.tracks.values():
            track.end, track.jumped_to = -math.inf, None

    def _take(self, kind: Kind, end: float, now: float, verdict: Verdict) -> Verdict:
        track = self.tracks[kind]
        track.end, track.heard_of = max(track.end, end), now
        return verdict
