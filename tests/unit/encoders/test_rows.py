"""Vision and audio encoders: normalisation, channel order, and any number of rows through a fixed batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from emer_edge.encoders.audio import AudioEncoder
from emer_edge.encoders.base import Rows
from emer_edge.encoders.vision import VisionEncoder
from emer_edge.errors import InputError

if TYPE_CHECKING:
    from emer_edge._core import CancelToken


class Recorder:
    """Gives the first `output_dim` numbers of each row and keeps what it was fed."""

    provider = "test"

    def __init__(self, *input_shape: int, output_dim: int = 3) -> None:
        self.input_shape, self.output_dim = input_shape, output_dim
        self.batches: list[Rows] = []

    def encode(self, batch: Rows, cancel: CancelToken | None = None) -> Rows:
        assert batch.shape == self.input_shape
        assert batch.dtype == np.float32
        assert batch.flags.c_contiguous
        self.batches.append(batch.copy())
        return batch.reshape(len(batch), -1)[:, : self.output_dim]

    def close(self) -> None: ...


@pytest.mark.parametrize("rows", [1, 3, 4, 5, 8, 9])
def test_any_number_of_rows_goes_through_in_full_batches(rows: int) -> None:
    inner = Recorder(4, 10)
    windows = np.random.default_rng(0).normal(size=(rows, 10)).astype(np.float32)
    np.testing.assert_array_equal(AudioEncoder(inner).encode(windows), windows[:, :3])
    assert len(inner.batches) == -(-rows // 4)
    last = inner.batches[-1]
    filled = -rows % 4
    if filled:
        np.testing.assert_array_equal(last[-filled:], np.repeat(windows[-1:], filled, axis=0))


def test_pictures_are_normalised_in_the_order_the_network_wants() -> None:
    random = np.random.default_rng(1)
    pictures = random.integers(0, 256, (2, 3, 4, 5), dtype=np.uint8)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    inner = Recorder(2, 3, 4, 5)
    VisionEncoder(inner, mean=mean, std=std, channel_order="bgr").encode(pictures)
    for channel in range(3):
        expected = (pictures[:, 2 - channel] / 255.0 - mean[channel]) / std[channel]
        np.testing.assert_allclose(inner.batches[0][:, channel], expected, atol=1e-6)


def test_floats_pass_as_they_are() -> None:
    inner = Recorder(2, 3, 4, 5)
    pictures = np.random.default_rng(2).normal(size=(2, 3, 4, 5)).astype(np.float32)
    VisionEncoder(inner, mean=(0.5, 0.5, 0.5)).encode(pictures)
    np.testing.assert_array_equal(inner.batches[0], pictures)


def test_nothing_to_encode_is_an_error_and_no_noise() -> None:
    with pytest.raises(InputError, match="nothing to encode"):
        VisionEncoder(Recorder(2, 3, 4, 5)).encode(np.empty((0, 3, 4, 5), np.uint8))
    with pytest.raises(InputError, match="nothing to encode"):
        AudioEncoder(Recorder(2, 9)).encode(np.empty((0, 9), np.float32))


def test_refuses_other_shapes_and_types() -> None:
    vision, audio = VisionEncoder(Recorder(2, 3, 4, 5)), AudioEncoder(Recorder(2, 9))
    for pictures in (
        np.zeros((1, 3, 4, 6), np.uint8),
        np.zeros((1, 4, 5, 3), np.uint8),
        np.zeros((1, 3, 4, 5)),
    ):
        with pytest.raises(InputError):
            vision.encode(pictures)
    for windows in (np.zeros((1, 8), np.float32), np.zeros(9, np.float32), np.zeros((1, 9))):
        with pytest.raises(InputError):
            audio.encode(windows)  # type: ignore[arg-type]
    with pytest.raises(InputError):
        VisionEncoder(Recorder(2, 1, 4, 5))
    with pytest.raises(InputError):
        AudioEncoder(Recorder(2, 3, 4))
