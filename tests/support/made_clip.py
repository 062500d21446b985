"""A clip of noise that stands for pictures, a voice and words."""

from __future__ import annotations

import numpy as np

import emer_edge as ee


def made_clip(seconds: float = 3.0) -> ee.Clip:
    """Twelve frames, `seconds` of sound at 16 kHz and a line of words: the same each time."""
    random = np.random.default_rng(5)
    return ee.Clip(
        frames=random.integers(0, 255, (12, 40, 60, 3), dtype=np.uint8),
        waveform=random.normal(0, 0.1, int(16_000 * seconds)).astype(np.float32),
        subtitle="I did not expect that.",
        name="made",
    )
