"""Files that are whole or absent: write beside, fsync, rename; sweep what a killed process left."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from uuid import uuid4

from emer_edge.errors import OutputError

_PREFIX = ".emer-tmp-"


@contextlib.contextmanager
def open_atomic(path: Path, *, overwrite: bool = True) -> Iterator[IO[bytes]]:
    """Open `path` for writing bytes; it appears, whole, only when the block ends without an error.

    Raises:
        OutputError: the folder can't be written, the disk is full, or the file exists and
            `overwrite` is off.
    """
    temporary = path.parent / f"{_PREFIX}{uuid4().hex}"
    try:
        with temporary.open("xb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        if overwrite:
            temporary.replace(path)
        else:
            _publish(temporary, path)
    except FileExistsError as error:
        raise OutputError(f"{path} exists already.", todo="Pass --force to overwrite it.") from error
    except OSError as error:
        raise OutputError(
            f"Can't write {path}.",
            why=error.strerror or str(error),
            todo="Check the folder, its permissions and the free space.",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _publish(temporary: Path, path: Path) -> None:
    """Give the file its name unless the name is taken, with no gap between look and write."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: reserve the name, then fill it
        with path.open("xb"):
            pass
        temporary.replace(path)


def write_text_atomic(path: Path, text: str, *, overwrite: bool = True) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all. Raises as `open_atomic` does."""
    with open_atomic(path, overwrite=overwrite) as handle:
        handle.write(text.encode())


def sweep(folder: Path, *, older_than_seconds: float = 3600.0) -> int:
    """Remove temporary files that a killed process left in `folder`; returns how many."""
    removed = 0
    horizon = time.time() - older_than_seconds
    with contextlib.suppress(OSError):
        for leftover in folder.glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):
                if leftover.lstat().st_mtime < horizon:
                    leftover.unlink()
                    removed += 1
    return removed
