"""Doctor's checks of the engines: what is built in, what really loads, whether it fits the machine."""

from __future__ import annotations

from collections.abc import Iterator

from emer_edge.bench.engines import Engines
from emer_edge.bench.findings import Finding
from emer_edge.bench.machine import Machine, read_cpu
from emer_edge.bench.nvidia import read_toolkits

_LLAMA_SOURCE = "pip install --force-reinstall --no-deps --no-binary llama-cpp-python llama-cpp-python"
_FEATURES = (
    ("AVX2", "avx2"),
    ("FMA", "fma"),
    ("F16C", "f16c"),
    ("AVX512", "avx512f"),
    ("AVX512_VNNI", "avx512_vnni"),
    ("AVX_VNNI", "avx_vnni"),
    ("AMX_INT8", "amx_int8"),
    ("NEON", "asimd"),
    ("DOTPROD", "asimddp"),
    ("MATMUL_INT8", "i8mm"),
)
"""What llama.cpp prints, and the processor's flag that it needs."""
_OLDEST_DRIVER = {"11": 450, "12": 525, "13": 580}
"""Oldest driver by CUDA major: https://docs.nvidia.com/deploy/cuda-compatibility, table of minor versions."""


def check_media(engines: Engines) -> Iterator[Finding]:
    """Decoders: the native one, and PyAV for what it lacks."""
    if engines.native_decoder:
        licence = f", {engines.native_licence}" if engines.native_licence else ""
        yield Finding("ffmpeg", "ok", f"native decoder, libavcodec {engines.native_decoder}{licence}")
    else:
        yield Finding(
            "ffmpeg",
            "warn",
            "this build has no libav: PyAV decodes, which is slower",
            "sudo apt install libavcodec-dev libavformat-dev libswscale-dev libswresample-dev && "
            "pip install --force-reinstall --no-deps --no-binary emer-edge emer-edge",
        )
    lacking = {"h264", "aac"} - engines.pyav_codecs
    version = engines.versions.get("av", "absent")
    if lacking and not engines.native_decoder:
        yield Finding(
            "pyav", "fail", f"{version} lacks {' '.join(sorted(lacking))}", "pip install --force-reinstall av"
        )
    elif lacking:
        yield Finding(
            "pyav", "warn", f"{version} lacks {' '.join(sorted(lacking))}", "pip install --force-reinstall av"
        )
    else:
        yield Finding("pyav", "ok", f"{version}, decodes {' '.join(sorted(engines.pyav_codecs))}")


def check_onnx(engines: Engines, machine: Machine) -> Iterator[Finding]:
    """ONNX Runtime's devices, each of which computed something, or did not."""
    version = engines.versions.get("onnxruntime-gpu") or engines.versions.get("onnxruntime", "")
    why = engines.devices.get("cpu", "no CPU provider")
    if why:
        yield Finding("onnxruntime", "fail", f"{version}: {why}", "pip install --force-reinstall onnxruntime")
        return
    yield Finding("onnxruntime", "ok", f"{version}, cpu computes")
    gpu = read_toolkits(machine).driver
    for device in ("cuda", "tensorrt"):
        broken = engines.devices.get(device)
        if broken == "":
            yield Finding(device_line(device), "ok", f"onnxruntime {version} loads on {device}")
        elif broken:
            yield Finding(
                device_line(device), "fail" if gpu else "warn", broken, _gpu_libraries(device, engines)
            )
    if gpu and "cuda" not in engines.devices:
        yield Finding(
            device_line("cuda"),
            "warn",
            f"there is a GPU (driver {gpu}), but this onnxruntime was built for the CPU",
            "pip uninstall -y onnxruntime && pip install 'emer-edge[gpu]'",
        )


def device_line(device: str) -> str:
    """Name of the line of one of ONNX Runtime's devices."""
    return f"onnxruntime {device}"


def _gpu_libraries(device: str, engines: Engines) -> str:
    major = engines.onnx_cuda_major or "12"
    if device == "tensorrt":
        return "pip install 'emer-edge[tensorrt]'"
    return f"pip install 'onnxruntime-gpu[cuda,cudnn]'  # brings CUDA {major} and cuDNN"


def check_llama(engines: Engines, machine: Machine) -> Iterator[Finding]:
    """llama.cpp's build against the processor and the GPU."""
    version = engines.versions.get("llama-cpp-python", "")
    if engines.llama_error:
        yield Finding("llama.cpp", "fail", engines.llama_error, "pip install 'llama-cpp-python>=0.3.36,<0.4'")
        return
    flags = read_cpu(machine).flags
    built = [name for name, on in engines.llama_features.items() if on]
    words = f"llama-cpp-python {version}: {' '.join(built)}"
    deadly = [name for name, flag in _FEATURES if name in built and flags and flag not in flags]
    unused = [name for name, flag in _FEATURES if flag in flags and name not in built]
    if deadly:
        yield Finding(
            "llama.cpp",
            "fail",
            f"{words}; this processor has no {' '.join(deadly)}: it will crash",
            f'CMAKE_ARGS="-DGGML_NATIVE=on" {_LLAMA_SOURCE}',
        )
    elif unused:
        yield Finding(
            "llama.cpp",
            "warn",
            f"{words}; {' '.join(unused)} of this processor lie idle",
            f'CMAKE_ARGS="-DGGML_NATIVE=on" {_LLAMA_SOURCE}',
        )
    else:
        yield Finding("llama.cpp", "ok", words)
    driver = read_toolkits(machine).driver
    if engines.llama_gpu:
        yield Finding("llama.cpp gpu", "ok", "built to offload layers")
    elif driver:
        yield Finding(
            "llama.cpp gpu",
            "warn",
            f"there is a GPU (driver {driver}), but llama.cpp was built for the CPU",
            f'CMAKE_ARGS="-DGGML_CUDA=on" {_LLAMA_SOURCE}',
        )


def check_cuda_match(engines: Engines, machine: Machine) -> Iterator[Finding]:
    """Whether driver, CUDA and the provider's build go together."""
    tools, built = read_toolkits(machine), engines.onnx_cuda_major
    if not built:
        return
    if not tools.driver:
        yield Finding(
            "driver",
            "warn",
            f"onnxruntime was built for CUDA {built}, but there is no NVIDIA driver",
            "sudo ubuntu-drivers install",
        )
        return
    oldest, words = _OLDEST_DRIVER.get(built, 0), f"driver {tools.driver}, onnxruntime for CUDA {built}"
    if int(tools.driver.split(".")[0]) < oldest and not machine.exists("/etc/nv_tegra_release"):
        yield Finding(
            "driver", "fail", f"{words} needs driver {oldest} or newer", "sudo ubuntu-drivers install"
        )
    elif tools.cuda and tools.cuda.split(".")[0] != built:
        yield Finding(
            "driver",
            "warn",
            f"{words}, but the CUDA on disk is {tools.cuda}",
            "pip install 'onnxruntime-gpu[cuda,cudnn]'",
        )
    else:
        yield Finding("driver", "ok", words)
