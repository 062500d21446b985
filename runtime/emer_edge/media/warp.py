"""Cuts affine pieces out of frames. Knows the matrix convention of `_core.warp_faces`; knows no detector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emer_edge import _core
from emer_edge.errors import InputError


def warp(
    frames: NDArray[np.uint8], matrices: NDArray[np.float32], *, height: int, width: int
) -> NDArray[np.uint8]:
    """One piece of each frame, sampled bicubically and antialiased where it shrinks.

    Args:
        frames: (N, 3, H, W) uint8.
        matrices: (N, 2, 3) float32, from frame pixels (x, y, 1) to piece pixels; pixel centres are integers.
        height: of each piece, pixels.
        width: of each piece, pixels.

    Returns:
        (N, 3, height, width) uint8; positions outside a frame take its nearest edge pixel.

    Raises:
        InputError: a matrix is singular or not finite, or arrays of another shape or type.
    """
    pixels, matrices = np.ascontiguousarray(frames), np.ascontiguousarray(matrices, np.float32)
    try:
        out: NDArray[np.uint8] = _core.warp_faces(pixels, matrices, height, width, {"dtype": "uint8"})
    except _core.CoreError as error:
        _, what, why = error.args
        raise InputError(what, why) from error
    return out
