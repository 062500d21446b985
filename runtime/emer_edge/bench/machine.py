"""Reads /proc, /sys and /etc below a root path, so that another machine's tree can stand in for this one.

Knows files and numbers. Does not know what they mean for emer-edge.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_MOST_BYTES = 4 * 1024**2


@dataclass(frozen=True, slots=True)
class Machine:
    """A file tree of a machine; what is absent or unreadable is None, never an error."""

    root: Path = Path("/")

    @property
    def is_this(self) -> bool:
        """Whether the tree is that of the machine we run on."""
        return self.root == Path("/")

    def path(self, path: str) -> Path:
        """Where `path`, absolute on that machine, lies here."""
        return self.root / path.lstrip("/")

    def text(self, path: str) -> str | None:
        """The text of a file, without the zero bytes that end device-tree strings."""
        try:
            with self.path(path).open("rb") as file:
                return file.read(_MOST_BYTES).decode("utf-8", "replace").replace("\0", "").strip()
        except OSError:
            return None

    def number(self, path: str) -> float | None:
        """The number that a file begins with."""
        found = re.match(r"\s*(-?\d+(?:\.\d+)?)", self.text(path) or "")
        return float(found[1]) if found else None

    def glob(self, pattern: str) -> list[str]:
        """Paths on that machine, absolute, in order."""
        try:
            found = sorted(self.root.glob(pattern.lstrip("/")))
        except OSError:
            return []
        return [f"/{path.relative_to(self.root)}" for path in found]

    def exists(self, path: str) -> bool:
        """Whether there is something at `path`."""
        try:
            return self.path(path).exists()
        except OSError:
            return False

    def readable(self, path: str) -> bool:
        """Whether this user may read `path`."""
        return os.access(self.path(path), os.R_OK)


@dataclass(frozen=True, slots=True)
class Cpu:
    """The processor as Linux tells it."""

    model: str
    architecture: str
    """`x86_64` or `aarch64`."""
    flags: frozenset[str]
    cores: int
    usable_cores: float
    """Cores that affinity and the control group leave to this process."""
    governor: str
    """Frequency governors of the cores, or empty where the kernel shows none, as in most virtual machines."""
    megahertz: float
    """Highest current clock of a core, or 0."""


def read_cpu(machine: Machine) -> Cpu:
    """Model, instruction sets, cores, governor, clock."""
    info = machine.text("/proc/cpuinfo") or ""
    arm = "\nCPU implementer" in f"\n{info}"
    flags = re.search(r"^(?:flags|Features)\s*:(.*)$", info, re.MULTILINE)
    cores = len(re.findall(r"^processor\s*:", info, re.MULTILINE)) or 1
    model = re.search(r"^(?:model name|Model)\s*:(.*)$", info, re.MULTILINE)
    name = model[1].strip() if model else machine.text("/proc/device-tree/model") or "unknown"
    governors = {
        machine.text(path) or ""
        for path in machine.glob("/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")
    }
    clocks = [
        (machine.number(path) or 0) / 1000
        for path in machine.glob("/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq")
    ]
    clocks += [float(found) for found in re.findall(r"^cpu MHz\s*:\s*([\d.]+)", info, re.MULTILINE)]
    return Cpu(
        name,
        "aarch64" if arm else "x86_64",
        frozenset(flags[1].split() if flags else ()),
        cores,
        _usable_cores(machine, cores),
        ", ".join(sorted(governors)),
        max(clocks, default=0.0),
    )


def _usable_cores(machine: Machine, cores: int) -> float:
    usable = float(len(os.sched_getaffinity(0)) if machine.is_this else cores)
    quota = (machine.text("/sys/fs/cgroup/cpu.max") or "max").split()
    if len(quota) == 2 and quota[0].isdigit() and float(quota[1]) > 0:
        usable = min(usable, float(quota[0]) / float(quota[1]))
    return usable


@dataclass(frozen=True, slots=True)
class Memory:
    """Main memory, bytes."""

    total_bytes: int
    available_bytes: int
    swap_bytes: int
    limit_bytes: int | None
    """What the control group allows, where it does not allow everything."""


def read_memory(machine: Machine) -> Memory:
    """Main memory of the machine, and what a container leaves of it."""
    fields = meminfo(machine)
    total = fields.get("MemTotal", 0)
    limit = machine.number("/sys/fs/cgroup/memory.max")
    return Memory(
        total,
        fields.get("MemAvailable", 0),
        fields.get("SwapTotal", 0),
        int(limit) if limit is not None and 0 < limit < total else None,
    )


def meminfo(machine: Machine) -> dict[str, int]:
    """`/proc/meminfo` in bytes."""
    found = re.findall(r"^(\w+):\s+(\d+) kB", machine.text("/proc/meminfo") or "", re.MULTILINE)
    return {name: int(size) * 1024 for name, size in found}


def temperatures(machine: Machine) -> dict[str, float]:
    """Degrees Celsius by thermal zone; zones that are off tell nonsense and are left out."""
    found = {}
    for folder in machine.glob("/sys/class/thermal/thermal_zone*"):
        degrees = machine.number(f"{folder}/temp")
        if degrees is not None and 0 < degrees < 150_000:
            found[machine.text(f"{folder}/type") or Path(folder).name] = degrees / 1000
    return found
