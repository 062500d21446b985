"""ONNX networks: declared tensors, the device that was asked for, finite answers, an early end."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from emer_edge._core import CancelToken
from emer_edge.encoders.base import TensorPair, TensorSpec
from emer_edge.encoders.onnx import PROVIDERS, OnnxEncoder, OnnxNetwork, available_devices
from emer_edge.errors import Cancelled, DeviceError, InputError, PackError

WEIGHT = np.arange(12, dtype=np.float32).reshape(3, 4) - 5
PAIR = TensorPair(TensorSpec("x", "float32", (2, 3)), TensorSpec("y", "float32", (2, 4)))


def write(
    path: Path, nodes: list[Any], weights: dict[str, Any], shapes: tuple[Any, Any] = ((2, 3), (2, 4))
) -> Path:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shapes[0])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shapes[1])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


@pytest.fixture
def linear(tmp_path: Path) -> Path:
    return write(tmp_path / "linear.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": WEIGHT})


def test_computes_what_the_graph_says(linear: Path) -> None:
    encoder = OnnxEncoder(linear, PAIR, threads=1)
    batch = np.array([[1, 2, 3], [-1, 0, 0.5]], np.float32)
    out = encoder.encode(batch)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, batch @ WEIGHT, rtol=1e-6)
    assert encoder.provider == "CPUExecutionProvider"
    assert (encoder.input_shape, encoder.output_dim) == ((2, 3), 4)


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        (TensorPair(TensorSpec("z", "float32", (2, 3)), PAIR.output), "no input z"),
        (TensorPair(PAIR.input, TensorSpec("z", "float32", (2, 4))), "no output z"),
        (TensorPair(TensorSpec("x", "float32", (2, 5)), PAIR.output), "no input x: float32 (2, 5)"),
        (TensorPair(PAIR.input, TensorSpec("y", "float32", (2, 5))), "no output y: float32 (2, 5)"),
        (TensorPair(TensorSpec("x", "float16", (2, 3)), PAIR.output), "no input x: float16"),
        (TensorPair(TensorSpec("x", "float32", (None, 3)), PAIR.output), "fixed shapes"),
        (TensorPair(TensorSpec("x", "float32", (3, 3)), PAIR.output), "one embedding for each row"),
    ],
)
def test_refuses_tensors_that_were_not_declared(linear: Path, pair: TensorPair, says: str) -> None:
    with pytest.raises(PackError, match=says.replace("(", r"\(").replace(")", r"\)")):
        OnnxEncoder(linear, pair)


def test_refuses_a_graph_that_wants_more_inputs(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "more"], ["y"])],
        "test",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, (2, 4)) for name in ("x", "more")],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (2, 4))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "two.onnx")
    with pytest.raises(PackError, match="2 inputs, not 1"):
        OnnxEncoder(tmp_path / "two.onnx", TensorPair(TensorSpec("x", "float32", (2, 4)), PAIR.output))


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x08\x07" * 500])
def test_a_file_that_is_no_graph_is_a_pack_error(
    tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(PackError, match=r"broken\.onnx"):
        OnnxEncoder(path, PAIR)
    assert capfd.readouterr() == ("", "")


def test_weights_outside_the_folder_of_the_graph_are_not_read(tmp_path: Path, linear: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(WEIGHT.tobytes())
    model = onnx.load(linear)
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../secret.bin")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "sly.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(PackError, match=r"sly\.onnx"):
        OnnxEncoder(tmp_path / "pack" / "sly.onnx", PAIR)


def test_refuses_batches_of_another_shape_or_type(linear: Path) -> None:
    encoder = OnnxEncoder(linear, PAIR)
    for batch in (
        np.zeros((1, 3), np.float32),
        np.zeros((2, 3), np.float64),
        np.zeros((2, 3, 1), np.float32),
    ):
        with pytest.raises(InputError):
            encoder.encode(batch)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_never_leave(linear: Path, bad: float) -> None:
    batch = np.ones((2, 3), np.float32)
    batch[1, 0] = bad
    with pytest.raises(PackError, match="not finite"):
        OnnxEncoder(linear, PAIR).encode(batch)


def test_a_closed_encoder_says_so(linear: Path) -> None:
    encoder = OnnxEncoder(linear, PAIR)
    encoder.close()
    with pytest.raises(InputError, match="closed"):
        encoder.encode(np.zeros((2, 3), np.float32))


def test_a_device_that_is_missing_is_an_error_and_nothing_else_is_tried(linear: Path) -> None:
    missing = [device for device in PROVIDERS if device not in available_devices()]
    if not missing:
        pytest.skip("this onnxruntime has every provider")
    for device in missing:
        with pytest.raises(DeviceError) as error:
            OnnxEncoder(linear, PAIR, device=device)
        assert PROVIDERS[device] in error.value.why
        assert "emer-edge[gpu]" in error.value.todo
    with pytest.raises(InputError, match="npu"):
        OnnxEncoder(linear, PAIR, device="npu")


def test_the_cpu_is_always_there() -> None:
    assert available_devices()[0] == "cpu"


def test_free_axes_take_any_length(tmp_path: Path) -> None:
    path = write(tmp_path / "free.onnx", [helper.make_node("Relu", ["x"], ["y"])], {}, (("n", 3), ("n", 3)))
    free = TensorSpec("x", "float32", (None, 3))
    network = OnnxNetwork(path, free, [TensorSpec("y", "float32", (None, 3))])
    for n in (1, 7):
        assert network.run(np.full((n, 3), -1, np.float32))[0].shape == (n, 3)
    with pytest.raises(InputError):
        network.run(np.zeros((1, 4), np.float32))


def test_cancel_ends_a_long_computation(tmp_path: Path) -> None:
    side, depth = 512, 600
    names = ["x", *(f"h{i}" for i in range(depth - 1)), "y"]
    nodes = [helper.make_node("MatMul", [a, "w"], [b]) for a, b in itertools.pairwise(names)]
    weight = np.eye(side, dtype=np.float32)
    path = write(tmp_path / "long.onnx", nodes, {"w": weight}, ((side, side), (side, side)))
    shape = (side, side)
    encoder = OnnxEncoder(
        path, TensorPair(TensorSpec("x", "float32", shape), TensorSpec("y", "float32", shape)), threads=1
    )
    token = CancelToken()
    timer = threading.Timer(0.1, token.cancel)
    timer.start()
    start = time.perf_counter()
    with pytest.raises(Cancelled):
        encoder.encode(weight, token)
    assert time.perf_counter() - start < 1.0
    with pytest.raises(Cancelled):
        encoder.encode(weight, token)
    timer.join()
    np.testing.assert_array_equal(encoder.encode(weight, CancelToken()), weight)


def test_importing_the_room_does_not_import_onnxruntime() -> None:
    code = "import sys, emer_edge.encoders.onnx; print('onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
