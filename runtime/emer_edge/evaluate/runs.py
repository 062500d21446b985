"""A run on disk: what was asked of whom, and one line for every clip, safe from a kill at any moment.

Knows a folder with run.json, rows.jsonl and outputs.jsonl. Does not know how an output comes about, or what
it is worth. A line is on the disk before the next clip begins; a torn last line is dropped when the run goes
on, so no clip is lost that was finished, and none is asked twice.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from emer_edge.atomic import sweep, write_text_atomic
from emer_edge.errors import InputError, OutputError
from emer_edge.evaluate.datasets import DataSet, Row
from emer_edge.evaluate.outputs import Output
from emer_edge.evaluate.run_files import (
    OUTPUTS,
    ROWS,
    RUN,
    SCHEMA_VERSION,
    open_file,
    read_outputs,
    read_record,
)

_PACKAGES = ("emer-edge", "numpy", "onnxruntime", "llama-cpp-python", "av")


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides the outputs; a run goes on only under an equal one.

    Args:
        name: for people; not compared.
        system: who was asked: pack, version, digest, device.
        asked: how: question, sampling, modalities, what stands for missing media.
        data: `DataSet.describe` of the rows.
    """

    name: str
    system: Mapping[str, Any]
    asked: Mapping[str, Any]
    data: Mapping[str, Any]
    versions: Mapping[str, str] = field(default_factory=lambda: versions())

    def decisive(self) -> dict[str, Any]:
        """What must not change within a run, flat: `system.version` and so on."""
        parts = {"system": self.system, "asked": self.asked, "data": self.data, "versions": self.versions}
        return {f"{part}.{key}": value for part, values in parts.items() for key, value in values.items()}


class RunFolder:
    """One run's folder, open for writing by this process alone.

    Args:
        folder: made where it does not exist.
        config: what the run is.
        rows: of the data set, in the order they are asked.

    Raises:
        InputError: the folder holds another run, or something else; another process writes to it.
        OutputError: it can't be written.
    """

    def __init__(self, folder: Path, config: RunConfig, rows: DataSet) -> None:
        self.folder = folder
        self.config = config
        self._rows = rows
        _make(folder)
        self._handle = _locked(folder / OUTPUTS)
        try:
            sweep(folder, older_than_seconds=0.0)
            if (folder / RUN).exists():
                _check_same(folder, config)
            else:
                self._begin()
            self._done = {output.id: output for output in _kept(folder / OUTPUTS, self._handle)}
            self._check_ids()
        except BaseException:
            self._handle.close()
            raise

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.close()

    @property
    def done(self) -> Mapping[str, Output]:
        """The outputs so far, by id."""
        return self._done

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows, in the order they are asked."""
        return self._rows.rows

    @property
    def left(self) -> tuple[Row, ...]:
        """The rows without output, in order."""
        return tuple(row for row in self._rows.rows if row.id not in self._done)

    def append(self, output: Output) -> None:
        """Put an output on the disk; when this returns, no kill can take it away.

        Raises:
            InputError: there is one for this clip already.
            OutputError: the disk is full or gone.
        """
        if output.id in self._done:
            raise InputError(f"{self.folder} has an output for {output.id} already.")
        try:
            self._handle.write(output.to_line())
            self._handle.flush()
            os.fsync(self._handle.fileno())
        except OSError as error:
            raise OutputError(
                f"Can't write {self.folder / OUTPUTS}.", error.strerror or str(error), "Check the free space."
            ) from error
        self._done[output.id] = output

    def forget_failures(self) -> int:
        """Drop failed outputs, so that their clips are asked again; returns how many.

        Raises:
            OutputError: the file can't be written anew.
        """
        kept = {name: output for name, output in self._done.items() if not output.failed}
        dropped = len(self._done) - len(kept)
        if dropped:
            try:
                # Failures may stand anywhere, and a kill between two writes must not lose an answer.
                write_text_atomic(
                    self.folder / OUTPUTS, b"".join(output.to_line() for output in kept.values()).decode()
                )
            finally:
                self._handle.close()
                self._handle = _locked(self.folder / OUTPUTS)
                self._handle.seek(0, os.SEEK_END)
            self._done = kept
        return dropped

    def _begin(self) -> None:
        if self._handle.seek(0, os.SEEK_END):
            raise InputError(
                f"{self.folder} holds outputs of no run.",
                f"There is {OUTPUTS} without {RUN}.",
                "Name another.",
            )
        lines = (json.dumps(row.to_dict(), ensure_ascii=False) + "\n" for row in self._rows.rows)
        write_text_atomic(self.folder / ROWS, "".join(lines))
        record = {
            "schema_version": SCHEMA_VERSION,
            "name": self.config.name,
            "system": dict(self.config.system),
            "asked": dict(self.config.asked),
            "data": dict(self.config.data),
            "versions": dict(self.config.versions),
            "machine": machine(),
            "began": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        # Written last: a folder with run.json has all its rows.
        write_text_atomic(self.folder / RUN, json.dumps(record, ensure_ascii=False, indent=2) + "\n")

    def _check_ids(self) -> None:
        ids = {row.id for row in self._rows.rows}
        if foreign := [name for name in self._done if name not in ids]:
            raise InputError(f"{self.folder} has outputs of clips that are not its own.", f"{foreign[:3]}")


def versions() -> dict[str, str]:
    """Versions of what decides the outputs; "absent" where it is not installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def machine() -> dict[str, str | int]:
    """What the run was begun on; no names of machines or people."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "cores": os.cpu_count() or 0,
        "python": sys.implementation.name,
    }


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"Can't make the folder {folder}.", error.strerror or str(error), "Name another with -o."
        ) from error


def _locked(path: Path) -> IO[bytes]:
    """The outputs, open for reading and appending, held by this process until it closes them or ends."""
    handle = open_file(path, "a+b")
    with contextlib.suppress(ImportError):  # where there is no fcntl there is no lock that a kill frees
        fcntl: Any = importlib.import_module("fcntl")
        try:
            fcntl.flock(handle.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            handle.close()
            raise InputError(
                f"Another process writes to {path.parent}.", todo="Wait for it, or name another folder."
            ) from error
    return handle


def _kept(path: Path, handle: IO[bytes]) -> list[Output]:
    """The whole lines; what a kill tore off at the end is cut away."""
    outputs, end = [], 0
    try:
        handle.seek(0)
        for output, stop in read_outputs(path, handle):
            outputs.append(output)
            end = stop
        handle.truncate(end)
        handle.seek(end)
    except OSError as error:
        raise OutputError(f"Can't read and write {path}.", error.strerror or str(error)) from error
    return outputs


def _check_same(folder: Path, config: RunConfig) -> None:
    record = read_record(folder)
    try:
        stored = RunConfig(
            "", record["system"], record["asked"], record["data"], record["versions"]
        ).decisive()
    except (KeyError, AttributeError) as error:
        raise InputError(f"{folder / RUN} does not describe a run.", f"{error}") from error
    wanted: Mapping[str, Any] = json.loads(json.dumps(config.decisive()))
    names = sorted({*stored, *wanted})
    changed = [name for name in names if stored.get(name) != wanted.get(name)]
    if changed:
        raise InputError(
            f"{folder} holds another run.",
            "; ".join(
                f"{name} is {stored.get(name)!r:.60}, not {wanted.get(name)!r:.60}" for name in changed[:3]
            ),
            "Name another folder with -o, or ask as before to go on.",
        )
