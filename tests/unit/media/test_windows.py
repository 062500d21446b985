"""Audio windows against the published rules, written out a second time."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emer_edge.errors import InputError
from emer_edge.media.audio import AudioWindows, cut_windows, window_starts

RATE = 1_024
"""A power of two: times are exact in floats, so that the expected starts can be written down."""


def noise(count: int, offset: float = 0.2) -> np.ndarray:
    return (np.random.default_rng(count).normal(size=count) * 0.1 + offset).astype(np.float32)


def test_starts_are_affectgpts() -> None:
    spec = AudioWindows(windows=8, window_seconds=2.0, sample_rate=16_000)
    assert window_starts(10 * 16_000, spec) == [i * 16_000 for i in range(8)]  # (10 - 2) / 8 = 1 s
    assert window_starts(2 * 16_000, spec) == [0] * 8
    spare = Fraction(89_417 / 16_000 - 2)  # the float that the published code starts from
    assert window_starts(89_417, spec) == [int(spare * i / 8 * 16_000) for i in range(8)]


def test_windows_are_cut_and_padded() -> None:
    spec = AudioWindows(windows=4, window_seconds=0.5, sample_rate=RATE)
    sound = noise(1_712)
    out = cut_windows(sound, spec)
    assert out.shape == (4, 512)
    assert out.dtype == np.float32
    assert out.flags.c_contiguous
    for row, start in zip(out, (0, 300, 600, 900), strict=True):
        assert np.array_equal(row, sound[start : start + 512])
    short = cut_windows(sound[:120], spec)
    assert np.array_equal(short[3, :120], sound[:120])
    assert not short[:, 120:].any()


def test_centring() -> None:
    sound = noise(1_712)
    spec = AudioWindows(windows=4, window_seconds=0.5, sample_rate=RATE, center="window")
    out = cut_windows(sound, spec)
    assert np.abs(out.mean(axis=1)).max() < 1e-6
    plain = cut_windows(sound, AudioWindows(windows=4, window_seconds=0.5, sample_rate=RATE))
    assert np.allclose(out, plain - plain.mean(axis=1, keepdims=True), atol=1e-6)


def test_centring_in_place_depends_on_the_order() -> None:
    sound = noise(1_712)
    before = sound.copy()
    out = cut_windows(
        sound, AudioWindows(windows=4, window_seconds=0.5, sample_rate=RATE, center="window_inplace")
    )
    assert np.array_equal(sound, before)  # the caller's array is not touched
    shared = sound.copy()
    for row, start in zip(out, (0, 300, 600, 900), strict=True):
        view = shared[start : start + 512]
        view -= view.mean()
        assert np.allclose(row, view, atol=1e-6)
    clean = cut_windows(sound, AudioWindows(windows=4, window_seconds=0.5, sample_rate=RATE, center="window"))
    assert np.abs(out - clean).max() > 0.05  # the overlap was moved twice


def test_normalising() -> None:
    sound = noise(1_712)
    plain = cut_windows(sound, AudioWindows(windows=4, window_seconds=0.5, sample_rate=RATE)).astype(
        np.float64
    )
    joint = cut_windows(
        sound, AudioWindows(windows=4, window_seconds=0.5, sample_rate=RATE, normalise="joint", epsilon=1e-7)
    )
    assert np.allclose(joint, (plain - plain.mean()) / np.sqrt(plain.var() + 1e-7), atol=1e-5)
    each = cut_windows(
        sound, AudioWindows(windows=4, window_seconds=0.5, sample_rate=RATE, normalise="window")
    )
    assert np.allclose(each.mean(axis=1), 0, atol=1e-6)
    assert np.allclose(each.std(axis=1), 1, atol=1e-3)
    silence = cut_windows(np.zeros(900, np.float32), AudioWindows(4, 0.5, RATE, "window", "joint"))
    assert not silence.any()


@given(
    count=st.integers(1, 5_000), windows=st.integers(1, 12), length=st.integers(1, 900),
    center=st.sampled_from(["none", "window", "window_inplace"]),
)  # fmt: skip
def test_any_sound_gives_finite_windows(count: int, windows: int, length: int, center: str) -> None:
    spec = AudioWindows(windows, length / RATE, RATE, center)  # type: ignore[arg-type]
    out = cut_windows(noise(count), spec)
    assert out.shape == (windows, length)
    assert np.isfinite(out).all()


def test_rules_that_make_no_sense() -> None:
    for wrong in (
        {"center": "mean"}, {"normalise": "x"}, {"windows": 0}, {"window_seconds": 0.0}, {"sample_rate": 0},
        {"window_seconds": 1e9}, {"epsilon": -1.0}, {"window_seconds": float("nan")},
    ):  # fmt: skip
        with pytest.raises(InputError):
            AudioWindows(**wrong)
    for empty in (np.zeros(0, np.float32), np.zeros((2, 8), np.float32)):
        with pytest.raises(InputError):
            cut_windows(empty, AudioWindows())
