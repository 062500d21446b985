"""Reads clips with PyAV, for builds and codecs that the native decoder lacks. The only door to `av`.

Gives what `native` gives: same frames, same sound, same refusals. Decodes from the first packet on, which is
slower; knows nothing of why it was chosen.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emer_edge._core import CancelToken
from emer_edge.errors import EmerError, LimitError, MediaError, UnsupportedMediaError
from emer_edge.limits import Limits
from emer_edge.media.pyav_frames import (
    Watch,
    has_trusted_stamps,
    index_packets,
    sample_frames,
)
from emer_edge.media.pyav_probe import (
    CONVERT,
    best_stream,
    codec_name,
    duration_seconds,
    pixels,
    probe_container,
    zero_seconds,
)
from emer_edge.media.source import AudioSpec, FrameSpec, Probe
from emer_edge.results import Cue, FrameBatch, Waveform

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mp3,wav,flac,ogg,aac"
"""Demuxers that may be opened, by libav's names; no playlist among them. `_core` has the same list."""


class PyavSource:
    """One clip, read by PyAV. See `MediaSource`."""

    backend = "pyav"

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self._limits = limits
        self._probe: Probe | None = None

    def probe(self) -> Probe:
        """What the clip holds; asked once, then remembered."""
        if self._probe is None:
            with self._open(None) as (container, watch):
                self._probe = probe_container(container, self.path, self._limits, watch)
        return self._probe

    def frames(self, spec: FrameSpec, cancel: CancelToken | None = None) -> FrameBatch:
        """Sampled frames, upright."""
        limits = self._limits
        if spec.count > limits.frames:
            raise LimitError(
                "More frames are asked for than Limits.frames allows.",
                f"{spec.count}, the ceiling is {limits.frames}.",
            )
        if spec.height * spec.width > limits.pixels:
            raise LimitError("Larger frames are asked for than Limits.pixels allows.")
        with self._open(cancel) as (container, watch):
            stream = best_stream(container, "video", self.path)
            entries = index_packets(container, stream, limits, watch)
            trusted = has_trusted_stamps(container.format.name, codec_name(stream), entries)
            zero = zero_seconds(container)
        shown = sum(entry.shown for entry in entries)
        while True:
            with self._open(cancel, watch) as (container, _):
                stream = best_stream(container, "video", self.path)
                batch, seen = sample_frames(
                    container, stream, entries if trusted else shown, spec, limits, watch
                )
            if trusted or seen in (0, shown):
                break
            # Packets without a picture, or damage: now the number of frames is known.
            shown = seen
        if batch is None:
            raise MediaError(f"{self.path} holds no frame that can be decoded.", todo=CONVERT)
        batch.pts_seconds[:] -= zero
        return batch

    def waveform(self, spec: AudioSpec, cancel: CancelToken | None = None) -> Waveform:
        """The sound: mean of the channels, from its first sample; nothing is padded or trimmed."""
        with self._open(cancel) as (container, watch):
            stream = best_stream(container, "audio", self.path)
            return _sound(container, stream, spec, self._limits, watch)

    def embedded_cues(self, cancel: CancelToken | None = None) -> list[Cue]:
        """Cues of the first embedded text subtitle; none when there is none."""
        index = next((stream.index for stream in self.probe().subtitles if stream.is_text), None)
        if index is None:
            return []
        with self._open(cancel) as (container, watch):
            return _cues(container, index, self._limits, watch)

    @contextmanager
    def _open(self, cancel: CancelToken | None, watch: Watch | None = None) -> Iterator[tuple[Any, Watch]]:
        watch = watch or Watch(self._limits, cancel)
        with _errors(self.path), _container(self.path, self._limits, watch) as container:
            yield container, watch


def decoders(names: Iterable[str]) -> list[str]:
    """Those of libav's decoders, by name, that PyAV's build has."""
    import av

    return [name for name in names if name in av.codecs_available]


def resample_mono(samples: NDArray[np.float32], from_rate: int, to_rate: int) -> NDArray[np.float32]:
    """Sound at another rate: float32 (n,) to float32 (m,), by PyAV's libswresample."""
    import av

    resampler = av.AudioResampler(format="flt", layout="mono", rate=to_rate)
    frame = av.AudioFrame.from_ndarray(samples[None, :], format="flt", layout="mono")
    frame.sample_rate = from_rate
    parts = [part.to_ndarray()[0] for source in (frame, None) for part in resampler.resample(source)]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Turn whatever PyAV raises into an EmerError: damaged clips raise far more than FFmpeg's own errors."""
    try:
        yield
    except EmerError:
        raise
    except ImportError as error:
        raise UnsupportedMediaError(
            "PyAV can't be loaded.", str(error), "Install it: pip install av"
        ) from error
    except MemoryError as error:
        raise LimitError(f"{path} asks for more memory than there is.", todo="Shrink the clip.") from error
    except Exception as error:
        if type(error).__name__ in ("ExitError", "TimeoutError"):
            raise LimitError(f"{path} took longer than Limits.decode_seconds allows.") from error
        if type(error).__name__ in ("ArgumentError", "DemuxerNotFoundError"):
            raise UnsupportedMediaError(
                f"{path} is in no container that is accepted.", str(error), CONVERT
            ) from error
        raise MediaError(f"{path} is not a readable clip.", str(error), CONVERT) from error


@contextmanager
def _container(path: Path, limits: Limits, watch: Watch) -> Iterator[Any]:
    """An open container, checked against the ceilings that its header can already pass."""
    import av

    watch.check()
    seconds = max(0.001, watch.end - time.monotonic())
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": CONTAINERS,
        "codec_whitelist": "none",  # parameters come from headers and parsers; nothing is decoded on opening
        "max_streams": str(limits.streams + 1),
    }
    name = "file:" + os.fspath(path)
    with av.open(name, options=options, metadata_errors="ignore", timeout=(seconds, seconds)) as container:
        if len(container.streams) > limits.streams:
            raise LimitError(
                f"{path} has more streams than Limits.streams allows.", f"The ceiling is {limits.streams}."
            )
        for stream in container.streams.video:
            if stream.codec_context is not None and pixels(stream.codec_context) > limits.pixels:
                raise LimitError(
                    f"{path} has frames larger than Limits.pixels allows.",
                    f"{stream.codec_context.width}x{stream.codec_context.height}, "
                    f"the ceiling is {limits.pixels} pixels.",
                )
        if duration_seconds(container) > limits.clip_seconds:
            raise LimitError(
                f"{path} is longer than Limits.clip_seconds allows.",
                f"{duration_seconds(container):.1f} s, the ceiling is {limits.clip_seconds:g} s.",
            )
        yield container


def _sound(container: Any, stream: Any, spec: AudioSpec, limits: Limits, watch: Watch) -> Waveform:
    """Decode, average the channels, resample; memory is bounded by the ceilings, not by the clip."""
    import av

    seconds = min(spec.max_seconds or limits.audio_seconds, limits.audio_seconds)
    most, have, corrupt, start = int(-(-seconds * spec.sample_rate // 1)), 0, 0, None
    parts: list[NDArray[np.float32]] = []
    resampler: Any = None
    shape: tuple[Any, ...] = ()

    def convert(frame: Any) -> int:
        # Packed: with more than eight planes to_ndarray() reads past those that it is given.
        pieces = [
            piece.to_ndarray().reshape(-1, piece.layout.nb_channels).mean(axis=1, dtype=np.float32)
            for piece in resampler.resample(frame)
        ]
        parts.extend(pieces)
        return sum(len(piece) for piece in pieces)

    for packet in _packets(container, stream, limits, watch):
        corrupt += bool(packet.is_corrupt)
        try:
            frames = packet.decode()
        except (av.error.FFmpegError, ValueError):
            corrupt += 1
            continue
        for frame in frames:
            if not 1_000 <= frame.sample_rate <= 768_000 or not 1 <= frame.layout.nb_channels <= 64:
                raise UnsupportedMediaError("The sound can't be resampled.", str(frame), CONVERT)
            if start is None:
                start = 0.0 if frame.time is None else float(frame.time) - zero_seconds(container)
            now = (frame.format.name, frame.layout.name, frame.sample_rate)
            if now != shape:
                have += 0 if resampler is None else convert(None)
                resampler = av.AudioResampler(format="flt", layout=frame.layout, rate=spec.sample_rate)
                shape = now
            have += convert(frame)
        if have > most:
            break
    if resampler is not None and have <= most:
        have += convert(None)
    if not have:
        raise MediaError("The clip holds no sound that can be decoded.", todo=CONVERT)
    if have > most and seconds == limits.audio_seconds and spec.max_seconds != seconds:
        raise LimitError(
            "The clip holds more sound than Limits.audio_seconds allows.", f"The ceiling is {seconds:g} s."
        )
    samples = np.concatenate(parts)[:most]
    return Waveform(samples, spec.sample_rate, start or 0.0, PyavSource.backend, corrupt)


def _packets(container: Any, stream: Any, limits: Limits, watch: Watch) -> Iterator[Any]:
    """The packets of one stream, the last of them empty; damaged stretches end it."""
    for number, packet in enumerate(container.demux(stream)):
        watch.check()
        if number > limits.packets:
            raise LimitError(
                "The clip has more packets than Limits.packets allows.", f"The ceiling is {limits.packets}."
            )
        yield packet


def _cues(container: Any, index: int, limits: Limits, watch: Watch) -> list[Cue]:
    stream = container.streams[index]
    zero = zero_seconds(container)
    cues: list[Cue] = []
    bytes_read = 0
    for packet in _packets(container, stream, limits, watch):
        if packet.pts is None or not packet.size:
            continue
        subtitles = packet.decode()
        text = "\n".join(filter(None, (_dialogue(subtitle) for subtitle in subtitles)))
        if not text:
            continue
        start = float(packet.pts * packet.time_base) - zero
        cues.append(Cue(start, start + float((packet.duration or 0) * packet.time_base), text))
        bytes_read += len(text.encode())
        if bytes_read > limits.subtitle_bytes or len(cues) > limits.subtitle_cues:
            raise LimitError(
                "The clip holds more subtitles than Limits.subtitle_bytes and subtitle_cues allow."
            )
    return cues


def _dialogue(subtitle: Any) -> str:
    """The text of one ASS event: its ninth field, without {overrides}."""
    event = bytes(getattr(subtitle, "ass", b"") or b"").decode("utf-8", "replace")
    text = event.split(",", 8)[-1] if event else ""
    text = re.sub(r"\{[^}]*\}", "", text)
    return re.sub(r"\\[Nn]", "\n", text).replace("\\h", " ").strip()
