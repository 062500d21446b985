"""Effective settings and where each came from: flag > environment > file > default. Knows no command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from emer_edge.errors import InputError

Source = Literal["flag", "environment", "file", "default"]
Value = str | int | None

DEFAULTS: dict[str, Value] = {
    "pack": "emer-nano",
    "device": "cpu",
    "threads": None,
    "decoder": "auto",
    "packs": None,
}
"""Every setting and its default; None leaves the choice to the room that needs it."""

CHOICES = {"device": ("cpu", "cuda", "tensorrt", "tensorrt-rtx"), "decoder": ("auto", "native", "pyav")}
FILE_BYTES = 64 * 1024
"""A settings file beyond this size is refused unread."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, its value and its source."""

    name: str
    value: Value
    source: Source
    where: str = ""
    """The flag, the variable or the file that set it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings by name."""

    by_name: dict[str, Setting]

    def text(self, name: str) -> str | None:
        """The value of a setting that is text."""
        value = self.by_name[name].value
        return None if value is None else str(value)

    @property
    def threads(self) -> int | None:
        """CPU threads, or None for as many as suit."""
        value = self.by_name["threads"].value
        return value if isinstance(value, int) else None


def config_path(environment: Mapping[str, str] | None = None) -> Path:
    """Where the settings file is looked for: `$XDG_CONFIG_HOME/emer-edge/config.toml`."""
    environment = os.environ if environment is None else environment
    base = environment.get("XDG_CONFIG_HOME", "")
    # The XDG base directory specification: a relative path is to be ignored.
    try:
        folder = Path(base) if base and Path(base).is_absolute() else Path.home() / ".config"
    except RuntimeError:  # a user without a home has no settings file
        folder = Path("/nonexistent")
    return folder / "emer-edge" / "config.toml"


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"EMER_EDGE_{name.upper()}"


def load_settings(flags: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Settings:
    """Merge the four sources.

    Args:
        flags: settings that were given explicitly; None means not given.
        environment: the variables; those of the process by default.

    Raises:
        InputError: the file can't be read, or a source holds an unknown name or a bad value.
    """
    environment = os.environ if environment is None else environment
    path = config_path(environment)
    from_file = _read_file(path)
    found: dict[str, Setting] = {}
    for name, default in DEFAULTS.items():
        if flags.get(name) is not None:
            found[name] = _checked(name, flags[name], "flag", f"--{name}")
        elif environment.get(variable(name)):
            found[name] = _checked(name, environment[variable(name)], "environment", variable(name))
        elif name in from_file:
            found[name] = _checked(name, from_file[name], "file", str(path))
        else:
            found[name] = Setting(name, default, "default")
    return Settings(found)


def _checked(name: str, value: Any, source: Source, where: str) -> Setting:
    if name == "threads":
        number = _whole(value)
        if number is None or not 1 <= number <= 256:
            raise _bad(name, value, where, "a whole number from 1 to 256")
        return Setting(name, number, source, where)
    if not isinstance(value, str) or not value.strip():
        raise _bad(name, value, where, "text in quotes")
    if name in CHOICES and value not in CHOICES[name]:
        raise _bad(name, value, where, "one of " + ", ".join(CHOICES[name]))
    return Setting(name, value, source, where)


def _whole(value: Any) -> int | None:
    """A whole number from a flag, a variable or TOML; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        return int(value)
    except ValueError:
        return None


def _bad(name: str, value: Any, where: str, wanted: str) -> InputError:
    return InputError(
        f"The setting {name} = {value!r} makes no sense.",
        why=f"It was read from {where}.",
        todo=f"Use {wanted}.",
    )


def _read_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as handle:
            data = handle.read(FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise InputError(
            f"Can't read the settings file {path}.", error.strerror or str(error), "Check its permissions."
        ) from error
    if len(data) > FILE_BYTES:
        raise InputError(f"The settings file {path} is larger than {FILE_BYTES} bytes.", todo="Shorten it.")
    values = _parse(path, data)
    unknown = sorted(set(values) - set(DEFAULTS))
    if unknown:
        raise InputError(
            f"The settings file {path} holds an unknown name: {unknown[0]}.",
            todo=f"The names are {', '.join(DEFAULTS)}.",
        )
    return values


def _parse(path: Path, data: bytes) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise InputError(
            f"The settings file {path} is not valid TOML.", str(error), "Correct or remove it."
        ) from error
