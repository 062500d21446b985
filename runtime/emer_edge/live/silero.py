"""Silero's voice activity detector: hears whether somebody speaks, 32 ms at a time.

Knows the network's file, inputs and state. Knows no stream and no window.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emer_edge.encoders.base import TensorSpec
from emer_edge.encoders.onnx import OnnxGraph
from emer_edge.errors import InputError, PackError

Samples = NDArray[np.float32]
SHA256 = "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85"
"""Of models/silero_vad.onnx, which `scripts/vendor_silero_vad.py` writes."""
_CONTEXT = 64
_STATE = (1, 1, 128)


class SileroDetector:
    """A `SpeechDetector`: Silero VAD 6.2 for 16 kHz. One stream, one thread.

    Each piece of 512 samples is seen with the 64 samples before it, and with the state of a recurrent network
    that was fed everything before; source: `silero_vad/sequence_vad.py` of silero-vad 6.2.3.

    Raises:
        PackError: the installed file is missing or is not the file that was shipped.
    """

    step = 512

    def __init__(self) -> None:
        path = _checked(Path(__file__).parent / "models" / "silero_vad.onnx")
        state = [TensorSpec(name, "float32", _STATE) for name in ("h", "c")]
        self._network = OnnxGraph(
            path,
            [TensorSpec("input", "float32", (None, _CONTEXT + self.step)), *state],
            [
                TensorSpec("speech_probs", "float32", (None,)),
                TensorSpec("hn", "float32", (1, None, 128)),
                TensorSpec("cn", "float32", (1, None, 128)),
            ],
        )
        self._h = self._c = np.zeros(_STATE, np.float32)
        self._before = np.zeros(_CONTEXT, np.float32)

    def probabilities(self, samples: Samples) -> Samples:
        """How sure it is, 0..1, of speech in each of the next pieces.

        Args:
            samples: float32 (k * step,), at 16 kHz, -1..1.

        Returns:
            float32 (k,).

        Raises:
            InputError: another shape or type.
        """
        if samples.ndim != 1 or samples.dtype != np.float32 or not len(samples) or len(samples) % self.step:
            raise InputError(
                f"Speech is looked for in pieces of {self.step} float32 samples.",
                f"They are {samples.dtype} {samples.shape}.",
            )
        pieces = samples.reshape(-1, self.step)
        before = np.concatenate([self._before[None], pieces[:-1, -_CONTEXT:]])
        out, self._h, self._c = self._network.run(np.concatenate([before, pieces], axis=1), self._h, self._c)
        self._before = pieces[-1, -_CONTEXT:].copy()
        probabilities: Samples = out
        return probabilities

    def reset(self) -> None:
        """Forget the stream so far."""
        self._h = self._c = np.zeros(_STATE, np.float32)
        self._before = np.zeros(_CONTEXT, np.float32)


def _checked(path: Path) -> Path:
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise PackError(
            "The speech detector's file can't be read.", str(error), "Reinstall emer-edge."
        ) from error
    if digest != SHA256:
        raise PackError(
            "The speech detector's file is damaged.",
            f"{path}: SHA-256 is {digest}, not {SHA256}.",
            "Reinstall emer-edge.",
        )
    return path
