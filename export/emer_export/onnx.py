"""Writes torch modules as self-contained ONNX files with fixed shapes, and measures how close the two stay.

Knows torch, onnx and onnxruntime. Does not know which model it writes, nor packs, providers or quantisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

OPSET = 18
# Initializers live inside the file: one protobuf message, whose format ends at 2 GiB.
_SINGLE_FILE_BYTES = 2**31 - 2**20


@dataclass(frozen=True)
class Parity:
    """How far ONNX Runtime strays from torch: largest absolute error and smallest cosine of a row."""

    max_abs_error: float
    cosine: float


def export_onnx(
    module: nn.Module, example: Tensor, path: Path, input_name: str, output_name: str, opset: int = OPSET
) -> None:
    """Write `module` to `path` with the shape of `example`, weights inside, and check the file.

    One float tensor in, one out. Raises ValueError for a module too large for one file or an opset below 17
    (the first with LayerNormalization).
    """
    if opset < 17:
        raise ValueError(f"opset {opset} has no LayerNormalization: ask for 17 or more")
    weight_bytes = sum(t.numel() * t.element_size() for t in [*module.parameters(), *module.buffers()])
    if weight_bytes > _SINGLE_FILE_BYTES:
        raise ValueError(
            f"{weight_bytes} bytes of weights do not fit one ONNX file of 2 GiB: export a smaller model"
        )
    beside = path.with_name(path.name + ".partial")
    module.eval()
    with torch.inference_mode():
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
        raise RuntimeError("torch.onnx.export returned no program")
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


def compare(module: nn.Module, path: Path, inputs: Sequence[Tensor]) -> Parity:
    """Run `inputs` through `module` and through the file at `path` on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    worst, closest = 0.0, 1.0
    module.eval()
    for tensor in inputs:
        with torch.inference_mode():
            expected: NDArray[np.float32] = module(tensor).numpy()
        actual = session.run(None, {name: tensor.numpy()})[0]
        worst = max(worst, float(np.abs(expected - actual).max()))
        norms = np.linalg.norm(expected, axis=-1) * np.linalg.norm(actual, axis=-1)
        closest = min(closest, float(((expected * actual).sum(-1) / np.maximum(norms, 1e-12)).min()))
    return Parity(worst, closest)
