"""Sound: the samples an independent decoder gives, the mean of the channels, the clip's own clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emer_edge import _core
from emer_edge._core import CancelToken
from emer_edge.errors import Cancelled, InputError, LimitError, MediaError
from emer_edge.limits import Limits
from emer_edge.media import pyav
from emer_edge.media.audio import mono_waveform
from emer_edge.media.source import AudioSpec, open_media
from tests.support.reference_decode import mono

BACKENDS = [
    pytest.param(
        "native", marks=pytest.mark.skipif(not _core.decode_backend()["have_libav"], reason="no libav")
    ),
    "pyav",
]
SOUNDS = """
h264_aac.mp4 h264_gops.mkv h264_mp2.ts mpeg4_mp3.avi mpeg2_mp2.mpg mjpeg_pcm.avi late_sound.mp4 fragments.mp4
sound.m4a sound.wav sound_24bit.wav sound_8k.wav sound.flac sound.mp3 sound.ogg surround.wav vp8_opus.webm
"""


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", SOUNDS.split())
def test_samples_are_the_reference_decoders(made_clips: Path, name: str, backend: str) -> None:
    expected = mono(made_clips / name)
    waveform = open_media(made_clips / name, Limits(), backend=backend).waveform(AudioSpec())
    assert waveform.samples.dtype == np.float32
    assert waveform.samples.shape == expected.shape
    assert np.abs(waveform.samples - expected).max() < 1e-3
    assert (waveform.sample_rate, waveform.backend, waveform.corrupt) == (16_000, backend, 0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_channels_are_averaged_not_summed(made_clips: Path, backend: str) -> None:
    waveform = open_media(made_clips / "sound.wav", Limits(), backend=backend).waveform(AudioSpec(44_100))
    t = np.arange(len(waveform.samples)) / 44_100
    left, right = 0.6 * np.sin(2 * np.pi * 220 * t), 0.3 * np.sin(2 * np.pi * 330 * t)
    assert np.abs(waveform.samples - (left + right) / 2).max() < 1e-3


@pytest.mark.parametrize("backend", BACKENDS)
def test_late_sound_says_when_it_starts(made_clips: Path, backend: str) -> None:
    waveform = open_media(made_clips / "late_sound.mp4", Limits(), backend=backend).waveform(AudioSpec())
    assert waveform.start_seconds == pytest.approx(0.476, abs=0.002)  # 0.5 s less the encoder's 1024 samples
    assert waveform.seconds == pytest.approx(1.53, abs=0.02)
    assert (
        open_media(made_clips / "h264_aac.mp4", Limits(), backend=backend).waveform(AudioSpec()).start_seconds
        == 0
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_only_as_much_as_asked(made_clips: Path, backend: str) -> None:
    source = open_media(made_clips / "sound.wav", Limits(), backend=backend)
    whole = source.waveform(AudioSpec()).samples
    part = source.waveform(AudioSpec(max_seconds=0.5)).samples
    assert len(part) == 8_000
    assert np.array_equal(part, whole[:8_000])


@pytest.mark.parametrize("backend", BACKENDS)
def test_ceilings_and_cancel(made_clips: Path, backend: str) -> None:
    clip = made_clips / "sound.ogg"
    with pytest.raises(LimitError):
        open_media(clip, Limits(audio_seconds=1.0), backend=backend).waveform(AudioSpec())
    capped = open_media(clip, Limits(audio_seconds=1.0), backend=backend).waveform(AudioSpec(max_seconds=1.0))
    assert capped.seconds == 1.0
    with pytest.raises(LimitError):
        open_media(clip, Limits(packets=5), backend=backend).waveform(AudioSpec())
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        open_media(clip, Limits(), backend=backend).waveform(AudioSpec(), token)
    for wrong in (
        {"sample_rate": 10},
        {"sample_rate": 1.5},
        {"max_seconds": 0.0},
        {"max_seconds": float("inf")},
    ):
        with pytest.raises(InputError):
            AudioSpec(**wrong)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_audio_stream(made_clips: Path, backend: str) -> None:
    source = open_media(made_clips / "h264_three.mp4", Limits(), backend=backend)
    assert source.probe().audio is None
    with pytest.raises(MediaError, match="no audio stream"):
        source.waveform(AudioSpec())


@pytest.mark.parametrize("backend", BACKENDS)
def test_damaged_sound(made_clips: Path, backend: str) -> None:
    waveform = open_media(made_clips / "flipped.mp4", Limits(), backend=backend).waveform(AudioSpec())
    assert waveform.corrupt > 0
    assert np.isfinite(waveform.samples).all()


def test_arrays_are_mixed_and_resampled() -> None:
    t = np.arange(48_000) / 48_000
    wave = np.stack([0.5 * np.sin(2 * np.pi * 200 * t), 0.1 * np.sin(2 * np.pi * 200 * t)]).astype(np.float32)
    out = mono_waveform(wave, 48_000, 16_000)
    assert out.shape == (16_000,)
    expected = 0.3 * np.sin(2 * np.pi * 200 * np.arange(16_000) / 16_000)
    assert np.abs(out - expected)[200:-200].max() < 1e-3
    whole = (np.clip(wave, -1, 1) * 32767).astype(np.int16)
    assert np.abs(mono_waveform(whole, 48_000, 48_000) - wave.mean(axis=0)).max() < 1e-4
    assert np.abs(pyav.resample_mono(wave.mean(axis=0), 48_000, 16_000) - out).max() < 1e-6
    assert len(mono_waveform(np.zeros(1, np.float32), 8_000, 16_000)) <= 2
    for wrong in (np.zeros(0), np.zeros((2, 0)), np.zeros((1, 1, 1)), np.zeros(4, np.int64)):
        with pytest.raises(InputError):
            mono_waveform(wrong, 16_000, 16_000)
    with pytest.raises(InputError):
        mono_waveform(np.zeros(4, np.float32), 10, 16_000)


@pytest.mark.shared
@pytest.mark.parametrize("folder", ["talking", "faces_no_speech", "odd"])
def test_waveforms_of_reference_clips(shared_clips: Path, folder: str) -> None:
    compared = 0
    for clip in sorted((shared_clips / folder).iterdir()):
        try:
            source = open_media(clip, Limits())
        except MediaError:
            assert clip.name in ("moviepy_result.webm", "moviepy_subtitles.srt")
            continue
        if source.probe().audio is None:
            continue
        expected = mono(clip)
        samples = source.waveform(AudioSpec()).samples
        assert samples.shape == expected.shape, clip.name
        assert np.abs(samples - expected).max() < 1e-3, clip.name
        compared += 1
    assert compared >= 8
