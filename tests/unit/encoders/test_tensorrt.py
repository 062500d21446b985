"""An engine is loaded under its key and no other. What runs on a GPU is tested where there is one."""

from __future__ import annotations

import ctypes
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from emer_edge.encoders import cuda, tensorrt
from emer_edge.encoders.base import TensorPair, TensorSpec
from emer_edge.encoders.tensorrt import Machine, TensorRtEncoder, load_library, mismatches
from emer_edge.errors import DeviceError

HERE = Machine("1.7.1.116", "sm89", "12.8")
SPEC = TensorPair(TensorSpec("x", "float32", (2, 3)), TensorSpec("y", "float32", (2, 4)))


@dataclass(frozen=True)
class EngineKey:
    library: str = "tensorrt-rtx"
    version: str = "1.7.1.116"
    architectures: tuple[str, ...] = ("sm86", "sm89")
    driver: str = ""


def test_the_whole_key_matches() -> None:
    assert mismatches(EngineKey(), HERE) == []
    assert mismatches(EngineKey(driver="12.8"), HERE) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"version": "1.7.1.117"}, "made with tensorrt-rtx 1.7.1.117, here is 1.7.1.116"),
        ({"architectures": ("sm86", "sm120")}, "made for sm86, sm120, here is sm89"),
        ({"driver": "12.6"}, "made with a driver for CUDA 12.6, here is 12.8"),
    ],
)
def test_every_part_of_the_key_counts(changed: dict[str, Any], said: str) -> None:
    assert mismatches(dataclasses.replace(EngineKey(), **changed), HERE) == [said]


def test_another_key_is_refused_before_the_file_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tensorrt, "look", lambda _library: HERE)
    with pytest.raises(DeviceError, match="is not for this machine") as caught:
        TensorRtEncoder(tmp_path / "absent.engine", EngineKey(version="1.0"), SPEC)
    assert "made with tensorrt-rtx 1.0" in caught.value.why
    assert "--tensorrt-rtx" in caught.value.todo


def test_a_library_that_is_absent_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tensorrt.MODULES, "tensorrt", "no_such_library")
    with pytest.raises(DeviceError, match="tensorrt is not installed") as caught:
        load_library("tensorrt")
    assert "JetPack" in caught.value.todo


def test_without_a_driver_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "_LIBRARY", "no-such-library.so")
    monkeypatch.setattr(tensorrt, "load_library", lambda _name: SimpleNamespace(__version__="1.7.1.116"))
    with pytest.raises(DeviceError, match="no NVIDIA GPU"):
        TensorRtEncoder(Path("absent.engine"), EngineKey(), SPEC)


def test_what_the_driver_says_becomes_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: _Driver())
    monkeypatch.setattr(tensorrt, "load_library", lambda _name: SimpleNamespace(__version__="1.7.1.116"))
    assert tensorrt.look("tensorrt-rtx") == HERE


class _Driver:
    """A driver for CUDA 12.8 with a GPU of compute capability 8.9."""

    def cuInit(self, _flags: int) -> int:  # noqa: N802
        return 0

    def cuDeviceGet(self, _device: Any, _index: int) -> int:  # noqa: N802
        return 0

    def cuDeviceGetAttribute(self, to: Any, which: int, _device: Any) -> int:  # noqa: N802
        to._obj.value = {75: 8, 76: 9}[which]
        return 0

    def cuDriverGetVersion(self, to: Any) -> int:  # noqa: N802
        to._obj.value = 12080
        return 0
