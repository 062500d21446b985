"""8-bit graphs with scales from clips, and 4-bit weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

import emer_edge as ee  # noqa: E402
from emer_edge.errors import InputError  # noqa: E402
from emer_edge.limits import Limits  # noqa: E402
from emer_edge.packs.manifest import load_manifest  # noqa: E402
from emer_edge.packs.onnx_wire import check_onnx  # noqa: E402
from emer_edge.strays import stray  # noqa: E402
from emer_export.calibrate import calibration_batches, quantize_calibrated, quantize_four_bits  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
BUILT_IN = Path(ee.__file__).parent / "packs" / "builtin" / "emer-nano"


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """x [4, 64] through a matrix, an activation and another matrix."""
    random = np.random.default_rng(2)
    helper, dtype = onnx.helper, onnx.TensorProto.FLOAT
    weights = [
        onnx.numpy_helper.from_array(random.standard_normal(shape).astype(np.float32) / 8, name)
        for name, shape in (("a", (64, 96)), ("b", (96, 32)))
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"], "first"),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "b"], ["y"], "second"),
    ]
    ends = [helper.make_tensor_value_info(name, dtype, [4, n]) for name, n in (("x", 64), ("y", 32))]
    made = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    path = tmp_path / "x.onnx"
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(made, opset_imports=opsets, ir_version=10), str(path))
    return path


def _run(path: Path, x: np.ndarray) -> np.ndarray:
    import onnxruntime

    check_onnx(path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def _operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(str(path)).graph.node]


def test_calibrated_scales_stand_in_the_graph(graph: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    batches = [random.standard_normal((4, 64)).astype(np.float32) for _ in range(8)]
    quantize_calibrated(graph, tmp_path / "q.onnx", "x", batches)
    assert {"QuantizeLinear", "DequantizeLinear"} <= set(_operators(tmp_path / "q.onnx"))
    assert "DynamicQuantizeLinear" not in _operators(tmp_path / "q.onnx")
    new = random.standard_normal((4, 64)).astype(np.float32)
    assert stray(_run(graph, new), _run(tmp_path / "q.onnx", new)).cosine > 0.99
    # Scales of other sounds and pictures than these do not fit: that they were measured shows.
    quantize_calibrated(graph, tmp_path / "far.onnx", "x", [batch * 300 for batch in batches])
    assert stray(_run(graph, new), _run(tmp_path / "far.onnx", new)).cosine < 0.9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["far.onnx", "q.onnx", "x.onnx"]


def test_four_bits_are_small_and_near(graph: Path, tmp_path: Path) -> None:
    quantize_four_bits(graph, tmp_path / "q.onnx")
    assert _operators(tmp_path / "q.onnx").count("MatMulNBits") == 2
    assert (tmp_path / "q.onnx").stat().st_size < graph.stat().st_size / 4
    x = np.random.default_rng(6).standard_normal((4, 64)).astype(np.float32)
    assert 0.97 < stray(_run(graph, x), _run(tmp_path / "q.onnx", x)).cosine < 0.99999


def test_clips_become_what_the_encoders_are_given(demo_clip: Path, tmp_path: Path) -> None:
    manifest = load_manifest(BUILT_IN, Limits())
    for part in ("vision", "audio"):
        shape = getattr(manifest.encoders, part).files["fp32"].input.shape
        batches = calibration_batches(manifest, part, [demo_clip, demo_clip])
        # An encoder of one item is given each frame and each window of both clips.
        assert {batch.shape for batch in batches} == {shape}
        assert len(batches) >= (2 if shape[0] == 1 else 1)
        assert all(batch.dtype == np.float32 and np.isfinite(batch).all() for batch in batches)
        assert max(float(np.abs(batch).max()) for batch in batches) < 30
    with pytest.raises(InputError, match="No clip can calibrate"):
        calibration_batches(manifest, "audio", [])
