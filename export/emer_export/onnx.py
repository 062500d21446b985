"""Writes torch modules as self-contained ONNX files with fixed shapes, and measures how close the two stay.

Knows torch, onnx, onnxruntime and three precisions: float32, float16 and 8-bit weights and activations of
the matrix products. Does not know which model it writes, nor packs or providers. Weights lie inside the file,
since a pack may hold no file that names another.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emer_edge.errors import InputError, LimitError, PackError
from emer_edge.strays import Stray, stray

OPSET = 18
# Initializers live inside the file: one protobuf message, whose format ends at 2 GiB.
SINGLE_FILE_BYTES = 2**31 - 2**20
"""Weights that one ONNX file can hold."""


def export_onnx(
    module: nn.Module, example: Tensor, path: Path, input_name: str, output_name: str, opset: int = OPSET
) -> None:
    """Write `module` to `path` with the shape of `example`, weights inside, and check the file.

    One float tensor in, one out.

    Raises:
        InputError: an opset below 17, the first with LayerNormalization.
        LimitError: a module too large for one file.
    """
    if opset < 17:
        raise InputError(f"The opset {opset} has no LayerNormalization.", todo="Ask for 17 or more.")
    weight_bytes = sum(t.numel() * t.element_size() for t in [*module.parameters(), *module.buffers()])
    if weight_bytes > SINGLE_FILE_BYTES:
        raise LimitError(
            "The model is too large for one ONNX file.", f"{weight_bytes} bytes of weights; it holds 2 GiB."
        )
    beside = path.with_name(path.name + ".partial")
    module.eval()
    with torch.inference_mode(), without_chatter():
        program = torch.onnx.export(
            module,
            (example,),
            input_names=[input_name],
            output_names=[output_name],
            opset_version=opset,
            dynamo=True,
            optimize=True,
            verbose=False,
        )
    if program is None:
        raise PackError("torch.onnx.export returned no program.")
    model = program.model_proto
    # The exporter leaves source paths and stack traces of this machine on every node.
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.checker.check_model(model, full_check=True)
    try:
        onnx.save(model, str(beside))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


class HalfPrecision(nn.Module):
    """A copy of a module that computes in float16 between a float32 input and a float32 output, so that a
    manifest declares the same tensors for every precision.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).half()
        for part, whole in zip(self.module.modules(), module.modules(), strict=True):
            if getattr(part, "stays_float32", False):
                # Not what .half() left, made wider again.
                part.load_state_dict(whole.state_dict())
                for name, buffer in whole.named_buffers(recurse=False):
                    part.register_buffer(name, buffer, persistent=False)
        self.in_half = not getattr(module, "takes_float32", False)

    def forward(self, x: Tensor) -> Tensor:
        """Take and give float32."""
        return self.module(x.half() if self.in_half else x).float()  # type: ignore[no-any-return]


def quantize_onnx(source: Path, path: Path) -> None:
    """Write the float32 graph `source` with 8-bit matrix products to `path`.

    Weights are signed with a scale for each output, activations get theirs while the graph runs: no
    calibration can then miss what a clip brings. Convolutions stay float: they gain nothing and err most.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    beside = path.with_name(path.name + ".partial")
    try:
        with without_chatter():
            quantize_dynamic(
                source, beside, op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8
            )
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def without_chatter() -> Iterator[None]:
    """Keep torch's remarks about torchvision, and ONNX Runtime's about preprocessing, from the user."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def compare(module: nn.Module, path: Path, inputs: Sequence[Tensor]) -> Stray:
    """Run `inputs` through `module` and through the file at `path` on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    found = []
    module.eval()
    for tensor in inputs:
        with torch.inference_mode():
            expected: NDArray[np.float32] = module(tensor).numpy()
        found.append(stray(expected, session.run(None, {name: tensor.numpy()})[0]))
    return Stray(
        max(one.max_abs_error for one in found),
        min(one.cosine for one in found),
        max(one.relative_error for one in found),
    )
