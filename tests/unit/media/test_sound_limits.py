"""Sound at its ceilings and with many channels: both decoders bound memory and agree on what is too much."""

from __future__ import annotations

import resource
import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from emer_edge.errors import LimitError
from emer_edge.limits import Limits
from emer_edge.media.source import AudioSpec, Backend, open_media

BACKENDS: tuple[Backend, ...] = ("native", "pyav")


def _wav(path: Path, channels: int, rate: int, seconds: float) -> Path:
    count = int(rate * seconds)
    sound = np.random.default_rng(3).integers(-9000, 9000, (count, channels), dtype=np.int16)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(sound.tobytes())
    return path


@pytest.mark.parametrize("channels", [6, 8, 10])
def test_many_channels_are_averaged(tmp_path: Path, channels: int) -> None:
    path = _wav(tmp_path / "many.wav", channels, 16_000, 1.0)
    with wave.open(str(path)) as file:
        raw = np.frombuffer(file.readframes(16_000), np.int16).reshape(-1, channels)
    expected = (raw / 32768.0).mean(axis=1)
    for backend in BACKENDS:
        got = open_media(path, Limits(), backend=backend).waveform(AudioSpec()).samples
        assert len(got) == len(expected), backend
        assert np.abs(got - expected).max() < 1e-3, backend


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("ceiling", [8.0, 8.192, 19.999])
def test_more_sound_than_allowed_is_refused_wherever_the_ceiling_falls(
    tmp_path: Path, backend: Backend, ceiling: float
) -> None:
    path = _wav(tmp_path / "long.wav", 1, 16_000, 20.0)
    with pytest.raises(LimitError):
        open_media(path, Limits(audio_seconds=ceiling), backend=backend).waveform(AudioSpec())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("ceiling", [20.0, 3600.0, 1e18])
def test_sound_within_the_ceiling_is_whole(tmp_path: Path, backend: Backend, ceiling: float) -> None:
    path = _wav(tmp_path / "long.wav", 1, 16_000, 20.0)
    got = open_media(path, Limits(audio_seconds=ceiling), backend=backend).waveform(AudioSpec())
    assert len(got.samples) == 320_000


def test_one_huge_packet_does_not_grow_past_the_ceiling(tmp_path: Path) -> None:
    # Matroska: raw 8-bit sound at 1 kHz in a single block; each byte becomes 64 bytes of float at 16 kHz.
    payload = 24 * 1024 * 1024

    def element(ident: str, data: bytes) -> bytes:
        return bytes.fromhex(ident) + struct.pack(">Q", len(data) | 1 << 56) + data

    def unsigned(ident: str, value: int) -> bytes:
        return element(ident, value.to_bytes(4, "big"))

    audio = element("b5", struct.pack(">d", 1000.0)) + unsigned("9f", 1) + unsigned("6264", 8)
    entry = unsigned("d7", 1) + unsigned("73c5", 1) + unsigned("83", 2) + element("86", b"A_PCM/INT/LIT")
    block = element("a3", b"\x81\x00\x00\x80" + bytes(payload))
    segment = (
        element("1549a966", unsigned("2ad7b1", 1_000_000))
        + element("1654ae6b", element("ae", entry + element("e1", audio)))
        + element("1f43b675", unsigned("e7", 0) + block)
    )
    head = element("1a45dfa3", unsigned("4286", 1) + element("4282", b"matroska") + unsigned("4287", 4))
    path = tmp_path / "bomb.mkv"
    path.write_bytes(head + element("18538067", segment))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(LimitError):
        open_media(path, Limits(audio_seconds=10.0), backend="native").waveform(AudioSpec())
    grown_megabytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_megabytes < 200
