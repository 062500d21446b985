"""Every error that leaves the public API, as one drawn tree. Imports nothing of ours.

EmerError                 exit code 1
├── InputError            2    a call or a flag that makes no sense
├── MediaError            1    a clip that can't be read
│   └── UnsupportedMediaError    a container or codec outside the allow-list, or without a decoder
├── SubtitleError         1    a subtitle that can't be read
├── PackError             3    a pack that is unusable
│   └── PackNotFoundError
├── DeviceError           4    a provider or device that was asked for and can't be had
├── LimitError            5    a ceiling of `Limits` would be passed
├── OutputError           1    a result that can't be written
├── GenerationError       1    the language model failed
└── Cancelled             130  the caller asked to stop
"""

from __future__ import annotations


class EmerError(Exception):
    """The base of every error of emer-edge: what happened, why, and what to do about it.

    Args:
        what: one line, names the thing that failed.
        why: one line, the cause; may be empty.
        todo: one line, the next thing to try; may be empty.
    """

    exit_code = 1

    def __init__(self, what: str, why: str = "", todo: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.todo = todo

    def __str__(self) -> str:
        return "\n".join(line for line in (self.what, self.why, self.todo) if line)

    def to_dict(self) -> dict[str, str | int]:
        """The error as plain data: kind, what, why, todo, exit_code."""
        return {
            "kind": type(self).__name__,
            "what": self.what,
            "why": self.why,
            "todo": self.todo,
            "exit_code": self.exit_code,
        }


class InputError(EmerError):
    """A call or a flag that makes no sense."""

    exit_code = 2


class MediaError(EmerError):
    """A clip that can't be read."""


class UnsupportedMediaError(MediaError):
    """A container or codec outside the allow-list, or one this build has no decoder for."""


class SubtitleError(EmerError):
    """A subtitle that can't be read."""


class PackError(EmerError):
    """A pack that is unusable: broken manifest, wrong hash, hostile path."""

    exit_code = 3


class PackNotFoundError(PackError):
    """No pack of that name or at that path."""


class DeviceError(EmerError):
    """A provider or device that was asked for and can't be had."""

    exit_code = 4


class LimitError(EmerError):
    """A ceiling of `Limits` would be passed; nothing was spent."""

    exit_code = 5


class OutputError(EmerError):
    """A result that can't be written."""


class GenerationError(EmerError):
    """The language model failed."""


class Cancelled(EmerError):
    """The caller asked to stop."""

    exit_code = 130
