"""What the machine can do at most, measured here and now: memory bandwidth, and matrix products a second.

Knows numpy and ONNX Runtime's product. Does not know a pack. The best of several tries counts: a ceiling is
what is possible, and other processes only take from it.
"""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emer_edge.bench.onnx_made import matmul_graph
from emer_edge.encoders.base import TensorSpec
from emer_edge.encoders.onnx import OnnxNetwork
from emer_edge.errors import DeviceError, EmerError, PackError

DRAM_BYTES = 192 * 1024**2
"""Larger than any last-level cache in reach, so that it is the memory that is measured."""
_TRIES_SECONDS = 0.3
_SIDE = {"cpu": 768, "cuda": 4096, "tensorrt": 4096}
PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(slots=True)
class Ceilings:
    """Measured limits of one device."""

    threads: int
    bytes_per_second: float
    """Reading memory beyond the caches, all threads together."""
    resident_bytes_per_second: float = 0.0
    """Reading again and again what takes `resident_bytes`; higher than the above where a cache holds it."""
    resident_bytes: int = 0
    operations_per_second: dict[str, float] = field(default_factory=dict)
    """By precision; what the device can't do is left out."""
    failed: dict[str, str] = field(default_factory=dict)

    def bandwidth(self, size_bytes: float) -> tuple[float, str]:
        """The bandwidth for a working set of that size, and where it lies."""
        if self.resident_bytes and size_bytes <= self.resident_bytes:
            return max(self.resident_bytes_per_second, self.bytes_per_second), "cache"
        return self.bytes_per_second, "memory"

    def rate(self, precision: str) -> float:
        """Operations a second for weights of a precision, by the quickest way that holds them exactly."""
        ways = {"fp32": ("fp32",), "fp16": ("fp16", "fp32"), "int8": PRECISIONS}
        return max(self.operations_per_second.get(way, 0.0) for way in ways[precision])

    def to_dict(self) -> dict[str, Any]:
        """For the result file."""
        return asdict(self)


def measure_ceilings(
    device: str, threads: int, resident_bytes: int, earlier: Ceilings | None = None
) -> Ceilings:
    """Measure for about two seconds; better figures of an earlier time are kept.

    Args:
        device: `cpu`, `cuda` or `tensorrt`. Bandwidth is that of the host's memory in any case.
        threads: that work at the same time.
        resident_bytes: a working set worth knowing, for example the weights of a small language model.
        earlier: what was measured before on the same device.
    """
    out = earlier or Ceilings(threads, 0.0, resident_bytes=resident_bytes)
    out.bytes_per_second = max(out.bytes_per_second, read_bandwidth(DRAM_BYTES, threads))
    out.resident_bytes_per_second = max(
        out.resident_bytes_per_second, read_bandwidth(resident_bytes, threads)
    )
    for precision in (name for name in PRECISIONS if name not in out.failed):
        try:
            rate = product_rate(device, threads, precision)
        except EmerError as error:
            out.failed[precision] = error.why or error.what
            continue
        out.operations_per_second[precision] = max(rate, out.operations_per_second.get(precision, 0.0))
    return out


def read_bandwidth(size_bytes: int, threads: int) -> float:
    """Bytes a second that `threads` threads read together from `size_bytes`, each its own part."""
    pieces = [np.ones(max(1024, size_bytes // 4 // threads), np.float32) for _ in range(threads)]
    repeats = max(1, (32 * 1024**2) // (4 * len(pieces[0])))

    def read(piece: np.ndarray[Any, np.dtype[np.float32]]) -> None:
        # The largest of all: the one reduction of numpy's that is bound by reading (a sum is 3 times slower).
        for _ in range(repeats):
            np.maximum.reduce(piece)

    best, ends = np.inf, time.perf_counter() + _TRIES_SECONDS
    with ThreadPoolExecutor(threads) as pool:
        while time.perf_counter() < ends:
            began = time.perf_counter()
            list(pool.map(read, pieces))
            best = min(best, time.perf_counter() - began)
    return float(repeats * sum(piece.nbytes for piece in pieces) / best)


def product_rate(device: str, threads: int, precision: str) -> float:
    """Operations a second of one large matrix product in ONNX Runtime.

    Raises:
        DeviceError: the device can't do it at this precision.
    """
    side = _SIDE[device]
    data, takes, gives = matmul_graph(precision, side, side)
    with tempfile.TemporaryDirectory(prefix="emer-edge-") as folder:
        path = Path(folder) / f"matmul.{precision}.onnx"
        path.write_bytes(data)
        try:
            network = OnnxNetwork(
                path,
                TensorSpec("a", takes, (side, side)),
                [TensorSpec("y", gives, (side, side))],
                device=device,
                threads=threads,
            )
        except PackError as error:
            raise DeviceError(f"{device} has no product in {precision}.", error.why) from error
        array = np.ones((side, side), takes)
        best, ends = np.inf, time.perf_counter() + _TRIES_SECONDS
        network.run(array)
        while time.perf_counter() < ends:
            began = time.perf_counter()
            network.run(array)
            best = min(best, time.perf_counter() - began)
        network.close()
    return float(2.0 * side**3 / best)
