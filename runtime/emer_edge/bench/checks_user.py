"""Doctor's checks of the user's folders: cache, packs, settings, device files, free disk."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from emer_edge.bench.findings import Finding
from emer_edge.bench.machine import Machine
from emer_edge.errors import EmerError
from emer_edge.packs.stamps import cache_folder
from emer_edge.packs.store import list_packs, user_store

LITTLE_DISK_BYTES = 2 * 1024**3
"""A pack of 0.6 billion parameters with its copy while it is added."""


def check_cache() -> Iterator[Finding]:
    """The cache: writable, private, and how much it holds."""
    try:
        folder = cache_folder()
    except RuntimeError as error:
        yield Finding("cache", "warn", str(error), "export XDG_CACHE_HOME=/tmp/emer-edge-cache")
        return
    yield _folder("cache", folder)
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    engines = sum(path.parent.name == "engines" for path in files)
    size = sum(path.stat().st_size for path in files)
    left = [path for path in files if path.name.startswith(".emer-tmp-")]
    words = f"{len(files)} files, {size / 1e6:.1f} MB, {engines} TensorRT engines"
    if left:
        yield Finding(
            "cache state",
            "warn",
            f"{words}; {len(left)} left over by killed processes",
            f"find {shlex.quote(str(folder))} -name '.emer-tmp-*' -delete",
        )
    else:
        yield Finding("cache state", "ok", words)


def check_packs() -> Iterator[Finding]:
    """The store of packs, and the disk below it."""
    try:
        store = user_store()
    except EmerError as error:
        yield Finding("packs", "warn", error.what, "export EMER_EDGE_PACKS=/data/packs")
        return
    yield _folder("packs", store, f"{len(list_packs())} packs, ")
    place = _existing(store)
    free = shutil.disk_usage(place).free
    words = f"{free / 1024**3:.1f} GiB free below {place}"
    if free < LITTLE_DISK_BYTES:
        yield Finding("disk", "warn", words, f"du -xh {shlex.quote(str(place))} | sort -h | tail")
    else:
        yield Finding("disk", "ok", words)


def _folder(name: str, folder: Path, more: str = "") -> Finding:
    """Whether a folder, or the first one above it that exists, can be written, by us alone."""
    place, quoted = _existing(folder), shlex.quote(str(folder))
    if not os.access(place, os.W_OK | os.X_OK):
        return Finding(
            name,
            "fail",
            f"{more}{place} can't be written",
            f'sudo chown -R "$USER" {shlex.quote(str(place))}',
        )
    if place == folder and folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return Finding(name, "warn", f"{more}{folder} can be written by others", f"chmod go-w {quoted}")
    return Finding(name, "ok", f"{more}{folder}{'' if place == folder else ' (will be made)'}")


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.is_dir())


def check_devices(machine: Machine) -> Iterator[Finding]:
    """Whether this user may open the GPU's device files."""
    devices = [
        *machine.glob("/dev/nvidia[0-9]*"),
        *machine.glob("/dev/nvhost-ctrl*"),
        *machine.glob("/dev/nvmap"),
    ]
    closed = [path for path in devices if not os.access(machine.path(path), os.R_OK | os.W_OK)]
    if closed:
        yield Finding(
            "gpu permission",
            "fail",
            f"{' '.join(closed)} can't be opened by this user",
            'sudo usermod -aG video,render "$USER"  # then log in again',
        )
    elif devices:
        yield Finding("gpu permission", "ok", f"{len(devices)} device files can be opened")
