"""The two streams of a command: what they can show, and safe words for them. Knows no clip and no result."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from dataclasses import dataclass
from typing import TextIO

from emer_edge.errors import OutputError

# Names of files and words of models may hold escape sequences; none of them reaches a terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_FULL, _EMPTY = "█", "░"


class ClosedOutputError(OutputError):
    """Standard output can't be written: nothing more can be said, so the whole run ends."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """What the two streams can show, looked at once."""

    out_is_tty: bool
    err_is_tty: bool
    colour: bool
    """Whether escapes may be used for colour; NO_COLOR and TERM=dumb switch it off."""
    unicode: bool
    """Whether standard output takes any character."""

    @classmethod
    def look(cls) -> Terminal:
        """Look at the streams of this process."""
        plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
        encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "")
        return cls(
            out_is_tty=_is_tty(sys.stdout),
            err_is_tty=_is_tty(sys.stderr) and os.environ.get("TERM") != "dumb",
            colour=not plain,
            unicode=encoding in ("utf8", "utf16", "utf32"),
        )

    def bold(self, text: str, *, tty: bool) -> str:
        """`text` in bold where the stream is a terminal that may be coloured."""
        return f"\x1b[1m{text}\x1b[0m" if tty and self.colour else text

    def bar(self, share: float, width: int = 20) -> str:
        """A bar of `width` characters, filled to `share` (0..1)."""
        filled = round(max(0.0, min(1.0, share)) * width)
        full, empty = (_FULL, _EMPTY) if self.unicode else ("#", ".")
        return full * filled + empty * (width - filled)


def safe(text: str) -> str:
    """`text` without control characters, except new lines and tabs."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def one_line(text: str) -> str:
    """`text` on one line, without control characters."""
    return safe(" ".join(line.strip() for line in text.splitlines())).replace("\t", " ").strip()


def say(text: str) -> None:
    """One line for people, on standard error; nothing where nobody can listen."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # None where the caller closed it
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def put(text: str) -> None:
    """Write `text` to standard output now.

    Raises:
        BrokenPipeError: the reader has gone.
        ClosedOutputError: the disk is full, or the stream is closed.
    """
    try:
        if sys.stdout is None:
            raise ValueError("The stream is closed.")
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        raise ClosedOutputError(
            "Can't write to standard output.",
            why=getattr(error, "strerror", None) or str(error),
            todo="Check the free space where the output goes.",
        ) from error


def prepare_streams() -> None:
    """Make both streams take any text: what their encoding lacks is written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def open_missing_streams() -> None:
    """Give closed descriptors 0 to 2 something harmless, so that no file of ours is opened in their place."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one


def mute_stdout() -> None:
    """Point standard output at nothing, so that the interpreter's last flush can't fail."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if sys.stdout.fileno() == 1:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.close(null)


def columns() -> int:
    """Width of the terminal on standard error."""
    try:
        found = os.get_terminal_size(2).columns
    except OSError:
        found = 0
    return max(20, found or shutil.get_terminal_size().columns)


def _is_tty(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False
