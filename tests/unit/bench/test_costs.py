"""Operations and bytes counted from graphs, against counts by hand and by the onnx package."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from emer_edge.bench.ceilings import Ceilings, product_rate, read_bandwidth
from emer_edge.bench.costs import Cost, encoder_cost, llm_shape, prefill_cost, token_cost
from emer_edge.bench.onnx_made import matmul_graph
from emer_edge.bench.onnx_read import read_graph
from emer_edge.bench.roofline import as_precision, record
from emer_edge.encoders.base import TensorSpec
from emer_edge.encoders.onnx import OnnxNetwork
from emer_edge.errors import PackError
from emer_edge.packs.verify import BUILTIN

NANO = BUILTIN / "emer-nano"


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_made_product_computes_and_is_counted(tmp_path: Path, precision: str) -> None:
    data, takes, gives = matmul_graph(precision, 3, 16)
    path = tmp_path / "matmul.onnx"
    path.write_bytes(data)
    network = OnnxNetwork(path, TensorSpec("a", takes, (3, 16)), [TensorSpec("y", gives, (3, 16))])
    (out,) = network.run(np.ones((3, 16), takes))
    weight = np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32)
    wanted = (weight * 20).astype(np.int8).astype(np.float32) if precision == "int8" else weight
    assert np.allclose(out, np.ones((3, 16)) @ wanted, atol=0.05)
    cost = encoder_cost(path)
    assert cost.products == 2 * 3 * 16 * 16
    assert cost.precision == precision
    assert cost.weight_bytes == 16 * 16 * {"fp32": 4, "fp16": 2, "int8": 1}[precision]


@pytest.mark.parametrize("name", ["vision", "audio"])
def test_shapes_are_those_that_the_onnx_package_reads(name: str) -> None:
    onnx = pytest.importorskip("onnx")
    path = NANO / f"{name}.fp32.onnx"
    graph, theirs = read_graph(path), onnx.load(str(path)).graph
    assert [node.operator for node in graph.nodes] == [node.op_type for node in theirs.node]
    assert {key: value.shape for key, value in graph.weights.items()} == {
        tensor.name: tuple(tensor.dims) for tensor in theirs.initializer
    }
    infos = [*theirs.value_info, *theirs.input, *theirs.output]
    assert {key: value.shape for key, value in graph.values.items()} == {
        info.name: tuple(axis.dim_value for axis in info.type.tensor_type.shape.dim) for info in infos
    }


def test_convolutions_are_counted_as_by_hand() -> None:
    onnx = pytest.importorskip("onnx")
    path = NANO / "vision.fp32.onnx"
    graph = onnx.shape_inference.infer_shapes(onnx.load(str(path)), data_prop=True).graph
    shapes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim] for i in graph.value_info}
    shapes |= {i.name: list(i.dims) for i in graph.initializer}
    shapes |= {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim] for i in graph.output}
    by_hand = 0
    for node in graph.node:
        if node.op_type == "Conv":
            by_hand += 2 * math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
        elif node.op_type in ("Gemm", "MatMul"):
            by_hand += 2 * math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    assert encoder_cost(path).products == by_hand > 1e8


def test_a_file_that_is_no_graph_is_an_error(tmp_path: Path) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"\x3a\xff\xff\x03abc")
    with pytest.raises(PackError, match=r"bad\.onnx"):
        read_graph(bad)
    with pytest.raises(PackError):
        read_graph(tmp_path / "absent.onnx")


def test_a_language_model_costs_its_weights_for_each_token() -> None:
    shape = llm_shape(NANO / "llm.F16.gguf")
    assert (shape.layers, shape.n_embd, shape.n_vocab, shape.tied) == (4, 256, 6144, True)
    assert shape.kv_bytes_per_token() == 4 * 2 * (64 + 64) * 2
    first, later = token_cost(shape, 1), token_cost(shape, 101)
    assert first.weight_bytes == later.weight_bytes == shape.block_bytes + shape.head_bytes
    assert later.moved_bytes - first.moved_bytes == 100 * shape.kv_bytes_per_token()
    assert later.products > first.products >= 2 * (shape.block_items + shape.head_items)
    prompt = prefill_cost(shape, 50, 1)
    assert prompt.products > 50 * 2 * shape.block_items
    assert prompt.weight_bytes == first.weight_bytes


def test_the_bound_is_the_slower_of_the_two() -> None:
    ceilings = Ceilings(1, 1e9, 4e9, 1_000_000, {"fp32": 1e9, "int8": 4e9})
    compute = record(Cost(products=1e9, weight_bytes=1e7), 2.0, ceilings)
    assert (compute["bound"], compute["percent"]) == ("compute", 50.0)
    memory = record(Cost(products=1e6, weight_bytes=1e9), 2.0, ceilings)
    assert (memory["bound"], memory["floor_seconds"], memory["percent"]) == ("memory", 1.0, 50.0)
    cache = record(Cost(products=1.0, weight_bytes=1e6), 1.0, ceilings)
    assert (cache["bound"], cache["floor_seconds"]) == ("cache", 0.00025)
    quick = record(Cost(products=1e9, precision="int8"), 1.0, ceilings)
    assert quick["percent"] == 25.0


def test_types_of_both_engines_have_a_precision() -> None:
    assert [as_precision(kind) for kind in ("fp32", "F16", "bf16", "Q8_0", "Q4_K", "int8")] == [
        *("fp32", "fp16", "fp16", "int8", "int8", "int8")
    ]


def test_ceilings_are_measured_here() -> None:
    assert read_bandwidth(1024**2, 1) > 1e8
    assert product_rate("cpu", 1, "fp32") > 1e8
