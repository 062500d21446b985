"""Windows of sound to embeddings. Knows batches; knows no runtime and not how windows are cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emer_edge.encoders.base import Encoder, Rows, encode_rows
from emer_edge.errors import InputError

if TYPE_CHECKING:
    from emer_edge._core import CancelToken


class AudioEncoder:
    """Embeds windows of one length, one row for each.

    Args:
        encoder: takes (batch, samples) float32.
    """

    def __init__(self, encoder: Encoder) -> None:
        if len(encoder.input_shape) != 2:
            raise InputError("An audio encoder takes (batch, samples).", f"It has {encoder.input_shape}.")
        self.encoder = encoder

    @property
    def provider(self) -> str:
        """Who computes."""
        return self.encoder.provider

    @property
    def output_dim(self) -> int:
        """Length of one embedding."""
        return self.encoder.output_dim

    def encode(self, windows: Rows, cancel: CancelToken | None = None) -> Rows:
        """Embed windows.

        Args:
            windows: (n, samples) float32, n at least 1, normalised as the pack asks.
            cancel: ends the computation early.

        Returns:
            (n, output_dim) float32.

        Raises:
            InputError: another shape or type, or no windows.
            PackError, DeviceError, Cancelled: as `Encoder.encode`.
        """
        return encode_rows(self.encoder, windows, cancel)

    def close(self) -> None:
        """Give the memory back."""
        self.encoder.close()
