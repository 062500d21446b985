"""Frames and sound one after another, as a file, a device or a network stream gives them. A door to `av`.

Knows demuxers, their options and time stamps. Knows no pace, no session and no window; clips that are looked
at whole are read by `source`.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import EmerError, InputError, LimitError, MediaError
from emer_edge.limits import Limits
from emer_edge.media.pyav import CONTAINERS
from emer_edge.media.pyav_frames import Upright
from emer_edge.media.pyav_probe import best_stream, zero_seconds

AHEAD_SECONDS = 2.0
"""How far one stream of a file may be stored before another and still be put in order."""
NETWORK_SECONDS = 10.0
"""How long a network stream may be silent."""
_NETWORK = ("rtsp://", "rtsps://")


@dataclass(frozen=True, slots=True)
class Picture:
    """One frame, not converted yet."""

    seconds: float
    frame: Any
    upright: Upright

    def pixels(self) -> NDArray[np.uint8]:
        """(height, width, 3) uint8 RGB, upright; read-only, so that nobody needs to copy it."""
        out = self.upright.picture(self.frame)
        out.setflags(write=False)
        return out


@dataclass(frozen=True, slots=True)
class Piece:
    """Some sound: (channels, n) float32."""

    seconds: float
    pcm: NDArray[np.float32]
    sample_rate: int


Flow: TypeAlias = Generator[Picture | Piece, None, None]
"""Items as they come; `close()` gives the file or device back."""


def file_flow(path: Path, limits: Limits) -> Flow:
    """A file from its beginning, in order of time.

    Args:
        path: a file that `open_media` takes.
        limits: ceilings of streams and pixels.

    Raises:
        MediaError, UnsupportedMediaError, LimitError.
    """
    options = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
    with _opened("file:" + str(path), None, options, None) as container:
        streams = []
        for kind in ("video", "audio"):
            if getattr(container.streams, kind):
                streams.append(best_stream(container, kind, path))
        yield from _in_order(_decoded(container, streams, limits, zero_seconds(container)), len(streams))


def device_flow(name: str, form: str, options: dict[str, str], limits: Limits) -> Flow:
    """A camera or a microphone; its time stamps are the driver's own and not comparable.

    Args:
        name: of the device, for example /dev/video0, or `default`.
        form: libav's name of the kind of device: v4l2, alsa, pulse.
        options: of that kind of device.
        limits: ceiling of pixels.

    Raises:
        MediaError: the device is not there, is in use, or stops.
    """
    with _opened(name, form, options, None) as container:
        yield from _decoded(container, list(container.streams), limits, 0.0)


def network_flow(url: str, limits: Limits) -> Flow:
    """A network stream by RTSP over TCP.

    Raises:
        InputError: another protocol. MediaError: nobody answers, or the stream ends.
    """
    if not url.startswith(_NETWORK):
        raise InputError("Only RTSP is read from the network.", url, "Use rtsp:// or rtsps://.")
    options = {"rtsp_transport": "tcp", "protocol_whitelist": "rtsp,rtsps,rtp,srtp,tcp,tls,crypto"}
    with _opened(url, None, options, NETWORK_SECONDS) as container:
        streams = [s for kind in ("video", "audio") for s in getattr(container.streams, kind)[:1]]
        yield from _decoded(container, streams, limits, 0.0)


@contextmanager
def _opened(name: str, form: str | None, options: dict[str, str], timeout: float | None) -> Iterator[Any]:
    """An open container; whatever libav raises meanwhile becomes a MediaError."""
    import av

    try:
        with av.open(name, format=form, options=options, timeout=timeout, metadata_errors="ignore") as opened:
            yield opened
    except (EmerError, GeneratorExit):
        raise
    except Exception as error:
        raise MediaError(
            f"{name.removeprefix('file:')} can't be read.",
            str(error),
            "Check that it is there and not in use.",
        ) from error


def _decoded(container: Any, streams: list[Any], limits: Limits, zero: float) -> Flow:
    """Decoded frames and sound in stored order; what is damaged is left out."""
    usable = [stream for stream in streams if stream.type in ("video", "audio")]
    if not usable:
        raise MediaError("There is neither video nor sound.", todo="Use another source.")
    upright = {stream.index: Upright() for stream in usable}
    for packet in container.demux(usable):
        try:
            frames = packet.decode()
        except (OSError, ValueError):  # PyAV's FFmpegError is an OSError, InvalidDataError a ValueError too
            continue
        for frame in frames:
            if frame.time is None:
                continue
            seconds = float(frame.time) - zero
            if packet.stream.type == "audio":
                yield Piece(seconds, _samples(frame), frame.sample_rate)
                continue
            if frame.width * frame.height > limits.pixels:
                raise LimitError("A frame is too large.", f"{frame.width}x{frame.height}")
            yield Picture(seconds, frame, upright[packet.stream.index])


def _samples(frame: Any) -> NDArray[np.float32]:
    """(channels, n) float32 of a PyAV audio frame of any format."""
    import av

    resampler = av.AudioResampler(format="flt", layout=frame.layout, rate=frame.sample_rate)
    # Packed: with more than eight planes to_ndarray() reads past those that it is given.
    parts = [part.to_ndarray().reshape(-1, part.layout.nb_channels) for part in resampler.resample(frame)]
    return np.ascontiguousarray(np.concatenate(parts).T, np.float32)


def _in_order(items: Flow, streams: int) -> Flow:
    """Items of several streams in order of time: files store a stretch of one before that of the other."""
    waiting: list[tuple[float, int, Picture | Piece]] = []
    newest: dict[type, float] = {}
    number = count()
    for item in items:
        heapq.heappush(waiting, (item.seconds, next(number), item))
        newest[type(item)] = item.seconds
        sure = min(newest.values()) if len(newest) == streams else -np.inf
        sure = max(sure, max(newest.values()) - AHEAD_SECONDS)
        while waiting and waiting[0][0] <= sure:
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]
