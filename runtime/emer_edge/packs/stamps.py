"""Remembers which large packs were hashed already, in the cache of the user who hashed them.

Knows identities of files. Does not know what they hold.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from emer_edge.atomic import write_text_atomic
from emer_edge.errors import OutputError


def make_stamp(folder: Path, manifest_sha256: str, paths: Iterable[str]) -> str:
    """What has to stay the same for a hash to hold: manifest, and size, inode and times of every file."""
    files = {}
    for path in paths:
        status = (folder / path).lstat()
        # The change time moves whenever anything does and can't be set back, unlike the modification time.
        files[path] = [
            status.st_size,
            status.st_dev,
            status.st_ino,
            status.st_mtime_ns,
            status.st_ctime_ns,
        ]
    return json.dumps(
        {"folder": str(folder), "manifest_sha256": manifest_sha256, "files": files}, sort_keys=True
    )


def is_known(folder: Path, stamp: str) -> bool:
    """Whether this very stamp was remembered for `folder`."""
    try:
        return _path(folder).read_text(encoding="utf-8") == stamp
    except (OSError, ValueError, RuntimeError):  # RuntimeError: a user without a home
        return False


def remember(folder: Path, stamp: str) -> None:
    """Keep the stamp of `folder`. Where the cache can't be written the pack is hashed again next time."""
    with contextlib.suppress(OSError, OutputError, RuntimeError):
        path = _path(folder)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_text_atomic(path, stamp)


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/emer-edge`, by default below the home; RuntimeError for a user without a home."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "emer-edge"


def _path(folder: Path) -> Path:
    return cache_folder() / "verified" / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()}.json"
