"""Speech is told from silence and noise, and only windows with speech are gated in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emer_edge.errors import InputError, PackError
from emer_edge.limits import Limits
from emer_edge.live import silero
from emer_edge.live.silero import SileroDetector
from emer_edge.live.speech import RATE, SpeechTrack
from emer_edge.media.source import AudioSpec, open_media


@pytest.fixture(scope="module")
def detector() -> SileroDetector:
    return SileroDetector()


def test_noise_silence_and_tones_are_no_speech(detector: SileroDetector) -> None:
    random = np.random.default_rng(1)
    for sound in (
        np.zeros(RATE * 4),
        random.normal(0, 0.1, RATE * 4),
        0.3 * np.sin(np.arange(RATE * 4) * 0.1),
    ):
        detector.reset()
        sure = detector.probabilities(sound[: 120 * 512].astype(np.float32))
        assert sure.max() < 0.5


@pytest.mark.shared
def test_a_speech_is_speech(detector: SileroDetector, shared_clips: Path) -> None:
    clip = shared_clips / "talking" / "obama_weekly_address.mp4"
    sound = open_media(clip, Limits()).waveform(AudioSpec(RATE)).samples
    track = SpeechTrack(detector, RATE)
    for at in range(0, len(sound), 333):
        track.hear(at, sound[at : at + 333])
    assert all(track.speaks(second, second + 2) for second in range(0, 18, 2))
    assert not track.speaks(30, 40)
    track.forget(10.0)
    assert not track.speaks(0, 9)


def test_pieces_give_what_the_whole_gives(detector: SileroDetector) -> None:
    sound = np.random.default_rng(2).normal(0, 0.1, 40 * 512).astype(np.float32)
    detector.reset()
    whole = detector.probabilities(sound)
    detector.reset()
    parts = [detector.probabilities(part) for part in np.split(sound, [512, 5 * 512, 20 * 512])]
    assert np.concatenate(parts) == pytest.approx(whole, abs=1e-5)


def test_what_is_no_whole_piece_is_refused(detector: SileroDetector) -> None:
    with pytest.raises(InputError, match="pieces of 512"):
        detector.probabilities(np.zeros(100, np.float32))


def test_a_damaged_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silero, "SHA256", "0" * 64)
    with pytest.raises(PackError, match="damaged"):
        SileroDetector()


def test_a_hole_starts_the_detector_anew() -> None:
    class Loud:
        step = 512
        resets = 0

        def probabilities(self, samples: np.ndarray) -> np.ndarray:
            return (np.abs(samples.reshape(-1, 512)).max(axis=1) > 0.5).astype(np.float32)

        def reset(self) -> None:
            self.resets += 1

    detector = Loud()
    track = SpeechTrack(detector, RATE)
    track.hear(0, np.zeros(RATE, np.float32))
    track.hear(5 * RATE, np.ones(RATE, np.float32))
    assert detector.resets == 2
    assert track.speaks(5, 6)
    assert not track.speaks(0, 4.9)
