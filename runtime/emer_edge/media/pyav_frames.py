"""Which frames of a PyAV stream are sampled, and their way into one array.

The rules are those of `_core.decode_frames`. Knows PyAV's objects by their attributes; does not import it.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emer_edge import _core
from emer_edge._core import CancelToken
from emer_edge.errors import Cancelled, LimitError
from emer_edge.limits import Limits
from emer_edge.media.native import core_errors
from emer_edge.media.source import FrameSpec
from emer_edge.results import FrameBatch

OUTPUT_BYTES = 2 * 1024**3
"""Size of one array of frames; a larger one is refused."""


@dataclass(slots=True)
class Watch:
    """Wall clock and cancel flag of one call."""

    limits: Limits
    cancel: CancelToken | None
    end: float = field(init=False)

    def __post_init__(self) -> None:
        self.end = time.monotonic() + self.limits.decode_seconds

    def check(self) -> None:
        """Raises Cancelled or LimitError when it is over."""
        if self.cancel is not None and self.cancel.cancelled:
            raise Cancelled("Decoding was cancelled.")
        if time.monotonic() > self.end:
            raise LimitError(
                "Decoding took longer than Limits.decode_seconds allows.",
                f"The ceiling is {self.limits.decode_seconds:g} s.",
                "Cut or shrink the clip, or raise the ceiling.",
            )


@dataclass(frozen=True, slots=True)
class Entry:
    """One packet of the video stream."""

    pts: int | None
    duration: int
    shown: bool
    damaged: bool


def index_packets(container: Any, stream: Any, limits: Limits, watch: Watch) -> list[Entry]:
    """Every packet with data, in stored order. Raises LimitError."""
    entries: list[Entry] = []
    vp8 = stream.codec_context.name in ("vp8", "libvpx")
    for packet in _demux(container, stream, watch):
        if not packet.size:
            continue
        hidden = vp8 and not (bytes(memoryview(packet)[:1])[0] >> 4 & 1)  # RFC 6386 9.1: show_frame
        shown = not packet.is_discard and not hidden
        entries.append(Entry(packet.pts, packet.duration or 0, shown, bool(packet.is_corrupt)))
        if len(entries) > limits.packets:
            raise LimitError(
                "The clip has more packets than Limits.packets allows.", f"The ceiling is {limits.packets}."
            )
    stamps = [entry.pts for entry in entries if entry.shown and entry.pts is not None]
    if stamps and float((max(stamps) - min(stamps)) * stream.time_base) > limits.clip_seconds:
        raise LimitError("The clip is longer than Limits.clip_seconds allows.")
    return entries


def has_trusted_stamps(container: str, codec: str, entries: list[Entry]) -> bool:
    """Whether every shown packet has a time stamp that is its picture's own."""
    old = codec in ("mpeg4", "msmpeg4v2", "msmpeg4v3", "h263")
    names = container.split(",")
    if "mp4" not in names and (old or not {"matroska", "mpegts", "mpeg"} & set(names)):
        return False
    stamps = [entry.pts for entry in entries if entry.shown]
    return None not in stamps and len(set(stamps)) == len(stamps)


def sample_frames(
    container: Any, stream: Any, known: list[Entry] | int, spec: FrameSpec, limits: Limits, watch: Watch
) -> tuple[FrameBatch | None, int]:
    """Decode until every sample is there.

    Args:
        container: PyAV's, at its start.
        stream: of the container.
        known: the index where its time stamps can be trusted, else the number of frames.
        spec: which frames, and what they should look like.
        limits: ceilings.
        watch: of the call.

    Returns:
        The frames, None when there are none; and how many frames came out (all of them where `known` is a
        number). Times are on the container's clock.
    """
    by_stamp = not isinstance(known, int)
    plan = _by_stamp(known, spec) if not isinstance(known, int) else _ordinals(known, spec)
    shown = known if isinstance(known, int) else sum(entry.shown for entry in known)
    sink = _Sink(spec, plan, padded=max(0, spec.count - shown))
    if isinstance(known, list):
        sink.corrupt = sum(entry.damaged for entry in known)
    stream.codec_context.options = {"max_pixels": str(limits.pixels)}
    seen = cursor = 0
    targets = sorted(set(plan))
    previous: tuple[int, Any] | None = None
    for frame in _frames(container, stream, watch, sink):
        if frame.width * frame.height > limits.pixels:
            raise LimitError(
                "A decoded frame is larger than Limits.pixels allows.", f"{frame.width}x{frame.height}"
            )
        key = frame.pts if by_stamp else seen
        seen += 1
        if key is None:
            continue
        while cursor < len(targets) and targets[cursor] <= key:
            target = targets[cursor]
            cursor += 1
            earlier = previous is not None and by_stamp and target - previous[0] <= key - target
            sink.write(target, previous[1] if earlier and previous and target != key else frame)
            sink.corrupt += target != key
        previous = (key, frame)
        if cursor == len(targets) and by_stamp:
            break
    if previous is not None:
        for target in targets[cursor:]:
            sink.write(target, previous[1])
            sink.corrupt += 1
    return sink.finish(), seen


def first_frame(container: Any, stream: Any, limits: Limits, watch: Watch) -> tuple[Any, int]:
    """The first frame and the degrees clockwise that make it upright; PyAV tells that of frames only."""
    stream.codec_context.options = {"max_pixels": str(limits.pixels)}
    for frame in _frames(container, stream, watch, None):
        return frame, Upright().degrees(frame)
    return None, 0


class _Sink:
    """Owns the output array of one call."""

    def __init__(self, spec: FrameSpec, plan: list[int], padded: int) -> None:
        self.corrupt = 0
        self._spec = spec.to_core()
        self._plan = plan
        self._padded = padded
        self._pixels: NDArray[Any] | None = None
        self._seconds = np.zeros(len(plan), np.float64)
        self._size = (0, 0)
        self._degrees = 0
        self._upright = Upright()

    def write(self, key: int, frame: Any) -> None:
        picture_upright = self._upright.picture(frame)
        with core_errors():
            picture = _core.resize(picture_upright[None], self._spec)[0]
        if self._pixels is None:
            if picture.nbytes * len(self._plan) > OUTPUT_BYTES:
                raise LimitError("The sampled frames would take more than 2 GiB.")
            self._pixels = np.zeros((len(self._plan), *picture.shape), picture.dtype)
            self._size, self._degrees = picture_upright.shape[:2], self._upright.degrees(frame)
            if self._spec["resize"] == "fit":  # the first frame set the size of the array
                self._spec |= {"resize": "stretch", "height": picture.shape[1], "width": picture.shape[2]}
        slots = [slot for slot, wanted in enumerate(self._plan) if wanted == key]
        self._pixels[slots] = picture
        self._seconds[slots] = frame.time or 0.0

    def finish(self) -> FrameBatch | None:
        if self._pixels is None:
            return None
        height, width = self._size
        return FrameBatch(
            self._pixels, self._seconds, "pyav", width, height, self._degrees, self._padded, self.corrupt
        )


@dataclass(frozen=True, slots=True)
class _Orientation:
    """Quarter turns and mirrors that make a picture upright. Same rule as `_core`'s."""

    swap: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def turns(self) -> int:
        if self.swap:
            return 1 if self.flip_x else 3
        return 2 if self.flip_y else 0

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self.swap:
            picture = picture.transpose(1, 0, 2)
        return picture[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]


class Upright:
    """Makes the pictures of one stream upright.

    Asks for a frame's whole display matrix only where its angle is new: in PyAV a frame whose side data was
    looked at refers to itself, and stays in memory with its picture until the garbage collector comes by.
    """

    def __init__(self) -> None:
        self._known: dict[int, _Orientation] = {}

    def picture(self, frame: Any) -> NDArray[np.uint8]:
        """A PyAV frame as it is meant to be seen: (height, width, 3) uint8 RGB, C-contiguous."""
        picture: NDArray[np.uint8] = self._orientation(frame).apply(frame.to_ndarray(format="rgb24"))
        return np.ascontiguousarray(picture)

    def degrees(self, frame: Any) -> int:
        """Degrees clockwise that make a PyAV frame upright."""
        return self._orientation(frame).turns * 90

    def _orientation(self, frame: Any) -> _Orientation:
        angle = getattr(frame, "rotation", 0)  # younger than the oldest PyAV that we take
        if angle not in self._known:
            matrix = frame.side_data.get("DISPLAYMATRIX")
            self._known[angle] = _orientation(None if matrix is None else bytes(matrix))
        return self._known[angle]


def _orientation(matrix: bytes | None) -> _Orientation:
    """From a display matrix: x' = a x + c y, y' = b x + d y (ISO/IEC 14496-12 8.2.2)."""
    if matrix is None or len(matrix) < 36:
        return _Orientation()
    a, b, _, c, d = (int(value) for value in np.frombuffer(matrix[:36], np.int32)[:5])
    swap = abs(b) + abs(c) > abs(a) + abs(d)
    return _Orientation(swap, c < 0 if swap else a < 0, b < 0 if swap else d < 0)


def _demux(container: Any, stream: Any, watch: Watch) -> Iterator[Any]:
    for packet in container.demux(stream):
        watch.check()
        yield packet


def _frames(container: Any, stream: Any, watch: Watch, sink: _Sink | None) -> Iterator[Any]:
    """Decoded frames in the order they are shown; what can't be decoded is skipped and counted."""
    for packet in _demux(container, stream, watch):
        try:
            frames = packet.decode()
        except (OSError, ValueError):  # PyAV's FFmpegError is an OSError, InvalidDataError a ValueError too
            if sink is not None:
                sink.corrupt += 1
            continue
        for frame in frames:
            if sink is not None:
                sink.corrupt += bool(frame.is_corrupt)
            yield frame


def _ordinals(frames: int, spec: FrameSpec) -> list[int]:
    """Ordinals of the samples where frames can only be counted."""
    if spec.rule == "midpoint_time":
        return [int((i + 0.5) / spec.count * frames) for i in range(spec.count)]
    return [
        i * frames // spec.count if frames >= spec.count else min(i, frames - 1) for i in range(spec.count)
    ]


def _by_stamp(entries: list[Entry], spec: FrameSpec) -> list[int]:
    """Time stamps of the samples."""
    shown = sorted((entry.pts or 0, entry.duration) for entry in entries if entry.shown)
    if not shown:
        return []
    stamps = [pts for pts, _ in shown]
    if spec.rule == "uniform_index":
        return [stamps[ordinal] for ordinal in _ordinals(len(stamps), spec)]
    steps = sorted(after - before for before, after in pairwise(stamps))
    last = shown[-1][1] or (steps[len(steps) // 2] if steps else 1)
    length = stamps[-1] + last - stamps[0]
    times = [stamps[0] + (i + 0.5) / spec.count * length for i in range(spec.count)]
    return [stamps[max(0, bisect_right(stamps, at) - 1)] for at in times]
