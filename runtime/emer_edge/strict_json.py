"""JSON from a file that nobody vouches for: bounded, no key twice, no NaN. Knows nothing of what it means."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

_DEPTH = 32


class StrictJsonError(ValueError):
    """The text is not JSON as we take it; the message says why. Callers turn it into an EmerError."""


def parse_json(data: bytes) -> Any:
    """Parse UTF-8 JSON strictly.

    The caller bounds `len(data)`. Refused are: invalid UTF-8, a key that stands twice, NaN and infinities
    (spelled out or by overflow), lone surrogates, and nesting deeper than 32 levels.

    Raises:
        StrictJsonError: any of these, or no JSON at all.
    """
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except RecursionError as error:
        raise StrictJsonError("it is nested too deeply") from error
    except StrictJsonError:
        raise
    except ValueError as error:  # UnicodeDecodeError, JSONDecodeError, and integers of thousands of digits
        raise StrictJsonError(str(error)) from error
    _walk(value, _DEPTH)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise StrictJsonError(f"the key {twice!r} stands twice")
    return out


def _refuse_constant(word: str) -> NoReturn:
    raise StrictJsonError(f"{word} is not a number")


def _finite(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise StrictJsonError(f"{word} is too large a number")
    return value


def _walk(value: Any, depth: int) -> None:
    if depth == 0:
        raise StrictJsonError("it is nested too deeply")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, list):
        for item in value:
            _walk(item, depth - 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _walk(item, depth - 1)


def _check_text(text: str) -> None:
    # json.loads lets "\ud800" through as half a character, which no file and no terminal can take.
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise StrictJsonError("a text holds half a surrogate pair")
