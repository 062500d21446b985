"""Seeing and hearing: a clip's frames and sound to embeddings. Knows stages; no prompt, no LLM."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emer_edge import _core
from emer_edge._core import CancelToken
from emer_edge.errors import InputError, LimitError
from emer_edge.inputs import Inputs
from emer_edge.media.audio import AudioWindows, cut_windows, mono_waveform
from emer_edge.media.faces import FaceAlignment, FaceOptions, crop_speaker, find_speaker
from emer_edge.media.source import AudioSpec, FrameSpec
from emer_edge.packs.manifest import FramePreprocessing
from emer_edge.results import FrameBatch, Waveform
from emer_edge.session import Session

Rows = NDArray[np.float32]

FACE_FRAME_SIDE = 640
"""Longest side, pixels, of the frames in which faces are looked for and from which they are cut."""
SILENCE = 1e-4
"""Peak (of 1.0) under which a sound track counts as silent: -80 dBFS, below any microphone's noise."""


@dataclass(slots=True)
class Percept:
    """What one sense brought; `embeddings` is None where it brought nothing."""

    embeddings: Rows | None = None
    """(T, dim) float32."""
    frames: int = 0
    faces: int = 0
    audio_seconds: float = 0.0
    windows: int = 0
    decoder: str = ""
    frame_seconds: tuple[float, ...] = ()
    """Times of the frames that were embedded; empty for frames without a clock."""
    missing: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    """Of the whole process, so that a stage's own only where nothing ran beside it."""


def see(session: Session, inputs: Inputs, cancel: CancelToken | None = None) -> Percept:
    """Sample frames, find the speaker's face where the pack wants faces, embed.

    Raises:
        MediaError, LimitError, Cancelled, DeviceError, PackError.
    """
    rule = session.manifest.preprocessing.frames
    if rule.count > session.limits.frames:
        raise LimitError(
            f"The pack wants {rule.count} frames.", f"Limits.frames is {session.limits.frames}.", "Raise it."
        )
    clock = _Clock()
    batch = _frames(inputs, rule, cancel)
    percept = Percept(frames=len(batch.pixels) - batch.padded, decoder=batch.backend)
    percept.seconds, percept.cpu_seconds = clock.seconds, clock.cpu_seconds
    clock.stop("decode_video")
    if batch.padded and percept.frames < rule.count:
        percept.missing.append(f"only {percept.frames} of {rule.count} frames could be sampled")
    if batch.corrupt:
        percept.missing.append(f"{batch.corrupt} video packets are damaged")
    pictures = batch.pixels
    looked_at = np.arange(percept.frames)
    if rule.source == "faces":
        assert rule.faces is not None
        assert session.detector is not None
        options = FaceOptions(minimum_share=rule.faces.minimum_share)
        track = find_speaker(pictures, session.detector, options, cancel)
        align = rule.faces.align
        alignment = FaceAlignment(align.left_eye, align.right_eye, align.mouth)
        crops = crop_speaker(pictures, track, alignment, height=rule.height, width=rule.width)
        clock.stop("faces")
        looked_at = crops.indices[crops.indices < percept.frames]
        percept.faces = len(looked_at)
        if not len(crops.crops):
            percept.missing.append("no face found")
            return percept
        if percept.faces < percept.frames:
            percept.missing.append(f"a face in {percept.faces} of {percept.frames} frames")
        pictures = crops.crops
    percept.embeddings = session.vision.encode(pictures, cancel)
    if inputs.media is not None:
        percept.frame_seconds = tuple(float(batch.pts_seconds[index]) for index in looked_at)
    clock.stop("vision")
    return percept


def frame_spec(rule: FramePreprocessing) -> FrameSpec:
    """How frames are sized and written: uint8 where faces are cut from them, normalised float32 otherwise."""
    faces = rule.source == "faces"
    return FrameSpec(
        rule=rule.rule,
        count=rule.count,
        height=FACE_FRAME_SIDE if faces else rule.height,
        width=FACE_FRAME_SIDE if faces else rule.width,
        resize="fit" if faces else rule.resize,
        channel_order="rgb" if faces else rule.channel_order,
        mean=rule.mean,
        std=rule.std,
        dtype="uint8" if faces else "float32",
    )


def _frames(inputs: Inputs, rule: FramePreprocessing, cancel: CancelToken | None) -> FrameBatch:
    """The sampled frames: uint8 for faces, normalised float32 otherwise."""
    spec = frame_spec(rule)
    if inputs.media is not None:
        return inputs.media.frames(spec, cancel)
    clip = inputs.clip
    assert clip is not None
    assert clip.frames is not None
    total = len(clip.frames)
    # The first frame of each of `count` equal stretches, or the one in its middle.
    half = 1 if rule.rule == "midpoint_time" else 0
    chosen = [(2 * index + half) * total // (2 * rule.count) for index in range(rule.count)]
    if total < rule.count:
        chosen = [*range(total), *[total - 1] * (rule.count - total)]
    pixels = _core.resize(np.ascontiguousarray(clip.frames[chosen]), spec.to_core())
    return FrameBatch(
        pixels,
        np.zeros(len(chosen)),
        "array",
        clip.frames.shape[2],
        clip.frames.shape[1],
        padded=max(0, rule.count - total),
    )


def hear(session: Session, inputs: Inputs, cancel: CancelToken | None = None) -> Percept:
    """Decode the sound, cut windows, embed.

    Raises:
        MediaError, LimitError, Cancelled, DeviceError, PackError.
    """
    rule = session.manifest.preprocessing.audio
    clock = _Clock()
    if inputs.media is not None:
        waveform = inputs.media.waveform(AudioSpec(rule.sample_rate), cancel)
    else:
        clip = inputs.clip
        assert clip is not None
        assert clip.waveform is not None
        waveform = Waveform(
            mono_waveform(clip.waveform, clip.sample_rate, rule.sample_rate), rule.sample_rate
        )
    percept = Percept(audio_seconds=waveform.seconds, decoder=waveform.backend)
    percept.seconds, percept.cpu_seconds = clock.seconds, clock.cpu_seconds
    clock.stop("decode_audio")
    if waveform.corrupt:
        percept.missing.append(f"{waveform.corrupt} audio packets are damaged")
    peak = float(np.abs(waveform.samples).max()) if len(waveform.samples) else 0.0
    if not np.isfinite(peak):
        raise InputError("The waveform holds NaN or infinity.", todo="Pass finite samples.")
    if peak < SILENCE:
        percept.missing.append("the sound track is silent")
        return percept
    windows = cut_windows(
        waveform.samples,
        AudioWindows(
            rule.windows, rule.window_seconds, rule.sample_rate, rule.center, rule.normalise, rule.epsilon
        ),
    )
    percept.windows = len(windows)
    percept.embeddings = session.audio.encode(windows, cancel)
    clock.stop("audio")
    return percept


class _Clock:
    """Seconds by stage, each from the end of the one before."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.cpu_seconds: dict[str, float] = {}
        self._last, self._last_cpu = time.perf_counter(), time.process_time()

    def stop(self, stage: str) -> None:
        now, cpu = time.perf_counter(), time.process_time()
        self.seconds[stage], self.cpu_seconds[stage] = now - self._last, cpu - self._last_cpu
        self._last, self._last_cpu = now, cpu
