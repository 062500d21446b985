"""Encoder and fusion files that lie: refused before ONNX Runtime or native code sees them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from emer_edge.errors import PackError
from emer_edge.limits import Limits
from emer_edge.packs.verify import verify_pack

Rehash = Callable[[Path], None]


def _onnx(tensor: TensorProto, *, inside: str) -> bytes:
    """An ONNX model that holds `tensor` at the place called `inside`."""
    constant = helper.make_node("Constant", [], ["embeddings"], value=tensor)
    nodes, initializers, sparse, functions = [], [], [], []
    if inside == "initializer":
        initializers = [tensor]
    elif inside == "attribute":
        nodes = [constant]
    elif inside == "subgraph":
        body = helper.make_graph([constant], "body", [], [])
        nodes = [helper.make_node("If", ["c"], ["embeddings"], then_branch=body, else_branch=body)]
    elif inside == "sparse":
        indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
        sparse = [helper.make_sparse_tensor(tensor, indices, [4])]
    elif inside == "function":
        functions = [helper.make_function("local", "F", [], ["y"], [constant], [helper.make_opsetid("", 17)])]
    graph = helper.make_graph(nodes, "g", [], [], initializers, sparse_initializer=sparse)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], functions=functions)
    data: bytes = model.SerializeToString()
    return data


def _external(*, location: bool, entry: bool) -> TensorProto:
    tensor = helper.make_tensor("weight", TensorProto.FLOAT, [1], [1.0])
    if location:
        tensor.data_location = TensorProto.EXTERNAL
    if entry:
        tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


PLACES = ("initializer", "attribute", "subgraph", "sparse", "function")


@pytest.mark.usefixtures("no_native")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("location", "entry"), [(True, True), (True, False), (False, True)])
def test_external_data_is_refused(
    stub: Path, rehash: Rehash, place: str, location: bool, entry: bool
) -> None:
    (stub / "vision.fp32.onnx").write_bytes(_onnx(_external(location=location, entry=entry), inside=place))
    rehash(stub)
    with pytest.raises(PackError, match="external"):
        verify_pack(stub, Limits())


@pytest.mark.parametrize("place", PLACES)
def test_internal_data_is_taken(stub: Path, rehash: Rehash, place: str) -> None:
    (stub / "vision.fp32.onnx").write_bytes(_onnx(_external(location=False, entry=False), inside=place))
    rehash(stub)
    verify_pack(stub, Limits())


def _compiled_engine() -> bytes:
    node = helper.make_node(
        "EPContext", ["frames"], ["embeddings"], domain="com.microsoft", ep_cache_context="x"
    )
    graph = helper.make_graph([node], "g", [], [])
    data: bytes = helper.make_model(graph).SerializeToString()
    return data


def _nested(depth: int) -> bytes:
    body = b""
    for _ in range(depth):  # Graph.node(1) > Node.attribute(5) > Attribute.g(6)
        for number in (6, 5, 1):
            body = bytes([number << 3 | 2]) + _varint(len(body)) + body
    return b"\x08\x08" + b"\x3a" + _varint(len(body)) + body + b"\x42\x00"


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


BROKEN_ONNX: dict[str, bytes] = {
    "empty": b"",
    "text": b"this is not a model",
    "a pickle": b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00.",
    "no graph": b"\x08\x08\x42\x00",
    "a length beyond the file": b"\x08\x08\x3a\xff\xff\xff\xff\x0f",
    "an endless number": b"\x08" + b"\xff" * 20,
    "field zero": b"\x08\x08\x02\x00",
    "a group": b"\x08\x08\x3b\x3c",
    "a graph that is a number": b"\x08\x08\x38\x01\x42\x00",
    "a tag of more than 32 bits": b"\x08\x08\xba\x80\x80\x80\x10\x00\x42\x00",
    "a deep nest": _nested(200),
    "a compiled engine": _compiled_engine(),
}


@pytest.mark.usefixtures("no_native")
@pytest.mark.parametrize("name", BROKEN_ONNX)
def test_broken_onnx_is_refused(stub: Path, rehash: Rehash, name: str) -> None:
    (stub / "audio.fp32.onnx").write_bytes(BROKEN_ONNX[name])
    rehash(stub)
    with pytest.raises(PackError):
        verify_pack(stub, Limits())


def _safetensors(header: bytes, body: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + body


BROKEN_FUSION: dict[str, bytes] = {
    "empty": b"",
    "seven bytes": b"1234567",
    "a header beyond the file": struct.pack("<Q", 2**63) + b"{}",
    "a header of a gigabyte": struct.pack("<Q", 2**30) + b"{}",
    "no JSON": _safetensors(b"hello"),
    "a list": _safetensors(b"[]"),
    "a name twice": _safetensors(
        b'{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}',
        b"0000",
    ),
    "an unknown type": _safetensors(b'{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}', b"0" * 8),
    "a type that is a list": _safetensors(b'{"a":{"dtype":[],"shape":[1],"data_offsets":[0,8]}}', b"0" * 8),
    "another size": _safetensors(b'{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}', b"0" * 8),
    "a hole": _safetensors(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', b"0" * 8),
    "bytes left over": _safetensors(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', b"0" * 8),
    "beyond the file": _safetensors(b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', b"0" * 8),
    "backwards": _safetensors(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}}', b"0" * 8),
    "a negative length": _safetensors(b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', b"0" * 4),
    "overlap": _safetensors(
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
        b"0" * 8,
    ),
}


@pytest.mark.usefixtures("no_native")
@pytest.mark.parametrize("name", BROKEN_FUSION)
def test_broken_safetensors_are_refused(stub: Path, rehash: Rehash, name: str) -> None:
    (stub / "fusion.safetensors").write_bytes(BROKEN_FUSION[name])
    rehash(stub)
    with pytest.raises(PackError):
        verify_pack(stub, Limits())


def test_the_stub_is_valid_onnx(stub: Path) -> None:
    for name in ("vision", "audio"):
        onnx.checker.check_model(onnx.load(str(stub / f"{name}.fp32.onnx")), full_check=True)
