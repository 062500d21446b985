"""Reads the shapes of an ONNX graph without the onnx package: nodes, weights, values.

Knows the protobuf wire format and the fields of onnx.proto that carry shapes. Weights are skipped, not read.
Packs are checked by `packs.verify` before; what is no protobuf is an error all the same.
Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from emer_edge.errors import PackError

Shape = tuple[int, ...]
ITEM_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
"""Bytes of one element by TensorProto.DataType."""
PRECISIONS = {1: "fp32", 2: "int8", 3: "int8", 10: "fp16", 16: "bf16"}
_Buffer = mmap.mmap | bytes


@dataclass(frozen=True, slots=True)
class Value:
    """One tensor: its shape, with 0 for a free axis, and its type."""

    shape: Shape
    kind: int

    @property
    def items(self) -> int:
        """Elements; a free axis counts as one."""
        return math.prod(max(1, length) for length in self.shape)

    @property
    def size_bytes(self) -> int:
        """Bytes."""
        return self.items * ITEM_BYTES.get(self.kind, 4)


@dataclass(slots=True)
class Node:
    """One operator."""

    operator: str
    takes: list[str]
    gives: list[str]
    numbers: dict[str, int] = field(default_factory=dict)
    """Whole-number attributes such as `group` and `transB`."""


@dataclass(slots=True)
class Graph:
    """One graph; values are by name."""

    nodes: list[Node] = field(default_factory=list)
    weights: dict[str, Value] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    """Inputs, outputs and what lies between."""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)

    def value(self, name: str) -> Value | None:
        """A weight or a value, or None where the file does not tell its shape."""
        return self.weights.get(name) or self.values.get(name)


def read_graph(path: Path) -> Graph:
    """The main graph of a file.

    Raises:
        PackError: it can't be read, or is no ONNX file.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return parse_graph(data)
    except (OSError, ValueError, IndexError) as error:
        raise PackError(f"Can't read the graph of {path.name}.", str(error)) from error


def parse_graph(data: _Buffer) -> Graph:
    """The main graph of a file's bytes; what is no ONNX raises ValueError or IndexError."""
    graph = Graph()
    for number, start, end, _ in _fields(data, 0, len(data)):
        if number == 7:
            _graph(data, start, end, graph)
    return graph


def _graph(data: _Buffer, start: int, end: int, graph: Graph) -> None:
    for number, at, to, _ in _fields(data, start, end):
        if number == 1:
            graph.nodes.append(_node(data, at, to))
        elif number == 5:
            name, value = _tensor(data, at, to)
            graph.weights[name] = value
        elif number in (11, 12, 13):
            name, value = _value_info(data, at, to)
            graph.values[name] = value
            if number != 13:
                (graph.inputs if number == 11 else graph.outputs).append(name)


def _node(data: _Buffer, start: int, end: int) -> Node:
    node = Node("", [], [])
    for number, at, to, _ in _fields(data, start, end):
        if number in (1, 2):
            (node.takes if number == 1 else node.gives).append(_text(data, at, to))
        elif number == 4:
            node.operator = _text(data, at, to)
        elif number == 5:
            name, whole = "", None
            for part, first, last, value in _fields(data, at, to):
                if part == 1:
                    name = _text(data, first, last)
                elif part == 3:
                    whole = value
            if whole is not None:
                node.numbers[name] = whole
    return node


def _tensor(data: _Buffer, start: int, end: int) -> tuple[str, Value]:
    name, kind, dims = "", 0, list[int]()
    for number, at, to, value in _fields(data, start, end):
        if number == 1:
            dims += [value] if at == to else list(_packed(data, at, to))
        elif number == 2:
            kind = value
        elif number == 8:
            name = _text(data, at, to)
    return name, Value(tuple(dims), kind)


def _value_info(data: _Buffer, start: int, end: int) -> tuple[str, Value]:
    name, kind, dims = "", 0, list[int]()
    for number, at, to, _ in _fields(data, start, end):
        if number == 1:
            name = _text(data, at, to)
        elif number == 2:  # TypeProto, whose field 1 is tensor_type
            for _, first, last, _ in (found for found in _fields(data, at, to) if found[0] == 1):
                for part, inner, outer, value in _fields(data, first, last):
                    if part == 1:
                        kind = value
                    elif part == 2:
                        dims += [
                            _dimension(data, a, b) for n, a, b, _ in _fields(data, inner, outer) if n == 1
                        ]
    return name, Value(tuple(dims), kind)


def _dimension(data: _Buffer, start: int, end: int) -> int:
    return next((value for number, _, _, value in _fields(data, start, end) if number == 1), 0)


def _packed(data: _Buffer, at: int, end: int) -> Iterator[int]:
    while at < end:
        value, at = _varint(data, at)
        yield value


def _text(data: _Buffer, start: int, end: int) -> str:
    return bytes(data[start:end]).decode("utf-8", "replace")


def _fields(data: _Buffer, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Field number, begin and end of its content, and its value where it is a varint (begin equals end)."""
    while at < end:
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, at, at, value
            continue
        length, at = _varint(data, at) if wire == 2 else ({1: 8, 5: 4}.get(wire, -1), at)
        if length < 0 or at + length > end:
            raise ValueError("it is cut off or not protobuf")
        yield number, at, at + length, 0
        at += length


def _varint(data: _Buffer, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("it is not protobuf")
