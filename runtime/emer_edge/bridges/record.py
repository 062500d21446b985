"""Reads a recorded timeline: JSON lines, the session first, then its events. Knows no format but this one.

`emer-edge live --record` writes such a file. A recorder that is killed leaves its last line cut off; that is
told in the result. Anything else that is broken is refused with the number of its line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from emer_edge.bridges.wire import MAX_EVENT_BYTES, UnknownKindError, event_from_dict
from emer_edge.errors import EmerError, InputError, LimitError
from emer_edge.live.events import LiveEvent
from emer_edge.strict_json import StrictJsonError, parse_json
from emer_edge.writers.timeline import Timeline

MAX_EVENTS = 2_000_000
"""Ceiling of the records of one file: some ten days of a state every half second."""
SCHEMA_MAJOR = "1"


def read_timeline(path: Path) -> Timeline:
    """Read a recorded timeline.

    Args:
        path: a .jsonl file: `{"kind": "session", "schema_version": "1.0", ...}`, then one event a line.

    Raises:
        InputError: the file can't be opened, is no timeline, or a line before the last is broken.
        LimitError: a line of more than `MAX_EVENT_BYTES`, or more than `MAX_EVENTS` of them.
    """
    path = Path(path)
    try:
        with path.open("rb") as handle:
            return _read(handle, str(path))
    except OSError as error:
        raise InputError(
            f"Can't read {path}.", error.strerror or str(error), "Name a timeline recorded with --record."
        ) from error


def _read(handle: IO[bytes], name: str) -> Timeline:
    session: dict[str, Any] | None = None
    events: list[LiveEvent] = []
    unknown: dict[str, int] = {}
    truncated = False
    for number, (line, whole) in enumerate(_lines(handle, name), start=1):
        try:
            record = parse_json(line)
            if session is None:
                session = _session(record)
            else:
                events.append(event_from_dict(record))
        except UnknownKindError:
            unknown[record["kind"]] = unknown.get(record["kind"], 0) + 1
        except (StrictJsonError, EmerError) as error:
            if not whole and session is not None and isinstance(error, StrictJsonError):
                truncated = True
                break
            why = str(error) if isinstance(error, StrictJsonError) else error.what
            raise InputError(
                f"{name} is no timeline.", f"Line {number}: {why}", "Name a timeline recorded with --record."
            ) from error
    if session is None:
        raise InputError(f"{name} is no timeline.", "It is empty.", "Name a timeline recorded with --record.")
    return Timeline(session, tuple(events), unknown, truncated)


def _lines(handle: IO[bytes], name: str) -> Iterator[tuple[bytes, bool]]:
    """Lines that are not blank, and whether each ends in a line break."""
    count = 0
    while line := handle.readline(MAX_EVENT_BYTES + 2):
        whole = line.endswith(b"\n")
        if len(line.rstrip(b"\r\n")) > MAX_EVENT_BYTES:
            raise LimitError(
                f"{name} holds a line of more than {MAX_EVENT_BYTES} bytes.", "That is no event of ours."
            )
        count += 1
        if count > MAX_EVENTS:
            raise LimitError(f"{name} holds more than {MAX_EVENTS} lines.", todo="Cut it into parts.")
        if line.strip():
            yield line, whole


def _session(record: Any) -> dict[str, Any]:
    if not isinstance(record, dict) or record.get("kind") != "session":
        raise InputError("it is not the record of a session, which comes first")
    version = record.get("schema_version")
    if not isinstance(version, str) or version.split(".")[0] != SCHEMA_MAJOR:
        raise InputError(f"it is of version {version!r}; versions {SCHEMA_MAJOR}.x are read")
    return record
