"""Kaldi's log mel spectrum inside a graph, as ImageBind takes it: a strided convolution, squares, one matrix.

Knows `torchaudio.compliance.kaldi.fbank` with htk_compat, a Hann window and no dither, and how ImageBind pads
and scales. Does not know what reads it. Everything before the squares is linear, so that mean removal,
pre-emphasis, window and Fourier transform are one kernel.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

RATE, WINDOW, SHIFT, PADDED = 16_000, 400, 160, 512
PREEMPHASIS, LOW_HERTZ = 0.97, 20.0
MEAN, DEVIATION = -4.268, 9.138
"""ImageBind's: twice what AudioSet's own deviation is."""


class KaldiFbank(nn.Module):
    """Windows [n, samples] at 16 kHz -> [n, 1, bins, frames], padded with zeros to `frames`, then scaled.

    Args:
        bins: of the mel spectrum.
        frames: of the result; those beyond the window's own are zeros before scaling.
    """

    stays_float32 = True
    kernel: Tensor
    mel: Tensor

    def __init__(self, bins: int = 128, frames: int = 204) -> None:
        super().__init__()
        self.frames = frames
        self.register_buffer("kernel", torch.zeros(PADDED, 1, WINDOW), persistent=False)
        self.register_buffer("mel", torch.zeros(bins, PADDED // 2), persistent=False)
        self.fill_constants()

    def fill_constants(self) -> None:
        """Compute the kernels, which no checkpoint holds; again once the module has left the meta device."""
        self.kernel.copy_(torch.from_numpy(fourier_kernel()).unsqueeze(1))
        self.mel.copy_(torch.from_numpy(mel_matrix(len(self.mel))))

    def forward(self, windows: Tensor) -> Tensor:
        """windows float32 [n, samples], as long as a window of the manifest."""
        spectrum = functional.conv1d(windows.float().unsqueeze(1), self.kernel, stride=SHIFT)
        real, imaginary = spectrum.chunk(2, 1)
        power = real.square() + imaginary.square()
        # A convolution, because quantisation takes every matrix product, and powers span ten decades.
        mixed = functional.conv1d(power, self.mel.unsqueeze(2))
        energies = mixed.clamp(min=float(np.finfo(np.float32).eps)).log()
        padded = functional.pad(energies, (0, self.frames - energies.shape[2]))
        return ((padded - MEAN) / DEVIATION).unsqueeze(1)


def fourier_kernel() -> NDArray[np.float64]:
    """[2 x 256, 400]: cosines, then sines, of a frame that lost its mean, was pre-emphasised and windowed."""
    step = np.eye(WINDOW) - 1.0 / WINDOW
    before = np.vstack([step[:1], step[:-1]])  # the first sample is its own predecessor
    shaped = np.hanning(WINDOW)[:, None] * (step - PREEMPHASIS * before)
    angle = 2 * np.pi * np.outer(np.arange(PADDED // 2), np.arange(WINDOW)) / PADDED
    return np.vstack([np.cos(angle) @ shaped, np.sin(angle) @ shaped])


def mel_matrix(bins: int) -> NDArray[np.float64]:
    """[bins, 256]: Kaldi's triangles on the mel scale, from 20 Hz to half the rate, without the last line."""
    low, high = _mel(np.array([LOW_HERTZ, RATE / 2]))
    width = (high - low) / (bins + 1)
    left = low + np.arange(bins)[:, None] * width
    place = _mel(np.arange(PADDED // 2) * RATE / PADDED)[None]
    rising, falling = (place - left) / width, (left + 2 * width - place) / width
    return np.maximum(0.0, np.minimum(rising, falling))


def _mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1127.0 * np.log1p(hertz / 700.0)
