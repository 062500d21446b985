"""Cold start: fresh processes that import, load a pack and answer. Run as a module it is such a process.

Knows processes and the system's monotonic clock, which parent and child share. Does not know scenarios.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emer_edge.errors import EmerError, GenerationError

PHASES = ("start", "imports", "load", "first_call", "second_call")
_TIMEOUT_SECONDS = 600.0


def cold_starts(
    folder: Path, clips: Sequence[Path], request: dict[str, Any], *, runs: int, evict: bool
) -> list[dict[str, Any]]:
    """Start that many processes, one after the other.

    Args:
        folder: of the pack.
        clips: each process answers two of them, never the same two in a row.
        request: `pack`, `device`, `threads`, `decoder`, `question`, `max_tokens` for the child.
        runs: how many processes.
        evict: ask the kernel to drop the files of pack and clips from its cache before each; other
            processes that use them keep them there.

    Returns:
        For each process the seconds of `PHASES`, their `total` up to the first answer, and `peak_bytes`.

    Raises:
        GenerationError: a child failed; the cause is the end of what it said.
    """
    found = []
    for index in range(runs):
        pair = [clips[(2 * index + offset) % len(clips)] for offset in (0, 1)]
        if evict:
            for path in (*pair, *(path for path in folder.rglob("*") if path.is_file())):
                drop_cached(path)
        found.append(_one(pair, request))
    return found


def _one(pair: Sequence[Path], request: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps({**request, "clips": [str(path) for path in pair]})
    began = time.monotonic()
    try:
        child = subprocess.run(
            [sys.executable, "-m", "emer_edge.bench.cold", text],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise GenerationError("A cold start took more than ten minutes.") from error
    if child.returncode:
        raise GenerationError("A fresh process failed.", child.stderr.strip()[-400:])
    marks = json.loads(child.stdout.splitlines()[-1])
    ends = [marks[name] for name in PHASES]
    seconds = {name: end - start for name, end, start in zip(PHASES, ends, [began, *ends[:-1]], strict=True)}
    return {
        **{name: round(value, 6) for name, value in seconds.items()},
        "total": round(marks["first_call"] - began, 6),
        "peak_bytes": marks["peak_bytes"],
    }


def drop_cached(path: Path) -> None:
    """Ask the kernel to forget a file's pages; it keeps those that someone has mapped."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def _child(request: dict[str, Any]) -> dict[str, Any]:
    """What the fresh process does, with the clock after each phase."""
    marks: dict[str, Any] = {"start": time.monotonic()}
    import emer_edge as ee
    from emer_edge import reasoner as _reasoner  # noqa: F401
    from emer_edge.bench.memory import host_bytes

    marks["imports"] = time.monotonic()
    options = ee.Options(max_tokens=request["max_tokens"])
    with ee.load(
        request["pack"], device=request["device"], threads=request["threads"], decoder=request["decoder"]
    ) as reasoner:
        marks["load"] = time.monotonic()
        for name, clip in zip(("first_call", "second_call"), request["clips"], strict=True):
            reasoner.infer(clip, question=request["question"], options=options)
            marks[name] = time.monotonic()
        marks["peak_bytes"] = host_bytes()["peak"]
    return marks


if __name__ == "__main__":
    try:
        print(json.dumps(_child(json.loads(sys.argv[1]))))
    except EmerError as error:
        sys.exit(str(error))
