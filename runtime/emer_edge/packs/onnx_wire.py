"""Looks through an ONNX file for anything that names another file, before ONNX Runtime sees it.

Knows the protobuf wire format, which ONNX messages lie in which, and the one file that a graph may name: the
data that the manifest declares for it. Does not know operators.
Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; external data:
https://github.com/onnx/onnx/blob/main/docs/ExternalData.md.
"""

from __future__ import annotations

import math
import mmap
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from emer_edge.errors import PackError

_DEPTH = 64
_FIELDS = 4_000_000
_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5

# message -> field number -> the message in that field. "Main" is the model's own graph.
_CHILDREN: dict[str, dict[int, str]] = {
    "Model": {7: "Main", 20: "Training", 25: "Function"},
    "Main": {1: "Node", 5: "Weight", 15: "Sparse"},
    "Graph": {1: "Node", 5: "Tensor", 15: "Sparse"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "Sparse", 23: "Sparse"},
    "Sparse": {1: "Tensor", 2: "Tensor"},
    "Function": {7: "Node", 11: "Attribute"},
    "Training": {1: "Graph", 2: "Graph"},
    "Tensor": {},
    "Weight": {},
}
_OPERATOR = 4  # of Node
_DIMS, _DATA_TYPE, _EXTERNAL_DATA, _DATA_LOCATION = 1, 2, 13, 14  # of Tensor
_NUMBERS_INSIDE = {4, 5, 6, 7, 9, 10, 11}  # of Tensor: raw_data and its likes
# Bits of one element by TensorProto.DataType; texts and complex numbers are no weights.
_BITS = {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 16: 16}
_BITS |= {17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4}
_AXES, _AXIS = 64, 2**40
_WHOLE = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)


class DataFile(NamedTuple):
    """The file beside a graph that its weights may lie in."""

    name: str
    """Without a folder: it is the graph's own."""
    size_bytes: int


@dataclass(slots=True)
class _Scan:
    """One file, the data it may name, and how much of the budget is left."""

    data: mmap.mmap
    name: str
    beside: DataFile | None
    fields: int = _FIELDS
    outside: int = 0
    """Weights in the other file."""

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


class _Field(NamedTuple):
    """One field of a message: where its content begins and ends, and its value if it is a varint."""

    number: int
    wire: int
    start: int
    end: int
    value: int


def check_onnx(path: Path, beside: DataFile | None = None) -> None:
    """Refuse an ONNX file that is no ModelProto, or that makes a runtime open another file than its data.

    Refused are external tensor data wherever a tensor can stand (initializers, sparse ones, attributes,
    subgraphs, functions) and `EPContext` nodes, which name compiled engines. Where `beside` is given,
    initializers of the main graph may lie in it, and at least one must: each says its location, which is
    that very name, its offset and its length, which is what its type and shape need and ends within the file.

    Args:
        path: of the graph.
        beside: the data that the manifest declares for it, whose size has been checked.

    Raises:
        PackError: any of these, more than 4 million fields, or deeper nesting than 64.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            scan = _Scan(data, path.name, beside)
            seen = _message(scan, "Model", 0, len(data), _DEPTH)
    except (OSError, ValueError) as error:  # ValueError: an empty file can't be mapped
        raise PackError(f"Can't read {path.name}.", str(error)) from error
    if not {1, 7, 8} <= seen:
        raise scan.refused("it has no version, no graph or no operator set")
    if beside is not None and not scan.outside:
        raise scan.refused(f"none of its weights lies in {beside.name}, which is declared as its data")


def _message(scan: _Scan, kind: str, at: int, end: int, depth: int) -> set[int]:
    """Walk one message; returns the field numbers it has."""
    if depth == 0:
        raise scan.refused("it is nested too deeply")
    seen: set[int] = set()
    children = _CHILDREN[kind]
    while at < end:
        number, wire, start, at, value = _field(scan, at, end)
        seen.add(number)
        if number in children:
            if wire != _LENGTH:
                raise scan.refused("it is not the protobuf of an ONNX model")
            if children[number] == "Weight" and scan.beside is not None:
                _weight(scan, scan.beside, start, at)
            else:
                _message(scan, children[number], start, at, depth - 1)
        elif kind in ("Tensor", "Weight") and (
            number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)
        ):
            raise scan.refused("a tensor lies in another file (external data)")
        elif kind == "Node" and number == _OPERATOR and scan.data[start:at] == b"EPContext":
            raise scan.refused("a node names a compiled engine (EPContext)")
    return seen


def _weight(scan: _Scan, beside: DataFile, at: int, end: int) -> None:
    """Walk an initializer of the main graph, the only place that may name the declared data.

    Elsewhere a tensor can be said in two pieces, which parsers put together: each would pass alone.
    """
    dims, kinds, locations, inside = list[int](), list[int](), list[int](), False
    entries: dict[str, str] = {}
    while at < end:
        number, wire, start, at, value = _field(scan, at, end)
        if number == _DIMS and wire == _LENGTH:
            place = start
            while place < at and len(dims) <= _AXES:
                value, place = scan.varint(place, at)
                dims.append(value)
        elif number == _EXTERNAL_DATA and wire == _LENGTH:
            key, text = _entry(scan, start, at)
            if key in entries:
                raise scan.refused(f"a weight says the {key} of its external data twice")
            entries[key] = text
        elif number in (_DIMS, _DATA_TYPE, _DATA_LOCATION) and wire == _VARINT:
            {_DIMS: dims, _DATA_TYPE: kinds, _DATA_LOCATION: locations}[number].append(value)
        elif number in (_DIMS, _DATA_TYPE, _EXTERNAL_DATA, _DATA_LOCATION):
            raise scan.refused("it is not the protobuf of an ONNX model")
        inside = inside or number in _NUMBERS_INSIDE
        if len(dims) > _AXES:
            raise scan.refused(f"a weight has more than {_AXES} axes")
    if not entries and not any(locations):
        return
    if locations != [1] or inside or len(kinds) != 1 or kinds[0] not in _BITS:
        raise scan.refused("a weight is not plainly one of external data")
    if any(axis >= _AXIS for axis in dims):  # a negative one is larger still on the wire
        raise scan.refused("a weight of external data has an impossible shape")
    _check_place(scan, beside, entries, -(-math.prod(dims) * _BITS[kinds[0]] // 8))
    scan.outside += 1


def _check_place(scan: _Scan, beside: DataFile, entries: dict[str, str], needed: int) -> None:
    """Hold where a weight says that it lies against the declared file, and its length against its shape."""
    if set(entries) != {"location", "offset", "length"}:
        raise scan.refused("a weight does not say location, offset and length of its external data, or more")
    if entries["location"] != beside.name:
        raise scan.refused(
            f"a weight's external data lies in {entries['location'][:80]!r}; declared is {beside.name}"
        )
    if not all(_WHOLE.fullmatch(entries[key]) for key in ("offset", "length")):
        raise scan.refused("offset or length of a weight's external data is no whole number")
    offset, length = int(entries["offset"]), int(entries["length"])
    if length != needed or length == 0:
        raise scan.refused(f"a weight's external data is {length} bytes long; its shape needs {needed}")
    if offset + length > beside.size_bytes:
        raise scan.refused(f"a weight's external data ends at {offset + length}, {beside.name} before")


def _entry(scan: _Scan, at: int, end: int) -> tuple[str, str]:
    """A StringStringEntryProto that has key and value once each."""
    found: dict[int, str] = {}
    while at < end:
        number, wire, start, at, _ = _field(scan, at, end)
        if number not in (1, 2) or wire != _LENGTH or number in found or at - start > 4096:
            raise scan.refused("an entry of external data is not one key and one value")
        found[number] = bytes(scan.data[start:at]).decode("utf-8", "backslashreplace")
    if len(found) != 2:
        raise scan.refused("an entry of external data is not one key and one value")
    return found[1], found[2]


def _field(scan: _Scan, at: int, end: int) -> _Field:
    """The field that begins at `at`."""
    scan.fields -= 1
    if scan.fields < 0:
        raise scan.refused(f"it has more than {_FIELDS} fields")
    tag, at = scan.varint(at, end)
    if tag >> 32:  # parsers keep 32 bits of it, so that it would be another field to them than to us
        raise scan.refused("it is not the protobuf of an ONNX model")
    number, wire, value, start = tag >> 3, tag & 7, 0, at
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
    return _Field(number, wire, start, at, value)
