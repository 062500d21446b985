"""Opens one clip for reading: what may be opened, by which decoder, and what is asked of it.

Knows the clip as a file on disk and the two decoders by name. Knows no codec: `native` and `pyav` do.
"""

from __future__ import annotations

import dataclasses
import math
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from emer_edge._core import CancelToken
from emer_edge.errors import InputError, LimitError, MediaError, UnsupportedMediaError
from emer_edge.limits import Limits
from emer_edge.results import Cue, FrameBatch, Waveform

Backend = Literal["auto", "native", "pyav"]
FrameRule = Literal["uniform_index", "midpoint_time"]
Resize = Literal["stretch", "shorter_crop", "fit"]


@dataclass(frozen=True, slots=True)
class VideoStream:
    """The video stream that frames are taken from."""

    codec: str
    width: int
    """As stored, before rotation."""
    height: int
    fps: float
    """Mean frames per second; 0 unknown."""
    frames: int | None
    """As the container declares."""
    rotation: int
    """Degrees clockwise that make the picture upright: 0, 90, 180 or 270."""
    pixel_format: str
    """libav's name, or empty where only decoding would tell."""
    index: int = 0


@dataclass(frozen=True, slots=True)
class AudioStream:
    """The audio stream that the waveform is taken from."""

    codec: str
    sample_rate: int
    channels: int
    index: int = 0


@dataclass(frozen=True, slots=True)
class SubtitleStream:
    """One embedded subtitle."""

    index: int
    codec: str
    language: str
    """A language tag, or empty."""
    is_text: bool


@dataclass(frozen=True, slots=True)
class Probe:
    """What a clip holds, as its headers say."""

    container: str
    size_bytes: int
    duration_seconds: float
    """0 unknown."""
    video: VideoStream | None
    audio: AudioStream | None
    subtitles: tuple[SubtitleStream, ...]
    streams: int
    refusals: tuple[str, ...] = ()
    """Why a stream that is there can't be used; empty when all can."""

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        out = dataclasses.asdict(self)
        out["subtitles"] = list(out["subtitles"])
        out["refusals"] = list(out["refusals"])
        return out


@dataclass(frozen=True, slots=True)
class FrameSpec:
    """Which frames, and what a model wants them to look like.

    Args:
        rule: `uniform_index`: frames floor(i * n / count) of the n presentable frames (AffectGPT); a clip
            with n < count gives all and then repeats the last. `midpoint_time`: the frame shown at
            (i + 0.5) / count of the video's duration.
        count: frames to sample.
        height: of the result, pixels.
        width: of the result, pixels.
        resize: `stretch` to height x width; `shorter_crop`: cover, then crop the middle (CLIP); `fit`: the
            longest side at most max(height, width), aspect ratio kept, never enlarged.
        channel_order: `rgb` or `bgr`.
        mean: by written channel, of 0..1.
        std: by written channel.
        dtype: `float32` is (x / 255 - mean) / std; `uint8` is not normalised.

    Raises:
        InputError: a value outside the above.
    """

    rule: FrameRule = "uniform_index"
    count: int = 8
    height: int = 224
    width: int = 224
    resize: Resize = "stretch"
    channel_order: Literal["rgb", "bgr"] = "rgb"
    mean: Sequence[float] = (0.0, 0.0, 0.0)
    std: Sequence[float] = (1.0, 1.0, 1.0)
    dtype: Literal["uint8", "float32"] = "float32"

    def __post_init__(self) -> None:
        _one_of("rule", self.rule, ("uniform_index", "midpoint_time"))
        _one_of("resize", self.resize, ("stretch", "shorter_crop", "fit"))
        _one_of("channel_order", self.channel_order, ("rgb", "bgr"))
        _one_of("dtype", self.dtype, ("uint8", "float32"))
        for name in ("count", "height", "width"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= 16_384:
                raise InputError(f"FrameSpec.{name} = {value!r} is not a whole number from 1 to 16384.")
        usable = all(
            len(values) == 3 and all(isinstance(v, int | float) and math.isfinite(v) for v in values)
            for values in (self.mean, self.std)
        )
        if not usable or min(self.std) <= 0:
            raise InputError("FrameSpec.mean and std are not three finite numbers, std above zero.")

    def to_core(self) -> dict[str, Any]:
        """The dict that `_core.decode_frames` and `_core.resize` take."""
        out = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        out["mean"], out["std"] = list(self.mean), list(self.std)
        return out


@dataclass(frozen=True, slots=True)
class AudioSpec:
    """What is asked of the sound.

    Args:
        sample_rate: of the waveform, Hz.
        max_seconds: sound beyond it is not decoded; None: all.

    Raises:
        InputError: a value that makes no sense.
    """

    sample_rate: int = 16_000
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.sample_rate, bool) or not isinstance(self.sample_rate, int):
            raise InputError(f"AudioSpec.sample_rate = {self.sample_rate!r} is not a whole number.")
        if not 1_000 <= self.sample_rate <= 768_000:
            raise InputError(f"AudioSpec.sample_rate = {self.sample_rate} Hz is not between 1000 and 768000.")
        if self.max_seconds is not None and not 0 < self.max_seconds < math.inf:
            raise InputError(f"AudioSpec.max_seconds = {self.max_seconds!r} is not a positive number.")


class MediaSource(Protocol):
    """One clip on disk. Several threads may read it at once; every call opens the file anew."""

    path: Path
    backend: str

    def probe(self) -> Probe:
        """What the clip holds; asked once, then remembered."""

    def frames(self, spec: FrameSpec, cancel: CancelToken | None = None) -> FrameBatch:
        """Sampled frames, upright. Raises MediaError where there is no video stream."""

    def waveform(self, spec: AudioSpec, cancel: CancelToken | None = None) -> Waveform:
        """The sound: mean of the channels. Raises MediaError where there is no audio stream."""

    def embedded_cues(self, cancel: CancelToken | None = None) -> list[Cue]:
        """Cues of the first embedded text subtitle; none when there is none."""


def open_media(path: str | Path, limits: Limits, *, backend: Backend = "auto") -> MediaSource:
    """Open a clip: a regular file in an accepted container.

    Args:
        path: a file; URLs are refused.
        limits: ceilings, checked before anything is spent.
        backend: `native` (libav in `_core`), `pyav`, or `auto`: native, and PyAV where this build has no
            native decoder at all or none for this clip's codecs. The source says which.

    Raises:
        InputError: not a path, a URL, missing, or not a regular file.
        MediaError: empty or not a clip.
        UnsupportedMediaError: a container or codec outside the allow-list.
        LimitError: a ceiling would be passed.
    """
    _one_of("backend", backend, ("auto", "native", "pyav"))
    checked = _regular_file(path, limits)
    if backend != "pyav":
        from emer_edge.media import native

        if native.is_built():
            source = native.NativeSource(checked, limits)
            if backend == "native" or not source.lacks_decoder():
                return source
        elif backend == "native":
            raise UnsupportedMediaError(
                "This build has no native decoder.",
                "libav's development files were not there when it was built.",
                "Use the decoder pyav, or install libav's development files and build again.",
            )
    from emer_edge.media import pyav

    return pyav.PyavSource(checked, limits)


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"{name} = {value!r} is not known.", todo=f"Use one of: {', '.join(known)}.")


def _regular_file(path: str | Path, limits: Limits) -> Path:
    """The path, once it is clear that it is a file worth opening; nothing is opened here."""
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"A {type(path).__name__} is not a path.", todo="Pass the path of a clip.")
    text = os.fspath(path)
    if "://" in text:
        raise InputError(f"{text} is a URL.", "Only files are read.", "Download it first.")
    checked = Path(path)
    try:
        status = checked.stat()
    except (OSError, ValueError) as error:
        why = error.strerror or "" if isinstance(error, OSError) else str(error)
        raise InputError(f"{text!r} can't be opened.", why, "Check the path.") from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{text} is not a regular file.", todo="Pass the path of a clip.")
    if status.st_size == 0:
        raise MediaError(f"{text} is empty.", todo="Copy or record the clip again.")
    if status.st_size > limits.file_bytes:
        raise LimitError(
            f"{text} is larger than Limits.file_bytes allows.",
            f"{status.st_size} bytes, the ceiling is {limits.file_bytes}.",
            "Cut the clip, or raise the ceiling.",
        )
    return checked
