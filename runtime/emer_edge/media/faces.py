"""Follows the main speaker's face through the sampled frames and cuts it out, upright and at one scale.

Knows tracks, which of them is the speaker, and the similarity transform. Does not know how a face is found
in one frame (`face_detector`), which runtime runs the detector, or what the crops are for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import InputError
from emer_edge.media.face_detector import Detections, Detector, DetectorOptions, detect
from emer_edge.media.warp import warp

if TYPE_CHECKING:
    from emer_edge._core import CancelToken


@dataclass(frozen=True, slots=True)
class FaceAlignment:
    """Where a pack wants eyes and mouth, as (x, y) fractions of the crop from its left and top edge."""

    left_eye: tuple[float, float]
    """The eye on the left of the picture."""
    right_eye: tuple[float, float]
    mouth: tuple[float, float]
    """The middle between the mouth's corners."""


@dataclass(frozen=True, slots=True)
class FaceOptions:
    """What counts as a face that is followed.

    Args:
        minimum_share: share of the frames a track must cover, 0..1.
        mean_score: mean score that a track must reach: weak finds count only beside strong ones.
        minimum_pixels: distance from the eyes to the mouth below which a face is too small to read.
        reach: how far a face may move between two sampled frames, in face sizes.
        growth: by what factor it may grow or shrink between two sampled frames.
        detector: how single frames are searched.
        retry_side: longest side of a second, finer search of a clip where the first found nobody; 0 for none.
    """

    minimum_share: float = 0.25
    mean_score: float = 0.5
    minimum_pixels: float = 8.0
    reach: float = 1.0
    growth: float = 2.0
    detector: DetectorOptions = field(default_factory=DetectorOptions)
    retry_side: int = 384


@dataclass(frozen=True, slots=True, repr=False)
class FaceTrack:
    """One face through the frames it was found in; empty when nobody was found.

    A frame in which the face was not found is left out: between frames that are a second or more apart a
    guessed position would cut out something else.
    """

    frames: int
    """How many frames were searched."""
    indices: NDArray[np.intp]
    """(M,) the frames with the face, ascending."""
    boxes: NDArray[np.float32]
    """(M, 4) left, top, right, bottom, pixels."""
    landmarks: NDArray[np.float32]
    """(M, 5, 2) as in `Detections`."""
    scores: NDArray[np.float32]
    """(M,) 0..1."""
    others: int = 0
    """How many other faces were followed and not chosen."""

    @property
    def found(self) -> int:
        """In how many frames the face was found."""
        return len(self.indices)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.found} of {self.frames} frames, {self.others} other faces)"


@dataclass(frozen=True, slots=True, repr=False)
class FaceCrops(FaceTrack):
    """A track with its aligned crops."""

    crops: NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, 3, 0, 0), np.uint8))
    """(M, 3, height, width) uint8 RGB, C-contiguous; one for each of `indices`."""


def find_speaker(
    frames: NDArray[np.uint8],
    detector: Detector,
    options: FaceOptions | None = None,
    cancel: CancelToken | None = None,
) -> FaceTrack:
    """Find the face that is largest, surest and nearest to the middle over all frames.

    Args:
        frames: (N, 3, H, W) uint8 RGB in time order.
        detector: runs the network that `face_detector` describes.
        options: what counts as a face.
        cancel: looked at before each frame.

    Raises:
        InputError: the frames have another shape or type.
        Cancelled: `cancel` was set.
    """
    options = options or FaceOptions()
    found = detect(frames, detector, options.detector, cancel)
    track = choose(found, frames.shape[2], frames.shape[3], options)
    longest = max(frames.shape[2:])
    if not track.found and min(options.retry_side, longest) > options.detector.side:
        finer = DetectorOptions(
            options.retry_side, options.detector.score, options.detector.overlap, options.detector.at_most
        )
        track = choose(detect(frames, detector, finer, cancel), frames.shape[2], frames.shape[3], options)
    return track


def crop_speaker(
    frames: NDArray[np.uint8], track: FaceTrack, alignment: FaceAlignment, *, height: int, width: int
) -> FaceCrops:
    """Cut the tracked face out of its frames, turned and scaled so that eyes and mouth lie where they must.

    Args:
        frames: the (N, 3, H, W) uint8 frames in which the track was found.
        track: from `find_speaker`.
        alignment: where eyes and mouth go.
        height: of the crops, pixels.
        width: of the crops, pixels.

    Raises:
        InputError: the track belongs to other frames.
    """
    if track.frames != len(frames):
        raise InputError(f"A track through {track.frames} frames can't cut {len(frames)} frames.")
    if track.found:
        matrices = similarity(track.landmarks, alignment, height=height, width=width)
        crops = warp(frames[track.indices], matrices, height=height, width=width)
    else:
        crops = np.empty((0, 3, height, width), np.uint8)
    return FaceCrops(
        track.frames, track.indices, track.boxes, track.landmarks, track.scores, track.others, crops
    )


def similarity(
    landmarks: NDArray[np.float32], alignment: FaceAlignment, *, height: int, width: int
) -> NDArray[np.float32]:
    """The rotation, scale and shift that bring eyes and mouth nearest to `alignment`, by least squares.

    Args:
        landmarks: (M, 5, 2) x, y in frame pixels, pixel centres at integers.
        alignment: the places to reach.
        height: of the crop, pixels.
        width: of the crop, pixels.

    Returns:
        (M, 2, 3) float32, frame pixels to crop pixels.
    """
    places = np.array([alignment.left_eye, alignment.right_eye, alignment.mouth], np.float64)
    goal = _complex(places * (width, height) - 0.5)
    points = _complex(_eyes_and_mouth(landmarks))
    middle, goal_middle = points.mean(axis=1, keepdims=True), goal.mean()
    # z -> turn * z + shift, the plane's similarities without reflection as complex numbers.
    spread = np.sum(np.abs(points - middle) ** 2, axis=1)
    turn = np.sum(np.conj(points - middle) * (goal - goal_middle), axis=1) / np.maximum(spread, 1e-12)
    shift = goal_middle - turn * middle[:, 0]
    rows = [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]]
    return np.ascontiguousarray(np.moveaxis(np.array(rows), 2, 0), np.float32)


def choose(found: list[Detections], height: int, width: int, options: FaceOptions) -> FaceTrack:
    """The main speaker's track among the faces found in frames of that height and width."""
    frames = len(found)
    kept = [track for track in _tracks(found, options) if _is_face(track, found, options)]
    if not kept:
        return FaceTrack(
            frames,
            np.empty(0, np.intp),
            np.empty((0, 4), np.float32),
            np.empty((0, 5, 2), np.float32),
            np.empty(0, np.float32),
        )
    best = max(kept, key=lambda track: sum(_weight(found[i], k, height, width) for i, k in track))
    return FaceTrack(
        frames,
        np.array([i for i, _ in best], np.intp),
        np.stack([found[i].boxes[k] for i, k in best]),
        np.stack([found[i].landmarks[k] for i, k in best]),
        np.array([found[i].scores[k] for i, k in best], np.float32),
        len(kept) - 1,
    )


Track = list[tuple[int, int]]
"""(frame, face in that frame), frames ascending."""


def _tracks(found: list[Detections], options: FaceOptions) -> list[Track]:
    """Join faces of successive frames, nearest pairs first; a lost face may come back where it was."""
    tracks: list[Track] = []
    for i, faces in enumerate(found):
        pairs = []
        for t, track in enumerate(tracks):
            last = found[track[-1][0]].boxes[track[-1][1]]
            for k, distance in enumerate(_distances(last, faces.boxes, options.growth)):
                if distance <= options.reach and _readable(faces, k, options):
                    pairs.append((float(distance), t, k))
        joined: set[int] = set()
        taken: set[int] = set()
        for _, t, k in sorted(pairs):
            if t not in joined and k not in taken:
                tracks[t].append((i, k))
                joined.add(t)
                taken.add(k)
        tracks += [
            [(i, k)] for k in range(len(faces.scores)) if k not in taken and _readable(faces, k, options)
        ]
    return tracks


def _distances(box: NDArray[Any], boxes: NDArray[Any], growth: float) -> NDArray[np.float64]:
    """From `box` (4,) to each of `boxes` (K, 4) in face sizes; infinite where the size differs too much."""
    size, sizes = _size(box), _size(boxes)
    apart = np.hypot(*((boxes[:, :2] + boxes[:, 2:] - box[:2] - box[2:]) / 2).T)
    ratio = np.maximum(sizes / size, size / sizes)
    return np.where(ratio <= growth, apart / np.maximum(sizes, size), np.inf)


def _is_face(track: Track, found: list[Detections], options: FaceOptions) -> bool:
    scores = [float(found[i].scores[k]) for i, k in track]
    steady = len(track) >= options.minimum_share * len(found)
    return steady and sum(scores) >= options.mean_score * len(scores)


def _weight(faces: Detections, k: int, height: int, width: int) -> float:
    box = faces.boxes[k]
    centre = (box[:2] + box[2:]) / 2 / (width, height)
    # 1 in the middle of the picture, 0.5 in its corners: a speaker may well sit at the side.
    centrality = 1.0 - float(np.hypot(*(centre - 0.5))) / math.sqrt(2)
    size = float(_size(box)) / math.sqrt(height * width)
    return float(faces.scores[k]) * size * max(0.0, centrality)


def _readable(faces: Detections, k: int, options: FaceOptions) -> bool:
    left, right, mouth = _eyes_and_mouth(faces.landmarks[k : k + 1])[0]
    return float(np.hypot(*((left + right) / 2 - mouth))) >= options.minimum_pixels


def _eyes_and_mouth(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    points = landmarks.astype(np.float64)
    return np.stack([points[:, 0], points[:, 1], (points[:, 3] + points[:, 4]) / 2], axis=1)


def _size(boxes: NDArray[Any]) -> NDArray[np.float64]:
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 1e-3)
    return np.asarray(np.sqrt(np.prod(sides, axis=-1)), np.float64)


def _complex(points: NDArray[np.float64]) -> NDArray[np.complex128]:
    return np.asarray(points[..., 0] + 1j * points[..., 1], np.complex128)
