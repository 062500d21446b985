"""Finds the clips of a data set's rows under a folder.

Knows names of files. Opens no clip, and makes none up: what is missing is listed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from emer_edge.errors import InputError, LimitError
from emer_edge.evaluate.datasets import DataSet, Row

MAX_FILES = 2_000_000
"""Files looked at under a media folder."""
VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".flv", ".mpg", ".mpeg", ".wmv", ".ts")
SOUND_SUFFIXES = (".wav", ".flac", ".mp3", ".m4a", ".opus", ".ogg", ".aac")


def find_media(data: DataSet, folder: Path) -> tuple[DataSet, tuple[str, ...]]:
    """Give every row its file under `folder`, and list the ids of those that have none.

    A row's `media_name` is looked for as a path below the folder first; then any file of that name, whatever
    its suffix, or of the last two parts of its path. A video is taken before a sound file.

    Raises:
        InputError: no such folder, or two videos that could be the row's.
        LimitError: more than MAX_FILES files.
    """
    known = _index(folder)
    rows, missing = [], []
    for row in data.rows:
        found = _media_of(row, folder, known)
        if found is None:
            missing.append(row.id)
        rows.append(replace(row, media=found))
    return replace(data, rows=tuple(rows)), tuple(missing)


def folder_of_clips(folder: Path) -> DataSet:
    """The clips of a folder at any depth as rows, sorted; the id is the path below the folder.

    Raises:
        InputError: no such folder, or no clip in it. LimitError: more than MAX_FILES files.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder.", todo="Name the folder that holds the clips.")
    rows = []
    for count, path in enumerate(_files(folder), 1):
        if count > MAX_FILES:
            raise LimitError(f"{folder} holds more than {MAX_FILES} files.", todo="Name a folder below it.")
        if path.suffix.lower() in VIDEO_SUFFIXES + SOUND_SUFFIXES:
            name = path.relative_to(folder).as_posix()
            rows.append(Row(name, media=path, media_name=name))
    if not rows:
        raise InputError(f"There is no clip under {folder}.", "Clips are known by their suffix.")
    return DataSet(folder.resolve().name or "clips", "folder", tuple(sorted(rows, key=lambda row: row.id)))


def _index(folder: Path) -> dict[str, list[Path]]:
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder.", todo="Name the folder that holds the clips.")
    known: dict[str, list[Path]] = {}
    for count, path in enumerate(_files(folder), 1):
        if count > MAX_FILES:
            raise LimitError(f"{folder} holds more than {MAX_FILES} files.", todo="Name a folder below it.")
        if path.suffix.lower() in VIDEO_SUFFIXES + SOUND_SUFFIXES:
            for key in (path.stem, f"{path.parent.name}/{path.stem}"):
                known.setdefault(key, []).append(path)
    return known


def _files(folder: Path) -> Iterable[Path]:
    for root, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(root, name) for name in sorted(names) if not name.startswith("."))


def _media_of(row: Row, folder: Path, known: Mapping[str, list[Path]]) -> Path | None:
    wanted = Path(row.media_name or row.id)
    if not wanted.is_absolute() and ".." not in wanted.parts and (folder / wanted).is_file():
        return folder / wanted
    stem = wanted.stem if wanted.suffix.lower() in VIDEO_SUFFIXES + SOUND_SUFFIXES else wanted.name
    keys = [f"{wanted.parent.name}/{stem}", stem] if wanted.parent.name else [stem]
    found = next((known[key] for key in keys if key in known), [])
    videos = [path for path in found if path.suffix.lower() in VIDEO_SUFFIXES]
    choice = videos or found
    if len(choice) > 1:
        raise InputError(
            f"{row.id} could be {choice[0]} or {choice[1]}.", todo="Name the folder of one of them."
        )
    return choice[0] if choice else None
