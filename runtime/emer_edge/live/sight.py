"""The pictures of a stream: each sampled frame is searched and embedded once, whatever windows share it.

Follows `senses.see` stage by stage, so that a window gives what a whole clip of the same frames gives. Knows
slots of the plan. Knows no clock and no language model.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from emer_edge import _core
from emer_edge._core import CancelToken
from emer_edge.live.inbox import Item
from emer_edge.live.plan import Plan, spread
from emer_edge.media.face_detector import Detections, DetectorOptions, detect
from emer_edge.media.faces import FaceAlignment, FaceOptions, FaceTrack, choose, crop_speaker
from emer_edge.media.source import FrameSpec
from emer_edge.senses import Percept, Rows, frame_spec
from emer_edge.session import Session


@dataclass(slots=True)
class _Look:
    """One sampled frame and everything that was ever computed from it."""

    pixels: NDArray[np.generic]
    """(3, H, W) uint8 for faces, float32 normalised otherwise."""
    found: dict[int, Detections] = field(default_factory=dict)
    """Faces, by the side at which the detector saw the frame."""
    rows: dict[tuple[int, int], Rows] = field(default_factory=dict)
    """Embedding of one face, by side and place in `found`; (0, 0) for the whole frame."""


class Sight:
    """Frames by slot, and the embeddings of a window of them.

    Args:
        session: the pack's encoders and rules.
        plan: the grid.
    """

    def __init__(self, session: Session, plan: Plan) -> None:
        self._session, self._plan = session, plan
        self._rule = session.manifest.preprocessing.frames
        self._looks: dict[int, _Look] = {}
        self.encoded = self.reused = 0
        faces = self._rule.faces
        self._options = FaceOptions(minimum_share=faces.minimum_share) if faces else FaceOptions()

    def __len__(self) -> int:
        """Frames that are kept."""
        return len(self._looks)

    def clear(self) -> None:
        """Forget everything: the stream starts anew."""
        self._looks.clear()

    def forget(self, hop: int) -> None:
        """Forget what no window after `hop` looks at."""
        first = self._plan.slots(hop + 1).start
        for slot in [slot for slot in self._looks if slot < first]:
            del self._looks[slot]

    def take(self, item: Item) -> None:
        """Keep a frame, in the size in which it is worked on."""
        spec = _fitted(frame_spec(self._rule), item)
        pixels = _core.resize(np.ascontiguousarray(item.payload[None]), spec.to_core())[0]
        looks = self._looks
        if looks and next(iter(looks.values())).pixels.shape != pixels.shape:
            looks.clear()  # another camera, or it was turned: faces can't be followed from one to the other
        looks[item.slot] = _Look(pixels)

    def search_ahead(self) -> bool:
        """Look for faces in one frame that was not searched yet; False where there is none."""
        if self._session.detector is None:
            return False
        for look in self._looks.values():
            if not look.found:
                self._detect(look, self._options.detector)
                return True
        return False

    def percept(self, hop: int, cancel: CancelToken | None = None) -> Percept:
        """What window `hop` sees.

        Raises:
            DeviceError, PackError, Cancelled.
        """
        began = time.perf_counter()
        slots = [slot for slot in self._plan.slots(hop) if slot in self._looks]
        percept = Percept(frames=len(slots))
        if not slots:
            return percept
        looks = [self._looks[slot] for slot in spread(slots, self._plan.frames)]
        if self._rule.source != "faces":
            percept.embeddings = self._embed([(look, (0, 0)) for look in looks], cancel)
            percept.seconds["vision"] = time.perf_counter() - began
            return percept
        track, side = self._follow(looks, cancel)
        searched = time.perf_counter()
        percept.seconds["faces"] = searched - began
        chosen = [
            (looks[int(i)], (side, k))
            for i, k in zip(track.indices, self._places(track, looks, side), strict=True)
        ]
        percept.faces = len({id(look) for look, _ in chosen})
        if not chosen:
            percept.missing.append("no face found")
            return percept
        if percept.faces < percept.frames:
            percept.missing.append(f"a face in {percept.faces} of {percept.frames} frames")
        percept.embeddings = self._embed(chosen, cancel, (track, side))
        percept.seconds["vision"] = time.perf_counter() - searched
        return percept

    def _follow(self, looks: list[_Look], cancel: CancelToken | None) -> tuple[FaceTrack, int]:
        """The speaker through these frames, and the side at which the detector found them."""
        coarse = self._options.detector
        height, width = looks[0].pixels.shape[1:]
        found = [self._detect(look, coarse, cancel) for look in looks]
        track = choose(found, height, width, self._options)
        side = self._options.retry_side
        if track.found or not min(side, max(height, width)) > coarse.side:
            return track, coarse.side
        finer = DetectorOptions(side, coarse.score, coarse.overlap, coarse.at_most)
        found = [self._detect(look, finer, cancel) for look in looks]
        return choose(found, height, width, self._options), side

    def _detect(self, look: _Look, options: DetectorOptions, cancel: CancelToken | None = None) -> Detections:
        detector = self._session.detector
        assert detector is not None
        if options.side not in look.found:
            look.found[options.side] = detect(_bytes(look)[None], detector, options, cancel)[0]
        return look.found[options.side]

    @staticmethod
    def _places(track: FaceTrack, looks: list[_Look], side: int) -> list[int]:
        """Which of the faces of its frame each face of the track is."""
        return [
            int(np.argmax((looks[int(i)].found[side].boxes == box).all(axis=1)))
            for i, box in zip(track.indices, track.boxes, strict=True)
        ]

    def _embed(
        self,
        wanted: list[tuple[_Look, tuple[int, int]]],
        cancel: CancelToken | None,
        followed: tuple[FaceTrack, int] | None = None,
    ) -> Rows:
        """Embeddings in the order wanted; those that no window before has had are computed together."""
        new = {(id(look), key): number for number, (look, key) in enumerate(wanted) if key not in look.rows}
        self.reused += len(wanted) - len(new)
        if new:
            numbers = list(new.values())
            pictures = [
                self._crop(wanted[n][0], followed[0], n) if followed else wanted[n][0].pixels for n in numbers
            ]
            rows = self._session.vision.encode(np.stack(pictures), cancel)
            self.encoded += len(numbers)
            for n, row in zip(numbers, rows, strict=True):
                look, key = wanted[n]
                look.rows[key] = row
        return np.stack([look.rows[key] for look, key in wanted])

    def _crop(self, look: _Look, track: FaceTrack, number: int) -> NDArray[np.uint8]:
        rule = self._rule
        assert rule.faces is not None
        align = rule.faces.align
        one = FaceTrack(
            1,
            np.zeros(1, np.intp),
            track.boxes[number : number + 1],
            track.landmarks[number : number + 1],
            track.scores[number : number + 1],
        )
        alignment = FaceAlignment(align.left_eye, align.right_eye, align.mouth)
        crop = crop_speaker(_bytes(look)[None], one, alignment, height=rule.height, width=rule.width)
        out: NDArray[np.uint8] = crop.crops[0]
        return out


def _bytes(look: _Look) -> NDArray[np.uint8]:
    return np.asarray(look.pixels, np.uint8)


def _fitted(spec: FrameSpec, item: Item) -> FrameSpec:
    """The rule for one frame of which rows may have been left out: its shape is that of the whole frame."""
    rows, width = item.payload.shape[:2]
    if rows == item.height or spec.resize != "fit":
        return spec
    scale = min(1.0, max(spec.height, spec.width) / max(item.height, width))
    height, width = (max(1, round(side * scale)) for side in (item.height, width))
    return replace(spec, height=height, width=width, resize="stretch")
