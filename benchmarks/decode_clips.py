"""The grid of the decode benchmark and its clips, drawn from seeds and encoded into the cache.

Knows codecs, sizes, lengths and keyframe distances. Does not know who decodes them. The pictures are a still
room with a moving head-sized part and sensor noise, coded at the quality of clips from the web; the sound is
a hum. No recording is used.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import permutations, product
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

RECIPE = 1
"""Raised whenever the same seed would give another clip."""
RATE = 25
CLIPS = 8
"""Clips of each cell: one for the first call, seven for the samples."""
SEGMENT_SECONDS, _SEGMENTS, _NOISES = 8, 5, 8


@dataclass(frozen=True)
class _Codec:
    encoder: str
    ending: str
    sound: str
    options: dict[str, str]


# Constant quality, so that the rate follows from the pictures; closed groups of pictures, so that segments
# can be laid one behind the other.
_CODECS = {
    "h264": _Codec("libx264", "mp4", "aac", {"preset": "fast", "crf": "22"}),
    "hevc": _Codec("libx265", "mp4", "aac", {
        "preset": "veryfast", "crf": "25",
        "x265-params": "log-level=none:open-gop=0:pools=none:frame-threads=1"}),
    "vp9": _Codec("libvpx-vp9", "webm", "libopus", {
        "deadline": "realtime", "cpu-used": "6", "crf": "31", "b": "0", "lag-in-frames": "12"}),
    "av1": _Codec("libsvtav1", "mp4", "aac", {"preset": "11", "crf": "32"}),
    "mpeg4": _Codec("mpeg4", "mp4", "aac", {"qscale": "5", "flags": "+qscale", "bf": "2"}),
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Cell:
    """One kind of clip."""

    codec: str = "h264"
    height: int = 720
    seconds: int = 16
    gop: int = 200

    @property
    def name(self) -> str:
        """As tables say it.

        >>> Cell("hevc", 1080, 4, 25).name
        'hevc 1080p 4 s, keyframe every 25'
        """
        return f"{self.codec} {self.height}p {self.seconds} s, keyframe every {self.gop}"

    @property
    def width(self) -> int:
        """Pixels, 16:9 and even."""
        return round(self.height * 16 / 9 / 2) * 2


BASE = Cell()


def cross() -> list[Cell]:
    """The base cell, and those that differ from it in one property."""
    cells = [BASE, *(Cell(codec) for codec in _CODECS if codec != BASE.codec)]
    cells += [Cell(height=height) for height in (360, 1080)]
    cells += [Cell(seconds=seconds) for seconds in (4, 32)]
    cells += [Cell(gop=25), Cell("h264", 360, 4, 25)]
    return cells


def full() -> list[Cell]:
    """Every combination."""
    return [Cell(*row) for row in product(_CODECS, (360, 720, 1080), (4, 16, 32), (25, 200))]


def clip_cache() -> Path:
    """Where made clips lie: XDG_CACHE_HOME or ~/.cache."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "emer-edge-benchmarks" / f"decode-r{RECIPE}"


def made_clip(folder: Path, cell: Cell, seed: int) -> Path:
    """The clip of a cell and a seed; made unless it is there.

    Clips of several segments share those, in another order for each seed: a clip is other bytes and other
    pictures at every sample, and the encoders work once.

    Args:
        folder: of all clips; made if needed.
        cell: what kind; its length is one segment's or a multiple of it.
        seed: 0 to 7.
    """
    codec = _CODECS[cell.codec]
    path = folder / f"{cell.codec}-{cell.height}p-{cell.seconds}s-g{cell.gop}-{seed}.{codec.ending}"
    if path.is_file():
        return path
    pieces = max(1, cell.seconds // SEGMENT_SECONDS)
    piece = replace(cell, seconds=cell.seconds // pieces)
    segments = [_segment(folder, piece, number) for number in order(pieces, seed)]
    with _written(path) as fresh, av.open(str(fresh), "w") as container:
        with av.open(str(segments[0])) as first:
            video = container.add_stream_from_template(first.streams.video[0], opaque=True)
        audio: Any = container.add_stream(codec.sound, rate=48_000 if codec.sound == "libopus" else 44_100)
        audio.layout = "stereo"
        _write_sound(container, audio, cell, seed)
        for number, segment in enumerate(segments):
            with av.open(str(segment)) as inside:
                for packet in inside.demux(video=0):
                    if packet.dts is None or packet.pts is None:
                        continue
                    shift = round(number * piece.seconds / packet.time_base)
                    packet.stream, packet.pts, packet.dts = video, packet.pts + shift, packet.dts + shift
                    container.mux(packet)
    return path


def order(pieces: int, seed: int) -> tuple[int, ...]:
    """Which segments a clip is made of.

    >>> [order(2, seed) for seed in range(3)]
    [(0, 1), (0, 3), (1, 0)]
    """
    if pieces == 1:
        return (seed,)
    ways = list(permutations(range(_SEGMENTS), pieces))
    return ways[seed * (len(ways) // CLIPS) % len(ways)]


@contextmanager
def _written(path: Path) -> Iterator[Path]:
    """A name beside `path` that becomes `path` once all went well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield fresh
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _segment(folder: Path, piece: Cell, number: int) -> Path:
    codec = _CODECS[piece.codec]
    name = f"{piece.codec}-{piece.height}p-{piece.seconds}s-g{piece.gop}-{number}.{codec.ending}"
    path = folder / "segments" / name
    if path.is_file():
        return path
    os.environ.setdefault("SVT_LOG", "1")  # the encoder of AV1 tells its settings otherwise
    with _written(path) as fresh, av.open(str(fresh), "w") as container:
        video: Any = container.add_stream(
            codec.encoder, rate=RATE, options={"g": str(piece.gop), **codec.options}
        )
        video.width, video.height, video.pix_fmt = piece.width, piece.height, "yuv420p"
        video.codec_context.thread_count = 1  # the same bytes on every machine
        for at, planes in enumerate(pictures(piece, number)):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = at, Fraction(1, RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


def pictures(cell: Cell, seed: int) -> Iterator[NDArray[np.uint8]]:
    """The frames of a clip, uint8 [3/2 height, width], planes Y, U and V as PyAV wants them."""
    random = np.random.default_rng((RECIPE, seed))
    height, width = cell.height, cell.width
    room = _field(random, height, width, 40, 200)
    side = height // 2
    head = _field(random, side + 64, side + 64, 30, 230)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    oval = (x * x / 0.6 + y * y) < 1
    chroma = np.concatenate([_field(random, height // 2, width // 2, 105, 150).reshape(-1) for _ in range(2)])
    noises = [random.normal(0, 2.0, (height, width)).round().astype(np.int16) for _ in range(_NOISES)]
    phases = random.uniform(0, 2 * np.pi, 4)
    for number in range(cell.seconds * RATE):
        t = number / RATE
        sway = np.sin(phases + 2 * np.pi * np.array([0.3, 0.23, 1.3, 1.1]) * t)
        top = int(height * (0.25 + 0.03 * sway[0]))
        left = int(width * (0.5 + 0.06 * sway[1])) - side // 2
        dy, dx = (int(32 + 24 * s) for s in sway[2:])
        luma = room.copy()
        patch = luma[top : top + side, left : left + side]
        patch[oval] = head[dy : dy + side, dx : dx + side][oval]
        shift = int(random.integers(width))
        noise = np.roll(noises[number % _NOISES], shift, 1)
        bright = np.clip(luma.astype(np.int16) + noise, 16, 235).astype(np.uint8)
        yield np.concatenate([bright.reshape(-1), chroma]).reshape(height * 3 // 2, width)


def _field(random: np.random.Generator, height: int, width: int, low: int, high: int) -> NDArray[np.uint8]:
    """A smooth random picture with some fine texture, uint8 between the bounds."""
    out = np.zeros((height, width))
    for cells, weight in ((4, 1.0), (12, 0.5), (40, 0.25), (120, 0.08)):
        knots = random.uniform(-1, 1, (cells + 1, cells + 1))
        out += weight * _stretch(_stretch(knots, height).T, width).T
    out = (out - out.min()) / (out.max() - out.min())
    return np.asarray(low + (high - low) * out, np.uint8)


def _stretch(rows: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    at = np.linspace(0, len(rows) - 1, length)
    low = np.minimum(at.astype(int), len(rows) - 2)
    share = (at - low)[:, None]
    return np.asarray(rows[low] * (1 - share) + rows[low + 1] * share)


def _write_sound(container: Any, stream: Any, cell: Cell, seed: int) -> None:
    rate = stream.codec_context.sample_rate
    random = np.random.default_rng((RECIPE, seed, 1))
    t = np.arange(cell.seconds * rate) / rate
    pitch = random.uniform(90, 240)
    wave = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 6)) * (0.2 + 0.1 * np.sin(7 * t))
    both = np.stack([wave, 0.7 * wave]).astype(np.float32)
    resampler = av.AudioResampler(format=stream.codec_context.format, layout="stereo", rate=rate)
    for start in range(0, both.shape[1], 1024):
        part = np.ascontiguousarray(both[:, start : start + 1024])
        frame = av.AudioFrame.from_ndarray(part, "fltp", "stereo")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), start
        for ready in resampler.resample(frame):
            container.mux(stream.encode(ready))
    for ready in resampler.resample(None):
        container.mux(stream.encode(ready))
    container.mux(stream.encode(None))


def digest(paths: list[Path]) -> str:
    """SHA-256 of the clips' own hashes, in order: the same clips, the same line."""
    whole = hashlib.sha256()
    for path in paths:
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()
