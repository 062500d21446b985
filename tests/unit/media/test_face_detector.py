"""Finding faces in one frame: reading the maps, refusing what is wrong, and pictures that show nobody."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from emer_edge._core import CancelToken
from emer_edge.errors import Cancelled, InputError, PackError
from emer_edge.media import face_detector
from emer_edge.media.face_detector import DetectorOptions, detect, detector_path, suppress
from emer_edge.media.faces import find_speaker
from tests.support.face_maps import SHAPE, maps_with, real_detector


class TestDetect:
    def test_reads_boxes_and_landmarks_in_pixels_of_the_frame(self) -> None:
        seen = []

        def detector(pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
            seen.append(pixels.shape)
            return maps_with([(100, 41, 40, 0.9), (150, 60, 20, 0.4)], *pixels.shape[2:])

        frames = np.zeros((2, 3, 360, 640), np.uint8)
        found = detect(frames, detector, DetectorOptions(side=160))
        assert seen == [(1, 3, 96, 160)] * 2
        np.testing.assert_allclose(found[1].scores, [0.9, 0.4])
        np.testing.assert_allclose(found[1].boxes[0], [320, 84, 480, 244], atol=1e-3)
        expected = (np.array([400, 164]) + SHAPE * 160) - 0.5
        np.testing.assert_allclose(found[1].landmarks[0], expected, atol=1e-3)

    def test_a_peak_is_one_face_and_a_weaker_box_over_it_is_none(self) -> None:
        def detector(pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
            # Two cells apart: neither hides the other in the heat map, the boxes overlap.
            return maps_with([(80, 48, 40, 0.9), (88, 48, 40, 0.8), (84, 48, 40, 0.5)], *pixels.shape[2:])

        assert len(detect(np.zeros((1, 3, 96, 160), np.uint8), detector)[0].scores) == 1

    def test_small_frames_are_not_enlarged_and_tiny_ones_do_not_fail(self) -> None:
        shapes = []

        def detector(pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
            shapes.append(pixels.shape[2:])
            return maps_with([], *pixels.shape[2:])

        for height, width in ((1, 1), (50, 50), (100, 20)):
            assert len(detect(np.zeros((1, 3, height, width), np.uint8), detector)[0].scores) == 0
        assert shapes == [(32, 32), (64, 64), (128, 32)]

    def test_refuses_other_arrays_and_other_maps(self) -> None:
        def detector(pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
            return maps_with([], 32, 32)[:3]

        for frames in (
            np.zeros((1, 8, 8, 3), np.uint8),
            np.zeros((3, 8, 8), np.uint8),
            np.zeros((1, 3, 8, 8)),
            np.zeros((1, 3, 0, 8), np.uint8),
        ):
            with pytest.raises(InputError):
                detect(frames, detector)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="maps of another shape"):
            detect(np.zeros((1, 3, 8, 8), np.uint8), detector)

    def test_stops_when_cancelled(self) -> None:
        token, calls = CancelToken(), []

        def detector(pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
            calls.append(1)
            token.cancel()
            return maps_with([], *pixels.shape[2:])

        with pytest.raises(Cancelled):
            detect(np.zeros((5, 3, 32, 32), np.uint8), detector, cancel=token)
        assert len(calls) == 1

    def test_suppress_keeps_the_stronger_of_two_overlapping(self) -> None:
        boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 0, 30, 10], [0, 8, 10, 18]])
        assert suppress(boxes, 0.3).tolist() == [0, 2, 3]

    def test_a_damaged_file_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert detector_path().name == "centerface.onnx"
        monkeypatch.setattr(face_detector, "SHA256", "0" * 64)
        with pytest.raises(PackError, match="damaged"):
            detector_path()
        monkeypatch.setattr(face_detector, "__file__", "/nowhere/face_detector.py")
        with pytest.raises(PackError, match="can't be read"):
            detector_path()


class TestNetwork:
    def test_pictures_without_a_face_have_none(self) -> None:
        random = np.random.default_rng(0)
        y, x = np.mgrid[:180, :320]
        frames = np.stack(
            [
                np.broadcast_to(x // 46 * 36 % 256, (3, 180, 320)),
                random.integers(0, 256, (3, 180, 320)),
                np.broadcast_to((np.hypot(x - 160, y - 90) < 60) * 200, (3, 180, 320)),
                np.full((3, 180, 320), 255),
            ]
        ).astype(np.uint8)
        assert find_speaker(frames, real_detector().run).found == 0

    def test_the_licence_lies_beside_the_file(self) -> None:
        text = (detector_path().parent / "LICENSE.centerface").read_text(encoding="utf-8")
        assert "StarClouds" in text
        assert "Martin Drawitsch" in text
