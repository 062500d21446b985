"""Sound at another rate while it arrives. A door to `av` beside `pyav`, which resamples clips whole.

Knows libswresample's state between two calls. Knows no clip, no stream and no window.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import InputError

Samples = NDArray[np.float32]


class StreamResampler:
    """Mono sound piece by piece; the pieces together are what resampling the whole at once gives.

    Args:
        from_rate: Hz, 1000 to 768000.
        to_rate: Hz, likewise.

    Raises:
        InputError: another rate.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        import av

        for rate in (from_rate, to_rate):
            if not 1_000 <= rate <= 768_000:
                raise InputError(f"A sample rate of {rate} Hz is not between 1000 and 768000.")
        self._from_rate = from_rate
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=to_rate)

    def feed(self, samples: Samples) -> Samples:
        """Take the next piece, (n,) float32, and return what is certain by now, (m,) float32."""
        import av

        if not len(samples):
            return samples
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples, np.float32)[None, :], format="flt", layout="mono"
        )
        frame.sample_rate = self._from_rate
        return self._joined(self._resampler.resample(frame))

    def flush(self) -> Samples:
        """What was held back; the resampler can't be fed any more."""
        return self._joined(self._resampler.resample(None))

    @staticmethod
    def _joined(parts: list[Any]) -> Samples:
        arrays = [part.to_ndarray()[0] for part in parts]
        return np.concatenate(arrays) if arrays else np.zeros(0, np.float32)
