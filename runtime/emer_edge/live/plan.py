"""Where windows, frames and pieces of sound lie on the stream's clock, so that windows can share them.

Knows the pack's rules for whole clips and arithmetic. Knows no clock, no queue and no model.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

from emer_edge.packs.manifest import Manifest

EARLY_SECONDS = 1e-3
"""How far a time stamp may be off: many are rounded to milliseconds."""
_FINEST = 64


@dataclass(frozen=True, slots=True)
class Plan:
    """The grid of one session: everything counts from the stream's origin.

    Window m ends m hops after the origin. A pack's rule for a whole clip takes `frames` frames from as many
    equal stretches, and `sounds` pieces of sound that begin i * (duration - length) / n after its start (the
    rest of the clip, one step, is never heard). Both are steps of one length, so with a step that divides the
    hop the windows share frames and pieces. Of those steps the one is taken with which a window comes nearest
    to `window_seconds`; `seen_seconds` and `heard_seconds` say how far back it really looks and listens.
    """

    window_seconds: float
    hop_seconds: float
    frames: int
    frames_per_hop: int
    frame_phase: float
    """Where in its stretch a frame is looked for, 0..1."""
    sounds: int
    sounds_per_hop: int
    sample_rate: int
    hop_samples: int
    length_samples: int

    @property
    def frame_step_seconds(self) -> float:
        """From one sampled frame to the next."""
        return self.hop_seconds / self.frames_per_hop

    @property
    def seen_seconds(self) -> float:
        """How far back a window looks: a clip of this duration gives the same frames."""
        return self.frames * self.frame_step_seconds

    @property
    def sound_step_seconds(self) -> float:
        """From the start of one piece of sound to the start of the next."""
        return self.hop_samples / self.sounds_per_hop / self.sample_rate

    @property
    def heard_seconds(self) -> float:
        """How far back a window listens; a clip that is one `sound_step_seconds` longer gives the same."""
        return self.length_samples / self.sample_rate + (self.sounds - 1) * self.sound_step_seconds

    @property
    def reach_seconds(self) -> float:
        """How far back any modality reaches."""
        return max(self.window_seconds, self.seen_seconds, self.heard_seconds)

    def end_seconds(self, hop: int) -> float:
        """The end of window `hop`, counted from the origin; the first is window 1."""
        return hop * self.hop_seconds

    def slots(self, hop: int) -> range:
        """The stretches whose frames window `hop` looks at; before the origin they are below 0."""
        last = hop * self.frames_per_hop
        return range(last - self.frames, last)

    def slot_of(self, seconds: float, interval: float) -> int:
        """The stretch whose frame one at `seconds` is, below 0 for none.

        A clip's rule takes the frame that is shown at a place, and it is shown until the next one. Which is
        the last before a place shows only when the next has come; the `interval` between frames tells it at
        once, so that all the others need not be kept.
        """
        step = self.frame_step_seconds
        until = seconds + min(max(interval, 2 * EARLY_SECONDS), step) - EARLY_SECONDS
        return floor(until / step - self.frame_phase)

    def sound_ends(self, hop: int) -> list[int]:
        """Sample after the last of each piece of sound in window `hop`; the last ends with the window."""
        ends = [floor(i * self.hop_samples / self.sounds_per_hop) for i in range(self.sounds)]
        return [hop * self.hop_samples + end - ends[-1] for end in ends]


def make_plan(manifest: Manifest, window_seconds: float, hop_seconds: float) -> Plan:
    """The grid on which `manifest`'s rules for whole clips can be followed window by window."""
    frames, audio = manifest.preprocessing.frames, manifest.preprocessing.audio
    rate = audio.sample_rate
    hop, length = round(hop_seconds * rate), round(audio.window_seconds * rate)
    # A step counts only where a clip exists that the pack's rule would cut with it, to the sample.
    steps = [k for k in range(1, _FINEST + 1) if audio.windows * hop % k == 0]

    def heard(per_hop: int) -> float:
        return (length + (audio.windows - 1) * hop / per_hop) / rate

    def seen(per_hop: int) -> float:
        return frames.count * hop_seconds / per_hop

    return Plan(
        window_seconds=window_seconds,
        hop_seconds=hop / rate,
        frames=frames.count,
        frames_per_hop=min(range(1, _FINEST + 1), key=lambda j: abs(seen(j) - window_seconds)),
        frame_phase=0.5 if frames.rule == "midpoint_time" else 0.0,
        sounds=audio.windows,
        sounds_per_hop=min(steps, key=lambda k: abs(heard(k) - window_seconds)),
        sample_rate=rate,
        hop_samples=hop,
        length_samples=length,
    )


def spread(present: list[int], count: int) -> list[int]:
    """`count` of the numbers at even distances, in order: each once where there are `count`.

    A window at the stream's beginning has fewer frames than the model is used to; each then stands for its
    neighbours, as the whole clip's rule does with a clip that is shorter than one piece of sound.

    >>> spread([3, 4], 4)
    [3, 3, 4, 4]
    """
    return [present[i * len(present) // count] for i in range(count)] if len(present) < count else present
