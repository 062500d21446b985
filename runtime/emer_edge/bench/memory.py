"""How much memory a process took at most. Knows Linux's counters of a process, no model."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from emer_edge.bench.nvidia import open_nvml

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def host_bytes() -> dict[str, int]:
    """Resident memory of this process now (`resident`, of which `anonymous` and `file`) and its `peak`."""
    names = {"VmRSS": "resident", "VmHWM": "peak", "RssAnon": "anonymous", "RssFile": "file"}
    found = re.findall(r"^(\w+):\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    return {names[name]: int(size) * 1024 for name, size in found if name in names}


def forget_peak() -> bool:
    """Set the peak of this process back to what it uses now; False where the kernel does not allow it."""
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5")
        return True
    return False


def device_bytes() -> int:
    """Memory of all GPUs that is in use by anyone, 0 without NVML."""
    nvml = open_nvml()
    return sum(gpu.used_bytes for gpu in nvml.gpus()) if nvml is not None else 0
