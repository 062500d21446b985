"""The device that a figure was measured on, as far as it tells: written beside every figure.

Knows what is worth telling. Does not judge it; `compare` says which differences matter.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import resource
import time
from dataclasses import asdict
from typing import Any

from emer_edge.bench.engines import Engines
from emer_edge.bench.jetson import read_jetson
from emer_edge.bench.machine import Machine, read_cpu, read_memory, temperatures
from emer_edge.bench.nvidia import open_nvml, read_toolkits

TOLD_FLAGS = (
    *("sse4_2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve", "fphp"),
)
_TICKS = os.sysconf("SC_CLK_TCK")


def fingerprint(machine: Machine, engines: Engines) -> dict[str, Any]:
    """What stays the same during a run: hardware, system, versions, build flags, power mode."""
    cpu, memory, board = read_cpu(machine), read_memory(machine), read_jetson(machine)
    tools, nvml = read_toolkits(machine), open_nvml() if machine.is_this else None
    return {
        "name": board.model if board else _gpu_name(nvml) or cpu.model,
        "cpu": {
            "model": cpu.model,
            "architecture": cpu.architecture,
            "cores": cpu.cores,
            "usable_cores": cpu.usable_cores,
            "flags": [flag for flag in TOLD_FLAGS if flag in cpu.flags],
            "governor": cpu.governor,
            "virtual": "hypervisor" in cpu.flags,
        },
        "memory": {"total_bytes": memory.total_bytes, "limit_bytes": memory.limit_bytes},
        "gpus": [
            {"name": gpu.name, "memory_bytes": gpu.memory_bytes, "power_limit_watts": gpu.power_limit_watts}
            for gpu in (nvml.gpus() if nvml else [])
        ],
        "driver": (nvml.driver() if nvml else "") or tools.driver,
        "cuda": tools.cuda,
        "cuda_of_driver": nvml.cuda() if nvml else "",
        "cudnn": tools.cudnn,
        "tensorrt": tools.tensorrt,
        "jetson": asdict(board) | {"power_modes": list(board.power_modes)} if board else None,
        "system": {
            "kernel": platform.release() if machine.is_this else "",
            "distribution": _distribution(machine),
            "libc": " ".join(platform.libc_ver()),
            "python": platform.python_version(),
        },
        "versions": dict(engines.versions),
        "build": {
            "onnxruntime": engines.onnx_build,
            "llama.cpp": sorted(name for name, on in engines.llama_features.items() if on),
            "llama.cpp gpu": engines.llama_gpu,
            "libavcodec": engines.native_decoder,
            "onnxruntime devices": sorted(name for name, why in engines.devices.items() if not why),
        },
    }


def _gpu_name(nvml: Any) -> str:
    return nvml.gpus()[0].name if nvml and len(nvml) else ""


def _distribution(machine: Machine) -> str:
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)', machine.text("/etc/os-release") or "", re.MULTILINE)
    return found[1] if found else ""


def state(machine: Machine) -> dict[str, Any]:
    """What changes during a run: clocks, heat, load; taken before and after."""
    cpu, board = read_cpu(machine), read_jetson(machine)
    nvml = open_nvml() if machine.is_this else None
    return {
        "cpu_megahertz": round(cpu.megahertz),
        "gpus": [
            {
                "sm_megahertz": gpu.sm_megahertz,
                "memory_megahertz": gpu.memory_megahertz,
                "celsius": gpu.celsius,
                "used_bytes": gpu.used_bytes,
            }
            for gpu in (nvml.gpus() if nvml else [])
        ],
        "jetson_gpu_megahertz": board.gpu_megahertz if board else None,
        "celsius": {name: round(degrees, 1) for name, degrees in temperatures(machine).items()},
        "load_average": os.getloadavg()[0] if machine.is_this else None,
        "available_bytes": read_memory(machine).available_bytes,
    }


class Neighbours:
    """How many cores other processes kept busy while a benchmark ran."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._before = self._read()

    def cores(self) -> float | None:
        """Cores busy for others, on average, since this was made; None where Linux does not tell."""
        before, now = self._before, self._read()
        if before is None or now is None or now[0] <= before[0]:
            return None
        others = (now[1] - before[1]) - (now[2] - before[2])
        return round(max(0.0, others / (now[0] - before[0])), 3)

    def _read(self) -> tuple[float, float, float] | None:
        """Wall clock, busy seconds of all cores (with what a hypervisor took away), and our own."""
        found = re.match(r"cpu\s+([\d ]+)", self._machine.text("/proc/stat") or "")
        if found is None:
            return None
        ticks = [int(count) for count in found[1].split()]
        # user, nice, system, idle, iowait, irq, softirq, steal: busy is all but idle and iowait.
        busy = sum(ticks[:3]) + sum(ticks[5:8])
        own = 0.0
        with contextlib.suppress(OSError):
            for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
                usage = resource.getrusage(whose)
                own += usage.ru_utime + usage.ru_stime
        return time.monotonic(), busy / _TICKS, own
