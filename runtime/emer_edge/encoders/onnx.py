"""Networks in ONNX files, run by ONNX Runtime. The only import of onnxruntime.

Knows providers, session options and the graph's tensors. Does not know what a network is for.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emer_edge.encoders.base import Rows, TensorPair, TensorSpec
from emer_edge.errors import Cancelled, DeviceError, InputError, PackError

if TYPE_CHECKING:
    from emer_edge._core import CancelToken

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
"""ONNX Runtime's name of each device."""
_DTYPES = {
    "float32": "tensor(float)",
    "float16": "tensor(float16)",
    "uint8": "tensor(uint8)",
    "int64": "tensor(int64)",
}
_POLL_SECONDS = 0.02


def available_devices() -> list[str]:
    """Names of the devices that the installed ONNX Runtime was built for; a driver may still be missing."""
    import onnxruntime

    names = onnxruntime.get_available_providers()
    return [device for device, provider in PROVIDERS.items() if provider in names]


def build_info() -> str:
    """What ONNX Runtime says about its own build: commit, compiler flags."""
    import onnxruntime

    return str(onnxruntime.get_build_info())


class OnnxNetwork:
    """One graph, loaded: one tensor in, one or more out. Any number of threads may call `run` at once.

    Args:
        path: the ONNX file.
        takes: the input as the caller will feed it.
        gives: the outputs wanted, in the order in which `run` returns them.
        device: `cpu`, `cuda` or `tensorrt`; nothing else is tried when it can't be had.
        threads: CPU threads of one run.
        engine_cache: folder for built TensorRT engines; without it each load builds anew, which takes
            minutes.

    Raises:
        DeviceError: the device can't be had, or can't run the whole graph.
        PackError: the file is no ONNX graph, or its tensors are not those that were declared.
    """

    def __init__(
        self,
        path: Path,
        takes: TensorSpec,
        gives: Sequence[TensorSpec],
        *,
        device: str = "cpu",
        threads: int = 1,
        engine_cache: Path | None = None,
    ) -> None:
        self._takes, self._gives, self._path = takes, tuple(gives), path
        self._session = _open(path, device, threads, _provider_options(device, engine_cache))
        self.provider: str = self._session.get_providers()[0]
        try:
            _check_declared("input", [takes], self._session.get_inputs(), path, exactly=True)
            _check_declared("output", self._gives, self._session.get_outputs(), path, exactly=False)
        except PackError:
            self.close()
            raise

    def run(self, array: NDArray[Any], cancel: CancelToken | None = None) -> list[NDArray[Any]]:
        """Compute the outputs for one input.

        Args:
            array: as `takes` declares it.
            cancel: ends the computation within some milliseconds.

        Raises:
            InputError: the array has another shape or type, or the network was closed.
            DeviceError: the computation failed.
            Cancelled: `cancel` was set.
        """
        if self._session is None:
            raise InputError(f"{self._path.name} was closed.")
        if array.dtype != self._takes.dtype or not self._takes.takes(array.shape):
            raise InputError(
                f"{self._path.name} can't take this array.",
                f"It is {array.dtype} {array.shape}, not {self._takes}.",
            )
        names = [spec.name for spec in self._gives]
        with _terminable(cancel) as options:
            try:
                out: list[NDArray[Any]] = self._session.run(names, {self._takes.name: array}, options)
            except Exception as error:  # onnxruntime's errors share no base class
                if cancel is not None and cancel.cancelled:
                    raise Cancelled("The computation was cancelled.") from None
                raise DeviceError(f"{self._path.name} failed on {self.provider}.", _line(error)) from error
        return out

    def close(self) -> None:
        """Give the memory back."""
        self._session = None


class OnnxGraph:
    """One small graph with several inputs, loaded, on the CPU: a network that hands its state back.

    Args:
        path: the ONNX file, verified by the caller.
        takes: the inputs as the caller will feed them.
        gives: the outputs wanted, in the order in which `run` returns them.

    Raises:
        PackError: the file is no ONNX graph, or its tensors are not those that were declared.
    """

    def __init__(self, path: Path, takes: Sequence[TensorSpec], gives: Sequence[TensorSpec]) -> None:
        self._takes, self._gives, self._path = tuple(takes), tuple(gives), path
        self._session = _open(path, "cpu", 1, {})
        _check_declared("input", self._takes, self._session.get_inputs(), path, exactly=True)
        _check_declared("output", self._gives, self._session.get_outputs(), path, exactly=False)

    def run(self, *arrays: NDArray[Any]) -> list[NDArray[Any]]:
        """Compute the outputs.

        Args:
            arrays: one for each of `takes`, as it declares them.

        Raises:
            InputError: an array has another shape or type.
            DeviceError: the computation failed.
        """
        for spec, array in zip(self._takes, arrays, strict=True):
            if array.dtype != spec.dtype or not spec.takes(array.shape):
                raise InputError(
                    f"{self._path.name} can't take this array.",
                    f"It is {array.dtype} {array.shape}, not {spec}.",
                )
        fed = {spec.name: array for spec, array in zip(self._takes, arrays, strict=True)}
        try:
            out: list[NDArray[Any]] = self._session.run([spec.name for spec in self._gives], fed)
        except Exception as error:  # onnxruntime's errors share no base class
            raise DeviceError(f"{self._path.name} failed.", _line(error)) from error
        return out


class OnnxEncoder:
    """An `Encoder` of fixed shape in an ONNX file.

    Args:
        path: the ONNX file, verified by the caller.
        spec: its tensors as the pack declares them.
        device: as `OnnxNetwork`.
        threads: as `OnnxNetwork`.
        engine_cache: as `OnnxNetwork`.

    Raises:
        DeviceError: the device can't be had, or can't run the whole graph.
        PackError: the file is no ONNX graph, or not the one that the pack declares.
    """

    def __init__(
        self,
        path: Path,
        spec: TensorPair,
        *,
        device: str = "cpu",
        threads: int = 1,
        engine_cache: Path | None = None,
    ) -> None:
        self.input_shape, (self._rows, self.output_dim) = spec.fixed()
        self.whole = spec.whole
        self._spec, self._name = spec, path.name
        self._network = OnnxNetwork(
            path, spec.input, [spec.output], device=device, threads=threads, engine_cache=engine_cache
        )
        self.provider = self._network.provider

    def encode(self, batch: Rows, cancel: CancelToken | None = None) -> Rows:
        """Embed one full batch, as `Encoder.encode` says."""
        if batch.dtype != np.float32:
            raise InputError(f"{self._name} takes float32.", f"The batch is {batch.dtype}.")
        raw = self._network.run(batch.astype(self._spec.input.dtype, copy=False), cancel)[0]
        out = raw.astype(np.float32, copy=False)
        if out.shape != (self._rows, self.output_dim):
            raise PackError(
                f"{self._name} answered with another shape.", f"{out.shape}, not {self._spec.output}."
            )
        if not np.isfinite(out).all():
            raise PackError(
                f"{self._name} answered with values that are not finite.",
                f"Computed in {self._spec.input.dtype} by {self.provider}.",
                "Try another precision of the pack, or verify its files.",
            )
        return out

    def close(self) -> None:
        """Give the memory back."""
        self._network.close()


def _open(path: Path, device: str, threads: int, provider_options: dict[str, str]) -> Any:
    import onnxruntime

    provider = PROVIDERS.get(device)
    if provider is None:
        raise InputError(f"No device is called {device!r}.", todo=f"Use {', '.join(PROVIDERS)}.")
    if provider not in onnxruntime.get_available_providers():
        raise DeviceError(
            f"The device {device} can't be had.",
            f"The installed onnxruntime {onnxruntime.__version__} has no {provider}.",
            "pip uninstall onnxruntime && pip install 'emer-edge[gpu]'",
        )
    try:
        session = onnxruntime.InferenceSession(
            str(path),
            _session_options(onnxruntime, device, threads),
            providers=[(provider, provider_options)],
            enable_fallback=0,
        )
    except Exception as error:  # onnxruntime's errors share no base class
        kind = PackError if device == "cpu" else DeviceError
        raise kind(f"{path.name} can't be loaded for {device}.", _line(error)) from error
    if session.get_providers()[0] != provider:
        raise DeviceError(
            f"The device {device} can't be had.",
            f"ONNX Runtime would use {session.get_providers()[0]} instead of {provider}.",
            "Check the driver and the CUDA libraries.",
        )
    return session


def _session_options(onnxruntime: Any, device: str, threads: int) -> Any:
    out = onnxruntime.SessionOptions()
    out.intra_op_num_threads = threads
    out.inter_op_num_threads = 1
    out.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    out.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    out.log_severity_level = (
        4  # errors come as exceptions; its own lines on stderr would disturb the caller's
    )
    # Vision, sound and decoding share the cores: a thread that spins for work takes them from the others
    # (two networks at once on two busy cores: half the time without spinning).
    out.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if device != "cpu":
        out.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    return out


def _provider_options(device: str, engine_cache: Path | None) -> dict[str, str]:
    if device == "cpu":
        return {}
    out = {"device_id": "0"}
    if device == "tensorrt" and engine_cache is not None:
        out |= {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(engine_cache),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(engine_cache),
        }
    return out


def _check_declared(
    kind: str, declared: Sequence[TensorSpec], found: Sequence[Any], path: Path, *, exactly: bool
) -> None:
    """Compare what was declared with the graph's own tensors (onnxruntime.NodeArg: name, type, shape)."""
    nodes = {node.name: node for node in found}
    listed = ", ".join(f"{node.name}: {node.type} {node.shape}" for node in found)
    for spec in declared:
        node = nodes.get(spec.name)
        if node is None or node.type != _DTYPES.get(spec.dtype) or not _agree(spec.shape, node.shape):
            raise PackError(f"{path.name} has no {kind} {spec}.", f"It has {listed}.")
    if exactly and len(nodes) != len(declared):
        raise PackError(f"{path.name} has {len(nodes)} {kind}s, not {len(declared)}.", f"It has {listed}.")


def _agree(declared: tuple[int | None, ...], found: Sequence[Any]) -> bool:
    """Whether the shapes can be one: a free axis is None here and a name or None in the graph."""
    return len(declared) == len(found) and all(
        axis is None or not isinstance(length, int) or axis == length
        for axis, length in zip(declared, found, strict=True)
    )


@contextmanager
def _terminable(cancel: CancelToken | None) -> Iterator[Any]:
    """Run options that end the run soon after `cancel` is set; None where nobody can cancel."""
    if cancel is None:
        yield None
        return
    if cancel.cancelled:
        raise Cancelled("The computation was cancelled.")
    import onnxruntime

    options = onnxruntime.RunOptions()
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_POLL_SECONDS):
            if cancel.cancelled:
                options.terminate = True
                return

    watcher = threading.Thread(target=watch, name="emer-edge-cancel", daemon=True)
    watcher.start()
    try:
        yield options
    finally:
        done.set()
        watcher.join()


def _line(error: BaseException) -> str:
    """The first line of a foreign error."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:400]
