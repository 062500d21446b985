"""Whether somebody speaks: what a detector must do, and when in a stream it heard speech. Knows no model."""

from __future__ import annotations

from collections import deque
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emer_edge.media.audio import mono_waveform

Samples = NDArray[np.float32]
RATE = 16_000
LEAST_SECONDS = 0.25
"""Less speech than this in a window is a cough or a door."""
_AT_ONCE_SECONDS = 0.4


class SpeechDetector(Protocol):
    """Judges successive pieces of one stream."""

    step: int
    """Samples of one piece, at 16 kHz."""

    def probabilities(self, samples: Samples) -> Samples:
        """How sure it is, 0..1, of speech in each of the next pieces: float32 (k * step,) to (k,)."""
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
        self._waiting: list[Samples] = []
        self._position = 0.0
        self._next = 0
        self._detector.reset()

    def hear(self, first: int, samples: Samples) -> None:
        """Take the stretch of sound that begins at sample `first`; it is judged a little later, in one go."""
        if first != self._next:  # a hole: what is judged next does not follow what was judged before
            self.judge()
            self._waiting = []
            self._position = first / self._rate
            self._detector.reset()
        self._next = first + len(samples)
        if self._rate != RATE:
            samples = mono_waveform(samples, self._rate, RATE)
        self._waiting.append(samples)
        if sum(map(len, self._waiting)) >= _AT_ONCE_SECONDS * RATE:
            self.judge()

    def judge(self) -> None:
        """Judge what waits."""
        if not self._waiting:
            return
        sound, step = np.concatenate(self._waiting), self._detector.step
        whole = len(sound) - len(sound) % step
        self._waiting = [sound[whole:]]
        if not whole:
            return
        for sure in self._detector.probabilities(sound[:whole]):
            if sure >= self._threshold:
                self._spoken.append(self._position)
            self._position += step / RATE

    def forget(self, before: float) -> None:
        """Forget speech before that time."""
        while self._spoken and self._spoken[0] < before:
            self._spoken.popleft()

    def speaks(self, start: float, end: float) -> bool:
        """Whether there was enough speech between two times."""
        self.judge()
        pieces = sum(start <= at < end for at in self._spoken)
        return pieces * self._detector.step >= LEAST_SECONDS * RATE
