"""Looks through an ONNX file for anything that names another file, before ONNX Runtime sees it.

Knows the protobuf wire format and which ONNX messages lie in which. Does not know operators or shapes.
Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path

from emer_edge.errors import PackError

_DEPTH = 64
_FIELDS = 4_000_000
_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5

# message -> field number -> the message in that field.
_CHILDREN: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Graph": {1: "Node", 5: "Tensor", 15: "Sparse"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "Sparse", 23: "Sparse"},
    "Sparse": {1: "Tensor", 2: "Tensor"},
    "Function": {7: "Node", 11: "Attribute"},
    "Training": {1: "Graph", 2: "Graph"},
    "Tensor": {},
}
_OPERATOR = 4  # of Node
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # of Tensor


@dataclass(slots=True)
class _Scan:
    """One file, and how much of the budget is left."""

    data: mmap.mmap
    name: str
    fields: int = _FIELDS

    def refused(self, why: str) -> PackError:
        return PackError(f"{self.name} is not an ONNX file that a pack may hold.", why, "Export it again.")

    def varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        while at < end and shift < 64:
            byte = self.data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
            shift += 7
        raise self.refused("it is cut off or not protobuf")


def check_onnx(path: Path) -> None:
    """Refuse an ONNX file that is no ModelProto, or that makes a runtime open another file.

    Refused are external tensor data wherever a tensor can stand (initializers, sparse ones, attributes,
    subgraphs, functions) and `EPContext` nodes, which name compiled engines.

    Raises:
        PackError: any of these, more than 4 million fields, or deeper nesting than 64.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            scan = _Scan(data, path.name)
            seen = _message(scan, "Model", 0, len(data), _DEPTH)
    except (OSError, ValueError) as error:  # ValueError: an empty file can't be mapped
        raise PackError(f"Can't read {path.name}.", str(error)) from error
    if not {1, 7, 8} <= seen:
        raise scan.refused("it has no version, no graph or no operator set")


def _message(scan: _Scan, kind: str, at: int, end: int, depth: int) -> set[int]:
    """Walk one message; returns the field numbers it has."""
    if depth == 0:
        raise scan.refused("it is nested too deeply")
    seen: set[int] = set()
    children = _CHILDREN[kind]
    while at < end:
        scan.fields -= 1
        if scan.fields < 0:
            raise scan.refused(f"it has more than {_FIELDS} fields")
        tag, at = scan.varint(at, end)
        if tag >> 32:  # parsers keep 32 bits of it, so that it would be another field to them than to us
            raise scan.refused("it is not the protobuf of an ONNX model")
        number, wire = tag >> 3, tag & 7
        start, at, value = _step(scan, number, wire, at, end)
        seen.add(number)
        if number in children:
            if wire != _LENGTH:
                raise scan.refused("it is not the protobuf of an ONNX model")
            _message(scan, children[number], start, at, depth - 1)
        elif kind == "Tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)):
            raise scan.refused("a tensor lies in another file (external data)")
        elif kind == "Node" and number == _OPERATOR and scan.data[start:at] == b"EPContext":
            raise scan.refused("a node names a compiled engine (EPContext)")
    return seen


def _step(scan: _Scan, number: int, wire: int, at: int, end: int) -> tuple[int, int, int]:
    """Where the field's content begins and ends, and its value if it is a varint."""
    value = 0
    start = at
    if wire == _VARINT:
        value, at = scan.varint(at, end)
    elif wire == _LENGTH:
        length, start = scan.varint(at, end)
        at = start + length
    elif wire in (_EIGHT, _FOUR):
        at += 8 if wire == _EIGHT else 4
    else:
        raise scan.refused("it is not the protobuf of an ONNX model")
    if number == 0 or at > end:
        raise scan.refused("it is cut off or not protobuf")
    return start, at, value
