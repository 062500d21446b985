"""From sound to the windows an audio encoder wants: mixing down, cutting, centring, normalising.

Knows arrays and window rules. Knows no file and no model.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import InputError

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class AudioWindows:
    """How a waveform is cut.

    Args:
        windows: how many, n.
        window_seconds: length w of each.
        sample_rate: of the waveform, Hz.
        center: `none`; `window`: each window minus its own mean; `window_inplace`: the same, but overlapping
            windows share memory and change one another in order, as the published AffectGPT code does.
        normalise: `none`; `window` or `joint`: zero mean and unit variance of each window or of all together,
            (x - mean) / sqrt(variance + epsilon), as transformers' Wav2Vec2FeatureExtractor.
        epsilon: as above.

    Raises:
        InputError: a value outside the above.
    """

    windows: int = 8
    window_seconds: float = 2.0
    sample_rate: int = 16_000
    center: Literal["none", "window", "window_inplace"] = "none"
    normalise: Literal["none", "window", "joint"] = "none"
    epsilon: float = 1e-7

    def __post_init__(self) -> None:
        if self.center not in ("none", "window", "window_inplace"):
            raise InputError(f"No centring of windows is called {self.center!r}.")
        if self.normalise not in ("none", "window", "joint"):
            raise InputError(f"No normalisation of windows is called {self.normalise!r}.")
        if not 0 < self.windows <= 4096 or not self.sample_rate > 0 or not self.epsilon >= 0:
            raise InputError("The number of windows, the sample rate or epsilon makes no sense.")
        if not 1 <= self.window_seconds * self.sample_rate <= 2**26:
            raise InputError(f"Windows of {self.window_seconds} s make no sense.")

    @property
    def length(self) -> int:
        """Samples in one window."""
        return round(self.window_seconds * self.sample_rate)


def window_starts(count: int, spec: AudioWindows) -> list[int]:
    """First sample of each window: int(start * rate), start = i * max(duration - w, 0) / n.

    The last window does not reach the end of the sound. Source: AffectGPT, through pytorchvideo 0.1.5's
    ConstantClipsPerVideoSampler.

    Args:
        count: samples in the waveform, at least `spec.length`.
        spec: the rule.
    """
    # Fractions, because the source uses them: in floats, int() would now and then land one sample early.
    spare = Fraction(max(count / spec.sample_rate - spec.window_seconds, 0.0)) / spec.windows
    last = max(count - spec.length, 0)
    return [min(int(spare * i * spec.sample_rate), last) for i in range(spec.windows)]


def cut_windows(samples: Samples, spec: AudioWindows) -> Samples:
    """Cut windows out of a waveform; one that is shorter than a window is padded with zeros at its end.

    Args:
        samples: float32 (n,), n > 0; never changed.
        spec: the rule.

    Returns:
        float32 (windows, length), C-contiguous.

    Raises:
        InputError: no samples, or an array of another shape.
    """
    if samples.ndim != 1 or not len(samples):
        raise InputError(f"A waveform of shape {samples.shape} can't be cut.", todo="Pass shape (n,), n > 0.")
    length = spec.length
    sound = np.array(samples, dtype=np.float32)  # a copy: window_inplace writes into it
    if len(sound) < length:
        sound = np.pad(sound, (0, length - len(sound)))
    out = np.empty((spec.windows, length), np.float32)
    for row, start in zip(out, window_starts(len(sound), spec), strict=True):
        view = sound[start : start + length]
        if spec.center == "window_inplace":
            view -= view.mean(dtype=np.float32)
        row[:] = view
    if spec.center == "window":
        out -= out.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    return _normalise(out, spec)


def mono_waveform(waveform: NDArray[Any], sample_rate: int, target_rate: int) -> Samples:
    """The mean of the channels at another rate.

    Args:
        waveform: (n,) or (channels, n); float32 or float64 in -1..1, or int16.
        sample_rate: of the waveform, Hz.
        target_rate: of the result, Hz.

    Returns:
        float32 (m,), in -1..1.

    Raises:
        InputError: an empty array, or one of another shape or type, or a rate that makes no sense.
    """
    if waveform.ndim not in (1, 2) or 0 in waveform.shape:
        raise InputError(f"A waveform of shape {waveform.shape} is not (n,) or (channels, n).")
    if waveform.dtype == np.int16:
        sound = waveform.astype(np.float32) / np.float32(32768.0)
    elif waveform.dtype in (np.float32, np.float64):
        sound = waveform.astype(np.float32)
    else:
        raise InputError(f"A waveform of {waveform.dtype} can't be used.", todo="Pass float32 or int16.")
    mono = sound if sound.ndim == 1 else sound.mean(axis=0, dtype=np.float32)
    if sample_rate == target_rate:
        return np.ascontiguousarray(mono)
    for rate in (sample_rate, target_rate):
        if not 1_000 <= rate <= 768_000:
            raise InputError(f"A sample rate of {rate} Hz is not between 1000 and 768000.")
    return _resample(mono, sample_rate, target_rate)


def _resample(mono: Samples, sample_rate: int, target_rate: int) -> Samples:
    from emer_edge.media import native

    if native.is_built():
        return native.resample_mono(mono, sample_rate, target_rate)
    from emer_edge.media import pyav

    return pyav.resample_mono(mono, sample_rate, target_rate)


def _normalise(windows: Samples, spec: AudioWindows) -> Samples:
    if spec.normalise == "none":
        return windows
    axis = None if spec.normalise == "joint" else 1
    mean = windows.mean(axis=axis, keepdims=True, dtype=np.float64)
    variance = windows.var(axis=axis, keepdims=True, dtype=np.float64)
    scaled: Samples = ((windows - mean) / np.sqrt(variance + spec.epsilon)).astype(np.float32)
    return scaled
