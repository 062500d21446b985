"""Real clips through the built-in pack: each gives an answer, or says clearly why it can't."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

import emer_edge as ee

pytestmark = pytest.mark.shared
SCHEMA = json.loads((Path(ee.__file__).parent / "schemas" / "reasoning.schema.json").read_text())
NOTHING_TO_GO_BY = {
    # No sound, no subtitle, and nobody's face in the picture.
    "decord_corrupted.mp4",
    "decord_unordered.mov",
    "decord_video_0.mov",
    "decord_video_90.mov",
    "decord_video_180.mov",
    "moviepy_bitmap.mp4",
    "moviepy_no_duration.webm",
    "torchcodec_av1_video.mkv",
    "torchcodec_h264_10bits.mp4",
    # No clip at all.
    "moviepy_result.webm",
    "moviepy_subtitles.srt",
}


@pytest.fixture(scope="module")
def reasoner() -> Iterator[ee.Reasoner]:
    with ee.load("emer-nano", threads=2) as loaded:
        yield loaded


@pytest.mark.parametrize("folder", ["talking", "faces_no_speech"])
def test_every_clip_with_a_face_gives_an_answer(
    reasoner: ee.Reasoner, shared_clips: Path, folder: str
) -> None:
    clips = sorted((shared_clips / folder).iterdir())
    assert clips
    for clip in clips:
        out = reasoner.infer(clip)
        jsonschema.validate(out.to_dict(), SCHEMA)
        assert out.used.faces == out.used.frames == 8, clip.name
        assert out.text.strip(), clip.name
        words = " ".join(out.used.missing)
        quiet = any(word in words for word in ("sound", "audio", "voice"))
        assert ("audio" in out.used.modalities) == (not quiet)


def test_every_odd_file_gives_an_answer_or_a_clear_error(reasoner: ee.Reasoner, shared_clips: Path) -> None:
    refused = set()
    for clip in sorted((shared_clips / "odd").iterdir()):
        out = _answer_or_error(reasoner, clip)
        if isinstance(out, ee.EmerError):
            refused.add(clip.name)
            assert clip.name in out.what
            assert out.why or out.todo
            assert out.exit_code == 1
        else:
            jsonschema.validate(out.to_dict(), SCHEMA)
            assert out.used.missing, f"{clip.name} is odd, and the answer does not say how"
    assert refused == NOTHING_TO_GO_BY


def _answer_or_error(reasoner: ee.Reasoner, clip: Path) -> ee.Reasoning | ee.EmerError:
    try:
        return reasoner.infer(clip)
    except ee.EmerError as error:
        return error


def test_no_modality_is_named_that_was_not_given(reasoner: ee.Reasoner, shared_clips: Path) -> None:
    clip = shared_clips / "talking" / "hdtf_aoc.mp4"
    out = reasoner.infer(clip, subtitle="")
    assert "subtitle" not in out.used.modalities
    assert all(clue.modality != "words" for clue in out.clues)
