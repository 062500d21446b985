"""Compiles ONNX graphs with TensorRT, or with TensorRT for RTX for GPUs that are not at hand.

Knows both libraries, which share one interface, and what an engine depends on. Does not know packs or models.
Networks are strongly typed: an engine computes in the types of its graph and in no others.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emer_edge.atomic import open_atomic
from emer_edge.encoders.tensorrt import load_library, look
from emer_edge.errors import InputError, PackError
from emer_edge.packs.stamps import cache_folder

ARCHITECTURES = ("sm75", "sm80", "sm86", "sm89", "sm120", "sm121")
"""What TensorRT for RTX compiles ahead of time: Turing to Blackwell."""
_LISTED = 4

Share = Callable[[float | None], object]
"""Told the share of the work that is done."""


@dataclass(frozen=True)
class EngineWish:
    """A library, and the architectures to compile for; none means the GPU at hand."""

    library: str
    architectures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """The part of an engine's key that is not the graph; see `emer_edge.packs.records.EngineSpec`."""

    library: str
    version: str
    architectures: tuple[str, ...]
    driver: str


def find_target(wish: EngineWish) -> Target:
    """What a wish comes to here and now.

    Raises:
        InputError: an architecture that the library does not compile for ahead of time.
        DeviceError: the library is not installed, or no GPU is there where one is needed.
    """
    if not wish.architectures:
        machine = look(wish.library)
        return Target(wish.library, machine.version, (machine.architecture,), machine.driver)
    unknown = [name for name in wish.architectures if name not in ARCHITECTURES]
    if unknown or wish.library != "tensorrt-rtx":
        raise InputError(
            f"{wish.library} can't compile for {', '.join(unknown or wish.architectures)} ahead of time.",
            todo=f"Ask tensorrt-rtx for some of {', '.join(ARCHITECTURES)}.",
        )
    version = str(load_library(wish.library).__version__)
    return Target(wish.library, version, tuple(dict.fromkeys(wish.architectures)), "")


def build_engine(onnx: Path, path: Path, target: Target, share: Share) -> float:
    """Compile one graph into `path`; returns the seconds it took.

    Raises:
        PackError: the library can't read or compile the graph, with its own words. OSError: as the disk.
    """
    library = load_library(target.library)
    began = time.perf_counter()
    said: list[str] = []
    logger = _logger(library, said)
    builder = library.Builder(logger)
    network = _parse(library, builder, logger, onnx, said)
    config = builder.create_builder_config()
    config.clear_flag(library.BuilderFlag.TF32)  # float32 is to mean float32
    progress = _progress(library, share)
    config.progress_monitor = progress
    cache = None
    if target.driver:
        cache = _use_timing_cache(config, target)
    else:
        _ask_for(library, config, target.architectures)
    engine = builder.build_serialized_network(network, config)
    if progress.error is not None:
        raise progress.error
    if engine is None:
        raise _refused(onnx, target.library, said)
    share(1.0)
    beside = path.with_name(f"{path.name}.partial")
    try:
        beside.write_bytes(engine)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with open_atomic(cache) as file:
            file.write(bytes(config.get_timing_cache().serialize()))
    return time.perf_counter() - began


def _parse(library: Any, builder: Any, logger: Any, onnx: Path, said: list[str]) -> Any:
    # TensorRT for RTX knows no other networks than typed ones, and no longer needs to be told.
    kinds = library.NetworkDefinitionCreationFlag.__members__
    flags = 1 << int(kinds["STRONGLY_TYPED"]) if "STRONGLY_TYPED" in kinds else 0
    network = builder.create_network(flags)
    parser = library.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx)):
        raise _refused(onnx, library.__name__, said)
    shapes = [tuple(network.get_input(i).shape) for i in range(network.num_inputs)]
    if network.num_inputs != 1 or network.num_outputs != 1 or any(axis < 1 for axis in shapes[0]):
        raise PackError(f"{onnx.name} is not a graph of one input and one output.", f"Inputs: {shapes}.")
    return network


def _refused(onnx: Path, library: str, said: list[str]) -> PackError:
    words = list(dict.fromkeys(said))
    more = f" And {len(words) - _LISTED} more." if len(words) > _LISTED else ""
    return PackError(
        f"{library} can't compile {onnx.name}.",
        "; ".join(words[:_LISTED]) + more,
        "Export without engines, or from another precision.",
    )


def _ask_for(library: Any, config: Any, architectures: tuple[str, ...]) -> None:
    config.num_compute_capabilities = len(architectures)
    for index, name in enumerate(architectures):
        if not config.set_compute_capability(library.ComputeCapability.__members__[name.upper()], index):
            raise InputError(f"{library.__name__} {library.__version__} does not compile for {name}.")


def _use_timing_cache(config: Any, target: Target) -> Path:
    """Give the builder what it measured before on this GPU with this driver; returns where that lies."""
    name = "-".join((target.library, target.version, *target.architectures, target.driver))
    path = cache_folder() / "timing" / f"{name}.cache"
    cache = config.create_timing_cache(path.read_bytes() if path.is_file() else b"")
    config.set_timing_cache(cache, ignore_mismatch=False)
    return path


def _logger(library: Any, said: list[str]) -> Any:
    """Keeps errors and prints nothing."""

    class Logger(library.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            library.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity <= library.ILogger.Severity.ERROR and "--- " not in message:
                said.append(" ".join(message.split())[:200])

    return Logger()


def _progress(library: Any, share: Share) -> Any:
    """Tells the share of the largest phase; an exception, as of Ctrl-C, ends the build and is kept."""

    class Progress(library.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            library.IProgressMonitor.__init__(self)
            self.error: BaseException | None = None
            self._steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            if parent is None:
                self._steps[phase] = steps

        def phase_finish(self, phase: str) -> None:
            pass

        def step_complete(self, phase: str, step: int) -> bool:
            try:
                if phase in self._steps:
                    share((step + 1) / max(self._steps[phase], 1))
            except BaseException as error:
                self.error = error
            return self.error is None

    return Progress()
