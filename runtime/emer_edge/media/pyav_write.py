"""Writes small clips with libav through PyAV: frames and sound to an MP4 file. Knows no face and no voice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import OutputError

_BLOCK = 1024  # samples of one AAC frame


@dataclass(frozen=True, slots=True)
class ClipFormat:
    """How a clip is coded."""

    width: int
    height: int
    frames_per_second: int
    sample_rate: int
    codec: str = "libx264"


def write_media(
    path: Path, shape: ClipFormat, frames: Iterable[NDArray[np.uint8]], sound: NDArray[np.float32]
) -> None:
    """Write an MP4 file; the same input and the same build of libav give the same bytes.

    Args:
        path: of the file; what is there is replaced.
        shape: sizes, rates and codec.
        frames: (height, width, 3) uint8 RGB, in order.
        sound: (n,) float32 in -1..1, mono.

    Raises:
        OutputError: the file can't be written, or libav has no such encoder.
    """
    import av

    if shape.codec not in av.codecs_available:
        raise OutputError(
            f"The installed PyAV has no encoder {shape.codec}.",
            f"PyAV {av.__version__}.",
            "pip install --force-reinstall av",
        )
    try:
        with av.open(str(path), "w", format="mp4") as container:
            video: Any = container.add_stream(
                shape.codec, rate=shape.frames_per_second, options={"crf": "23", "preset": "veryfast"}
            )
            video.width, video.height, video.pix_fmt = shape.width, shape.height, "yuv420p"
            video.codec_context.thread_count = 1  # with more, the bytes depend on the machine
            audio: Any = container.add_stream("aac", rate=shape.sample_rate, layout="mono")
            for picture in frames:
                container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            container.mux(video.encode(None))
            for start in range(0, len(sound), _BLOCK):
                block = av.AudioFrame.from_ndarray(sound[None, start : start + _BLOCK], "fltp", "mono")
                block.sample_rate, block.pts = shape.sample_rate, start
                block.time_base = Fraction(1, shape.sample_rate)
                container.mux(audio.encode(block))
            container.mux(audio.encode(None))
    except (OSError, av.FFmpegError) as error:
        raise OutputError(
            f"Can't write {path}.", str(error), "Check the folder and the free space."
        ) from error
