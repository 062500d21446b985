"""Faces in real clips: found where they are, not found where there are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from emer_edge.limits import Limits
from emer_edge.media.faces import find_speaker
from emer_edge.media.source import FrameSpec, open_media
from tests.support.face_maps import real_detector

NO_FACE = (
    "decord_corrupted.mp4",
    "decord_unordered.mov",
    "decord_video_0.mov",
    "decord_video_90.mov",
    "decord_video_180.mov",
    "moviepy_big_buck_bunny_432_433.webm",
    "moviepy_bitmap.mp4",
    "moviepy_no_duration.webm",
    "pyfeat_no_face.mp4",
    "torchcodec_av1_video.mkv",
    "torchcodec_h264_10bits.mp4",
)
"""Looked at by eye: test cards, keyboards, a cartoon rabbit, a logo, black, white and single pixels."""


def sampled(path: Path) -> NDArray[np.uint8]:
    spec = FrameSpec(rule="uniform_index", count=8, height=640, width=640, resize="fit", dtype="uint8")
    return open_media(path, Limits()).frames(spec).pixels


@pytest.mark.shared
class TestClips:
    @pytest.mark.parametrize("folder", ["talking", "faces_no_speech"])
    def test_a_face_is_found_in_95_of_100_frames(self, shared_clips: Path, folder: str) -> None:
        detector = real_detector()
        tracks = [
            find_speaker(sampled(path), detector.run) for path in sorted((shared_clips / folder).iterdir())
        ]
        assert len(tracks) > 10
        assert sum(track.found for track in tracks) >= 0.95 * sum(track.frames for track in tracks)
        assert min(track.found / track.frames for track in tracks) >= 0.75

    @pytest.mark.parametrize("name", NO_FACE)
    def test_no_face_is_reported_where_there_is_none(self, shared_clips: Path, name: str) -> None:
        assert find_speaker(sampled(shared_clips / "odd" / name), real_detector().run).found == 0

    def test_a_face_that_leaves_is_found_only_while_it_is_there(self, shared_clips: Path) -> None:
        track = find_speaker(sampled(shared_clips / "odd" / "pyfeat_face_noface.mov"), real_detector().run)
        assert track.indices.tolist() == [0, 1, 2, 3]
