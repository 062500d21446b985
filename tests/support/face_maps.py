"""Faces without pictures: what a detector would find or answer, and the real detector."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emer_edge.encoders.base import TensorSpec
from emer_edge.encoders.onnx import OnnxNetwork
from emer_edge.media.face_detector import INPUT, OUTPUTS, Detections, detector_path

SHAPE = np.array([[-0.2, -0.15], [0.2, -0.15], [0.0, 0.05], [-0.15, 0.22], [0.15, 0.22]])
"""Landmarks round the middle of a box of side 1."""


def real_detector() -> OnnxNetwork:
    gives = [TensorSpec(name, "float32", (None, depth, None, None)) for name, depth in OUTPUTS.items()]
    return OnnxNetwork(detector_path(), TensorSpec(INPUT, "uint8", (None, 3, None, None)), gives, threads=2)


def faces(*found: tuple[float, float, float, float]) -> Detections:
    """Faces of one frame from (x, y, size, score)."""
    middles = np.array([(x, y) for x, y, _, _ in found], np.float32).reshape(-1, 2)
    sizes = np.array([size for _, _, size, _ in found], np.float32).reshape(-1, 1)
    return Detections(
        np.concatenate([middles - sizes / 2, middles + sizes / 2], 1),
        (middles[:, None] + SHAPE[None] * sizes[:, None]).astype(np.float32),
        np.array([score for *_, score in found], np.float32),
    )


def maps_with(
    faces_in_input: list[tuple[float, float, float, float]], rows: int, columns: int
) -> list[NDArray[np.float32]]:
    """What CenterFace would answer for faces (x, y, size, score) in pixels of its input."""
    maps = [np.zeros((1, depth, rows // 4, columns // 4), np.float32) for depth in OUTPUTS.values()]
    for x, y, size, score in faces_in_input:
        row, column = int(y / 4), int(x / 4)
        maps[0][0, 0, row, column] = score
        maps[1][0, :, row, column] = math.log(size / 4)
        maps[2][0, :, row, column] = (y / 4 - row - 0.5, x / 4 - column - 0.5)
        maps[3][0, :, row, column] = (SHAPE[:, ::-1] + 0.5).reshape(-1)
    return maps
