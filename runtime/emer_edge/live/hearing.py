"""The sound of a stream: one waveform without holes on the stream's clock, each piece of it embedded once.

Follows `senses.hear`, so that a window gives what a whole clip of the same sound gives. Knows samples of the
plan. Knows no clock and no language model.
"""

from __future__ import annotations

import time
from collections.abc import Callable

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
        self._pieces: dict[int, Rows] = {}
        """Embedding of each piece, by the sample after its last."""
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
        length = self._plan.length_samples
        pieces = {
            end: self._sound.slice(end - length, end)
            for end in self._plan.sound_ends(hop)
            if self._is_there(end)
        }
        beginning = None if pieces else self._beginning(hop)
        heard = list(pieces.values()) if beginning is None else [beginning]
        if not heard:
            return percept
        span = len(heard[0]) if beginning is not None else max(pieces) - min(pieces) + length
        percept.audio_seconds = span / self._plan.sample_rate
        if max(float(np.abs(samples).max()) for samples in heard) < SILENCE:
            percept.missing.append("the sound is silent")
            return percept
        chosen = spread(sorted(pieces), self._plan.sounds) if pieces else []
        percept.windows = self._plan.sounds
        if beginning is not None:
            percept.embeddings = self._session.audio.encode(cut_windows(beginning, self._all), cancel)
        elif self.separable:
            percept.embeddings = self._embed(pieces, chosen, cancel)
        else:
            percept.embeddings = self._embed_all(chosen, cancel)
        percept.seconds["audio"] = time.perf_counter() - began
        return percept

    def _is_there(self, end: int) -> bool:
        start = end - self._plan.length_samples
        short = round(SHORT_SECONDS * self._plan.sample_rate)
        return start >= 0 and self._sound.has(start, end - short)

    def _beginning(self, hop: int) -> Samples | None:
        """All there is of a stream that is shorter than a piece: a short clip, which is padded at its end."""
        end = min(hop * self._plan.hop_samples, self._sound.end)
        if (
            hop * self._plan.hop_samples >= self._plan.length_samples
            or not self._sound.has(0, end)
            or not end
        ):
            return None
        return self._sound.slice(0, end)

    def _embed(self, pieces: dict[int, Samples], chosen: list[int], cancel: CancelToken | None) -> Rows:
        known = self._pieces
        new = [end for end in pieces if end not in known]
        self.reused += len(pieces) - len(new)
        if new:
            cut = np.concatenate([cut_windows(pieces[end], self._cut) for end in new])
            rows = self._session.audio.encode(cut, cancel)
            self.encoded += len(new)
            for end, row in zip(new, rows, strict=True):
                known[end] = row
        out = np.stack([known[end] for end in chosen])
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
