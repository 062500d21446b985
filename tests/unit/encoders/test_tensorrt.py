"""TensorRT: without the library or a GPU the refusal is clear; with both, a damaged engine is refused."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from emer_edge.encoders.base import TensorPair, TensorSpec
from emer_edge.encoders.tensorrt import TensorRtEncoder
from emer_edge.errors import DeviceError, PackError

PAIR = TensorPair(TensorSpec("x", "float32", (8, 3)), TensorSpec("y", "float32", (8, 4)))


def test_refuses_without_library_gpu_or_engine(tmp_path: Path) -> None:
    engine = tmp_path / "vision.engine"
    engine.write_bytes(b"no engine")
    with pytest.raises(DeviceError) as error:
        TensorRtEncoder(engine, PAIR)
    if importlib.util.find_spec("tensorrt") is None:
        assert "emer-edge[tensorrt]" in error.value.todo


def test_refuses_free_shapes_before_anything_is_loaded(tmp_path: Path) -> None:
    free = TensorPair(TensorSpec("x", "float32", (None, 3)), PAIR.output)
    with pytest.raises(PackError, match="fixed shapes"):
        TensorRtEncoder(tmp_path / "absent.engine", free)
