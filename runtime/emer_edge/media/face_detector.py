"""Finds faces and five landmarks in single frames with CenterFace.

Knows the detector's file, what its four maps mean and how to read faces from them. Does not know which
runtime runs the network (a `Detector` is passed in), nor anything about time: see `faces`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import Cancelled, InputError, PackError
from emer_edge.media.warp import warp

if TYPE_CHECKING:
    from emer_edge._core import CancelToken

Detector = Callable[[NDArray[np.uint8]], Sequence[NDArray[np.float32]]]
"""Runs the network: uint8 RGB (N, 3, h, w), sides multiples of 32 -> the maps of `OUTPUTS`."""

INPUT = "pixels"
OUTPUTS = {"heat": 1, "scale": 2, "offset": 2, "landmarks": 10}
"""The maps in the order in which a `Detector` returns them, with their channels: (N, channels, h/4, w/4)."""
STRIDE = 4
SIDE_MULTIPLE = 32
SHA256 = "4846c953faf661702f3f52a56c07b1fe7907e5677f5996af78a8083da43e3efe"
"""Of models/centerface.onnx, which `scripts/vendor_centerface.py` writes."""


@dataclass(frozen=True, slots=True)
class DetectorOptions:
    """How faces are looked for in one frame.

    Args:
        side: longest side, in pixels, at which the network sees a frame.
        score: the least centre score of a face, 0..1; `faces` asks for more from a whole track.
        overlap: intersection over union above which the weaker of two boxes is the same face.
        at_most: faces kept per frame, the strongest first.
    """

    side: int = 192
    score: float = 0.25
    overlap: float = 0.3
    at_most: int = 16


@dataclass(frozen=True, slots=True, repr=False)
class Detections:
    """Faces of one frame, strongest first, in pixels of that frame."""

    boxes: NDArray[np.float32]
    """(K, 4) left, top, right, bottom; may reach past the frame."""
    landmarks: NDArray[np.float32]
    """(K, 5, 2) x, y: the eye on the picture's left, the other eye, nose tip, left and right mouth corner."""
    scores: NDArray[np.float32]
    """(K,) 0..1."""

    def __repr__(self) -> str:
        return f"Detections({len(self.scores)} faces)"


def detector_path() -> Path:
    """Path of the detector's ONNX file, checked against its hash.

    Raises:
        PackError: the installed file is missing or is not the file that was shipped.
    """
    path = Path(__file__).parent / "models" / "centerface.onnx"
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise PackError(
            "The face detector's file can't be read.", str(error), "Reinstall emer-edge."
        ) from error
    if digest != SHA256:
        raise PackError(
            "The face detector's file is damaged.",
            f"{path}: SHA-256 is {digest}, not {SHA256}.",
            "Reinstall emer-edge.",
        )
    return path


def detect(
    frames: NDArray[np.uint8],
    detector: Detector,
    options: DetectorOptions | None = None,
    cancel: CancelToken | None = None,
) -> list[Detections]:
    """Find the faces of each frame, every frame on its own.

    Args:
        frames: (N, 3, H, W) uint8 RGB.
        detector: runs the network.
        options: thresholds and input size.
        cancel: looked at before each frame.

    Raises:
        InputError: the frames have another shape or type, or the network answers with other maps.
        Cancelled: `cancel` was set.
    """
    if frames.ndim != 4 or frames.shape[1] != 3 or 0 in frames.shape[2:] or frames.dtype != np.uint8:
        raise InputError(
            f"Faces are looked for in uint8 frames of shape (N, 3, H, W), not {frames.dtype} {frames.shape}."
        )
    options = options or DetectorOptions()
    height, width = frames.shape[2:]
    # Never enlarged: the network gains nothing from pixels that were made up.
    scale = min(1.0, options.side / max(height, width))
    rows, columns = (_fitted(side * scale) for side in (height, width))
    # Pixel centres are integers: centre 0 of the small picture lies at (1 / scale - 1) / 2 of the large one.
    matrix = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2]], np.float32)
    found = []
    for frame in frames:
        if cancel is not None and cancel.cancelled:
            raise Cancelled("The search for faces was cancelled.")
        # One frame at a time is as fast as a batch on a CPU, its maps stay in the cache.
        seen = warp(frame[None], matrix[None], height=rows, width=columns)
        maps = detector(seen)
        _check_maps(maps, rows, columns)
        found.append(_read(maps, scale, options))
    return found


def _fitted(side: float) -> int:
    return max(SIDE_MULTIPLE, -(-round(side) // SIDE_MULTIPLE) * SIDE_MULTIPLE)


def _check_maps(maps: Sequence[NDArray[np.float32]], rows: int, columns: int) -> None:
    expected = [(1, channels, rows // STRIDE, columns // STRIDE) for channels in OUTPUTS.values()]
    shapes = [np.shape(item) for item in maps]
    if shapes != expected:
        raise InputError(
            "The face detector answered with maps of another shape.", f"{shapes}, not {expected}."
        )


def _read(maps: Sequence[NDArray[np.float32]], scale: float, options: DetectorOptions) -> Detections:
    """Faces from the maps of one frame (Xu et al. 2019, arXiv:1911.03599, section 3).

    The heat map peaks at face centres; offset (y, x) refines the centre within its cell of 4 px; exp(scale)
    is (height, width) in cells; landmarks (y, x) are fractions of the box, from its top left corner.
    """
    heat, log_size, offset, points = (item[0] for item in maps)
    row, column = np.nonzero((heat[0] >= options.score) & (heat[0] >= _neighbourhood_maximum(heat[0])))
    order = np.argsort(-heat[0, row, column], kind="stable")[: 4 * options.at_most]
    row, column = row[order], column[order]
    size = np.exp(np.minimum(log_size[:, row, column], 8.0)).T * STRIDE  # (K, 2) height, width
    centre = (np.stack([row, column], 1) + offset[:, row, column].T + 0.5) * STRIDE
    corner = centre - size / 2
    fraction = points[:, row, column].T.reshape(-1, 5, 2)
    landmarks = corner[:, None] + fraction * size[:, None]
    boxes = np.concatenate([corner, corner + size], 1)[:, [1, 0, 3, 2]]
    keep = suppress(boxes, options.overlap)[: options.at_most]
    # The maps measure from the picture's edge, landmarks are pixel centres (integers), hence the half.
    return Detections(
        boxes=(boxes[keep] / scale).astype(np.float32),
        landmarks=(landmarks[keep][..., ::-1] / scale - 0.5).astype(np.float32),
        scores=heat[0, row, column][keep].astype(np.float32),
    )


def _neighbourhood_maximum(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    padded = np.pad(heat, 1, constant_values=-1.0)
    rows = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    out: NDArray[np.float32] = np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
    return out


def suppress(boxes: NDArray[Any], overlap: float) -> NDArray[np.intp]:
    """Indices of the boxes (K, 4), strongest first, that no stronger box overlaps by more than `overlap`."""
    kept: list[int] = []
    for i in range(len(boxes)):
        if not kept or intersection_over_union(boxes[i], boxes[kept]).max() <= overlap:
            kept.append(i)
    return np.array(kept, np.intp)


def intersection_over_union(box: NDArray[Any], boxes: NDArray[Any]) -> NDArray[np.float64]:
    """Shared share of area of `box` (4,) with each of `boxes` (K, 4), 0..1."""
    corner = np.maximum(box[:2], boxes[:, :2])
    shared = np.prod(np.clip(np.minimum(box[2:], boxes[:, 2:]) - corner, 0, None), axis=1)
    area = np.prod(box[2:] - box[:2]) + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) - shared
    return np.asarray(shared / np.maximum(area, 1e-9), np.float64)
