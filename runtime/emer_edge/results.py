"""The values that travel between rooms and leave the API. Knows no file format and no library."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

SCHEMA_VERSION = "1.0"
"""Version of `Reasoning.to_dict()`; the schema is `emer_edge/schemas/reasoning.schema.json`."""

Modality = Literal["vision", "audio", "subtitle"]
ClueModality = Literal["face", "voice", "words", "scene"]


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle cue."""

    start_seconds: float
    end_seconds: float
    text: str


@dataclass(frozen=True, slots=True, repr=False)
class FrameBatch:
    """Sampled frames of one clip, in presentation order."""

    pixels: NDArray[Any]
    """(N, 3, H, W), C-contiguous; uint8 0..255, or float32 normalised as the pack asks."""
    pts_seconds: NDArray[np.float64]
    """(N,) presentation time of each frame."""
    backend: str
    """`native` (libav in `_core`), `pyav`, or `array` for frames the caller passed."""
    source_width: int = 0
    source_height: int = 0
    rotation_degrees: int = 0
    """Clockwise rotation that was applied so that the picture stands upright."""
    padded: int = 0
    """How many of the N are repeats because the clip has fewer frames than asked for."""
    corrupt: int = 0
    """How many packets or frames the decoder reported as damaged."""

    def __repr__(self) -> str:
        return (
            f"FrameBatch(shape={self.pixels.shape}, dtype={self.pixels.dtype}, "
            f"backend={self.backend!r}, padded={self.padded}, corrupt={self.corrupt})"
        )


@dataclass(frozen=True, slots=True, repr=False)
class Waveform:
    """Mono sound of one clip."""

    samples: NDArray[np.float32]
    """(n,), float32, about -1..1: channels averaged, not summed."""
    sample_rate: int
    start_seconds: float = 0.0
    """Time of the first sample on the clip's clock."""
    backend: str = "array"
    corrupt: int = 0

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / self.sample_rate

    def __repr__(self) -> str:
        return f"Waveform({self.seconds:.3f} s at {self.sample_rate} Hz, backend={self.backend!r})"


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip that is already in memory: any of frames, waveform and subtitle may be absent.

    Args:
        frames: (N, H, W, 3) uint8 RGB, in time order and evenly spaced, or None.
        waveform: (n,) or (channels, n) float32 in -1..1 or int16, or None.
        sample_rate: of the waveform, Hz.
        subtitle: the words that are said, or None.
        name: how the result calls this clip.
    """

    frames: NDArray[np.uint8] | None = None
    waveform: NDArray[Any] | None = None
    sample_rate: int = 16_000
    subtitle: str | None = None
    name: str = "clip"


@dataclass(frozen=True, slots=True)
class Emotion:
    """One open-vocabulary label."""

    label: str
    confidence: float | None
    """0..1 over the candidate labels, read from the logits; None for a label that only the text names."""
    source: Literal["logits", "text", "both"] = "logits"


@dataclass(frozen=True, slots=True)
class Alone:
    """What one modality shows by itself: the likeliest label, as if nothing else had been given."""

    modality: Modality
    label: str
    confidence: float
    """0..1 over the candidate labels, read from the logits."""
    sure: bool
    """Whether that is as much as the pack asks for, before it tells it and counts it as a label."""


@dataclass(frozen=True, slots=True)
class Clue:
    """One piece of evidence that the reasoning states."""

    modality: ClueModality
    text: str


@dataclass(frozen=True, slots=True)
class Used:
    """What the answer rests on, and what was missing."""

    modalities: tuple[Modality, ...]
    frames: int = 0
    """Frames sampled from the video."""
    faces: int = 0
    """Sampled frames in which the speaker's face was found (face packs only)."""
    audio_seconds: float = 0.0
    audio_windows: int = 0
    subtitle: str = ""
    """The words as they reached the prompt."""
    subtitle_source: str = ""
    """`sidecar:NAME`, `embedded:INDEX`, `flag`, `array` or empty."""
    missing: tuple[str, ...] = ()
    """One sentence for each thing that could not be used, for example `no audio stream`."""
    decoder: str = ""
    frame_seconds: tuple[float, ...] = ()
    """Times of the frames that were looked at (those with a face, in face packs); not in `to_dict()`."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Wall-clock seconds per stage; stages overlap, so they need not add up to `total`."""

    decode_video: float = 0.0
    decode_audio: float = 0.0
    faces: float = 0.0
    vision: float = 0.0
    audio: float = 0.0
    fusion: float = 0.0
    prefill: float = 0.0
    first_label: float = 0.0
    """From the start of the call to the decision with confidences."""
    first_token: float = 0.0
    """From the start of the call to the first token of the text; 0 when none was asked for."""
    per_token: float = 0.0
    """Mean time per generated token."""
    total: float = 0.0
    prompt_tokens: int = 0
    new_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The answer for one clip."""

    clip: str
    question: str
    text: str
    emotions: tuple[Emotion, ...]
    clues: tuple[Clue, ...]
    used: Used
    timings: Timings
    scores: dict[str, float] = field(default_factory=dict)
    """Confidence of every candidate label, sums to 1."""
    sentiment: dict[str, float] = field(default_factory=dict)
    """Sums of the scores over the pack's groups `positive`, `negative` and `neutral`."""
    cues: tuple[Cue, ...] = ()
    """Subtitle cues with their times, where the subtitle has any."""
    duration_seconds: float = 0.0
    finish: Literal["stop", "length", "labels_only"] = "stop"
    """Why the text ended: a stop string, the token ceiling, or no text was asked for."""
    alone: tuple[Alone, ...] = ()
    """What each modality shows by itself, where the pack has it read; face and voice may differ."""
    pack: str = ""
    pack_version: str = ""
    device: str = ""
    seed: int = 0

    def to_dict(self, *, timings: bool = True) -> dict[str, Any]:
        """The documented JSON object; with `timings=False`, equal for equal input at temperature 0."""
        used = self.used
        out: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "clip": self.clip,
            "duration_seconds": round(self.duration_seconds, 3),
            "pack": {"name": self.pack, "version": self.pack_version},
            "device": self.device,
            "question": self.question,
            "text": self.text,
            "finish": self.finish,
            "emotions": [
                {
                    "label": e.label,
                    "confidence": None if e.confidence is None else round(e.confidence, 6),
                    "source": e.source,
                }
                for e in self.emotions
            ],
            "scores": {label: round(p, 6) for label, p in self.scores.items()},
            "sentiment": {name: round(p, 6) for name, p in self.sentiment.items()},
            "alone": [
                {
                    "modality": a.modality,
                    "label": a.label,
                    "confidence": round(a.confidence, 6),
                    "sure": a.sure,
                }
                for a in self.alone
            ],
            "clues": [{"modality": c.modality, "text": c.text} for c in self.clues],
            "used": {
                "modalities": list(used.modalities),
                "frames": used.frames,
                "faces": used.faces,
                "audio_seconds": round(used.audio_seconds, 3),
                "audio_windows": used.audio_windows,
                "subtitle": used.subtitle,
                "subtitle_source": used.subtitle_source,
                "missing": list(used.missing),
                "decoder": used.decoder,
            },
            "seed": self.seed,
        }
        if timings:
            out["timings"] = {name: round(getattr(self.timings, name), 6) for name in Timings.__slots__}
        return out
