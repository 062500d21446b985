"""Streams for tests, pushed in the order in which a camera and a microphone give them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emer_edge.live.events import Dropped, Failed, LiveEvent, Reasoned, State
from emer_edge.live.session import LiveSession

RATE = 16_000
FPS = 10


@dataclass(frozen=True)
class Stream:
    """`seconds` of frames at FPS and sound at RATE, both from time 0."""

    frames: NDArray[np.uint8]
    sound: NDArray[np.float32]

    def between(self, start: float, end: float) -> Stream:
        return Stream(
            self.frames[round(start * FPS) : round(end * FPS)],
            self.sound[round(start * RATE) : round(end * RATE)],
        )


def noise(seconds: float, seed: int = 3, size: tuple[int, int] = (40, 60)) -> Stream:
    """Frames and sound that differ everywhere."""
    random = np.random.default_rng(seed)
    return Stream(
        random.integers(0, 255, (round(seconds * FPS), *size, 3), dtype=np.uint8),
        random.normal(0, 0.1, round(seconds * RATE)).astype(np.float32),
    )


def pushes(stream: Stream, chunk_seconds: float = 0.1) -> Iterator[tuple[str, float, Any]]:
    """(kind, time, array) in order of time."""
    events: list[tuple[float, int, str, Any]] = [
        (i / FPS, 1, "frame", frame) for i, frame in enumerate(stream.frames)
    ]
    step = round(chunk_seconds * RATE)
    events += [
        (at / RATE, 0, "audio", stream.sound[at : at + step]) for at in range(0, len(stream.sound), step)
    ]
    for pts, _, kind, array in sorted(events, key=lambda event: event[:2]):
        yield kind, pts, array


def push_all(live: LiveSession, stream: Stream, offset: float = 0.0, chunk_seconds: float = 0.1) -> None:
    """Push all of it, as fast as it is taken."""
    for kind, pts, array in pushes(stream, chunk_seconds):
        if kind == "frame":
            live.push_frame(array, pts + offset)
        else:
            live.push_audio(array, RATE, pts + offset)


def states(events: list[LiveEvent]) -> list[State]:
    return [event for event in events if isinstance(event, State)]


def reasoned(events: list[LiveEvent]) -> list[Reasoned]:
    return [event for event in events if isinstance(event, Reasoned)]


def dropped(events: list[LiveEvent]) -> dict[tuple[str, str], int]:
    out: dict[tuple[str, str], int] = {}
    for event in events:
        if isinstance(event, Dropped):
            out[event.why, event.what] = out.get((event.why, event.what), 0) + event.n
    return out


def failures(events: list[LiveEvent]) -> list[Failed]:
    return [event for event in events if isinstance(event, Failed)]
