"""What a bridge needs of a live session, and the loop between them. Knows no transport and no model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from emer_edge.errors import EmerError
from emer_edge.live.events import Failed, LiveEvent

if TYPE_CHECKING:
    from emer_edge.live.record import Recorder


class Inputs(Protocol):
    """Where frames, sound and words go: a live session, or something that stands in for one."""

    def push_frame(self, array: Any, pts_seconds: float) -> Any:
        """One frame, (H, W, 3) uint8 RGB."""

    def push_audio(self, pcm: Any, sample_rate: int, pts_seconds: float | None) -> Any:
        """Sound, (n,) or (channels, n), int16 or float32; without a time it follows the sound before."""

    def push_text(self, text: str, start: float, end: float, final: bool) -> Any:
        """Words."""


@dataclass(kw_only=True)
class Tally:
    """Counts what comes in; what can't be read is counted, never raised into a callback."""

    counts: dict[str, int] = field(default_factory=dict)
    """How many of each input were taken, and under `refused` how many were not."""
    last_error: EmerError | None = None
    """Why the latest one was refused."""

    def attempt(self, name: str, work: Callable[[], None]) -> bool:
        """Do what takes one input; whether it could be read."""
        try:
            work()
        except EmerError as error:
            self.refuse(error)
            return False
        self.counts[name] = self.counts.get(name, 0) + 1
        return True

    def refuse(self, error: EmerError) -> None:
        """Count what could not be read."""
        self.last_error = error
        self.counts["refused"] = self.counts.get("refused", 0) + 1


class Sink(Protocol):
    """Where events go."""

    def send(self, event: LiveEvent) -> None:
        """Tell one event."""


class Recording:
    """A recorder as a sink: every event into a timeline's file."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def send(self, event: LiveEvent) -> None:
        """Write one event. Raises OutputError as the recorder does."""
        self._recorder.write(event)


def forward(events: Iterable[LiveEvent], *sinks: Sink) -> int:
    """Send every event to every sink until the events end or a fatal failure was told; returns how many.

    >>> from emer_edge.live.events import Token
    >>> class Shown:
    ...     def send(self, event): print(event.text)
    >>> forward([Token("glad", 0), Token("now", 0)], Shown())
    glad
    now
    2
    """
    count = 0
    for event in events:
        for sink in sinks:
            sink.send(event)
        count += 1
        if isinstance(event, Failed) and event.fatal:
            break
    return count
