"""The values a live session tells. Knows no clock, no queue and no model.

Times named `pts_seconds` are on the stream's own clock: the timestamps that the caller pushed. Times named
`age_seconds` are wall-clock.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from emer_edge.results import Clue, Emotion, Modality

Cause = Literal[
    "late", "queue_full", "jump", "skipped_hop", "skipped_reasoning", "skipped_modality", "invalid"
]


@dataclass(frozen=True, slots=True)
class Quality:
    """What a state rests on."""

    modalities: tuple[Modality, ...]
    frames: int = 0
    faces: int = 0
    audio_seconds: float = 0.0
    speech: bool = False
    """Whether the voice activity detector heard speech in the window."""
    degraded: tuple[str, ...] = ()
    """What the policy left out to keep up, for example `reasoning`, `vision`."""


@dataclass(frozen=True, slots=True)
class State:
    """What the person feels in one window."""

    kind: ClassVar[str] = "state"
    start_pts_seconds: float
    end_pts_seconds: float
    emotions: tuple[Emotion, ...]
    scores: dict[str, float]
    """Confidence of every candidate label, sums to 1."""
    valence: float
    """-1..1, from the label distribution over a published mapping, or the pack's own head."""
    arousal: float
    """-1..1, likewise."""
    quality: Quality
    age_seconds: float
    """Wall-clock seconds between the push of the newest input in the window and this event."""
    index: int = 0
    """0, 1, 2 ... without gaps within a session."""
    subtitle: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    """The next piece of a reasoning."""

    kind: ClassVar[str] = "token"
    text: str
    state_index: int


@dataclass(frozen=True, slots=True)
class Reasoned:
    """A finished (or interrupted) reasoning about the window of one state."""

    kind: ClassVar[str] = "reasoning"
    text: str
    clues: tuple[Clue, ...]
    state_index: int
    start_pts_seconds: float
    end_pts_seconds: float
    finish: Literal["stop", "length", "interrupted"] = "stop"


@dataclass(frozen=True, slots=True)
class Dropped:
    """Something was not used; everything that is lost is told in one of these."""

    kind: ClassVar[str] = "dropped"
    n: int
    why: Cause
    what: Literal["frames", "audio", "text", "hops", "reasonings"]
    pts_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Failed:
    """Something failed; the session goes on unless `fatal`."""

    kind: ClassVar[str] = "error"
    error: dict[str, str | int] = field(default_factory=dict)
    """`EmerError.to_dict()`."""
    fatal: bool = False


LiveEvent = State | Token | Reasoned | Dropped | Failed


def event_to_dict(event: LiveEvent) -> dict[str, Any]:
    """The event as plain JSON-ready data with its `kind` first: what JSON lines, WebSocket and bridges send.

    >>> event_to_dict(Token("glad", 3))
    {'kind': 'token', 'text': 'glad', 'state_index': 3}
    """
    return {"kind": event.kind, **asdict(event)}
