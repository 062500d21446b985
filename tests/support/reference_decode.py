"""What an independent decoder gives: PyAV from the first packet to the last, Pillow for size.

Shares no line with the product, so that a mistake there can't hide here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image


def _decode(container: Any, stream: Any) -> Iterator[Any]:
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            continue


def sequential_frames(
    path: Path, wanted: list[int] | None = None
) -> tuple[dict[int, NDArray[np.uint8]], int]:
    """RGB frames by ordinal (all, or those wanted), and how many there are. Not turned upright."""
    frames: dict[int, NDArray[np.uint8]] = {}
    count = 0
    with av.open(str(path), metadata_errors="ignore") as container:
        stream = container.streams.best("video")
        stream.thread_type = "AUTO"
        for count, frame in enumerate(_decode(container, stream), start=1):
            if wanted is None or count - 1 in wanted:
                frames[count - 1] = frame.to_ndarray(format="rgb24")
    return frames, count


def count_frames(path: Path) -> int:
    """Frames that decode."""
    return sequential_frames(path, [])[1]


def uniform(count: int, frames: int) -> list[int]:
    """The ordinals of AffectGPT's rule, written out."""
    return [i * frames // count if frames >= count else min(i, frames - 1) for i in range(count)]


def mono(path: Path, rate: int = 16_000) -> NDArray[np.float32]:
    """The mean of the channels, each resampled by PyAV."""
    parts = []
    with av.open(str(path), metadata_errors="ignore") as container:
        resampler = None
        for frame in _decode(container, container.streams.best("audio")):
            if resampler is None:
                resampler = av.AudioResampler(format="fltp", layout=frame.layout, rate=rate)
            parts += [part.to_ndarray() for part in resampler.resample(frame)]
        assert resampler is not None
        parts += [part.to_ndarray() for part in resampler.resample(None)]
    samples: NDArray[np.float32] = np.concatenate(parts, axis=1).mean(axis=0, dtype=np.float32)
    return samples


def pillow_resize(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Bicubic."""
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))
