"""Operations and bytes of each stage, counted from the pack's own graphs and GGUF. Knows no clock.

A multiplication and an addition are two operations. Bytes are the least that has to be moved: every weight
once, and what goes in and out; what stays in caches between is not counted.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emer_edge.bench.onnx_read import PRECISIONS, Graph, Node, Value, parse_graph, read_graph
from emer_edge.limits import Limits
from emer_edge.packs.records import FusionSpec

PRODUCTS = ("MatMul", "FusedMatMul", "Gemm", "MatMulInteger", "DynamicQuantizeMatMul", "QLinearMatMul")
CONVOLUTIONS = ("Conv", "FusedConv", "ConvInteger", "QLinearConv")
BACKWARD = ("ConvTranspose",)
ATTENTION = ("Attention", "MultiHeadAttention")
"""Of ONNX (opset 23) and of ONNX Runtime, where queries, keys and values are given apart."""
KEEPING = {
    "DynamicQuantizeLinear": 2,
    "QuantizeLinear": 2,
    "DequantizeLinear": 1,
    "Cast": 0,
    "Mul": 0,
    "Add": 0,
}
"""Operators whose output has the shape of their largest input; the type they give, 0 for the same one."""
OPAQUE = ("Einsum", "LSTM", "GRU", "RNN", *ATTENTION, "If", "Loop", "Scan")
"""Operators that may compute much and are not counted; their number is told."""


@dataclass(slots=True)
class Cost:
    """What one run of a stage has to do at least."""

    products: float = 0.0
    """Operations of matrix products and convolutions."""
    others: float = 0.0
    """One operation for each element that any other operator gives."""
    weight_bytes: float = 0.0
    moved_bytes: float = 0.0
    """Inputs and outputs."""
    precision: str = "fp32"
    """Of the weights that the products use most."""
    uncounted: int = 0

    @property
    def operations(self) -> float:
        """All operations."""
        return self.products + self.others

    @property
    def total_bytes(self) -> float:
        """All bytes."""
        return self.weight_bytes + self.moved_bytes

    def to_dict(self) -> dict[str, Any]:
        """For the result file."""
        return {
            name: round(value) if isinstance(value, float) else value for name, value in asdict(self).items()
        }


def encoder_cost(path: Path) -> Cost:
    """The cost of one full batch of an encoder.

    Raises:
        PackError: the file is no ONNX graph.
    """
    cost = graph_cost(read_graph(path))
    if not cost.uncounted:
        return cost
    try:
        import onnx
    except ImportError:  # what stays uncounted is told
        return cost
    # A graph need not tell the shapes between its nodes; where onnx is installed, it finds them.
    model = onnx.shape_inference.infer_shapes(onnx.load(str(path), load_external_data=False), data_prop=True)
    return graph_cost(parse_graph(model.SerializeToString()))


def graph_cost(graph: Graph) -> Cost:
    """The cost of one run of a graph whose shapes are told."""
    cost, by_precision = Cost(), dict[str, float]()
    fill_shapes(graph)
    for node in graph.nodes:
        done = _product(graph, node)
        if done is not None:
            cost.products += done
            weight = graph.value(node.takes[1]) or graph.value(node.takes[0])
            precision = PRECISIONS.get(weight.kind, "fp32") if weight else "fp32"
            by_precision[precision] = by_precision.get(precision, 0.0) + done
        elif node.operator in (*OPAQUE, *PRODUCTS, *CONVOLUTIONS, *BACKWARD):
            cost.uncounted += 1
        else:
            cost.others += sum(value.items for value in map(graph.value, node.gives) if value is not None)
    cost.weight_bytes = float(sum(weight.size_bytes for weight in graph.weights.values()))
    ends = [graph.values[name] for name in (*graph.inputs, *graph.outputs) if name not in graph.weights]
    cost.moved_bytes = float(sum(value.size_bytes for value in ends))
    cost.precision = max(by_precision, key=lambda name: by_precision[name], default="fp32")
    return cost


def fill_shapes(graph: Graph) -> None:
    """Tell the shapes that quantisation leaves out: products, and what keeps the shape of its inputs."""
    for node in graph.nodes:
        if not node.gives or node.gives[0] in graph.values:
            continue
        known = [graph.value(name) for name in node.takes]
        left = known[0] if known else None
        if left is None:
            continue
        if node.operator in PRODUCTS and len(known) > 1 and (right := known[1]) is not None:
            shape, kind = (*left.shape[:-1], right.shape[-1]), 6 if node.operator == "MatMulInteger" else 1
        elif node.operator in KEEPING:
            shape = max((value.shape for value in known if value), key=lambda shape: math.prod(shape or (0,)))
            kind = node.numbers.get("to", KEEPING[node.operator] or left.kind)
        else:
            continue
        graph.values[node.gives[0]] = Value(shape, kind)


def _product(graph: Graph, node: Node) -> float | None:
    """Operations of a product or convolution; None for every other operator."""
    if not node.gives or len(node.takes) < 2:
        return None
    left, gives = graph.value(node.takes[0]), graph.value(node.gives[0])
    # Quantised operators have scales between their operands.
    right = graph.value(node.takes[3 if node.operator in ("QLinearMatMul", "QLinearConv") else 1])
    if left is None or right is None or gives is None:
        return None
    if node.operator in PRODUCTS:
        return 2.0 * gives.items * _inner(node, left)
    if node.operator in CONVOLUTIONS:
        return 2.0 * gives.items * math.prod(right.shape[1:])
    if node.operator in ATTENTION and len(node.takes) > 2:
        return _attention(left, right, graph.value(node.takes[2]))
    if node.operator in BACKWARD:
        return 2.0 * left.items * math.prod(right.shape[1:])
    return None


def _attention(query: Value, key: Value, value: Value | None) -> float | None:
    """Scores and weighted sums; (batch, heads, rows, width), or (batch, rows, heads * width) unsplit."""
    if value is None or len(query.shape) != len(value.shape) or len(query.shape) < 3:
        return None
    rows, keys = query.shape[-2], key.shape[-2]
    return 2.0 * math.prod(query.shape[:-2]) * rows * keys * (query.shape[-1] + value.shape[-1])


def _inner(node: Node, left: Value) -> int:
    """Length of the axis that a product sums over."""
    if len(left.shape) < 2:
        return left.shape[-1] if left.shape else 1
    return left.shape[-2] if node.numbers.get("transA") else left.shape[-1]


def fusion_cost(spec: FusionSpec, size_bytes: int, frames: int, windows: int) -> Cost:
    """The fusion: every weight is used once for pooled rows, the attention's also for each row."""
    rows = frames * spec.vision_dim + windows * spec.audio_dim
    parameters = size_bytes / 4
    return Cost(2 * parameters, 2.0 * rows, float(size_bytes), 4.0 * rows)


@dataclass(frozen=True, slots=True)
class LlmShape:
    """The sizes of a decoder model that its cost and memory follow from."""

    layers: int
    heads: int
    kv_heads: int
    key_length: int
    value_length: int
    n_embd: int
    n_vocab: int
    block_bytes: int
    """Weights of the layers as they are stored."""
    block_items: int
    head_bytes: int
    """The matrix that gives logits; the token table where the two are one."""
    head_items: int
    table_bytes: int
    """The token table, of which a prompt reads some rows."""
    precision: str
    """ggml's name of the type that holds most of the weights."""
    feed_forward: int
    file_bytes: int
    tied: bool

    def kv_bytes_per_token(self, item_bytes: int = 2) -> int:
        """Keys and values of one position over all layers."""
        return self.layers * self.kv_heads * (self.key_length + self.value_length) * item_bytes


def llm_shape(path: Path, limits: Limits | None = None) -> LlmShape:
    """Read a GGUF file's header.

    Raises:
        PackError: it can't be read, or lacks what every decoder has.
    """
    from emer_edge.bench.gguf_read import read_llm

    return read_llm(path, limits or Limits())


def prefill_cost(shape: LlmShape, rows: int, told: int) -> Cost:
    """A prompt of `rows` in one batch, of which `told` rows give logits."""
    attended = rows * (rows + 1) / 2
    attention = 2.0 * shape.layers * shape.heads * (shape.key_length + shape.value_length) * attended
    return Cost(
        products=2.0 * shape.block_items * rows + 2.0 * shape.head_items * told + attention,
        weight_bytes=float(shape.block_bytes + shape.head_bytes),
        moved_bytes=float(rows * (shape.kv_bytes_per_token() + 4 * shape.n_embd) + 4 * told * shape.n_vocab),
        precision=shape.precision,
    )


def token_cost(shape: LlmShape, position: int) -> Cost:
    """One generated token at a position: every weight and all keys and values are read."""
    attention = 2.0 * shape.layers * shape.heads * (shape.key_length + shape.value_length) * position
    return Cost(
        products=2.0 * (shape.block_items + shape.head_items) + attention,
        weight_bytes=float(shape.block_bytes + shape.head_bytes),
        moved_bytes=float(position * shape.kv_bytes_per_token() + 4 * shape.n_vocab),
        precision=shape.precision,
    )
