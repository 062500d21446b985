"""Which clips a call means: files, folders, a list on standard input. Knows names, opens no clip."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from emer_edge.errors import InputError, LimitError

CLIP_SUFFIXES = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts"),
        *(".mpg", ".mpeg", ".vob", ".ogv", ".wav", ".mp3", ".m4a", ".aac", ".flac", ".ogg", ".oga"),
        *(".opus", ".mka"),
    )
)
"""What counts as a clip inside a folder; a file that is named itself may have any suffix."""
LIST_BYTES = 16 * 1024 * 1024
"""Size of a list on standard input."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")


def collect_clips(arguments: Iterable[str], *, keep_going: bool = False) -> list[str]:
    """Clips in the order they were named, each once; the clips of a folder (one level) sorted by name.

    Args:
        arguments: files, folders, or `-` for a list on standard input, one path a line.
        keep_going: leave a path that does not exist in the list, to fail as a clip of its own.

    Raises:
        InputError: a URL, a path that does not exist, a folder without clips, an empty list.
    """
    named: list[str] = []
    for argument in arguments:
        named += _read_list() if argument == "-" else [argument]
    clips: dict[str, str] = {}
    for name in named:
        refuse_url(name)
        for clip in _expand(name, keep_going=keep_going):
            clips.setdefault(_identity(clip), clip)
    if not clips:
        raise InputError(
            "No clip was named.", todo="Name a clip, a folder, or - for a list on standard input."
        )
    return list(clips.values())


def refuse_url(argument: str) -> None:
    """Raise InputError for anything that looks like a URL: nothing is ever fetched."""
    if _URL.match(argument):
        raise InputError(
            f"{argument} is a URL; only files on this machine are read.",
            todo="Download it first, then pass the path.",
        )


def _expand(name: str, *, keep_going: bool) -> list[str]:
    path = Path(name)
    try:
        if path.is_dir():
            return _clips_of(path)
        exists = path.exists()
    except (OSError, ValueError):  # a name that no file system takes
        exists = False
    if not exists and not keep_going:
        raise InputError(f"There is no file {name}.", todo="Check the path.")
    return [name]


def _identity(clip: str) -> str:
    """Equal for two names of one file."""
    try:
        return os.path.realpath(clip)
    except (OSError, ValueError):
        return clip


def _clips_of(folder: Path) -> list[str]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(
            f"Can't read the folder {folder}.", error.strerror or "", "Check its permissions."
        ) from error
    clips = [
        str(entry)
        for entry in entries
        if entry.suffix.lower() in CLIP_SUFFIXES and not entry.name.startswith(".") and entry.is_file()
    ]
    if not clips:
        raise InputError(
            f"There is no clip in the folder {folder}.",
            why="Folders are read one level deep, and clips are known by their suffix.",
            todo="Name the clips themselves.",
        )
    return clips


def _read_list() -> list[str]:
    """Paths from standard input, one a line; bytes that are no UTF-8 stay what they are."""
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:
        raise InputError("There is no standard input to read a list from.", todo="Name the clips themselves.")
    data = stream.read(LIST_BYTES + 1)
    if len(data) > LIST_BYTES:
        raise LimitError(f"The list on standard input is larger than {LIST_BYTES} bytes.", todo="Split it.")
    lines = (os.fsdecode(line.rstrip(b"\r")) for line in data.split(b"\n"))
    return [line for line in lines if line.strip()]
