"""Encoders too large for one ONNX file: small ones, with the ceiling lowered to their size."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

import emer_edge as ee  # noqa: E402
from emer_edge.encoders.onnx import OnnxEncoder  # noqa: E402
from emer_edge.limits import Limits  # noqa: E402
from emer_edge.packs.onnx_wire import DataFile, check_onnx  # noqa: E402
from emer_edge.packs.verify import verify_pack  # noqa: E402
from emer_edge.session import tensor_pair  # noqa: E402
from emer_export import graph_files  # noqa: E402
from emer_export.calibrate import quantize_calibrated, quantize_four_bits  # noqa: E402
from emer_export.graph_files import ALIGNMENT, data_path, graph_in_place  # noqa: E402
from emer_export.graphs.kaldi_fbank import KaldiFbank  # noqa: E402
from emer_export.onnx import HalfPrecision, export_onnx, quantize_onnx  # noqa: E402
from emer_export.run import Request, plan_export, run_export  # noqa: E402
from tests.unit.export.interrupts import interrupted  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
WIDTH = 64


@pytest.fixture
def small_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    """One file holds 12 kB; the graphs below have 33 kB of weights in float32, 17 in float16, 9 in bytes."""
    monkeypatch.setattr(graph_files, "SINGLE_FILE_BYTES", 12_000)


def _module() -> torch.nn.Module:
    torch.manual_seed(4)
    layers = [torch.nn.Linear(WIDTH, WIDTH), torch.nn.GELU(), torch.nn.Linear(WIDTH, WIDTH)]
    return torch.nn.Sequential(*layers, torch.nn.LayerNorm(WIDTH)).eval()


def _export(module: torch.nn.Module, path: Path) -> Path:
    export_onnx(module, torch.zeros(2, 4, WIDTH), path, "x", "embeddings")
    return path


def _run(path: Path, rows: np.ndarray) -> np.ndarray:
    import onnxruntime

    data = data_path(path)
    check_onnx(path, DataFile(data.name, data.stat().st_size) if data.exists() else None)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": rows})[0]


def _rows() -> np.ndarray:
    return np.random.default_rng(7).standard_normal((2, 4, WIDTH)).astype(np.float32)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module in one file in the folder `whole`, and with data beside it in `apart`."""
    root = tmp_path_factory.mktemp("graphs")
    for name, most in (("whole", 10**9), ("apart", 12_000)):
        (root / name).mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(graph_files, "SINGLE_FILE_BYTES", most)
            _export(_module(), root / name / "x.onnx")
    return root


@pytest.fixture
def whole(source: Path, tmp_path: Path) -> Path:
    """A copy of the one file."""
    return shutil.copytree(source / "whole", tmp_path / "whole") / "x.onnx"


@pytest.fixture
def apart(source: Path, tmp_path: Path, small_ceiling: None) -> Path:
    """A copy of the graph and its data."""
    return shutil.copytree(source / "apart", tmp_path / "apart") / "x.onnx"


def test_weights_that_one_file_cannot_hold_lie_beside_it(whole: Path, apart: Path) -> None:
    assert [path.name for path in whole.parent.iterdir()] == ["x.onnx"]
    assert sorted(path.name for path in apart.parent.iterdir()) == ["x.onnx", "x.onnx.data"]
    model = onnx.load(str(apart), load_external_data=False)
    places = [
        {entry.key: entry.value for entry in weight.external_data}
        for weight in model.graph.initializer
        if weight.data_location == onnx.TensorProto.EXTERNAL
    ]
    assert {place["location"] for place in places} == {"x.onnx.data"}
    assert all(int(place["offset"]) % ALIGNMENT == 0 for place in places)
    assert sum(int(place["length"]) for place in places) >= 2 * WIDTH * WIDTH * 4
    assert b"/emer_export/" not in apart.read_bytes()
    np.testing.assert_array_equal(_run(apart, _rows()), _run(whole, _rows()))


def test_half_precision_lies_beside_its_graph_too(apart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half = _export(HalfPrecision(_module(), copied=False), apart.with_name("half.onnx"))
    assert data_path(half).stat().st_size < data_path(apart).stat().st_size * 0.7
    monkeypatch.undo()
    single = _export(HalfPrecision(_module()), apart.with_name("single.onnx"))
    assert not data_path(single).exists()
    np.testing.assert_array_equal(_run(half, _rows()), _run(single, _rows()))


def test_half_precision_in_place_is_that_of_a_copy() -> None:
    module = torch.nn.Sequential(KaldiFbank(), torch.nn.Linear(204, 4))
    copied = HalfPrecision(module).module
    assert module[1].weight.dtype == module[0].mel.dtype == torch.float32
    taken = HalfPrecision(module, copied=False).module
    assert taken is module
    assert taken[0].mel.dtype == torch.float32
    assert taken[1].weight.dtype == torch.float16
    assert torch.equal(taken[0].kernel, copied[0].kernel)
    assert torch.equal(taken[1].weight, copied[1].weight)


def _make(kind: str, source: Path, path: Path) -> None:
    if kind == "int8":
        quantize_onnx(source, path)
    elif kind == "int4":
        quantize_four_bits(source, path)
    else:
        quantize_calibrated(source, path, "x", [_rows() * scale for scale in (0.5, 1.0)])


@pytest.mark.parametrize("kind", ["int8", "int8-calibrated", "int4"])
def test_narrower_graphs_come_out_the_same(
    kind: str, whole: Path, apart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_whole, from_apart = whole.with_name("q.onnx"), apart.with_name("q.onnx")
    _make(kind, whole, from_whole)
    _make(kind, apart, from_apart)
    # What fits one file goes into one, whatever it was made from.
    assert sorted(path.name for path in apart.parent.iterdir()) == ["q.onnx", "x.onnx", "x.onnx.data"]
    np.testing.assert_array_equal(_run(from_apart, _rows()), _run(from_whole, _rows()))
    monkeypatch.setattr(graph_files, "SINGLE_FILE_BYTES", 4000)
    _make(kind, apart, from_apart)
    assert data_path(from_apart).exists()
    np.testing.assert_array_equal(_run(from_apart, _rows()), _run(from_whole, _rows()))


def test_both_files_come_whole_or_not_at_all(apart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in apart.parent.iterdir()}
    with pytest.raises(KeyboardInterrupt), graph_in_place(apart) as made:
        made.write_bytes(b"x")
        data_path(made).write_bytes(b"x")
        raise KeyboardInterrupt
    assert {path.name: path.read_bytes() for path in apart.parent.iterdir()} == before
    with graph_in_place(apart) as made:
        made.write_bytes(b"one file now")
    assert [path.name for path in apart.parent.iterdir()] == ["x.onnx"]


def _request(root: Path, out: Path, **more: Any) -> Request:
    return Request("light-mer", root / "checkpoint.pth", out, models=root, look="frames", **more)


@pytest.fixture(scope="module")
def pack(light_mer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Light-MER whose encoders are too large for one file. Not to be written to."""
    out = tmp_path_factory.mktemp("packs") / "pack"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_files, "SINGLE_FILE_BYTES", 64_000)
        run_export(plan_export(_request(light_mer, out, precisions=("fp32", "int8"))), lambda *_: None)
    return out


def test_a_published_checkpoint_becomes_a_pack_with_data(
    pack: Path, light_mer: Path, demo_clip: Path, tmp_path: Path
) -> None:
    manifest = verify_pack(pack, Limits())
    listed = {file.path for file in manifest.files}
    file = manifest.encoders.vision.files["fp32"]
    assert file.data == "vision.fp32.onnx.data"
    assert set(file.paths) <= listed
    assert {path.name for path in pack.iterdir()} == listed | {"manifest.json"}
    assert manifest.size_bytes > (pack / file.data).stat().st_size
    # The same encoder as one file, which is what it is below the real ceiling.
    plan = plan_export(_request(light_mer, tmp_path / "whole"))
    assert plan.artefacts[0].path == file.path
    plan.artefacts[0].make(tmp_path / file.path, lambda *_: None)
    assert not (tmp_path / file.data).exists()
    rows = np.random.default_rng(1).standard_normal(file.input.shape).astype(np.float32)
    np.testing.assert_array_equal(
        *(OnnxEncoder(folder / file.path, tensor_pair(file)).encode(rows) for folder in (pack, tmp_path))
    )
    with ee.load(pack, threads=1) as reasoner:
        assert reasoner.infer(demo_clip, question="labels", options=ee.Options(max_tokens=2)).emotions


def test_an_interrupted_export_keeps_the_data_and_misses_it_where_it_is_gone(
    light_mer: Path, tmp_path: Path, small_ceiling: None
) -> None:
    request = _request(light_mer, tmp_path / "pack")
    data = tmp_path / "pack.part" / "vision.fp32.onnx.data"
    assert interrupted(request, "audio")[0] == "vision.fp32.onnx"
    assert data.exists()
    assert interrupted(request, "audio") == ["audio.fp32.onnx"]
    data.write_bytes(b"")
    assert interrupted(request, "audio")[0] == "vision.fp32.onnx"
