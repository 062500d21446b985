"""Pictures to embeddings. Knows normalisation and batches; no runtime, not what they show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from emer_edge.encoders.base import Encoder, Rows, encode_rows
from emer_edge.errors import InputError

if TYPE_CHECKING:
    from emer_edge._core import CancelToken


class VisionEncoder:
    """Embeds pictures of one size, one row for each.

    Args:
        encoder: takes (batch, 3, height, width) float32.
        mean: of each channel in the order in which the network wants them, for values 0..1.
        std: as `mean`.
        channel_order: the order the network wants; pictures come as RGB.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        mean: tuple[float, float, float] = (0.0, 0.0, 0.0),
        std: tuple[float, float, float] = (1.0, 1.0, 1.0),
        channel_order: Literal["rgb", "bgr"] = "rgb",
    ) -> None:
        if len(encoder.input_shape) != 4 or encoder.input_shape[1] != 3:
            raise InputError(
                "A vision encoder takes (batch, 3, height, width).", f"It has {encoder.input_shape}."
            )
        self.encoder = encoder
        # (x / 255 - mean) / std as one multiplication and one addition.
        deviation = np.asarray(std, np.float32)
        self._factor = (1.0 / (255.0 * deviation)).astype(np.float32)[None, :, None, None]
        self._shift = (-np.asarray(mean, np.float32) / deviation)[None, :, None, None]
        self._channels = slice(None) if channel_order == "rgb" else slice(None, None, -1)

    @property
    def provider(self) -> str:
        """Who computes."""
        return self.encoder.provider

    @property
    def output_dim(self) -> int:
        """Length of one embedding."""
        return self.encoder.output_dim

    def encode(self, pictures: NDArray[Any], cancel: CancelToken | None = None) -> Rows:
        """Embed pictures.

        Args:
            pictures: (M, 3, height, width), M at least 1: uint8 RGB 0..255, or float32 already as
                the network wants.
            cancel: ends the computation early.

        Returns:
            (M, output_dim) float32.

        Raises:
            InputError: another shape or type, or no pictures.
            PackError, DeviceError, Cancelled: as `Encoder.encode`.
        """
        if pictures.dtype == np.uint8 and pictures.ndim == 4 and pictures.shape[1] == 3:
            pictures = pictures[:, self._channels] * self._factor + self._shift
        return encode_rows(self.encoder, pictures, cancel)

    def close(self) -> None:
        """Give the memory back."""
        self.encoder.close()
