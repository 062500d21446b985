"""The engines that emer-edge stands on, as they are installed: what they can do when really asked.

Knows the doors of ONNX Runtime, llama.cpp and libav. Does not judge what it finds.
"""

from __future__ import annotations

import contextlib
import importlib.util
import mmap
import re
import tempfile
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from emer_edge.errors import EmerError

PACKAGES = ("emer-edge", "numpy", "onnxruntime", "onnxruntime-gpu", "llama-cpp-python", "av", "tensorrt")


@dataclass(frozen=True, slots=True)
class Engines:
    """What is installed, and what of it works."""

    versions: dict[str, str] = field(default_factory=dict)
    """Of the packages that are there."""
    devices: dict[str, str] = field(default_factory=dict)
    """Devices that ONNX Runtime was built for; empty text, or why they don't load."""
    onnx_build: str = ""
    onnx_cuda_major: str = ""
    """Major version of the CUDA libraries that ONNX Runtime's CUDA provider links to."""
    llama_features: dict[str, bool] = field(default_factory=dict)
    """As llama.cpp prints them, for example `AVX2`, `NEON`, `LLAMAFILE`, `REPACK`."""
    llama_gpu: bool = False
    """Whether llama.cpp was built to offload layers."""
    llama_error: str = ""
    native_decoder: str = ""
    """Version of the libavcodec in `_core`, or empty."""
    native_licence: str = ""
    pyav_codecs: frozenset[str] = frozenset()
    """Decoders of PyAV's libav, of those that matter here."""


def look_at_engines() -> Engines:
    """Load every engine and ask it; takes about half a second."""
    native = _native()
    features, gpu, error = _llama()
    return Engines(
        versions=package_versions(),
        devices=_devices(),
        onnx_build=_onnx_build(),
        onnx_cuda_major=_onnx_cuda_major(),
        llama_features=features,
        llama_gpu=gpu,
        llama_error=error,
        native_decoder=str(native.get("libavcodec") or "") if native.get("have_libav") else "",
        native_licence=str(native.get("licence") or ""),
        pyav_codecs=_pyav_codecs(),
    )


def package_versions() -> dict[str, str]:
    """Versions of the packages that are installed."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _devices() -> dict[str, str]:
    """A tiny product on every device that ONNX Runtime was built for."""
    from emer_edge.bench.onnx_made import matmul_graph
    from emer_edge.encoders.base import TensorSpec
    from emer_edge.encoders.onnx import OnnxNetwork, available_devices

    try:
        names = available_devices()
    except Exception as error:  # a broken installation may raise anything
        return {"cpu": f"onnxruntime can't be imported: {_line(error)}"}
    data, takes, gives = matmul_graph("fp32", 1, 4)
    found = {}
    with tempfile.TemporaryDirectory(prefix="emer-edge-") as folder:
        path = Path(folder) / "matmul.onnx"
        path.write_bytes(data)
        for name in names:
            try:
                spec = TensorSpec("a", takes, (1, 4)), [TensorSpec("y", gives, (1, 4))]
                OnnxNetwork(path, *spec, device=name).close()
                found[name] = ""
            except EmerError as error:
                found[name] = error.why or error.what
    return found


def _onnx_build() -> str:
    from emer_edge.encoders.onnx import build_info

    with contextlib.suppress(Exception):  # a broken installation may raise anything; _devices tells why
        return build_info()
    return ""


def _onnx_cuda_major() -> str:
    """What the CUDA provider's library links to, read from its file: loading it would need the libraries."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        spec = importlib.util.find_spec("onnxruntime")
        for folder in (spec.submodule_search_locations or []) if spec else []:
            path = Path(folder) / "capi" / "libonnxruntime_providers_cuda.so"
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                found = re.search(rb"libcublas\.so\.(\d+)", data)
                return found[1].decode() if found else ""
    return ""


def _llama() -> tuple[dict[str, bool], bool, str]:
    from emer_edge.llm.gguf import load_library

    try:
        api = load_library().api
    except EmerError as error:
        return {}, False, error.why or error.what
    text = api.llama_print_system_info().decode("utf-8", "replace")
    features = {name: value != "0" for name, value in re.findall(r"(\w+) = (\d+)", text)}
    return features, bool(api.llama_supports_gpu_offload()), ""


def _native() -> dict[str, Any]:
    from emer_edge import _core

    return _core.decode_backend()


def _pyav_codecs() -> frozenset[str]:
    from emer_edge.media.pyav import decoders

    with contextlib.suppress(Exception):  # a broken installation may raise anything
        return frozenset(decoders(("h264", "hevc", "vp9", "av1", "aac", "opus", "mp3")))
    return frozenset()


def _line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
