"""What every encoder looks like from outside: one named tensor in, one out. Knows no runtime and no file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import InputError, PackError

if TYPE_CHECKING:
    from emer_edge._core import CancelToken

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor as a pack declares it.

    Args:
        name: as the graph calls it.
        dtype: numpy's name: float32, float16, uint8, int64.
        shape: every axis; None where any length will do.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of that shape is one of these."""
        return len(shape) == len(self.shape) and all(
            axis in (None, length) for axis, length in zip(self.shape, shape, strict=True)
        )

    def __str__(self) -> str:
        axes = ", ".join("any" if axis is None else str(axis) for axis in self.shape)
        return f"{self.name}: {self.dtype} ({axes})"


@dataclass(frozen=True, slots=True)
class TensorPair:
    """What goes into an encoder and what comes out; both shapes are fixed, the first axis is the batch."""

    input: TensorSpec
    output: TensorSpec
    whole: bool = False
    """Whether a batch is one clip, which gives any number of embeddings, and not one for each row."""

    def fixed(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Both shapes as plain numbers.

        Raises:
            PackError: an axis is free or not positive, a type is no float, or the batches differ.
        """
        shapes = []
        for spec in (self.input, self.output):
            axes = tuple(axis for axis in spec.shape if axis is not None and axis > 0)
            if len(axes) != len(spec.shape) or not axes or spec.dtype not in ("float32", "float16"):
                raise PackError("An encoder needs fixed shapes of floats.", f"The pack declares {spec}.")
            shapes.append(axes)
        if (shapes[0][0] != shapes[1][0] and not self.whole) or len(shapes[1]) != 2:
            raise PackError(
                "An encoder gives one embedding for each row of its batch.",
                f"The pack declares {self.input} and {self.output}.",
            )
        return shapes[0], shapes[1]


class Encoder(Protocol):
    """A network of a pack, loaded."""

    provider: str
    """Who computes: ONNX Runtime's name of the provider, or `TensorRT`."""
    input_shape: tuple[int, ...]
    """(batch, ...), fixed."""
    output_dim: int
    """Length of one embedding."""
    whole: bool = False
    """Whether a batch is one clip, with any number of embeddings."""

    def encode(self, batch: Rows, cancel: CancelToken | None = None) -> Rows:
        """Embed one full batch.

        Args:
            batch: `input_shape`, float32.
            cancel: ends the computation early.

        Returns:
            (batch, output_dim) float32, finite.

        Raises:
            InputError: another shape or type.
            PackError: the answer is not finite or has another shape.
            DeviceError: the device failed.
            Cancelled: `cancel` was set.
        """
        ...

    def close(self) -> None:
        """Give the memory back; the encoder can't be used afterwards."""
        ...


def encode_rows(encoder: Encoder, rows: Rows, cancel: CancelToken | None = None) -> Rows:
    """Embed any number of rows with an encoder of fixed batch: the last is filled by repeating its last row.

    Where the encoder embeds a clip whole, the rows are those of one clip, and all its embeddings come.

    Args:
        encoder: embeds `input_shape`.
        rows: (n, ...) float32, n at least 1.
        cancel: ends the computation early.

    Returns:
        (n, output_dim) float32.

    Raises:
        InputError: no rows, or rows of another shape or type.
    """
    batch, *rest = encoder.input_shape
    if rows.dtype != np.float32 or rows.ndim < 2 or list(rows.shape[1:]) != rest:
        raise InputError(
            "The encoder can't take these rows.",
            f"They are {rows.dtype} {rows.shape}, not float32 (n, {', '.join(map(str, rest))}).",
        )
    if len(rows) == 0:
        raise InputError("There is nothing to encode.", todo="Leave the modality out of the prompt.")
    if getattr(encoder, "whole", False):
        if len(rows) > batch:
            raise InputError(
                "The encoder takes one clip at a time.", f"{len(rows)} rows are more than {batch}."
            )
        filled = np.concatenate([rows, np.repeat(rows[-1:], batch - len(rows), axis=0)])
        return encoder.encode(np.ascontiguousarray(filled), cancel)
    out = []
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        missing = batch - len(part)
        full = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part
        out.append(encoder.encode(np.ascontiguousarray(full), cancel)[: len(part)])
    return np.concatenate(out)
