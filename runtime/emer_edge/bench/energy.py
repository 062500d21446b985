"""Joules that the machine says it used: RAPL, NVML, Jetson's INA3221. Knows counters and sensors, no clips.

RAPL: https://docs.kernel.org/power/powercap/powercap.html. INA3221:
https://docs.kernel.org/hwmon/ina3221.html, millivolts and milliamperes, integrated over time here.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from emer_edge.bench.machine import Machine
from emer_edge.bench.nvidia import open_nvml

SAMPLE_SECONDS = 0.05
"""How often sensors of momentary power are read."""
_RAILS = re.compile(r"VDD_IN|POM_5V_IN|VIN_SYS_5V0|TOTAL", re.IGNORECASE)
"""Rails that feed a whole Jetson, so that nothing is counted twice."""


@dataclass(frozen=True, slots=True)
class _Rapl:
    path: str
    name: str
    """`rapl` with the name and number of the package."""
    wraps_at: float
    """Joules after which the counter begins again."""

    def joules(self, machine: Machine) -> float | None:
        value = machine.number(self.path)
        return None if value is None else value / 1e6


def _rapl(machine: Machine) -> list[_Rapl]:
    """The packages' counters; what lies inside a package is left out."""
    found = []
    for folder in machine.glob("/sys/class/powercap/intel-rapl:[0-9]*"):
        if number := re.fullmatch(r"intel-rapl:(\d+)", folder.rsplit("/", 1)[1]):
            most = machine.number(f"{folder}/max_energy_range_uj") or 0.0
            name = f"rapl {machine.text(f'{folder}/name') or 'package'} {number[1]}"
            found.append(_Rapl(f"{folder}/energy_uj", name, most / 1e6))
    return [counter for counter in found if counter.joules(machine) is not None]


def _sensors(machine: Machine) -> list[tuple[str, str]]:
    """Files of volts and amperes of the rail that feeds a Jetson."""
    found = []
    for label in machine.glob("/sys/class/hwmon/hwmon*/in[0-9]*_label"):
        volts, amperes = (
            label.replace("_label", "_input"),
            re.sub(r"/in(\d+)_label$", r"/curr\1_input", label),
        )
        if _RAILS.search(machine.text(label) or "") and machine.number(amperes) is not None:
            found.append((volts, amperes))
    return found[:1]


@dataclass(slots=True)
class Energy:
    """Joules by source between `start` and `stop`; empty where the machine tells nothing.

    Args:
        machine: whose counters.
        gpu: gives the joules that the GPUs counted so far, or None.
    """

    machine: Machine = field(default_factory=Machine)
    gpu: Callable[[], float | None] | None = None
    _before: dict[str, float] = field(default_factory=dict)
    _power: _PowerWatch | None = None

    def __post_init__(self) -> None:
        nvml = open_nvml() if self.machine.is_this and self.gpu is None else None
        if nvml is not None:
            self.gpu = nvml.joules

    def start(self) -> None:
        """Begin to count."""
        self._before = self._read()
        rails = _sensors(self.machine)
        if rails:
            self._power = _PowerWatch(self.machine, *rails[0])
            self._power.start()

    def stop(self) -> dict[str, float]:
        """Joules since `start`, by `rapl NAME`, `nvml` and `ina3221`."""
        wraps = {counter.name: counter.wraps_at for counter in _rapl(self.machine)}
        out = {}
        for name, now in self._read().items():
            spent = now - self._before.get(name, now)
            out[name] = spent + wraps.get(name, 0.0) if spent < 0 else spent
        if self._power is not None:
            out["ina3221"] = self._power.stop()
            self._power = None
        return {name: round(joules, 3) for name, joules in out.items()}

    def _read(self) -> dict[str, float]:
        found = {}
        for counter in _rapl(self.machine):
            joules = counter.joules(self.machine)
            if joules is not None:
                found[counter.name] = joules
        joules = self.gpu() if self.gpu is not None else None
        if joules is not None:
            found["nvml"] = joules
        return found


class _PowerWatch:
    """Integrates volts times amperes in a thread of its own."""

    def __init__(self, machine: Machine, volts: str, amperes: str) -> None:
        self._read: Callable[[], float] = lambda: (
            (machine.number(volts) or 0.0) * (machine.number(amperes) or 0.0) / 1e6
        )
        self._done = threading.Event()
        self._joules = 0.0
        self._thread = threading.Thread(target=self._watch, name="emer-edge-power", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> float:
        self._done.set()
        self._thread.join()
        return self._joules

    def _watch(self) -> None:
        last, watts = time.monotonic(), self._read()
        while True:
            ended = self._done.wait(SAMPLE_SECONDS)
            now, before, watts = time.monotonic(), watts, self._read()
            self._joules += (now - last) * (before + watts) / 2
            last = now
            if ended:
                return


def joules_per_clip(spent: dict[str, float], clips: int) -> dict[str, Any]:
    """For the result file."""
    return {name: round(joules / clips, 4) for name, joules in spent.items()} if clips else {}
