"""The files of a pack while it is being made: what each needs, and which are finished.

Knows how work is kept between runs. Does not know what the files hold or how they are made.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Report = Callable[[str, float | None], object]
"""Told the file that is being made and the share of it that is done, where that is known."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Artefact:
    """One file to be made. `kept` is false for what only other artefacts need."""

    path: str
    size_bytes: int
    """What it will take up: exact for weights, without headers and vocabulary."""
    make: Callable[[Path, Report], Mapping[str, Any] | None]
    """Makes it; what it returns is kept beside its size and hash."""
    kept: bool = True
    source: str = ""
    """Another artefact that it is made from: made anew, this one is too."""
    seconds: float = 0.0
    """What making it takes on two cores, roughly: from exports at full size (docs/export.md)."""
    stamp: str = ""
    """What else has to stay the same for a finished one to be used again."""


def files_of(row: Row) -> list[Row]:
    """The files of a finished artefact, each with its path and size: one, or a graph and its data."""
    return [row, row["data"]] if "data" in row else [row]


class State:
    """Which artefacts are finished, kept beside them. Another key throws everything away."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key

    def open(self) -> dict[str, Row]:
        """Finished artefacts by path, those whose file is still as long as it was."""
        try:
            held = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            held = {}
        if held.get("key") != self._key:
            shutil.rmtree(self._path.parent, ignore_errors=True)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._write({})
            return {}
        found: dict[str, Row] = {}
        for path, row in held["done"].items():
            if all(self._is_whole(one) for one in files_of(row)):
                found[path] = row
        return found

    def _is_whole(self, row: Row) -> bool:
        file = self._path.parent / row["path"]
        return file.is_file() and row["size_bytes"] in (0, file.stat().st_size)

    def missing(self, artefacts: Sequence[Artefact]) -> list[Artefact]:
        """What has to be made, in order."""
        done, missing = self.open(), list[Artefact]()
        for artefact in artefacts:
            row = done.get(artefact.path)
            anew = any(one.path == artefact.source for one in missing)
            if row is None or anew or row.get("stamp", "") != artefact.stamp:
                missing.append(artefact)
        return missing

    def add(self, row: Row) -> None:
        """One more is finished."""
        self._write({**self.open(), str(row["path"]): row})

    def forget(self, folder: str) -> None:
        """Everything below one folder is gone."""
        self._write({path: row for path, row in self.open().items() if not path.startswith(f"{folder}/")})

    def _write(self, done: Mapping[str, Row]) -> None:
        beside = self._path.with_name(f"{self._path.name}.new")
        beside.write_text(json.dumps({"key": self._key, "done": done}), encoding="utf-8")
        beside.replace(self._path)
