"""Following the speaker through a clip, aligning and cutting out the face."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from emer_edge.errors import InputError
from emer_edge.media.face_detector import Detections
from emer_edge.media.faces import (
    FaceAlignment,
    FaceOptions,
    FaceTrack,
    choose,
    crop_speaker,
    find_speaker,
    similarity,
)
from tests.support.face_maps import SHAPE, faces, maps_with

ALIGNMENT = FaceAlignment((0.32, 0.405), (0.68, 0.405), (0.5, 0.745))


def follow(*frames: Detections, **options: float) -> FaceTrack:
    return choose(list(frames), 360, 640, FaceOptions(**options))  # type: ignore[arg-type]


class TestFollow:
    def test_the_speaker_is_the_larger_surer_more_central_face(self) -> None:
        track = follow(*[faces((320 + 5 * i, 180, 120, 0.9), (80, 60, 60, 0.9)) for i in range(8)])
        assert track.found == 8
        assert track.others == 1
        np.testing.assert_allclose(track.boxes[3], [275, 120, 395, 240])

    def test_one_large_glimpse_does_not_beat_a_steady_face(self) -> None:
        frames = [faces((320, 180, 100, 0.9)) for _ in range(8)]
        frames[4] = faces((320, 180, 100, 0.9), (120, 180, 180, 0.9))
        track = follow(*frames)
        assert track.found == 8
        np.testing.assert_allclose(track.boxes[:, 0], 270)
        assert track.others == 0

    def test_two_people_do_not_swap_when_the_detector_swaps_them(self) -> None:
        frames = [
            faces(*((220, 180, 100, 0.9), (420, 180, 110, 0.9))[:: 1 if i % 2 else -1]) for i in range(6)
        ]
        assert (np.abs(follow(*frames).boxes[:, 0] - 365) < 1).all()

    def test_a_gap_is_left_out_and_the_face_is_found_again(self) -> None:
        frames = [faces((320, 180, 100, 0.9)) for _ in range(8)]
        frames[2] = frames[3] = faces()
        track = follow(*frames)
        assert track.indices.tolist() == [0, 1, 4, 5, 6, 7]
        assert track.frames == 8

    def test_a_weak_find_counts_beside_strong_ones_but_not_alone(self) -> None:
        weak, strong = faces((320, 180, 100, 0.3)), faces((320, 180, 100, 0.9))
        assert follow(strong, strong, weak, strong).found == 4
        assert follow(weak, weak, weak, weak).found == 0

    def test_too_few_frames_or_too_small_is_no_face(self) -> None:
        seen, nobody = faces((320, 180, 100, 0.9)), faces()
        assert follow(seen, *[nobody] * 7).found == 0
        assert follow(seen, *[nobody] * 7, minimum_share=0.1).found == 1
        assert follow(*[faces((320, 180, 16, 0.9))] * 8).found == 0

    def test_a_jump_or_another_scale_is_another_face(self) -> None:
        left, right, huge = (
            faces((100, 180, 100, 0.9)),
            faces((500, 180, 90, 0.9)),
            faces((100, 180, 300, 0.9)),
        )
        assert follow(left, left, left, right).indices.tolist() == [0, 1, 2]
        assert follow(left, left, left, huge).indices.tolist() == [0, 1, 2]

    def test_nobody_anywhere(self) -> None:
        track = follow(*[faces()] * 8)
        assert (track.found, track.frames, track.others) == (0, 8, 0)
        assert track.boxes.shape == (0, 4)
        assert track.landmarks.shape == (0, 5, 2)

    def test_a_clip_without_finds_is_searched_once_more_and_finer(self) -> None:
        sides = []

        def detector(pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
            sides.append(max(pixels.shape[2:]))
            found = [(190.0, 100.0, 40.0, 0.9)] if sides[-1] == 384 else []
            return maps_with(found, *pixels.shape[2:])

        frames = np.zeros((2, 3, 360, 640), np.uint8)
        assert find_speaker(frames, detector).found == 2
        assert sides == [192, 192, 384, 384]
        sides.clear()
        assert find_speaker(frames, detector, FaceOptions(retry_side=0)).found == 0
        assert find_speaker(frames[:, :, :100, :100], detector).found == 0
        assert sides == [192, 192, 128, 128]


class TestAlign:
    @pytest.mark.parametrize("degrees", [0.0, 25.0, -40.0, 170.0])
    def test_similarity_brings_eyes_and_mouth_where_the_pack_wants(self, degrees: float) -> None:
        goal = np.array([ALIGNMENT.left_eye, ALIGNMENT.right_eye, ALIGNMENT.mouth]) * (48, 64) - 0.5
        turn = math.radians(degrees)
        rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        left, right, mouth = goal @ rotation.T * 2.5 + (200, 100)
        shift = np.array([9, 3])
        landmarks = np.array([[left, right, mouth, mouth - shift, mouth + shift]], np.float32)
        matrix = similarity(landmarks, ALIGNMENT, height=64, width=48)[0]
        reached = np.array([left, right, mouth]) @ matrix[:, :2].T + matrix[:, 2]
        np.testing.assert_allclose(reached, goal, atol=1e-3)

    def test_a_profile_is_turned_and_scaled_but_never_mirrored_or_sheared(self) -> None:
        landmarks = np.array([[(100, 100), (104, 100), (90, 110), (98, 130), (101, 130)]], np.float32)
        linear = similarity(landmarks, ALIGNMENT, height=48, width=48)[0][:, :2]
        gram = linear @ linear.T
        np.testing.assert_allclose(gram, np.eye(2) * gram[0, 0], atol=1e-5)
        assert np.linalg.det(linear) > 0

    def test_crops_show_the_marks_at_their_places(self) -> None:
        """Eyes red and green, mouth blue, drawn on a turned face: each must come out at its place."""
        turn, size, height, width = math.radians(20), 160.0, 240, 320
        points = SHAPE @ np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
        landmarks = (points * size + (170, 110)).astype(np.float32)
        marks = [landmarks[0], landmarks[1], (landmarks[3] + landmarks[4]) / 2]
        frames = np.zeros((3, 3, height, width), np.uint8)
        y, x = np.mgrid[:height, :width]
        for channel, (mark_x, mark_y) in enumerate(marks):
            frames[1:, channel][:, np.hypot(x - mark_x, y - mark_y) < 9] = 255
        box = np.array([[90, 30, 250, 190]] * 2, np.float32)
        track = FaceTrack(3, np.array([1, 2]), box, np.stack([landmarks] * 2), np.ones(2, np.float32))
        crops = crop_speaker(frames, track, ALIGNMENT, height=48, width=48)
        assert crops.crops.shape == (2, 3, 48, 48)
        assert crops.crops.dtype == np.uint8
        assert crops.crops.flags.c_contiguous
        np.testing.assert_array_equal(crops.crops[0], crops.crops[1])
        matrix = similarity(landmarks[None], ALIGNMENT, height=48, width=48)[0]
        y, x = np.mgrid[:48, :48]
        for channel, mark in enumerate(marks):
            weight = crops.crops[0, channel].astype(float)
            centre = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
            np.testing.assert_allclose(centre, matrix[:, :2] @ mark + matrix[:, 2], atol=0.25)
        places = np.array([ALIGNMENT.left_eye, ALIGNMENT.right_eye, ALIGNMENT.mouth]) * 48 - 0.5
        reached = np.array(marks) @ matrix[:, :2].T + matrix[:, 2]
        assert np.abs(reached - places).max() < 3

    def test_no_face_gives_no_crops(self) -> None:
        frames = np.zeros((4, 3, 32, 32), np.uint8)
        crops = crop_speaker(frames, follow(*[faces()] * 4), ALIGNMENT, height=48, width=40)
        assert crops.crops.shape == (0, 3, 48, 40)
        assert crops.found == 0

    def test_a_track_of_other_frames_is_refused(self) -> None:
        with pytest.raises(InputError, match="4 frames"):
            crop_speaker(
                np.zeros((3, 3, 8, 8), np.uint8), follow(*[faces()] * 4), ALIGNMENT, height=8, width=8
            )

    def test_landmarks_in_one_point_are_an_error_and_no_crash(self) -> None:
        track = FaceTrack(
            1,
            np.array([0]),
            np.zeros((1, 4), np.float32),
            np.full((1, 5, 2), 4, np.float32),
            np.ones(1, np.float32),
        )
        with pytest.raises(InputError):
            crop_speaker(np.zeros((1, 3, 8, 8), np.uint8), track, ALIGNMENT, height=8, width=8)
