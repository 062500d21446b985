"""Whether somebody speaks: what a detector must do, and when in a stream it heard speech. Knows no model."""

from __future__ import annotations

from collections import deque
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
RATE = 16_000
LEAST_SECONDS = 0.25
"""Less speech than this in a window is a cough or a door."""


class SpeechDetector(Protocol):
    """Judges successive pieces of one stream."""

    step: int
    """Samples of one piece, at 16 kHz."""

    def probability(self, samples: Samples) -> float:
        """How sure it is, 0..1, that there is speech in the next `step` samples, float32 -1..1."""
        ...

    def reset(self) -> None:
        """Forget the stream so far."""
        ...


class SpeechTrack:
    """When there was speech, in seconds from the stream's origin.

    Args:
        detector: judges.
        sample_rate: of the sound that is told, Hz.
        threshold: from which probability on a piece counts as speech.
    """

    def __init__(self, detector: SpeechDetector, sample_rate: int, threshold: float = 0.5) -> None:
        self._detector, self._rate, self._threshold = detector, sample_rate, threshold
        self.clear()

    def clear(self) -> None:
        """Forget everything: the stream starts anew."""
        self._spoken: deque[float] = deque()
        self._waiting = np.zeros(0, np.float32)
        self._position = 0.0
        self._next = 0
        self._detector.reset()

    def hear(self, first: int, samples: Samples) -> None:
        """Take the stretch of sound that begins at sample `first`."""
        if first != self._next:  # a hole: what is judged next does not follow what was judged before
            self._waiting = np.zeros(0, np.float32)
            self._position = first / self._rate
            self._detector.reset()
        self._next = first + len(samples)
        if self._rate != RATE:
            from emer_edge.media.audio import mono_waveform

            samples = mono_waveform(samples, self._rate, RATE)
        sound = np.concatenate([self._waiting, samples]) if len(self._waiting) else samples
        step = self._detector.step
        for at in range(0, len(sound) - step + 1, step):
            if self._detector.probability(sound[at : at + step]) >= self._threshold:
                self._spoken.append(self._position)
            self._position += step / RATE
        self._waiting = sound[len(sound) - len(sound) % step :].copy()

    def forget(self, before: float) -> None:
        """Forget speech before that time."""
        while self._spoken and self._spoken[0] < before:
            self._spoken.popleft()

    def speaks(self, start: float, end: float) -> bool:
        """Whether there was enough speech between two times."""
        pieces = sum(start <= at < end for at in self._spoken)
        return pieces * self._detector.step >= LEAST_SECONDS * RATE


def find_detector() -> SpeechDetector | None:
    """The detector of the extra `live`; None where it is not installed."""
    return None
