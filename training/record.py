"""The record of figures: one JSON file beside the recipe, for cards and plots to be made from.

Knows its layout, how numbers are written, and that the test rows are measured once for a released version.
Does not know how figures are measured.

    {"pack": {name, version, sha256}, "dev" | "test": {pack, measured, recognise, detector, combine, disagree,
    explain, speed, goals}, ...}: what else stands in the file is kept as it is.
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

FIGURES = Path(__file__).with_name("figures.json")
_LIBRARIES = ("emer-edge", "numpy", "onnxruntime", "llama-cpp-python")
# Among the seconds of the steps: those of the whole recipe, in which some run side by side.
WHOLE = "whole"
_DIGITS = 6
_EPOCH = re.compile(r"\w+ epoch (\d+)/\d+ \d+s (.*)")
_NUMBER = re.compile(r"([a-zA-Z]\w*)[ =](-?\d+\.\d+)")
_LIST = re.compile(r"\[\s+((?:-?[\d.e+-]+,\s+)*-?[\d.e+-]+)\s+\]")


class MeasuringError(Exception):
    """The test rows may not be measured so: another time for a version, or in part."""


def read(path: Path) -> dict[str, Any]:
    """Return a JSON object; an empty one where there is no file."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def write(path: Path, figures: Mapping[str, Any]) -> None:
    """Write figures with six digits and each list of numbers on one line, whole or not at all."""
    text = json.dumps(_rounded(figures), indent=1, ensure_ascii=False)
    text = _LIST.sub(lambda found: f"[{', '.join(found[1].split(',' + chr(10)))}]", text)
    text = re.sub(r"(?<=,) {2,}(?=[-\d])", " ", text)
    beside = path.with_name(path.name + ".partial")
    beside.write_text(text + "\n", encoding="utf-8")
    beside.replace(path)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: _rounded(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(own) for own in value]
    return value


def curves(out: Path) -> dict[str, list[dict[str, float]]]:
    """Read the training logs of the encoders, which the recipe keeps beside what they made.

    A line is "face epoch 3/20 381s loss 1.744 accuracy 0.633": every number gets the name before it.
    """
    found = {}
    for name in ("face", "voice"):
        path = out / f"{name}s.log"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        entries = [_EPOCH.match(line) for line in lines]
        found[f"{name} encoder"] = [
            {"epoch": int(entry[1]), **{key: float(value) for key, value in _NUMBER.findall(entry[2])}}
            for entry in entries
            if entry
        ]
    return {name: log for name, log in found.items() if len(log) > 1}


def check_unmeasured(figures: Mapping[str, Any], pack: Mapping[str, Any]) -> None:
    """Refuse to measure the test rows of a version twice with different weights.

    Raises:
        MeasuringError: the record holds test figures of this version and other weights.
    """
    measured = figures.get("test", {}).get("pack", {})
    if measured.get("version") == pack["version"] and measured.get("sha256") != pack["sha256"]:
        raise MeasuringError(
            f"the test rows were measured for {pack['name']} {pack['version']} with other weights; "
            "choose by --split dev, and give a pack that is to be released a version of its own"
        )


def measured_before(figures: Mapping[str, Any], split: str, pack: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a split where they are of these very weights; nothing otherwise."""
    found: dict[str, Any] = figures.get(split, {})
    return found if found.get("pack", {}).get("sha256") == pack["sha256"] else {}


def merged(
    figures: Mapping[str, Any], split: str, pack: Mapping[str, Any], found: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the record with the figures of one split in it; those of other weights are left out."""
    kept = {
        key: value
        for key, value in figures.items()
        if key not in ("dev", "test") or value.get("pack", {}).get("sha256") == pack["sha256"]
    }
    return {**kept, "pack": dict(pack), split: {"pack": dict(pack), **found}}


def circumstances(seconds: Mapping[str, float]) -> dict[str, Any]:
    """Return date, machine, versions and wall-clock seconds of each step."""
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": machine(),
        "libraries": libraries(),
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
    }


def machine() -> dict[str, Any]:
    """Return CPU model, cores, memory and system."""
    model = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":", 1)[1].strip() if lines else model
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gigabytes": round(memory / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def libraries() -> dict[str, str]:
    """Return the versions of Python and of what computes."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found
