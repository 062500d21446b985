"""A worker's process: a pack, loaded once, and groups of rows. Does not know Ray or the driver."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from emer_edge.errors import DeviceError, EmerError
from emer_edge.evaluate.asking import Asked, ask_rows, pack_record
from emer_edge.evaluate.carry import NOT_THE_CLIPS
from emer_edge.evaluate.datasets import Row
from emer_edge.evaluate.outputs import Output
from emer_edge.evaluate.runs import versions
from emer_edge.strict_json import parse_json


@dataclass
class Done:
    """What a worker gives back: plain data, which any other process of the same versions can read.

    Args:
        lines: an output each, as in a run's file.
        error: what ended the work, where no clip is to blame.
        pid: of the worker's process.
        system: its pack, as `pack_record` says.
        versions: of what decides the outputs.
    """

    lines: list[bytes] = field(default_factory=list)
    error: dict[str, Any] | None = None
    pid: int = 0
    system: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def outputs(self) -> list[Output]:
        """The lines, read."""
        return [Output.from_dict(parse_json(line)) for line in self.lines]


class Worker:
    """Holds a pack and answers groups of rows; an error of its own comes back as data.

    Args:
        pack: a name or a path.
        device: of the engines.
        threads: CPU threads of each engine.
        asked: how the pack is asked.
        folder: that relative paths begin at.
        packs: folder of packs, "" for the default.
    """

    def __init__(
        self, pack: str, device: str, threads: int, asked: Asked, folder: str, packs: str = ""
    ) -> None:
        self._asked = asked
        self._error: dict[str, Any] | None = None
        self._system: dict[str, Any] = {}
        try:
            _enter(folder)
            self._load(pack, device, threads, packs)
        except EmerError as error:
            self._error = error.to_dict()

    def _load(self, pack: str, device: str, threads: int, packs: str) -> None:
        import emer_edge as ee
        from emer_edge.config import variable
        from emer_edge.packs.store import find_pack

        if packs:
            os.environ[variable("packs")] = packs
        asked = self._asked
        self._reasoner = ee.load(
            pack, device=device, threads=threads, decoder=asked.decoder, at_once=asked.at_once
        )
        self._system = pack_record(find_pack(pack), self._reasoner.manifest, self._reasoner.device)

    def about(self) -> Done:
        """What the worker is and has."""
        return Done([], self._error, os.getpid(), self._system, versions())

    def answer(self, rows: Sequence[Row]) -> Done:
        """Ask about a group of rows."""
        if self._error is not None:
            return Done(error=self._error)
        try:
            return Done([output.to_line() for output in ask_rows(self._reasoner, rows, self._asked)])
        except NOT_THE_CLIPS as error:
            return Done(error=error.to_dict())


def _enter(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        raise DeviceError(
            f"A node does not have the folder {folder}.",
            error.strerror or str(error),
            "Call from a folder that every node has.",
        ) from error
