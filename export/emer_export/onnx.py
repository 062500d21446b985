"""Writes torch modules as ONNX graphs with fixed shapes, and measures how close the two stay.

Knows torch, onnx, onnxruntime and three precisions: float32, float16 and 8-bit weights and activations of
the matrix products. Does not know which model it writes, nor packs or providers, nor where weights lie:
that is `graph_files`.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emer_edge.errors import InputError, PackError
from emer_edge.strays import Stray, stray
from emer_export.graph_files import graph_from, graph_in_place, write_graph

OPSET = 18


def export_onnx(
    module: nn.Module, example: Tensor, path: Path, input_name: str, output_name: str, opset: int = OPSET
) -> None:
    """Write `module` to `path` with the shape of `example`, and check the file.

    One float tensor in, one out. Weights that one file can't hold go into a second one beside it
    (`graph_files.data_path`), from where the module has them and without another copy of all of them.

    Raises:
        InputError: an opset below 17, the first with LayerNormalization.
    """
    if opset < 17:
        raise InputError(f"The opset {opset} has no LayerNormalization.", todo="Ask for 17 or more.")
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
    # The exporter leaves source paths and stack traces of this machine on every node.
    for node in program.model.graph:
        node.metadata_props.clear()
        node.doc_string = None
    with graph_in_place(path) as made:
        write_graph(program.model, made)


class HalfPrecision(nn.Module):
    """A copy of a module that computes in float16 between a float32 input and a float32 output, so that a
    manifest declares the same tensors for every precision.

    Args:
        module: in float32.
        copied: off turns the module itself to float16, for one whose weights fit memory only once.
    """

    def __init__(self, module: nn.Module, *, copied: bool = True) -> None:
        super().__init__()
        wide = {
            name: copy.deepcopy(part)
            for name, part in module.named_modules()
            if getattr(part, "stays_float32", False)
        }
        self.module = (copy.deepcopy(module) if copied else module).half()
        for place, whole in wide.items():
            # Not what .half() left, made wider again.
            part = self.module.get_submodule(place)
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

    with graph_from(source, path) as (made, apart), without_chatter():
        quantize_dynamic(
            source,
            made,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=apart,
        )


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
