"""A waveform that grows at one end and is forgotten at the other, at one sample rate.

Knows samples, gaps and rates. Knows no window and no model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emer_edge.media.audio import mono_waveform

Samples = NDArray[np.float32]
JITTER_SECONDS = 0.05
"""A time stamp that is off by less than this is the end of the sound before: sources round and jitter."""
FILLED_SECONDS = 0.25
"""A longer hole makes every piece across it unusable; a shorter one is filled with zeros."""


class Sound:
    """Mono sound with a hole here and there; positions are samples from the stream's origin.

    Args:
        sample_rate: of what is kept, Hz.
        keep_seconds: how much room there is; what is older may be overwritten.
        on_samples: told of every stretch of new sound: its first sample, and the samples.
    """

    def __init__(
        self,
        sample_rate: int,
        keep_seconds: float,
        on_samples: Callable[[int, Samples], None] | None = None,
    ) -> None:
        self.sample_rate = sample_rate
        self.lost_seconds = 0.0
        self._tell = on_samples or (lambda _first, _samples: None)
        self._room = np.empty(2 * int(keep_seconds * sample_rate) + sample_rate, np.float32)
        self._room.fill(0.0)  # taken from the system now, so that memory does not grow while the stream runs
        self._resampler: Any = None
        self.clear()

    def __len__(self) -> int:
        """Samples that are kept."""
        return self.end - self._base

    def clear(self) -> None:
        """Forget everything."""
        self.started = False
        self.end = self._base = 0
        """Sample after the last one, and the first one that is kept."""
        self._holes: list[tuple[int, int]] = []
        self._rate = 0
        self._expected = 0.0
        self._resampler = None

    def append(self, pcm: NDArray[Any], sample_rate: int, seconds: float) -> bool:
        """Append sound that begins `seconds` after the origin; False where all of it was there before."""
        mono = mono_waveform(pcm, sample_rate, sample_rate)
        if not self.started or sample_rate != self._rate:
            self._begin(sample_rate, seconds)
        apart = seconds - self._expected
        if apart > JITTER_SECONDS:
            self.finish()
            self._leave_hole(round(seconds * self.sample_rate))
            self._expected = seconds
        elif apart < -JITTER_SECONDS:
            mono = mono[round(-apart * sample_rate) :]
            if not len(mono):
                return False
        if seconds < 0 and self.end == 0 and apart >= 0:  # what lies before the origin is not on the grid
            mono = mono[round(-seconds * sample_rate) :]
            self._expected = 0.0
        self._expected += len(mono) / sample_rate
        self._write(self._resampled(mono))
        return True

    def finish(self) -> None:
        """What the resampler holds back comes out; sound that follows starts it anew."""
        if self._resampler is not None:
            self._write(self._resampler.flush())
            self._resampler = None

    def has(self, start: int, end: int) -> bool:
        """Whether the samples `start` to `end` are there, none of them in a hole."""
        whole = all(end <= first or start >= last for first, last in self._holes)
        return self.started and start >= self._base and end <= self.end and whole

    def slice(self, start: int, end: int) -> Samples:
        """A copy of the samples `start` to `end`; what is not there is zero."""
        out = np.zeros(end - start, np.float32)
        first, last = max(start, self._base), min(end, self.end)
        if last > first:
            out[first - start : last - start] = self._room[first - self._base : last - self._base]
        return out

    def forget(self, before: int) -> None:
        """Forget the holes before sample `before`; samples go when their room is needed."""
        self._holes = [hole for hole in self._holes if hole[1] > before]

    def _begin(self, sample_rate: int, seconds: float) -> None:
        self.finish()
        self._rate = sample_rate
        if not self.started:
            self.started = True
            self._expected = seconds
            self.end = self._base = max(0, round(seconds * self.sample_rate))

    def _leave_hole(self, position: int) -> None:
        if position <= self.end:
            return
        missing = position - self.end
        self.lost_seconds += missing / self.sample_rate
        if missing > FILLED_SECONDS * self.sample_rate:
            self._holes.append((self.end, position))
        if missing >= len(self._room) // 2:  # all that was kept is older than any window now
            self._base = self.end = position
            return
        self._write(np.zeros(missing, np.float32), told=False)

    def _resampled(self, mono: Samples) -> Samples:
        if self._rate == self.sample_rate:
            return mono
        if self._resampler is None:
            from emer_edge.media.resample import StreamResampler

            self._resampler = StreamResampler(self._rate, self.sample_rate)
        return self._resampler.feed(mono)  # type: ignore[no-any-return]

    def _write(self, samples: Samples, *, told: bool = True) -> None:
        if not len(samples):
            return
        if told:
            self._tell(self.end, samples)
        most = len(self._room)
        if len(samples) > most:
            self._base = self.end = self.end + len(samples) - most
            samples = samples[-most:]
        if self.end - self._base + len(samples) > most:
            self._shift(min(self.end, self.end + len(samples) - most // 2))
        at = self.end - self._base
        self._room[at : at + len(samples)] = samples
        self.end += len(samples)

    def _shift(self, base: int) -> None:
        """Let the room begin at sample `base`."""
        kept = self._room[base - self._base : self.end - self._base].copy()
        self._room[: len(kept)] = kept
        self._base = base
