"""Writes the smallest useful ONNX graph: one matrix product at one precision.

Knows the protobuf wire format (https://protobuf.dev/programming-guides/encoding) and onnx.proto's field
numbers (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). Does not know who runs it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_OPSET, _IR_VERSION = 17, 8
_FLOAT, _UINT8, _INT8, _FLOAT16 = 1, 2, 3, 10
_INPUT, _WEIGHT, _OUTPUT = "a", "b", "y"


def matmul_graph(precision: str, rows: int, side: int, seed: int = 0) -> tuple[bytes, str, str]:
    """A graph `a` (rows, side) times a weight (side, side) to `y`.

    Args:
        precision: `fp32`, `fp16`, or `int8` for uint8 times int8 summed in int32.
        rows: of the input.
        side: of the square weight.
        seed: of the random weight.

    Returns:
        The file's bytes, and numpy's names of the types that go in and come out.
    """
    random = np.random.default_rng(seed)
    weight = random.standard_normal((side, side)).astype(np.float32)
    if precision == "int8":
        nodes = [
            _node("MatMulInteger", [_INPUT, _WEIGHT], ["sums"]),
            # The runtime gives float32 or float16 back, never int32.
            _node("Cast", ["sums"], [_OUTPUT], _int_attribute("to", _FLOAT)),
        ]
        kinds, stored = (_UINT8, _INT8, _FLOAT), (weight * 20).astype(np.int8)
    else:
        nodes = [_node("MatMul", [_INPUT, _WEIGHT], [_OUTPUT])]
        kind = _FLOAT16 if precision == "fp16" else _FLOAT
        kinds, stored = (kind, kind, kind), weight.astype(np.float16 if precision == "fp16" else np.float32)
    shape = (rows, side)
    graph = b"".join(_field(1, node) for node in nodes)
    graph += _text(2, "matmul") + _field(5, _tensor(_WEIGHT, kinds[1], stored))
    graph += _field(11, _value(_INPUT, kinds[0], shape)) + _field(12, _value(_OUTPUT, kinds[2], shape))
    model = _number(1, _IR_VERSION) + _field(7, graph) + _field(8, _number(2, _OPSET))
    names = {_FLOAT: "float32", _FLOAT16: "float16", _UINT8: "uint8"}
    return model, names[kinds[0]], names[kinds[2]]


def _node(operator: str, takes: list[str], gives: list[str], attribute: bytes = b"") -> bytes:
    body = b"".join(_text(1, name) for name in takes) + b"".join(_text(2, name) for name in gives)
    return body + _text(4, operator) + (_field(5, attribute) if attribute else b"")


def _int_attribute(name: str, value: int) -> bytes:
    return _text(1, name) + _number(3, value) + _number(20, 2)  # AttributeType.INT


def _tensor(name: str, kind: int, values: NDArray[np.generic]) -> bytes:
    dims = b"".join(_number(1, length) for length in values.shape)
    return dims + _number(2, kind) + _text(8, name) + _field(9, values.tobytes())


def _value(name: str, kind: int, shape: tuple[int, ...]) -> bytes:
    dims = b"".join(_field(1, _number(1, length)) for length in shape)
    return _text(1, name) + _field(2, _field(1, _number(1, kind) + _field(2, dims)))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, body: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(body)) + body


def _text(field: int, text: str) -> bytes:
    return _field(field, text.encode())
