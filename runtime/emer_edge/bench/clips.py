"""The clips of a benchmark: one's own, or a set that is drawn from recorded seeds and kept in the cache.

Knows folders, seeds and hashes. Does not know what is asked about a clip.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from emer_edge.bench.drawn_face import draw_lot, hum, talk
from emer_edge.errors import InputError, OutputError
from emer_edge.media.pyav_write import ClipFormat, write_media
from emer_edge.packs.stamps import cache_folder

RECIPE = 1
"""Raised whenever the same seed would give another clip."""
FORMAT = ClipFormat(width=640, height=360, frames_per_second=25, sample_rate=44_100)
SHORTEST_SECONDS, LONGEST_SECONDS = 3.0, 8.0
_LIST = "clips.json"
SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".wav", ".mp3", ".m4a", ".flac", ".ogg")


@dataclass(frozen=True, slots=True)
class ClipSet:
    """Clips, and where they come from."""

    paths: tuple[Path, ...]
    origin: str
    """`made` or `own`."""
    seed: int | None
    sha256: str
    """Of the files' own hashes, in order."""

    def to_dict(self) -> dict[str, Any]:
        """For the result file; names only, no folders."""
        return {
            "origin": self.origin,
            "recipe": RECIPE if self.origin == "made" else None,
            "seed": self.seed,
            "count": len(self.paths),
            "names": [path.name for path in self.paths],
            "sha256": self.sha256,
        }


def own_clips(given: Sequence[str | Path]) -> ClipSet:
    """The clips that were named; a folder stands for the media files in it.

    Raises:
        InputError: there is nothing at a path, or no clip in a folder.
    """
    paths: list[Path] = []
    for item in map(Path, given):
        if item.is_dir():
            found = sorted(path for path in item.iterdir() if path.suffix.lower() in SUFFIXES)
            if not found:
                raise InputError(f"No clip lies in {item}.", todo=f"Known endings: {' '.join(SUFFIXES)}.")
            paths += found
        elif item.is_file():
            paths.append(item)
        else:
            raise InputError(f"{item} is not there.", todo="Name a clip or a folder of clips.")
    return ClipSet(tuple(paths), "own", None, _digest(paths))


def made_clips(count: int, seed: int = 0, tell: Callable[[int, int], None] | None = None) -> ClipSet:
    """The made set of that seed: clip i is drawn from the seed pair (seed, i), 3 to 8 s at 640x360.

    Args:
        count: how many; 1 to 1000.
        seed: of the set.
        tell: told how many are written, and of how many.

    Raises:
        InputError: no sensible count. OutputError: the cache can't be written.
    """
    if not 1 <= count <= 1000:
        raise InputError(f"{count} clips make no sense.", todo="Use 1 to 1000.")
    try:
        folder = cache_folder() / "bench" / f"clips-r{RECIPE}-s{seed}"
    except RuntimeError as error:
        raise OutputError("The cache can't be told.", str(error), "Set XDG_CACHE_HOME.") from error
    paths = [folder / f"made-{seed}-{index:03d}.mp4" for index in range(count)]
    missing = [index for index, path in enumerate(paths) if not path.with_suffix(".srt").is_file()]
    _make_folder(folder)
    for done, index in enumerate(missing):
        if tell is not None:
            tell(done, len(missing))
        write_made_clip(paths[index], seed, index)
    digest = _digest(paths)
    with contextlib.suppress(OSError):
        record = {"recipe": RECIPE, "seed": seed, "count": count, "sha256": digest}
        (folder / _LIST).write_text(json.dumps(record) + "\n")
    return ClipSet(tuple(paths), "made", seed, digest)


def write_made_clip(path: Path, seed: int, index: int) -> None:
    """Draw one clip and its subtitle; both are there afterwards, or neither's name is taken."""
    random = np.random.default_rng((RECIPE, seed, index))
    person = draw_lot(random, FORMAT.width, FORMAT.height)
    seconds = float(random.uniform(SHORTEST_SECONDS, LONGEST_SECONDS))
    fresh = path.with_name(f".emer-tmp-{uuid4().hex}")
    try:
        frames = talk(person, random, FORMAT.frames_per_second, seconds)
        sound = hum(person, np.random.default_rng((RECIPE, seed, index, 1)), FORMAT.sample_rate, seconds)
        write_media(fresh, FORMAT, frames, sound)
        fresh.replace(path)
        # The subtitle comes last: where it is, the clip is whole.
        path.with_suffix(".srt").write_text(f"1\n00:00:00,200 --> 00:00:02,800\n{person.words}\n")
    except OSError as error:
        raise OutputError(f"Can't write {path}.", str(error), "Check the cache's folder.") from error
    finally:
        fresh.unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Can't make {folder}.", str(error), "Set XDG_CACHE_HOME.") from error
    if shutil.disk_usage(folder).free < 200 * 1024**2:
        raise OutputError(
            f"Too little disk is free below {folder}.", todo="Free 200 MB, or pass your own clips."
        )


def _digest(paths: Sequence[Path]) -> str:
    whole = hashlib.sha256()
    for path in paths:
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()
