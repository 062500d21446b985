"""Reads clips with libav inside `_core`. Knows the dicts that `_core` takes and gives; knows no codec."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emer_edge import _core
from emer_edge._core import CancelToken
from emer_edge.errors import (
    Cancelled,
    EmerError,
    InputError,
    LimitError,
    MediaError,
    UnsupportedMediaError,
)
from emer_edge.limits import Limits
from emer_edge.media.source import AudioSpec, AudioStream, FrameSpec, Probe, SubtitleStream, VideoStream
from emer_edge.results import Cue, FrameBatch, Waveform

_KINDS: dict[str, tuple[type[EmerError], str]] = {
    "input": (InputError, "Check the call."),
    "media": (MediaError, "Play the clip to see whether it is whole, or convert it to MP4 (H.264, AAC)."),
    "unsupported_media": (UnsupportedMediaError, "Convert the clip to MP4 (H.264, AAC)."),
    "limit": (LimitError, "Cut or shrink the clip, or raise the ceiling."),
    "cancelled": (Cancelled, ""),
}


def is_built() -> bool:
    """Whether `_core` was built with libav."""
    return bool(_core.decode_backend()["have_libav"])


def resample_mono(samples: NDArray[np.float32], from_rate: int, to_rate: int) -> NDArray[np.float32]:
    """Sound at another rate: float32 (n,) to float32 (m,), by libswresample.

    Raises:
        InputError: a rate outside 1000 to 768000 Hz.
    """
    with core_errors():
        return _core.resample_mono(np.ascontiguousarray(samples, np.float32), from_rate, to_rate)


class NativeSource:
    """One clip, read by `_core`. See `MediaSource`."""

    backend = "native"

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self._bytes = os.fsencode(path)
        self._limits = dataclasses.asdict(limits)
        self._probe: Probe | None = None
        self._lacking: list[str] = []

    def probe(self) -> Probe:
        """What the clip holds; asked once, then remembered."""
        if self._probe is None:
            with core_errors():
                found = _core.probe(self._bytes, self._limits)
            self._lacking = found.pop("lacking_decoders")
            self._probe = _probe(found)
        return self._probe

    def lacks_decoder(self) -> bool:
        """Whether a codec of this clip is accepted but has no decoder in this libav."""
        self.probe()
        return bool(self._lacking)

    def frames(self, spec: FrameSpec, cancel: CancelToken | None = None) -> FrameBatch:
        """Sampled frames, upright."""
        with core_errors():
            out = _core.decode_frames(self._bytes, spec.to_core(), self._limits, cancel)
        return FrameBatch(
            pixels=out["pixels"],
            pts_seconds=out["pts_seconds"],
            backend=self.backend,
            source_width=out["source_width"],
            source_height=out["source_height"],
            rotation_degrees=out["rotation_degrees"],
            padded=out["padded"],
            corrupt=out["corrupt"],
        )

    def waveform(self, spec: AudioSpec, cancel: CancelToken | None = None) -> Waveform:
        """The sound: mean of the channels, from its first sample; nothing is padded or trimmed."""
        asked = {"sample_rate": spec.sample_rate, "max_seconds": spec.max_seconds or 0.0}
        with core_errors():
            out = _core.decode_audio(self._bytes, asked, self._limits, cancel)
        return Waveform(
            samples=out["samples"],
            sample_rate=out["sample_rate"],
            start_seconds=out["start_seconds"],
            backend=self.backend,
            corrupt=out["corrupt"],
        )

    def embedded_cues(self, cancel: CancelToken | None = None) -> list[Cue]:
        """Cues of the first embedded text subtitle; none when there is none."""
        index = next((stream.index for stream in self.probe().subtitles if stream.is_text), None)
        if index is None:
            return []
        with core_errors():
            return [Cue(*cue) for cue in _core.read_subtitles(self._bytes, index, self._limits, cancel)]


@contextmanager
def core_errors() -> Iterator[None]:
    """Turn what `_core` raises into an EmerError."""
    try:
        yield
    except _core.CoreError as error:
        kind, what, why = error.args
        cls, todo = _KINDS.get(kind, _KINDS["media"])
        raise cls(what, why, todo) from error
    except MemoryError as error:
        raise LimitError("There is not enough memory for the clip.", todo=_KINDS["limit"][1]) from error
    except (RuntimeError, ValueError) as error:
        raise MediaError("The clip can't be read.", str(error), _KINDS["media"][1]) from error


def _probe(found: dict[str, Any]) -> Probe:
    return Probe(
        container=found["container"],
        size_bytes=found["size_bytes"],
        duration_seconds=found["duration_seconds"],
        video=None if found["video"] is None else VideoStream(**found["video"]),
        audio=None if found["audio"] is None else AudioStream(**found["audio"]),
        subtitles=tuple(SubtitleStream(**stream) for stream in found["subtitles"]),
        streams=found["streams"],
        refusals=tuple(found["refusals"]),
    )
