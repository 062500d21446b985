"""NVIDIA's GPUs: driver, memory, clocks, energy through NVML; CUDA, cuDNN and TensorRT by their files.

Knows libnvidia-ml's C functions (https://docs.nvidia.com/deploy/nvml-api) and where the libraries lie. Does
not know what runs on a GPU. Without a driver there are simply no GPUs.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from emer_edge.bench.machine import Machine

_LIBRARY = "libnvidia-ml.so.1"
_TEMPERATURE_GPU = 0
_CLOCK_SM, _CLOCK_MEMORY = 1, 2


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as NVML tells it; numbers that it does not tell are 0."""

    name: str
    memory_bytes: int
    used_bytes: int
    sm_megahertz: float
    memory_megahertz: float
    celsius: float
    power_limit_watts: float


class Nvml:
    """An open NVML. Functions that a board lacks, as on Jetson, give 0.

    Args:
        library: ctypes' handle of libnvidia-ml, or anything with its functions.
    """

    def __init__(self, library: Any) -> None:
        self._library = library
        if library.nvmlInit_v2() != 0:
            raise OSError("nvmlInit failed")
        count = ctypes.c_uint()
        self._call("nvmlDeviceGetCount_v2", ctypes.byref(count))
        self._devices = []
        for index in range(count.value):
            device = ctypes.c_void_p()
            if self._call("nvmlDeviceGetHandleByIndex_v2", index, ctypes.byref(device)):
                self._devices.append(device)

    def __len__(self) -> int:
        return len(self._devices)

    def _call(self, name: str, *arguments: Any) -> bool:
        function = getattr(self._library, name, None)
        return function is not None and function(*arguments) == 0

    def _number(self, kind: Any, name: str, device: Any, *arguments: Any) -> int:
        value = kind()
        return int(value.value) if self._call(name, device, *arguments, ctypes.byref(value)) else 0

    def gpus(self) -> list[Gpu]:
        """Every GPU, with what it does at the moment."""
        return [self._gpu(device) for device in self._devices]

    def _gpu(self, device: Any) -> Gpu:
        name, memory = ctypes.create_string_buffer(96), _Memory()
        self._call("nvmlDeviceGetName", device, name, 96)
        self._call("nvmlDeviceGetMemoryInfo", device, ctypes.byref(memory))
        number, unsigned = self._number, ctypes.c_uint
        return Gpu(
            name=name.value.decode("utf-8", "replace"),
            memory_bytes=int(memory.total),
            used_bytes=int(memory.used),
            sm_megahertz=number(unsigned, "nvmlDeviceGetClockInfo", device, _CLOCK_SM),
            memory_megahertz=number(unsigned, "nvmlDeviceGetClockInfo", device, _CLOCK_MEMORY),
            celsius=number(unsigned, "nvmlDeviceGetTemperature", device, _TEMPERATURE_GPU),
            power_limit_watts=number(unsigned, "nvmlDeviceGetEnforcedPowerLimit", device) / 1000,
        )

    def joules(self) -> float | None:
        """Energy that all GPUs used since the driver was loaded; None where a board has no such counter."""
        spent = [
            self._number(ctypes.c_ulonglong, "nvmlDeviceGetTotalEnergyConsumption", device)
            for device in self._devices
        ]
        return sum(spent) / 1000 if spent and all(spent) else None

    def driver(self) -> str:
        """Version of the driver."""
        text = ctypes.create_string_buffer(96)
        self._call("nvmlSystemGetDriverVersion", text, 96)
        return text.value.decode("utf-8", "replace")

    def cuda(self) -> str:
        """Highest CUDA that the driver serves, for example `12.8`."""
        version = ctypes.c_int()
        if not self._call("nvmlSystemGetCudaDriverVersion_v2", ctypes.byref(version)):
            return ""
        return f"{version.value // 1000}.{version.value % 1000 // 10}"


@cache
def open_nvml() -> Nvml | None:
    """NVML of this machine, opened once; None without a driver."""
    with contextlib.suppress(OSError, AttributeError):
        return Nvml(ctypes.CDLL(_LIBRARY))
    return None


@dataclass(frozen=True, slots=True)
class Toolkits:
    """Versions of what lies on disk; empty text where it is absent."""

    driver: str
    cuda: str
    cudnn: str
    tensorrt: str


_FOLDERS = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu/nvidia",
    "/usr/lib64",
    "/usr/local/cuda/lib64",
    "/usr/local/lib",
)


def read_toolkits(machine: Machine) -> Toolkits:
    """Driver, CUDA, cuDNN and TensorRT by their files."""
    driver = re.search(r"(?:Kernel Module|aarch64|x86_64)\s+(\d+[\d.]*)", _proc_driver(machine))
    return Toolkits(
        driver=driver[1] if driver else "",
        cuda=_cuda(machine),
        cudnn=_library_version(machine, "libcudnn.so"),
        tensorrt=_library_version(machine, "libnvinfer.so"),
    )


def _proc_driver(machine: Machine) -> str:
    return (machine.text("/proc/driver/nvidia/version") or "").split("\n")[0]


def _cuda(machine: Machine) -> str:
    text = machine.text("/usr/local/cuda/version.json")
    if text:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return str(json.loads(text)["cuda"]["version"])
    return _library_version(machine, "libcudart.so")


def _library_version(machine: Machine, name: str) -> str:
    """The longest version at the end of a library's file names."""
    found = [
        path.rsplit(f"{name}.", 1)[1]
        for folder in _FOLDERS
        for path in machine.glob(f"{folder}/{name}.*")
        if re.fullmatch(r"[\d.]+", path.rsplit(f"{name}.", 1)[1])
    ]
    return max(found, key=len, default="")
