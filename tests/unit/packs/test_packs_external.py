"""Graphs whose weights lie in the one file that the manifest declares, and in no other."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper

import emer_edge as ee
from emer_edge.bench.costs import encoder_cost
from emer_edge.bench.plan import choices, encoder_bytes
from emer_edge.encoders.onnx import OnnxEncoder
from emer_edge.errors import PackError
from emer_edge.limits import Limits
from emer_edge.packs.engine_section import graph_sha256
from emer_edge.packs.manifest import load_manifest, parse_manifest
from emer_edge.packs.onnx_wire import DataFile, check_onnx
from emer_edge.packs.store import add_pack
from emer_edge.packs.verify import verify_pack
from emer_edge.session import tensor_pair
from tests.data.make_pack import write_manifest

GRAPH, DATA = "vision.fp32.onnx", "vision.fp32.onnx.data"
OFFSET = 4096
Harm = Callable[[TensorProto], None]


def _read(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return data


def _declare(folder: Path, name: str = DATA) -> None:
    made = _read(folder)
    made["encoders"]["vision"]["files"]["fp32"]["data"] = name
    write_manifest(folder, made)


def _set_apart(folder: Path, harm: Harm | None = None) -> TensorProto:
    """Move the vision encoder's matrix into a file beside its graph; `harm` changes what is said of it."""
    model = onnx.load(str(folder / GRAPH))
    weight = model.graph.initializer[1]
    (folder / DATA).write_bytes(bytes(OFFSET) + weight.raw_data)
    entries = {"location": DATA, "offset": str(OFFSET), "length": str(len(weight.raw_data))}
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        weight.external_data.add(key=key, value=value)
    if harm is not None:
        harm(weight)
    (folder / GRAPH).write_bytes(model.SerializeToString())
    return weight


@pytest.fixture
def apart(stub: Path) -> Path:
    """The stub with its vision encoder's matrix in a declared file."""
    _set_apart(stub)
    _declare(stub)
    return stub


def _embed(folder: Path) -> Any:
    file = load_manifest(folder, Limits()).encoders.vision.files["fp32"]
    encoder = OnnxEncoder(folder / file.path, tensor_pair(file))
    rows = np.random.default_rng(3).standard_normal(file.input.shape).astype(np.float32)
    return encoder.encode(rows)


def test_it_is_the_graph_it_was(stub: Path, tmp_path: Path) -> None:
    before = shutil.copytree(stub, tmp_path / "before")
    _set_apart(stub)
    _declare(stub)
    manifest = verify_pack(stub, Limits())
    file = manifest.encoders.vision.files["fp32"]
    assert file.paths == (GRAPH, DATA)
    assert (stub / GRAPH).stat().st_size < 1500
    np.testing.assert_array_equal(_embed(stub), _embed(before))
    (tmp_path / "link").symlink_to(stub)
    np.testing.assert_array_equal(_embed(tmp_path / "link"), _embed(before))
    assert encoder_cost(stub / GRAPH).to_dict() == encoder_cost(before / GRAPH).to_dict()
    assert encoder_bytes(stub, file) == encoder_bytes(before, file)
    ee.load(stub, threads=1).close()


def test_a_copy_brings_the_data_along(apart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMER_EDGE_PACKS", str(apart.parent / "store"))
    copied = add_pack(apart)
    assert (copied / DATA).read_bytes() == (apart / DATA).read_bytes()
    verify_pack(copied, Limits())


def test_the_data_counts_where_files_are_compared(apart: Path) -> None:
    """A file with weights inside is smaller than a graph and its data, though not than that graph alone."""
    made = _read(apart)
    files = made["encoders"]["vision"]["files"]
    files["fp16"] = {**files["fp32"], "path": "vision.fp16.onnx"}
    del files["fp16"]["data"]
    (apart / "vision.fp16.onnx").write_bytes(bytes(6000))
    write_manifest(apart, made)
    manifest = load_manifest(apart, Limits())
    assert "fp16" in {choice.vision for choice in choices(manifest, "cpu")}


def _entry(key: str, value: str) -> Harm:
    def harm(weight: TensorProto) -> None:
        next(entry for entry in weight.external_data if entry.key == key).value = value

    return harm


def _without(key: str) -> Harm:
    def harm(weight: TensorProto) -> None:
        kept = [(entry.key, entry.value) for entry in weight.external_data if entry.key != key]
        del weight.external_data[:]
        for name, value in kept:
            weight.external_data.add(key=name, value=value)

    return harm


def _more(key: str, value: str) -> Harm:
    def harm(weight: TensorProto) -> None:
        weight.external_data.add(key=key, value=value)

    return harm


def _set(**fields: Any) -> Harm:
    def harm(weight: TensorProto) -> None:
        for name, value in fields.items():
            if isinstance(value, list):
                del getattr(weight, name)[:]
                getattr(weight, name).extend(value)
            else:
                setattr(weight, name, value)

    return harm


NUMBERS = (
    "-4096",
    "+4096",
    "0x10",
    "4_096",
    "",
    " 4096",
    "04096",
    "4096.0",
    "1e3",
    "٤",
    str(2**64),
    "9" * 400,
)
HARMS: dict[str, Harm] = {
    "another name": _entry("location", "audio.fp32.onnx"),
    "a hidden name": _entry("location", f".{DATA}"),
    "a folder above": _entry("location", f"../{DATA}"),
    "a way round": _entry("location", f"../stub/{DATA}"),
    "the same folder said": _entry("location", f"./{DATA}"),
    "a folder below": _entry("location", f"sub/{DATA}"),
    "a backslash": _entry("location", f"..\\{DATA}"),
    "an absolute path": _entry("location", "/etc/passwd"),
    "a pointer into memory": _entry("location", "*/_ORT_MEM_ADDR_/*"),
    "another case": _entry("location", DATA.upper()),
    "a zero byte": _entry("location", f"{DATA}\0"),
    "an empty name": _entry("location", ""),
    **{f"the offset {text!r:.12}": _entry("offset", text) for text in NUMBERS},
    **{f"the length {text!r:.12}": _entry("length", text) for text in NUMBERS},
    "an offset at the end": _entry("offset", str(OFFSET + 6912)),
    "an offset a byte too far": _entry("offset", str(OFFSET + 1)),
    "an offset that wraps": _entry("offset", str(2**63 - 1)),
    "a length that wraps": _entry("length", str(2**64 - OFFSET)),
    "a shorter length": _entry("length", "6908"),
    "a longer length": _entry("length", "6916"),
    "no location": _without("location"),
    "no offset": _without("offset"),
    "no length": _without("length"),
    "a second location": _more("location", "/etc/passwd"),
    "a second offset": _more("offset", "0"),
    "a checksum": _more("checksum", "x"),
    "a base path": _more("basepath", "/etc"),
    "another type": _set(data_type=TensorProto.DOUBLE),
    "texts": _set(data_type=TensorProto.STRING),
    "no such type": _set(data_type=99),
    "more rows": _set(dims=[109, 16]),
    "no rows": _set(dims=[0, 16]),
    "negative axes": _set(dims=[-108, -16]),
    "axes that wrap": _set(dims=[2**62, 2**62, 108, 16]),
    "many axes": _set(dims=[108, 16] + [1] * 70),
    "numbers inside as well": _set(raw_data=bytes(6912)),
    "floats inside as well": _set(float_data=[1.0]),
    "not said to be external": _set(data_location=TensorProto.DEFAULT),
}


@pytest.mark.usefixtures("no_native")
@pytest.mark.parametrize("harm", HARMS)
def test_what_a_graph_says_of_its_data_is_held_against_the_file(stub: Path, harm: str) -> None:
    _set_apart(stub, HARMS[harm])
    _declare(stub)
    with pytest.raises(PackError, match="not an ONNX file that a pack may hold"):
        verify_pack(stub, Limits())


@pytest.mark.usefixtures("no_native")
@pytest.mark.parametrize("place", ["attribute", "subgraph", "sparse", "function"])
def test_only_a_weight_of_the_main_graph_may_lie_in_the_data(apart: Path, place: str) -> None:
    model = onnx.load(str(apart / GRAPH), load_external_data=False)
    weight = model.graph.initializer[1]
    constant = helper.make_node("Constant", [], ["c"], value=weight)
    if place == "attribute":
        model.graph.node.append(constant)
    elif place == "subgraph":
        body = helper.make_graph([], "body", [], [], [weight])
        model.graph.node.append(helper.make_node("If", ["c"], [], then_branch=body, else_branch=body))
    elif place == "sparse":
        indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
        model.graph.sparse_initializer.append(helper.make_sparse_tensor(weight, indices, [4]))
    else:
        opset = helper.make_opsetid("", 17)
        model.functions.append(helper.make_function("local", "F", [], ["c"], [constant], [opset]))
    (apart / GRAPH).write_bytes(model.SerializeToString())
    write_manifest(apart, _read(apart))
    with pytest.raises(PackError, match="external data"):
        verify_pack(apart, Limits())


@pytest.mark.usefixtures("no_native")
def test_a_weight_said_in_odd_fields_is_refused(apart: Path, tmp_path: Path) -> None:
    """What the protobuf library would not write: a type twice, a location twice, an entry of two keys."""
    sound = onnx.load(str(apart / GRAPH), load_external_data=False)
    weight = sound.graph.initializer[1].SerializeToString()
    entry = b"\x6a\x06" + b"\x0a\x01a\x0a\x01b"
    for odd in (b"", b"\x10\x01", b"\x70\x00", b"\x70\x01", entry, b"\x6a\x00", b"\x68\x01", b"\x12\x01x"):
        data = weight + odd
        length = bytes([len(data) & 0x7F | 0x80, len(data) >> 7])
        body = b"\x2a" + length + data
        graph = b"\x08\x08" + b"\x3a" + bytes([len(body) & 0x7F | 0x80, len(body) >> 7]) + body + b"\x42\x00"
        (tmp_path / "x.onnx").write_bytes(graph)
        if not odd:
            check_onnx(tmp_path / "x.onnx", DataFile(DATA, OFFSET + 6912))
            continue
        with pytest.raises(PackError, match="not an ONNX file"):
            check_onnx(tmp_path / "x.onnx", DataFile(DATA, OFFSET + 6912))


def _outside(message: Any) -> list[TensorProto]:
    """Every tensor below a message that protobuf's own parser finds to name a file."""
    if isinstance(message, TensorProto):
        return [message] if message.external_data or message.data_location else []
    found = []
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in [value] if hasattr(value, "ListFields") else value:
                found += _outside(one)
    return found


def test_what_is_taken_names_nothing_else_after_random_damage(apart: Path) -> None:
    """Held against another parser: where a damaged graph passes, what it finds lies in the declared data."""
    random, data = np.random.default_rng(11), DataFile(DATA, OFFSET + 6912)
    sound = (apart / GRAPH).read_bytes()
    # The entries of the weight and their surroundings, where damage tells most.
    first, last = sound.index(b"location") - 60, sound.index(b"length") + 40
    taken = refused = 0
    for _ in range(400):
        damaged = bytearray(sound)
        for at in random.integers(first, last, random.integers(1, 4)):
            damaged[at] = random.choice([random.integers(0, 256), damaged[at] ^ (1 << random.integers(0, 8))])
        (apart / GRAPH).write_bytes(damaged)
        try:
            check_onnx(apart / GRAPH, data)
        except PackError:
            refused += 1
            continue
        taken += 1
        try:
            model = onnx.ModelProto.FromString(bytes(damaged))
        except DecodeError:
            continue
        for tensor in _outside(model):
            place = {entry.key: entry.value for entry in tensor.external_data}
            assert len(tensor.external_data) == len(place) == 3
            assert place["location"] == DATA
            assert int(place["offset"]) + int(place["length"]) <= data.size_bytes
            assert any(tensor == weight for weight in model.graph.initializer)
    assert refused > 200
    assert taken > 3


def _cut(folder: Path) -> None:
    os.truncate(folder / DATA, OFFSET + 6900)


def _change(folder: Path) -> None:
    data = bytearray((folder / DATA).read_bytes())
    data[5000] ^= 1
    (folder / DATA).write_bytes(data)


def _link(folder: Path) -> None:
    (folder / DATA).rename(folder.parent / "elsewhere")
    (folder / DATA).symlink_to(folder.parent / "elsewhere")


def _hard_link(folder: Path) -> None:
    os.link(folder / DATA, folder.parent / "elsewhere")


FILES: dict[str, Callable[[Path], object]] = {
    "it is missing": lambda folder: (folder / DATA).unlink(),
    "it is cut": _cut,
    "a bit is flipped": _change,
    "it is a link": _link,
    "it has a second name": _hard_link,
    "a further one": lambda folder: (folder / "audio.fp32.onnx.data").write_bytes(b"x"),
}


@pytest.mark.usefixtures("no_native")
@pytest.mark.parametrize("harm", FILES)
def test_a_data_file_that_is_not_the_declared_one_is_refused(apart: Path, harm: str) -> None:
    FILES[harm](apart)
    with pytest.raises(PackError):
        verify_pack(apart, Limits())


@pytest.mark.usefixtures("no_native")
def test_a_data_file_cut_by_whoever_wrote_the_manifest_is_refused(apart: Path) -> None:
    _cut(apart)
    write_manifest(apart, _read(apart))
    with pytest.raises(PackError, match="ends at"):
        verify_pack(apart, Limits())


@pytest.mark.usefixtures("no_native")
def test_data_that_is_not_declared_or_not_used_is_refused(stub: Path, tmp_path: Path) -> None:
    unused = shutil.copytree(stub, tmp_path / "unused")
    (unused / DATA).write_bytes(b"x")
    _declare(unused)
    with pytest.raises(PackError, match="none of its weights"):
        verify_pack(unused, Limits())
    _set_apart(stub)
    write_manifest(stub, _read(stub))
    with pytest.raises(PackError, match="external data"):
        verify_pack(stub, Limits())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sub/vision.fp32.onnx.data", "folder of its graph"),
        ("audio.fp32.onnx", "does not end in .data"),
        ("../vision.data", "form"),
        ("/etc/x.data", "form"),
        ("absent.data", "not listed"),
        ("", "form"),
        (1, "not a text"),
    ],
)
def test_the_manifest_declares_a_listed_file_beside_the_graph(apart: Path, name: Any, said: str) -> None:
    made = _read(apart)
    made["encoders"]["vision"]["files"]["fp32"]["data"] = name
    with pytest.raises(PackError, match=said):
        parse_manifest(json.dumps(made).encode(), Limits())


def test_an_engine_knows_the_data_of_its_graph(apart: Path) -> None:
    made = _read(apart)
    hashes = {file["path"]: file["sha256"] for file in made["files"]}
    (apart / "x.engine").write_bytes(b"x")
    write_manifest(apart, made)
    made["engines"] = [
        {
            "encoder": "vision",
            "precision": "fp32",
            "path": "x.engine",
            "onnx_sha256": graph_sha256(hashes[GRAPH], hashes[DATA]),
            "library": "tensorrt-rtx",
            "version": "1.7.1.116",
            "architectures": ["sm86"],
            "driver": "",
        }
    ]
    parse_manifest(json.dumps(made).encode(), Limits())
    made["engines"][0]["onnx_sha256"] = hashes[GRAPH]
    with pytest.raises(PackError, match="another graph"):
        parse_manifest(json.dumps(made).encode(), Limits())
