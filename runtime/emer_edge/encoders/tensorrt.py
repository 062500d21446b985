"""Encoders as compiled engines of TensorRT or TensorRT for RTX. The runtime's only import of either.

Knows under which key an engine may be loaded, and how one is run. Does not know packs or how engines are
built. An engine is never loaded where its key does not match: it would fail there, or worse, not fail.
"""

from __future__ import annotations

import importlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from emer_edge.encoders.base import Rows, TensorPair
from emer_edge.encoders.cuda import Cuda
from emer_edge.errors import Cancelled, DeviceError, InputError, PackError

if TYPE_CHECKING:
    from emer_edge._core import CancelToken

MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
"""Libraries by the names that keys use, and their modules."""
INSTALL = {
    "tensorrt": "pip install tensorrt (which downloads from NVIDIA); on Jetson it comes with JetPack.",
    "tensorrt-rtx": "pip install tensorrt-rtx",
}


class Key(Protocol):
    """For what an engine was compiled."""

    @property
    def library(self) -> str:
        """A key of `MODULES`."""

    @property
    def version(self) -> str:
        """Of the library."""

    @property
    def architectures(self) -> tuple[str, ...]:
        """`sm86` and so on."""

    @property
    def driver(self) -> str:
        """CUDA version of the driver; empty where it was compiled without a GPU."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What an engine's key is compared with."""

    version: str
    architecture: str
    driver: str


def load_library(name: str) -> Any:
    """The module of a library.

    Raises:
        DeviceError: it is not installed, or what is installed is a stub without its libraries.
    """
    try:
        return importlib.import_module(MODULES[name])
    except (ImportError, OSError) as error:
        raise DeviceError(f"{name} is not installed.", str(error), INSTALL[name]) from error


def look(library: str) -> Machine:
    """This machine's side of a key. Raises DeviceError without the library, the driver or a GPU."""
    version = str(load_library(library).__version__)
    cuda = Cuda()
    return Machine(version, cuda.architecture, cuda.driver)


def mismatches(key: Key, machine: Machine) -> list[str]:
    """In what a key differs from a machine, as words; empty where the engine may be loaded.

    Versions must be equal to the last figure: engines are not made to be read by another one. The driver
    counts only for engines that were compiled against one.
    """
    found = []
    if key.version != machine.version:
        found.append(f"made with {key.library} {key.version}, here is {machine.version}")
    if machine.architecture not in key.architectures:
        found.append(f"made for {', '.join(key.architectures)}, here is {machine.architecture}")
    if key.driver and key.driver != machine.driver:
        found.append(f"made with a driver for CUDA {key.driver}, here is {machine.driver}")
    return found


class TensorRtEncoder:
    """An `Encoder` in an engine; one run at a time.

    Args:
        path: the engine, verified by the caller.
        key: for what it was compiled.
        spec: its tensors as the pack declares them.

    Raises:
        DeviceError: the library, the driver or the GPU is not the key's.
        PackError: the file is no engine, or not of the tensors that were declared.
    """

    def __init__(self, path: Path, key: Key, spec: TensorPair) -> None:
        different = mismatches(key, look(key.library))
        if different:
            raise DeviceError(
                f"{path.name} is not for this machine.",
                "; ".join(different) + ".",
                "Export the pack here with --tensorrt or --tensorrt-rtx, or use another device.",
            )
        self.input_shape, (_, self.output_dim) = spec.fixed()
        self.whole = spec.whole
        self.provider = {"tensorrt": "TensorRT", "tensorrt-rtx": "TensorRT-RTX"}[key.library]
        self._spec, self._name, self._lock = spec, path.name, threading.Lock()
        self._cuda = Cuda()
        self._memory: dict[str, int] = {}
        try:
            self._open(load_library(key.library), path)
        except BaseException:
            self.close()
            raise

    def _open(self, library: Any, path: Path) -> None:
        stream = self._cuda.stream  # the context has to be there before the engine
        self._runtime = library.Runtime(library.Logger(library.Logger.ERROR))
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise PackError(f"{path.name} is no engine.", todo="Export the pack again.")
        for tensor in (self._spec.input, self._spec.output):
            found = self._engine.get_tensor_shape(tensor.name)
            if tuple(found) != tensor.shape:
                raise PackError(f"{path.name} has no tensor {tensor}.", f"It has {tuple(found)}.")
            size = int(np.prod(found)) * np.dtype(tensor.dtype).itemsize
            self._memory[tensor.name] = self._cuda.allocate(size)
        self._run = self._engine.create_execution_context()
        for name, address in self._memory.items():
            self._run.set_tensor_address(name, address)
        self._stream = stream

    def encode(self, batch: Rows, cancel: CancelToken | None = None) -> Rows:
        """Embed one full batch, as `Encoder.encode` says; a run that has begun is not cut short."""
        if cancel is not None and cancel.cancelled:
            raise Cancelled("The computation was cancelled.")
        takes, gives = self._spec.input, self._spec.output
        if batch.dtype != np.float32 or batch.shape != self.input_shape:
            raise InputError(f"{self._name} takes {takes}.", f"The batch is {batch.dtype} {batch.shape}.")
        with self._lock:
            if not self._memory:
                raise InputError(f"{self._name} was closed.")
            self._cuda.enter()
            self._cuda.upload(np.ascontiguousarray(batch, takes.dtype), self._memory[takes.name])
            if not self._run.execute_async_v3(self._stream):
                raise DeviceError(f"{self._name} failed on {self.provider}.")
            shape = tuple(axis or 0 for axis in gives.shape)
            raw = self._cuda.download(self._memory[gives.name], shape, gives.dtype)
        out = raw.astype(np.float32, copy=False)
        if not np.isfinite(out).all():
            raise PackError(f"{self._name} answered with values that are not finite.", self.provider)
        return out

    def close(self) -> None:
        """Give the memory back; may be called again."""
        with self._lock:
            self._run = self._engine = self._runtime = None
            for address in self._memory.values():
                self._cuda.free(address)
            self._memory = {}
            self._cuda.close()
