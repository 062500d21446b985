"""Writes 8-bit graphs whose activation scales were measured on clips, and 4-bit weights.

Knows ONNX Runtime's quantisers, and how clips become an encoder's input as the runtime makes it. Does not
know checkpoints or parity. Scales that are known beforehand are what accelerators ask for; on a CPU those
that are found while the graph runs (`onnx.quantize_onnx`) err less.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emer_edge.encoders.vision import VisionEncoder
from emer_edge.errors import InputError, MediaError
from emer_edge.inputs import open_inputs
from emer_edge.limits import Limits
from emer_edge.packs.manifest import Manifest
from emer_edge.senses import hear, see
from emer_edge.session import open_detector
from emer_export.graph_files import data_path, graph_from
from emer_export.onnx import without_chatter

Rows = NDArray[np.float32]
BLOCK = 32
"""Weights in a row of a matrix that share one 4-bit scale."""


def calibration_batches(manifest: Manifest, part: str, clips: Sequence[Path]) -> list[Rows]:
    """What an encoder of a pack would be given for each clip; clips without that sense are passed over.

    Args:
        manifest: its preprocessing decides.
        part: vision or audio.
        clips: media files.

    Raises:
        InputError: none of the clips can be used. LimitError and others: as the runtime.
    """
    kept = _Kept(manifest, part)
    session: Any = SimpleNamespace(
        manifest=manifest,
        limits=Limits(),
        detector=open_detector(2) if manifest.preprocessing.frames.source == "faces" else None,
        vision=kept,
        audio=kept,
    )
    for clip in clips:
        inputs = open_inputs(clip, None, session.limits)
        try:
            if part == "vision" and inputs.has_video:
                see(session, inputs)
            elif part == "audio" and inputs.has_audio:
                hear(session, inputs)
        except MediaError:
            continue
    if not kept.batches:
        raise InputError(f"No clip can calibrate the {part} encoder.", f"{len(clips)} were tried.")
    return kept.batches


class _Kept:
    """An encoder that computes nothing and keeps what it would have been given, in full batches."""

    whole = False

    def __init__(self, manifest: Manifest, part: str) -> None:
        spec = getattr(manifest.encoders, part)
        self.input_shape = spec.files[spec.default].input.shape
        self.output_dim, self.provider = spec.dim, "none"
        self.batches: list[Rows] = []
        frames = manifest.preprocessing.frames
        self._sight = (
            VisionEncoder(
                self,
                mean=frames.mean,
                std=frames.std,
                channel_order=frames.channel_order,  # type: ignore[arg-type]
            )
            if part == "vision"
            else None
        )

    def encode(self, rows: Any, cancel: Any = None) -> Rows:
        """Pictures are normalised on their way to the second call, which keeps them."""
        if self._sight is not None and rows.dtype == np.uint8:
            return self._sight.encode(rows, cancel)
        size = self.input_shape[0]
        full = np.concatenate([rows, np.repeat(rows[-1:], -len(rows) % size, axis=0)])
        self.batches += [
            np.ascontiguousarray(full[i : i + size], np.float32) for i in range(0, len(full), size)
        ]
        return np.zeros((len(rows), self.output_dim), np.float32)

    def close(self) -> None:
        """Nothing was opened."""


def quantize_calibrated(source: Path, path: Path, input_name: str, batches: Sequence[Rows]) -> None:
    """Write the float32 graph `source` with 8-bit matrix products and fixed scales to `path`.

    Symmetric on both sides, weights with a scale for each output, as pairs of QuantizeLinear and
    DequantizeLinear; scales span what the batches hold, but for the rarest 1 in 10,000.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    with graph_from(source, path) as (made, apart), without_chatter():
        quantize_static(
            source,
            made,
            _reader(input_name, batches),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.Percentile,
            use_external_data_format=apart,
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "CalibPercentile": 99.99,
            },
        )


def _reader(input_name: str, batches: Sequence[Rows]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left: Iterator[Mapping[str, Rows]] = iter([{input_name: batch} for batch in batches])

        def get_next(self) -> Mapping[str, Rows] | None:
            return next(self._left, None)

    return Reader()


def quantize_four_bits(source: Path, path: Path) -> None:
    """Write the float32 graph `source` with 4-bit weights of its matrix products, 32 to a scale, to `path`.

    Activations stay float32: the file is small, and no quicker on a CPU.
    """
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    with graph_from(source, path) as (made, apart), without_chatter():
        quantizer = MatMulNBitsQuantizer(onnx.load(str(source)), block_size=BLOCK, is_symmetric=True)
        quantizer.process()
        location = data_path(made).name
        onnx.save(quantizer.model.model, str(made), save_as_external_data=apart, location=location)
