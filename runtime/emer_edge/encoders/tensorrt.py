"""Encoders in TensorRT engine files. The only import of tensorrt and of the CUDA bindings.

Knows engines, device memory and streams. An engine fits one GPU model and one TensorRT version, and loading
one runs code from it: the caller has verified the file. Written against TensorRT 10 and cuda-python 12.6; no
machine with both was at hand, so only its refusals are tested.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emer_edge.encoders.base import Rows, TensorPair, TensorSpec
from emer_edge.errors import Cancelled, DeviceError, InputError, PackError

if TYPE_CHECKING:
    from emer_edge._core import CancelToken


class TensorRtEncoder:
    """An `Encoder` of fixed shape in a TensorRT engine file. One thread at a time.

    Args:
        path: the serialised engine.
        spec: its tensors as the pack declares them.

    Raises:
        DeviceError: TensorRT, the CUDA bindings or a GPU is missing, or the engine was built for another.
        PackError: the engine's tensors are not those that the pack declares.
    """

    provider = "TensorRT"

    def __init__(self, path: Path, spec: TensorPair) -> None:
        self.input_shape, (_, self.output_dim) = spec.fixed()
        self._spec, self._name = spec, path.name
        self._trt, self._cuda = _libraries()
        self._memory: dict[str, int] = {}
        self._engine: Any = self._load(path)
        try:
            for tensor, mode in ((spec.input, "INPUT"), (spec.output, "OUTPUT")):
                self._check_tensor(tensor, mode)
            self._context: Any = self._engine.create_execution_context()
            self._stream = self._call(self._cuda.cudaStreamCreate())
            for tensor, shape in zip((spec.input, spec.output), spec.fixed(), strict=True):
                size_bytes = int(np.prod(shape)) * np.dtype(tensor.dtype).itemsize
                self._memory[tensor.name] = self._call(self._cuda.cudaMalloc(size_bytes))
                self._context.set_tensor_address(tensor.name, self._memory[tensor.name])
        except BaseException:
            self.close()
            raise

    def encode(self, batch: Rows, cancel: CancelToken | None = None) -> Rows:
        """Embed one full batch, as `Encoder.encode` says; a batch that has begun is finished."""
        if self._engine is None:
            raise InputError(f"{self._name} was closed.")
        if batch.dtype != np.float32 or batch.shape != self.input_shape:
            raise InputError(
                f"{self._name} can't take this batch.",
                f"It is {batch.dtype} {batch.shape}, not {self._spec.input}.",
            )
        if cancel is not None and cancel.cancelled:
            raise Cancelled("The computation was cancelled.")
        host = np.ascontiguousarray(batch, self._spec.input.dtype)
        out = np.empty((self.input_shape[0], self.output_dim), self._spec.output.dtype)
        self._copy(self._memory[self._spec.input.name], host.ctypes.data, host, "cudaMemcpyHostToDevice")
        if not self._context.execute_async_v3(self._stream):
            raise DeviceError(f"{self._name} failed on TensorRT.")
        self._copy(out.ctypes.data, self._memory[self._spec.output.name], out, "cudaMemcpyDeviceToHost")
        self._call(self._cuda.cudaStreamSynchronize(self._stream))
        embeddings = out.astype(np.float32, copy=False)
        if not np.isfinite(embeddings).all():
            raise PackError(
                f"{self._name} answered with values that are not finite.",
                todo="Try another precision of the pack.",
            )
        return embeddings

    def close(self) -> None:
        """Give device memory and engine back."""
        self._context = self._engine = None
        for pointer in self._memory.values():
            self._cuda.cudaFree(pointer)
        self._memory.clear()

    def _load(self, path: Path) -> Any:
        logger = self._trt.Logger(self._trt.Logger.ERROR)
        engine = self._trt.Runtime(logger).deserialize_cuda_engine(path.read_bytes())
        if engine is None:
            raise DeviceError(
                f"{path.name} can't be loaded by TensorRT {self._trt.__version__}.",
                "It was built for another GPU or version, or it is damaged.",
                "Build it on this machine from the pack's ONNX file.",
            )
        return engine

    def _check_tensor(self, tensor: TensorSpec, mode: str) -> None:
        engine = self._engine
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        if (
            tensor.name not in names
            or engine.get_tensor_mode(tensor.name) != getattr(self._trt.TensorIOMode, mode)
            or tuple(engine.get_tensor_shape(tensor.name)) != tensor.shape
            or np.dtype(self._trt.nptype(engine.get_tensor_dtype(tensor.name))) != np.dtype(tensor.dtype)
        ):
            raise PackError(f"{self._name} has no {mode.lower()} {tensor}.", f"It has {', '.join(names)}.")

    def _copy(self, to: int, source: int, array: NDArray[Any], kind: str) -> None:
        direction = getattr(self._cuda.cudaMemcpyKind, kind)
        self._call(self._cuda.cudaMemcpyAsync(to, source, array.nbytes, direction, self._stream))

    def _call(self, answer: tuple[Any, ...]) -> Any:
        """The value of a CUDA call, whose answer begins with a status."""
        status, *values = answer
        if int(status) != 0:
            raise DeviceError("The GPU refused.", f"CUDA: {status}.")
        return values[0] if values else None


def _libraries() -> tuple[Any, Any]:
    """tensorrt and cuda.bindings.runtime, imported here so that other machines do without."""
    todo = "pip install 'emer-edge[tensorrt]'"
    try:
        tensorrt = importlib.import_module("tensorrt")
        runtime = importlib.import_module("cuda.bindings.runtime")
    except ImportError as error:
        raise DeviceError("TensorRT can't be had.", str(error), todo) from error
    status, count = runtime.cudaGetDeviceCount()
    if int(status) != 0 or count == 0:
        raise DeviceError("No GPU is there for TensorRT.", f"CUDA: {status}.", "Use the device cpu.")
    return tensorrt, runtime
