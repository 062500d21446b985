"""The sound of a stream: one waveform without holes on the stream's clock, each piece of it embedded once.

Follows `senses.hear`, so that a window gives what a whole clip of the same sound gives. Knows samples of the
plan. Knows no clock and no language model.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emer_edge._core import CancelToken
from emer_edge.live.inbox import Item
from emer_edge.live.plan import Plan, spread
from emer_edge.live.sound import Sound
from emer_edge.media.audio import AudioWindows, cut_windows
from emer_edge.senses import SILENCE, Percept, Rows
from emer_edge.session import Session

Samples = NDArray[np.float32]
SHORT_SECONDS = 0.05
"""What may be missing at the end of a piece that can't be waited for any longer; it is filled with zeros."""


@dataclass(slots=True)
class _Piece:
    """One piece of sound and what was computed from it."""

    peak: float
    row: Rows


class Hearing:
    """Sound by sample, and the embeddings of a window of it.

    Args:
        session: the pack's encoders and rules.
        plan: the grid.
        on_samples: told of every stretch of new sound: first sample, and the samples at the pack's rate.
    """

    def __init__(
        self, session: Session, plan: Plan, on_samples: Callable[[int, Samples], None] | None = None
    ) -> None:
        rule = session.manifest.preprocessing.audio
        self._session, self._plan = session, plan
        self._cut = AudioWindows(
            1, rule.window_seconds, rule.sample_rate, rule.center, rule.normalise, rule.epsilon
        )
        self._all = AudioWindows(
            rule.windows, rule.window_seconds, rule.sample_rate, rule.center, rule.normalise, rule.epsilon
        )
        step = plan.hop_samples / plan.sounds_per_hop
        overlap = rule.center == "window_inplace" and step < plan.length_samples
        self.separable = rule.normalise != "joint" and not overlap
        """Whether a piece means the same in every window; if not, all pieces are computed for each."""
        # A backlog of one full queue may lie before the window that is worked on.
        keep = 2 * plan.reach_seconds + 4 * plan.hop_seconds
        self._sound = Sound(plan.sample_rate, keep, on_samples)
        self._pieces: dict[int, _Piece] = {}
        self.encoded = self.reused = 0

    @property
    def end_seconds(self) -> float:
        """How far the sound reaches, from the origin; minus infinity where there is none."""
        return self._sound.end / self._plan.sample_rate if self._sound.started else -np.inf

    @property
    def lost_seconds(self) -> float:
        """Sound that was missing between what came, so far."""
        return self._sound.lost_seconds

    def __len__(self) -> int:
        """Samples that are kept."""
        return len(self._sound)

    def clear(self) -> None:
        """Forget everything: the stream starts anew."""
        self._sound.clear()
        self._pieces.clear()

    def forget(self, hop: int) -> None:
        """Forget what no window after `hop` listens to."""
        first = self._plan.sound_ends(hop + 1)[0]
        for end in [end for end in self._pieces if end < first]:
            del self._pieces[end]
        self._sound.forget(first - self._plan.length_samples)

    def take(self, item: Item, origin: float) -> bool:
        """Append sound; False where all of it was there before."""
        return self._sound.append(item.payload, item.sample_rate, item.start - origin)

    def finish(self) -> None:
        """Nothing follows for now: what the resampler holds back comes out."""
        self._sound.finish()

    def percept(self, hop: int, cancel: CancelToken | None = None) -> Percept:
        """What window `hop` hears.

        Raises:
            DeviceError, PackError, Cancelled.
        """
        began = time.perf_counter()
        percept = Percept()
        ends = [end for end in self._plan.sound_ends(hop) if self._is_there(end)]
        pieces = self._sounding(ends) if ends else self._beginning(hop)
        if not pieces:
            return percept
        first = min(max(0, end - self._plan.length_samples) for end in pieces)
        percept.audio_seconds = (min(max(pieces), self._sound.end) - first) / self._plan.sample_rate
        peak = max(float(np.abs(samples).max()) for samples in pieces.values())
        if peak < SILENCE:
            percept.missing.append("the sound is silent")
            return percept
        chosen = spread(sorted(pieces), self._plan.sounds)
        percept.windows = len(chosen)
        percept.embeddings = (
            self._embed(pieces, chosen, cancel) if self.separable else self._embed_all(chosen, cancel)
        )
        percept.seconds["audio"] = time.perf_counter() - began
        return percept

    def _is_there(self, end: int) -> bool:
        start = end - self._plan.length_samples
        short = round(SHORT_SECONDS * self._plan.sample_rate)
        return start >= 0 and self._sound.has(start, end - short)

    def _sounding(self, ends: list[int]) -> dict[int, Samples]:
        length = self._plan.length_samples
        return {end: self._sound.slice(end - length, end) for end in ends}

    def _beginning(self, hop: int) -> dict[int, Samples]:
        """The one piece of a stream that is shorter than a piece, padded at its end as a short clip is."""
        length = self._plan.length_samples
        if hop * self._plan.hop_samples >= length or not self._sound.has(0, 1):
            return {}
        return {length: self._sound.slice(0, length)}

    def _embed(self, pieces: dict[int, Samples], chosen: list[int], cancel: CancelToken | None) -> Rows:
        known = self._pieces
        new = [end for end in pieces if end not in known]
        self.reused += len(pieces) - len(new)
        if new:
            cut = np.concatenate([cut_windows(pieces[end], self._cut) for end in new])
            rows = self._session.audio.encode(cut, cancel)
            self.encoded += len(new)
            for end, row in zip(new, rows, strict=True):
                known[end] = _Piece(0.0, row)
        out = np.stack([known[end].row for end in chosen])
        for end in new:
            if end > self._sound.end:  # filled with zeros: the next window has the real end
                del known[end]
        return out

    def _embed_all(self, chosen: list[int], cancel: CancelToken | None) -> Rows:
        """A rule that mixes the pieces of a window: cut the window as a clip, without sharing."""
        length = self._plan.length_samples
        step = self._plan.hop_samples / self._plan.sounds_per_hop
        start, end = max(0, chosen[0] - length), chosen[-1] + (round(step) if len(set(chosen)) > 1 else 0)
        self.encoded += self._all.windows
        return self._session.audio.encode(cut_windows(self._sound.slice(start, end), self._all), cancel)
