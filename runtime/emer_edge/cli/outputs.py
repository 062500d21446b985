"""Files that a run writes: their names, whether they may be written, and writing them whole.

Knows formats and folders; knows nothing of how a result came to be.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emer_edge.atomic import open_atomic, sweep
from emer_edge.errors import InputError, OutputError
from emer_edge.writers import captions, records

if TYPE_CHECKING:
    from emer_edge.results import Reasoning

FORMATS = ("json", "jsonl", "txt", "srt", "vtt")
LINES_NAME = "emer.jsonl"
"""`jsonl` is one file for the whole run; every other format is one file for each clip."""


def parse_formats(values: Sequence[str]) -> tuple[str, ...]:
    """Formats from `--format` values, each a list with commas; every format once, in the order given.

    Raises:
        InputError: an unknown format.
    """
    formats: dict[str, None] = {}
    for name in (part.strip().lower() for value in values for part in value.split(",")):
        if name not in FORMATS:
            raise InputError(f"No format is called {name!r}.", todo=f"Use some of {', '.join(FORMATS)}.")
        formats[name] = None
    return tuple(formats)


class Outputs:
    """Where the results of one run go.

    Args:
        formats: some of `FORMATS`; none writes nothing.
        folder: made where it does not exist.
        force: overwrite what exists.
        timings: write the timings too.
    """

    def __init__(self, formats: Sequence[str], folder: Path, *, force: bool, timings: bool) -> None:
        self._formats = tuple(formats)
        self._folder = folder
        self._force = force
        self._lines: list[str] = []
        self._render: dict[str, Callable[[Reasoning], str]] = {
            "json": lambda reasoning: records.to_json(reasoning, timings=timings),
            "jsonl": lambda reasoning: records.to_json_line(reasoning, timings=timings),
            "txt": lambda reasoning: records.to_text(reasoning, timings=timings),
            "srt": captions.to_srt,
            "vtt": captions.to_vtt,
        }

    def path(self, clip: str, name: str) -> Path:
        """The file of one clip in one format: `clip.emer.json` for `clip.mp4`."""
        if name == "jsonl":
            return self._folder / LINES_NAME
        return self._folder / f"{Path(clip).stem}.emer.{name}"

    def check(self, clips: Sequence[str]) -> None:
        """Refuse, before any work is spent, what could not be written at the end.

        Raises:
            InputError: two clips would write the same file.
            OutputError: the folder can't be made or written, or a file exists and `force` is off.
        """
        if not self._formats:
            return
        targets = self._targets(clips)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"Can't make the folder {self._folder}.",
                error.strerror or str(error),
                "Name another with -o.",
            ) from error
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise OutputError(f"The folder {self._folder} can't be written.", todo="Name another with -o.")
        existing = [target for target in targets if os.path.lexists(target)]
        folders = [target for target in existing if target.is_dir()]
        if folders or (existing and not self._force):
            more = f", and {len(existing) - 1} more files," if len(existing) > 1 else ""
            raise OutputError(
                f"{(folders or existing)[0]}{more} exists already.",
                todo="Remove that folder."
                if folders
                else "Pass --force to overwrite, or another folder with -o.",
            )
        sweep(self._folder)

    def write(self, clip: str, reasoning: Reasoning) -> list[Path]:
        """Write the files of one clip; returns their paths. `jsonl` is kept for `finish`."""
        written: list[Path] = []
        for name in self._formats:
            text = self._render[name](reasoning)
            if name == "jsonl":
                self._lines.append(text)
            else:
                written.append(self._save(self.path(clip, name), text))
        return written

    def finish(self) -> list[Path]:
        """Write what belongs to the whole run, also where it ended early; returns the paths."""
        if "jsonl" not in self._formats or not self._lines:
            return []
        path = self._save(self._folder / LINES_NAME, "".join(self._lines))
        self._lines = []
        return [path]

    def _save(self, path: Path, text: str) -> Path:
        with open_atomic(path, overwrite=self._force) as handle:
            handle.write(text.encode("utf-8", "backslashreplace"))
        return path

    def _targets(self, clips: Sequence[str]) -> list[Path]:
        owner: dict[Path, str] = {}
        for name in self._formats:
            for clip in clips:
                target = self.path(clip, name)
                if name != "jsonl" and target in owner:
                    raise InputError(
                        f"{owner[target]} and {clip} would both write {target}.",
                        todo="Rename one of them, or write them in two runs with different folders.",
                    )
                owner[target] = clip
        return list(owner)
