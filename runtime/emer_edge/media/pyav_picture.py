"""One JPEG picture to pixels. Knows libav's mjpeg decoder through PyAV; knows no clip."""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import LimitError, MediaError
from emer_edge.limits import Limits

_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers whose segment holds the size of the picture (ITU-T T.81, table B.1)."""
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
"""Markers without a segment."""


def decode_jpeg(data: bytes, limits: Limits) -> NDArray[np.uint8]:
    """The pixels of a JPEG picture, (H, W, 3) uint8 RGB.

    Its size is read from the header and checked before anything is decoded. Orientation tags are not applied.

    Raises:
        MediaError: no JPEG, or a damaged one. LimitError: more than `limits.pixels`.
    """
    width, height = jpeg_size(data)
    if width * height > limits.pixels:
        raise LimitError(
            f"A picture of {width} x {height} pixels is too large.", f"The ceiling is {limits.pixels} pixels."
        )
    decoder = av.CodecContext.create("mjpeg", "r")
    decoder.thread_count = 1  # frame threads would hold the picture back until the next one comes
    try:
        frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    except (av.FFmpegError, ValueError) as error:
        raise _damaged(str(error)) from error
    if not frames or frames[0].width * frames[0].height > limits.pixels:
        raise _damaged("It holds no picture.")
    return np.asarray(frames[0].to_ndarray(format="rgb24"), np.uint8)


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height as the header tells them.

    Raises:
        MediaError: no JPEG.
    """
    at = 2 if data.startswith(b"\xff\xd8") else len(data)
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill bytes before a marker
            at += 1
        elif marker in _ALONE:
            at += 2
        elif marker in _START_OF_FRAME and at + 9 <= len(data):
            height, width = (int.from_bytes(data[at + k : at + k + 2], "big") for k in (5, 7))
            return width, height
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise _damaged("It has no JPEG header.")


def _damaged(why: str) -> MediaError:
    return MediaError("A picture can't be read.", why, "Send a whole JPEG file in each message.")
