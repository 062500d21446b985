"""Rewrite the encoders of a pack for one item at a time, so that a stream pays for no more than is new.

An exported encoder takes as many items as a clip has, eight for emer-nano, and a live session with one new
frame would fill seven places for nothing. Knows ONNX and manifests. The weights stay as they are; the new
graph must give what the old one gives on random input, or nothing is written.

    python scripts/single_batch.py PACK OUT
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

TOLERANCE = 1e-4
"""Largest difference of an embedding, of values up to about 10."""


def rewrite(path: Path, batch: int) -> bytes:
    """The graph at `path` for one item.

    Constants that hold the same row for every item of the batch keep one of them; the first number of a shape
    that is the batch becomes 1.
    """
    model = onnx.load(str(path))
    graph = model.graph
    shapes = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
    for tensor in [*graph.input, *graph.output]:
        tensor.type.tensor_type.shape.dim[0].dim_value = 1
    del graph.value_info[:]
    for initializer in graph.initializer:
        value = numpy_helper.to_array(initializer)
        if initializer.name in shapes and value.size and value[0] == batch:
            value = np.concatenate([[1], value[1:]]).astype(value.dtype)
        elif value.ndim and len(value) == batch and (value == value[:1]).all():
            value = value[:1]
        else:
            continue
        initializer.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), initializer.name))
    # The shapes between nodes are told again: what counts a graph's work goes by them.
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def difference(path: Path, data: bytes, shape: list[int]) -> float:
    """The largest difference between the rows of the old graph and those of the new one."""
    random = np.random.default_rng(0).normal(0, 0.3, shape).astype(np.float32)
    old = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    new = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    name = old.get_inputs()[0].name
    rows = np.concatenate([new.run(None, {name: random[i : i + 1]})[0] for i in range(len(random))])
    return float(np.abs(old.run(None, {name: random})[0] - rows).max())


def main() -> int:
    """Copy the pack with its encoders rewritten."""
    pack, out = Path(sys.argv[1]), Path(sys.argv[2])
    shutil.copytree(pack, out)
    manifest: dict[str, Any] = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    for encoder in manifest["encoders"].values():
        for file in encoder["files"].values():
            path, shape = out / file["path"], file["input"]["shape"]
            if shape[0] == 1:
                continue
            if "data" in file:
                print(f"{path.name}: its weights lie in {file['data']}; nothing is written", file=sys.stderr)
                shutil.rmtree(out)
                return 1
            data = rewrite(path, shape[0])
            apart = difference(path, data, shape)
            if not apart <= TOLERANCE:
                print(f"{path.name}: rows differ by {apart}; nothing is written", file=sys.stderr)
                shutil.rmtree(out)
                return 1
            path.write_bytes(data)
            print(f"{path.name}: {shape[0]} items to 1, rows differ by {apart:.1e}")
            file["input"]["shape"][0] = file["output"]["shape"][0] = 1
    for entry in manifest["files"]:
        data = (out / entry["path"]).read_bytes()
        entry |= {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (out / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
