"""A timeline on disk: one JSON object a line, the session first, then its events as they come.

Knows lines and files. Knows neither who makes the events nor who reads them.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from emer_edge.errors import OutputError
from emer_edge.live.events import LiveEvent, event_to_dict
from emer_edge.live.options import LiveOptions
from emer_edge.packs.manifest import Manifest

TIMELINE_VERSION = "1.0"


def session_record(manifest: Manifest, options: LiveOptions) -> dict[str, Any]:
    """The first record of a timeline: what was watched, and how."""
    return {
        "kind": "session",
        "schema_version": TIMELINE_VERSION,
        "pack": {"name": manifest.name, "version": manifest.version},
        "window_seconds": options.window_seconds,
        "hop_seconds": options.hop_seconds,
        "policy": options.policy,
    }


def json_line(record: dict[str, Any]) -> str:
    """A record as one line of JSON, with its line break."""
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


class Recorder:
    """Writes a timeline while it happens; every line is written whole, by one call to the system.

    Args:
        path: of the .jsonl file.
        first: the record of the session.
        overwrite: whether a file of that name may be replaced.

    Raises:
        OutputError: the file exists, or can't be written.
    """

    def __init__(self, path: Path, first: dict[str, Any], *, overwrite: bool = False) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if overwrite else os.O_EXCL)
        try:
            self._file: int | None = os.open(self._path, flags, 0o644)
        except FileExistsError as error:
            raise OutputError(f"{path} exists already.", todo="Pass --force to overwrite it.") from error
        except OSError as error:
            raise self._failed(error) from error
        self._write(first)

    def write(self, event: LiveEvent) -> None:
        """Write one event.

        Raises:
            OutputError: the disk is full, or the file was closed.
        """
        self._write(event_to_dict(event))

    def close(self) -> None:
        """Make sure of what was written; may be called again."""
        with self._lock:
            file, self._file = self._file, None
        if file is None:
            return
        try:
            os.fsync(file)
        except OSError as error:
            raise self._failed(error) from error
        finally:
            os.close(file)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, record: dict[str, Any]) -> None:
        data = json_line(record).encode("utf-8", "backslashreplace")
        with self._lock:
            if self._file is None:
                raise OutputError(f"{self._path} was closed.")
            try:
                written = os.write(self._file, data)
            except OSError as error:
                raise self._failed(error) from error
            if written != len(data):  # the disk filled up in the middle: take the piece back
                os.ftruncate(self._file, os.fstat(self._file).st_size - written)
                raise OutputError(f"Can't write {self._path}.", "The disk is full.", "Free some space.")

    def _failed(self, error: OSError) -> OutputError:
        why = error.strerror or str(error)
        return OutputError(f"Can't write {self._path}.", why, "Check the folder and the free space.")
