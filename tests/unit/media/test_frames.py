"""Sampled frames: the right ones, with the right pixels, from every kind of clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emer_edge import _core
from emer_edge._core import CancelToken
from emer_edge.errors import Cancelled, InputError, LimitError, MediaError, UnsupportedMediaError
from emer_edge.limits import Limits
from emer_edge.media.source import FrameSpec, open_media
from tests.support.reference_decode import pillow_resize, sequential_frames, uniform

NATIVE = pytest.mark.skipif(not _core.decode_backend()["have_libav"], reason="no libav")
BACKENDS = [pytest.param("native", marks=NATIVE), "pyav"]
SAME_PIXELS = """
h264_aac.mp4 h264_gops.mkv h264_opengop.mp4 h264_refresh.mp4 h264_baseline.mp4 h264_mp2.ts h264_odd.mp4
h264_vfr.mp4 h264_90.mp4 h264_180.mp4 h264_270.mp4 h264_10bit.mp4 h264_one.mp4 h264_three.mp4 hevc_aac.mp4
vp8_opus.webm av1.mkv mpeg4_mp3.avi mpeg4_b.mp4 mpeg2_mp2.mpg mjpeg_pcm.avi prores.mov late_sound.mp4
faststart.mp4 fragments.mp4 edit_list.mp4 words.mkv lying_size.mp4 cut.mp4 cut.mkv
"""
TURNS = {"h264_90.mp4": 1, "h264_180.mp4": 2, "h264_270.mp4": 3}
WHOLE = FrameSpec(count=16, height=96, width=96, resize="fit", dtype="uint8")


def core_frames(clip: Path, count: int, threads: int = 0) -> dict[str, Any]:
    """What the extension gives for frames of at most 256 x 256, as uint8."""
    spec = {**FrameSpec(count=count, height=256, width=256, resize="fit", dtype="uint8").to_core()}
    return _core.decode_frames(bytes(clip), {**spec, "threads": threads}, {})


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", SAME_PIXELS.split())
def test_frames_are_those_of_sequential_decoding(made_clips: Path, name: str, backend: str) -> None:
    frames, count = sequential_frames(made_clips / name)
    batch = open_media(made_clips / name, Limits(), backend=backend).frames(WHOLE)
    turns = TURNS.get(name, 0)
    assert batch.rotation_degrees == turns * 90
    assert batch.backend == backend
    assert batch.padded == max(0, 16 - count)
    for place, ordinal in enumerate(uniform(16, count)):
        expected = np.rot90(frames[ordinal], -turns).astype(int)
        got = batch.pixels[place].transpose(1, 2, 0)
        assert got.shape == expected.shape
        assert np.abs(got - expected).mean() < 1.0, f"frame {ordinal}"
    assert np.all(np.diff(batch.pts_seconds) >= 0)
    assert (batch.source_width, batch.source_height) == (batch.pixels.shape[3], batch.pixels.shape[2])


@NATIVE
@pytest.mark.parametrize("name", [*SAME_PIXELS.split(), "size_change.ts"])
def test_threads_change_no_frame(made_clips: Path, name: str) -> None:
    alone, together = (core_frames(made_clips / name, count=16, threads=threads) for threads in (1, 2))
    assert np.array_equal(alone["pixels"], together["pixels"])
    for key in ("pts_seconds", "frames", "padded", "corrupt", "source_width", "rotation_degrees"):
        assert np.array_equal(alone[key], together[key]), key


@NATIVE
def test_groups_of_pictures_are_shared_out_among_threads(made_clips: Path) -> None:
    # Of a clip with many keyframes, no thread decodes what another one does, and nothing is decoded anew.
    alone, together = (core_frames(made_clips / "h264_gops.mkv", count=4, threads=n) for n in (1, 2))
    assert alone["decoded_packets"] == together["decoded_packets"] < alone["frames"]
    assert together["fallbacks"] == 0


@NATIVE
def test_av1_frames_that_no_other_needs_are_left_out(made_clips: Path) -> None:
    few = core_frames(made_clips / "av1.mkv", count=2)
    frames, count = sequential_frames(made_clips / "av1.mkv")
    last = count // 2
    since_key = last % 20 + 1  # keyint=20
    assert few["decoded_packets"] < 1 + since_key
    assert few["fallbacks"] == 0
    assert few["pts_seconds"][1] > 0
    shown = np.stack([frames[0], frames[last]])
    assert np.abs(few["pixels"].transpose(0, 2, 3, 1).astype(int) - shown).max() <= 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_odd_sizes_of_420_stay_near_the_reference(made_clips: Path, backend: str) -> None:
    # Decoders differ here: libav interpolates chroma over 26 rows for 51 in its own way in each version.
    frames, count = sequential_frames(made_clips / "vp9_opus.webm")
    batch = open_media(made_clips / "vp9_opus.webm", Limits(), backend=backend).frames(WHOLE)
    differences = [
        np.abs(batch.pixels[place].transpose(1, 2, 0) - frames[ordinal].astype(int)).mean()
        for place, ordinal in enumerate(uniform(16, count))
    ]
    assert np.median(differences) < 2.0
    assert max(differences) < 5.0


@pytest.mark.parametrize("backend", BACKENDS)
def test_resize_is_pillows(made_clips: Path, backend: str) -> None:
    clip = made_clips / "h264_aac.mp4"
    frames, count = sequential_frames(clip)
    source = open_media(clip, Limits(), backend=backend)
    stretched = source.frames(FrameSpec(count=4, height=48, width=40, dtype="uint8")).pixels
    cropped = source.frames(
        FrameSpec(count=4, height=48, width=48, resize="shorter_crop", dtype="uint8")
    ).pixels
    for place, ordinal in enumerate(uniform(4, count)):
        expected = pillow_resize(frames[ordinal], 40, 48).astype(int)
        assert np.abs(stretched[place].transpose(1, 2, 0) - expected).max() <= 1
        wide = pillow_resize(frames[ordinal], 72, 48).astype(int)[:, 12:60]
        assert np.abs(cropped[place].transpose(1, 2, 0) - wide).max() <= 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_normalised_frames(made_clips: Path, backend: str) -> None:
    source = open_media(made_clips / "h264_aac.mp4", Limits(), backend=backend)
    plain = source.frames(FrameSpec(count=3, height=32, width=32, dtype="uint8")).pixels
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    spec = FrameSpec(count=3, height=32, width=32, channel_order="bgr", mean=mean, std=std)
    scaled = source.frames(spec).pixels
    assert scaled.dtype == np.float32
    assert scaled.flags.c_contiguous
    for channel in range(3):
        expected = (plain[:, 2 - channel] / 255.0 - mean[channel]) / std[channel]
        assert np.allclose(scaled[:, channel], expected, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_midpoints_are_uniform_in_time(made_clips: Path, backend: str) -> None:
    batch = open_media(made_clips / "h264_vfr.mp4", Limits(), backend=backend).frames(
        FrameSpec(rule="midpoint_time", count=8, height=8, width=8)
    )
    stamps = np.array([i * 0.04 + (i // 10) * 0.5 for i in range(40)])
    times = (np.arange(8) + 0.5) / 8 * (stamps[-1] + 0.04)
    shown = stamps[np.searchsorted(stamps, times, side="right") - 1]
    assert np.abs(batch.pts_seconds - shown).max() < 0.002


@pytest.mark.parametrize("backend", BACKENDS)
def test_few_frames_are_repeated(made_clips: Path, backend: str) -> None:
    batch = open_media(made_clips / "h264_three.mp4", Limits(), backend=backend).frames(FrameSpec(count=8))
    assert batch.padded == 5
    assert np.array_equal(batch.pixels[2], batch.pixels[7])
    assert not np.array_equal(batch.pixels[0], batch.pixels[2])


@pytest.mark.parametrize("backend", BACKENDS)
def test_fit_never_enlarges(made_clips: Path, backend: str) -> None:
    source = open_media(made_clips / "h264_90.mp4", Limits(), backend=backend)
    assert source.frames(FrameSpec(count=2, height=640, width=640, resize="fit")).pixels.shape == (
        2,
        3,
        96,
        64,
    )
    assert source.frames(FrameSpec(count=2, height=48, width=20, resize="fit")).pixels.shape == (2, 3, 48, 32)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_size_that_changes_midway(made_clips: Path, backend: str) -> None:
    batch = open_media(made_clips / "size_change.ts", Limits(), backend=backend).frames(WHOLE)
    assert batch.pixels.shape == (16, 3, 64, 96)
    assert all(picture.std() > 10 for picture in batch.pixels)


@pytest.mark.parametrize("backend", BACKENDS)
def test_damage_is_survived_and_counted(made_clips: Path, backend: str) -> None:
    source = open_media(made_clips / "flipped.mp4", Limits(), backend=backend)
    first = source.frames(WHOLE)
    assert first.corrupt > 0
    assert all(picture.std() > 10 for picture in first.pixels)
    if backend == "native":  # concealment is libav's, but it must not depend on threads
        for _ in range(5):
            assert np.array_equal(first.pixels, source.frames(WHOLE).pixels)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["sound.wav", "sound.m4a", "sound.ogg"])
def test_no_video_stream(made_clips: Path, name: str, backend: str) -> None:
    source = open_media(made_clips / name, Limits(), backend=backend)
    assert source.probe().video is None
    with pytest.raises(MediaError, match="no video stream"):
        source.frames(FrameSpec())


@pytest.mark.parametrize("backend", BACKENDS)
def test_ceilings(made_clips: Path, backend: str) -> None:
    clip = made_clips / "h264_aac.mp4"
    for limits in (Limits(pixels=5_000), Limits(clip_seconds=1.0), Limits(streams=1), Limits(packets=10)):
        with pytest.raises(LimitError):
            open_media(clip, limits, backend=backend).frames(FrameSpec(height=16, width=16))
    with pytest.raises(LimitError):
        open_media(clip, Limits(frames=7), backend=backend).frames(FrameSpec(count=8))
    with pytest.raises(LimitError):
        open_media(clip, Limits(decode_seconds=1e-9), backend=backend).frames(FrameSpec())
    with pytest.raises(LimitError):
        open_media(clip, Limits(pixels=96 * 64), backend=backend).frames(FrameSpec(height=224, width=224))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_header_that_lies_about_the_size(made_clips: Path, backend: str) -> None:
    # 16 x 16 in the container, 96 x 64 in the stream: the decoder itself must refuse.
    source = open_media(made_clips / "lying_size.mp4", Limits(pixels=32 * 32), backend=backend)
    with pytest.raises((LimitError, MediaError)):
        source.frames(FrameSpec(height=16, width=16))


@pytest.mark.parametrize("backend", BACKENDS)
def test_cancel(made_clips: Path, backend: str) -> None:
    token = CancelToken()
    token.cancel()
    source = open_media(made_clips / "h264_aac.mp4", Limits(), backend=backend)
    with pytest.raises(Cancelled):
        source.frames(FrameSpec(), token)
    assert source.frames(FrameSpec()).pixels.shape == (8, 3, 224, 224)


def test_specs_that_make_no_sense() -> None:
    for wrong in (
        {"count": 0}, {"count": True}, {"height": 0}, {"width": 1 << 20}, {"rule": "random"}, {"resize": "x"},
        {"dtype": "int8"}, {"std": (1.0, 0.0, 1.0)}, {"mean": (0.0, float("nan"), 0.0)}, {"mean": (0.0,)},
    ):  # fmt: skip
        with pytest.raises(InputError):
            FrameSpec(**wrong)


@pytest.mark.shared
@pytest.mark.parametrize("folder", ["talking", "faces_no_speech", "odd"])
def test_frames_of_reference_clips(shared_clips: Path, folder: str) -> None:
    """Every clip of the reference set: equal to sequential decoding, or a clear error."""
    spec = FrameSpec(count=8, height=4096, width=4096, resize="fit", dtype="uint8")
    compared = 0
    for clip in sorted((shared_clips / folder).iterdir()):
        try:
            source = open_media(clip, Limits())
        except (MediaError, UnsupportedMediaError):
            assert clip.name in ("moviepy_result.webm", "moviepy_subtitles.srt")
            continue
        if source.probe().video is None:
            continue
        batch = source.frames(spec)
        if clip.name == "decord_corrupted.mp4":  # each libav conceals damage in its own way
            assert batch.corrupt > 0
            continue
        count = sequential_frames(clip, [])[1]
        frames, _ = sequential_frames(clip, uniform(8, count))
        for place, ordinal in enumerate(uniform(8, count)):
            expected = np.rot90(frames[ordinal], -batch.rotation_degrees // 90).astype(int)
            assert np.abs(batch.pixels[place].transpose(1, 2, 0) - expected).mean() < 1.0, clip.name
        compared += 1
    assert compared >= 12
