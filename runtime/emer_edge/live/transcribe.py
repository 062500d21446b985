"""Speech to words while a stream runs: what a transcriber must do, and the thread in which it does it.

Knows sound and texts with times. Knows no recogniser; `vosk` is one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emer_edge.media.audio import mono_waveform

Samples = NDArray[np.float32]
RATE = 16_000
MOST_SECONDS = 30.0
"""Sound that waits to be written down; what is older is left out."""


_END = (0.0, np.zeros(0, np.float32))


@dataclass(frozen=True, slots=True)
class Said:
    """Some words and when they were said, in seconds from the beginning of what was fed."""

    text: str
    start_seconds: float
    end_seconds: float
    final: bool = True
    """A text that is not final gives way to the next one with the same start."""


class Transcriber(Protocol):
    """Writes one stream down. It is called from one thread of its own and may take its time."""

    def feed(self, samples: Samples) -> Sequence[Said]:
        """Take the next sound, float32 (n,) at 16 kHz, -1..1, and return what can be said by now."""
        ...

    def finish(self) -> Sequence[Said]:
        """Nothing follows for now: return the rest. What is fed next begins at 0 seconds again."""
        ...


class Dictation:
    """Feeds a transcriber in a thread, so that states do not wait for words.

    Args:
        transcriber: writes down.
        sample_rate: of the sound that is told, Hz.
        say: takes a text with its times in seconds from the stream's origin, and whether it is final.
        lose: told how often sound was left out, because the transcriber is too slow.
        fail: takes what the transcriber raised; it is not asked again.
    """

    def __init__(
        self,
        transcriber: Transcriber,
        sample_rate: int,
        say: Callable[[Said], None],
        lose: Callable[[int], None],
        fail: Callable[[Exception], None],
    ) -> None:
        self._transcriber, self._rate = transcriber, sample_rate
        self._say, self._lose, self._fail = say, lose, fail
        self._changed = threading.Condition()
        self._waiting: deque[tuple[float, Samples]] = deque()
        """Start and samples; none of them where the transcriber should finish what it has."""
        self._seconds = 0.0
        self._busy = self._closed = self._broken = False
        self._base: float | None = None
        self._end = 0.0
        self._thread = threading.Thread(target=self._run, name="emer-edge-words", daemon=True)
        self._thread.start()

    def hear(self, first: int, samples: Samples) -> None:
        """Take the stretch of sound that begins at sample `first`; never waits."""
        with self._changed:
            if self._broken or self._closed:
                return
            self._waiting.append((first / self._rate, samples.copy()))
            self._seconds += len(samples) / self._rate
            while self._seconds > MOST_SECONDS and len(self._waiting) > 1:
                lost = len(self._waiting.popleft()[1])
                self._seconds -= lost / self._rate
                self._lose(lost > 0)
            self._changed.notify_all()

    def clear(self) -> None:
        """The stream starts anew: what waits is of no use."""
        with self._changed:
            self._waiting.clear()
            self._seconds = 0.0
            self._waiting.append(_END)
            self._changed.notify_all()

    def finish(self, timeout: float | None) -> bool:
        """Wait until everything is written down; False where it took too long."""
        with self._changed:
            self._waiting.append(_END)
            self._changed.notify_all()
            return self._changed.wait_for(
                lambda: self._broken or self._closed or not (self._waiting or self._busy), timeout
            )

    def close(self) -> None:
        """End the thread after what it is at."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                start, samples = self._waiting.popleft()
                self._seconds -= len(samples) / self._rate
                self._busy = True
            try:
                self._feed(start, samples) if len(samples) else self._finish()
            except Exception as error:
                with self._changed:
                    self._broken = True
                    self._waiting.clear()
                    self._changed.notify_all()
                self._fail(error)
                return

    def _feed(self, start: float, samples: Samples) -> None:
        if self._base is not None and abs(start - self._end) > 1e-3:  # a hole: another utterance
            self._finish()
        if self._base is None:
            self._base = start
        self._end = start + len(samples) / self._rate
        if self._rate != RATE:
            samples = mono_waveform(samples, self._rate, RATE)
        self._tell(self._transcriber.feed(samples))

    def _finish(self) -> None:
        if self._base is not None:
            self._tell(self._transcriber.finish())
            self._base = None

    def _tell(self, said: Sequence[Said]) -> None:
        base = self._base or 0.0
        for one in said:
            self._say(Said(one.text, base + one.start_seconds, base + one.end_seconds, one.final))
