"""What a Jetson says about itself: release, power mode, clocks, contiguous memory. Knows files, no engine.

JetPack of a release: https://developer.nvidia.com/embedded/jetpack-archive. The largest free block is counted
as tegrastats counts it: free blocks of 4 MiB (order 10 of 4 KiB pages) in /proc/buddyinfo.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from emer_edge.bench.machine import Machine, meminfo

BLOCK_BYTES = 4 * 1024**2
"""One block of the order that tegrastats calls the largest free block (lfb)."""

_JETPACK = (
    ("38.", "7", "13", "10"),
    ("36.5", "6.2.2", "12", "10"),
    ("36.4.7", "6.2.1", "12", "10"),
    ("36.4.4", "6.2.1", "12", "10"),
    ("36.4.3", "6.2", "12", "10"),
    ("36.4", "6.1", "12", "10"),
    ("36.", "6.0", "12", "8"),
    ("35.", "5", "11", "8"),
)
"""Release prefix, JetPack, and the major versions of CUDA and TensorRT that it brings; first match counts."""


@dataclass(frozen=True, slots=True)
class Jetson:
    """One board; empty text where the board does not tell."""

    model: str
    l4t: str
    """Release of Jetson Linux, for example `36.4.3`."""
    jetpack: str
    """As the archive of releases says, or as the installed package does."""
    cuda_major: str
    """Major version of the CUDA that this JetPack brings."""
    tensorrt_major: str
    power_mode: str
    """Name of nvpmodel's mode, for example `MAXN_SUPER`."""
    power_modes: tuple[str, ...]
    """Names by number."""
    gpu_megahertz: float
    gpu_most_megahertz: float
    free_blocks: int
    """Free blocks of 4 MiB and more; drivers need such for weights."""
    cma_bytes: int
    cma_free_bytes: int
    desktop: bool
    """Whether a graphical desktop is the default, which takes about a gigabyte."""


def read_jetson(machine: Machine) -> Jetson | None:
    """The board, or None where this is not a Jetson."""
    release = machine.text("/etc/nv_tegra_release") or ""
    model = machine.text("/proc/device-tree/model") or ""
    l4t = _release(release) or _installed(machine, "nvidia-l4t-core")
    if not l4t and "Jetson" not in model:
        return None
    known = next((row for row in _JETPACK if l4t.startswith(row[0])), ("", "", "", ""))
    modes = _power_modes(machine)
    now, most = _gpu_clock(machine)
    fields = meminfo(machine)
    return Jetson(
        model=model,
        l4t=l4t,
        jetpack=_installed(machine, "nvidia-jetpack") or known[1],
        cuda_major=known[2],
        tensorrt_major=known[3],
        power_mode=_power_mode(machine, modes),
        power_modes=tuple(modes.values()),
        gpu_megahertz=now,
        gpu_most_megahertz=most,
        free_blocks=_free_blocks(machine),
        cma_bytes=fields.get("CmaTotal", 0),
        cma_free_bytes=fields.get("CmaFree", 0),
        desktop=_has_desktop(machine),
    )


def _release(text: str) -> str:
    found = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", text)
    return f"{found[1]}.{found[2]}" if found else ""


def _installed(machine: Machine, package: str) -> str:
    """Version of a Debian package without the build's suffix, or empty."""
    status = machine.text("/var/lib/dpkg/status") or ""
    found = re.search(rf"^Package: {re.escape(package)}\n(?:.+\n)*?Version: ([\d.]+)", status, re.MULTILINE)
    return found[1] if found else ""


def _power_modes(machine: Machine) -> dict[str, str]:
    """Names of nvpmodel's modes by number."""
    text = machine.text("/etc/nvpmodel.conf") or ""
    found = re.findall(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=([\w-]+)", text)
    return {str(int(number)): name for number, name in found}


def _power_mode(machine: Machine, modes: dict[str, str]) -> str:
    """The mode in force: nvpmodel keeps `pmode:0000` in a file of its own."""
    found = re.search(r"pmode:(\d+)", machine.text("/var/lib/nvpmodel/status") or "")
    if not found:
        return ""
    number = str(int(found[1]))
    return modes.get(number, f"mode {number}")


def _gpu_clock(machine: Machine) -> tuple[float, float]:
    """Current and highest clock of the GPU, MHz."""
    for folder in machine.glob("/sys/class/devfreq/*"):
        if re.search(r"gpu|gv11b|ga10b|gb10b", folder):
            now, most = machine.number(f"{folder}/cur_freq"), machine.number(f"{folder}/max_freq")
            return (now or 0) / 1e6, (most or 0) / 1e6
    return 0.0, 0.0


def _free_blocks(machine: Machine) -> int:
    """Blocks of 4 MiB that are free, over all zones; 0 where the table is missing."""
    blocks = 0
    for line in (machine.text("/proc/buddyinfo") or "").splitlines():
        counts = [int(count) for count in re.findall(r"\s(\d+)(?=\s|$)", line.split("zone", 1)[-1])]
        # Column k counts blocks of 2**k pages; from order 10 on a block holds 4 MiB or more.
        blocks += sum(count << (order - 10) for order, count in enumerate(counts) if order >= 10)
    return blocks


def _has_desktop(machine: Machine) -> bool:
    target = machine.path("/etc/systemd/system/default.target")
    try:
        return "graphical" in str(target.readlink())
    except OSError:
        return False
