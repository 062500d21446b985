"""Events back from their JSON form, and their JSON form as bytes. Knows no transport and no session.

The other direction is `live.events.event_to_dict`. Fields that this version does not know are passed over, so
that a reader of 1.0 reads what a writer of 1.x says; a field that is missing or of another type is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar, get_args

from emer_edge.errors import EmerError, InputError, OutputError
from emer_edge.live.events import (
    Cause,
    Dropped,
    Failed,
    LiveEvent,
    Quality,
    Reasoned,
    State,
    Token,
    event_to_dict,
)
from emer_edge.results import Clue, ClueModality, Emotion, Modality
from emer_edge.strict_json import StrictJsonError, parse_json

T = TypeVar("T")
Words: TypeAlias = "tuple[str, ...] | None"

MAX_EVENT_BYTES = 1024 * 1024
"""Ceiling of one event as JSON; a reasoning of 2048 tokens is some 10 KB."""

# The words that the annotations of `live.events` and `results` allow; a test compares.
SOURCES = ("logits", "text", "both")
FINISHES = ("stop", "length", "interrupted")
WHATS = ("frames", "audio", "text", "hops", "reasonings")
CAUSES: tuple[str, ...] = get_args(Cause)
MODALITIES: tuple[str, ...] = get_args(Modality)
CLUE_MODALITIES: tuple[str, ...] = get_args(ClueModality)


class UnknownKindError(InputError):
    """An event of a kind that this version does not know; readers pass over it and count."""


def encode_event(event: LiveEvent) -> bytes:
    """The event as one line of UTF-8 JSON without a line break.

    Raises:
        OutputError: it holds a number that JSON has no word for.

    >>> encode_event(Token("glad", 3))
    b'{"kind": "token", "text": "glad", "state_index": 3}'
    """
    try:
        text = json.dumps(event_to_dict(event), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8")
    except ValueError as error:  # NaN, or half a surrogate pair in a text
        raise OutputError("The event can't be written as JSON.", str(error)) from error


def decode_event(data: bytes) -> LiveEvent:
    """The event that `encode_event` wrote.

    Raises:
        UnknownKindError: a kind that this version does not know.
        InputError: no JSON, too long, or fields that are missing or of another type.

    >>> decode_event(b'{"kind": "token", "text": "glad", "state_index": 3}')
    Token(text='glad', state_index=3)
    """
    if len(data) > MAX_EVENT_BYTES:
        raise InputError("The event is too long.", f"{len(data)} bytes; {MAX_EVENT_BYTES} are taken.")
    try:
        return event_from_dict(parse_json(data))
    except StrictJsonError as error:
        raise InputError("The event is no JSON.", str(error)) from error


def event_from_dict(record: Any) -> LiveEvent:
    """The event of a record as `event_to_dict` writes it. Raises as `decode_event` does."""
    if not isinstance(record, dict) or not isinstance(record.get("kind"), str):
        raise InputError("The record is no event.", "It is no object with a kind.")
    kind = record["kind"]
    make = _MAKERS.get(kind)
    if make is None:
        raise UnknownKindError(f"There is no event {kind!r}.", f"There are {', '.join(_MAKERS)}.")
    try:
        return make(_Fields(record, kind))
    except EmerError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"The {kind} event is malformed.", str(error)) from error


class _Fields:
    """The fields of one object, each read with its type."""

    def __init__(self, record: Mapping[str, Any], name: str) -> None:
        self._record = record
        self._name = name

    def _get(self, key: str, default: Any) -> Any:
        if key in self._record:
            return self._record[key]
        if default is None:
            raise InputError(f"The {self._name} has no {key}.")
        return default

    def _wrong(self, key: str, wanted: str) -> InputError:
        return InputError(f"{key} of the {self._name} is no {wanted}.")

    def number(self, key: str, default: float | None = None, low: float = -1e15, high: float = 1e15) -> float:
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise self._wrong(key, f"number from {low:g} to {high:g}")
        return float(value)

    def whole(self, key: str, default: int | None = None) -> int:
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
            raise self._wrong(key, "whole number")
        return value

    def text(self, key: str, default: str | None = None, among: Words = None) -> Any:
        value = self._get(key, default)
        if not isinstance(value, str) or (among is not None and value not in among):
            raise self._wrong(key, "text" if among is None else f"word among {', '.join(among)}")
        return value

    def flag(self, key: str, default: bool | None = None) -> bool:
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, "flag")
        return value

    def texts(self, key: str, among: Words = None) -> tuple[Any, ...]:
        values = self._get(key, [])
        if not isinstance(values, (list, tuple)):
            raise self._wrong(key, "list")
        return tuple(_Fields({key: value}, self._name).text(key, among=among) for value in values)

    def shares(self, key: str) -> dict[str, float]:
        values = self._get(key, {})
        if not isinstance(values, dict):
            raise self._wrong(key, "object")
        fields = _Fields(values, key)
        return {name: fields.number(name, low=0.0, high=1.0) for name in values}

    def inner(self, key: str) -> _Fields:
        value = self._get(key, None)
        if not isinstance(value, dict):
            raise self._wrong(key, "object")
        return _Fields(value, key)

    def each(self, key: str, make: Callable[[_Fields], T]) -> tuple[T, ...]:
        values = self._get(key, None)
        if not isinstance(values, (list, tuple)) or not all(isinstance(value, dict) for value in values):
            raise self._wrong(key, "list of objects")
        return tuple(make(_Fields(value, key)) for value in values)

    def plain(self, key: str) -> dict[str, str | int]:
        values = self._get(key, {})
        if not isinstance(values, dict) or not all(isinstance(v, (str, int)) for v in values.values()):
            raise self._wrong(key, "object of texts and whole numbers")
        return dict(values)

    def is_null(self, key: str) -> bool:
        return key in self._record and self._record[key] is None


def _emotion(fields: _Fields) -> Emotion:
    confidence = None if fields.is_null("confidence") else fields.number("confidence", low=0.0, high=1.0)
    return Emotion(fields.text("label"), confidence, fields.text("source", "logits", SOURCES))


def _clue(fields: _Fields) -> Clue:
    return Clue(fields.text("modality", among=CLUE_MODALITIES), fields.text("text"))


def _quality(fields: _Fields) -> Quality:
    return Quality(
        fields.texts("modalities", MODALITIES),
        fields.whole("frames", 0),
        fields.whole("faces", 0),
        fields.number("audio_seconds", 0.0, low=0.0),
        fields.flag("speech", False),
        fields.texts("degraded"),
    )


def _state(fields: _Fields) -> State:
    return State(
        fields.number("start_pts_seconds"),
        fields.number("end_pts_seconds"),
        fields.each("emotions", _emotion),
        fields.shares("scores"),
        fields.number("valence", low=-1.0, high=1.0),
        fields.number("arousal", low=-1.0, high=1.0),
        _quality(fields.inner("quality")),
        fields.number("age_seconds", low=-86_400.0),
        fields.whole("index", 0),
        fields.text("subtitle", ""),
    )


def _token(fields: _Fields) -> Token:
    return Token(fields.text("text"), fields.whole("state_index"))


def _reasoned(fields: _Fields) -> Reasoned:
    return Reasoned(
        fields.text("text"),
        fields.each("clues", _clue),
        fields.whole("state_index"),
        fields.number("start_pts_seconds"),
        fields.number("end_pts_seconds"),
        fields.text("finish", "stop", FINISHES),
    )


def _dropped(fields: _Fields) -> Dropped:
    return Dropped(
        fields.whole("n"),
        fields.text("why", among=CAUSES),
        fields.text("what", among=WHATS),
        fields.number("pts_seconds", 0.0),
    )


def _failed(fields: _Fields) -> Failed:
    return Failed(fields.plain("error"), fields.flag("fatal", False))


_MAKERS: dict[str, Callable[[_Fields], LiveEvent]] = {
    State.kind: _state,
    Token.kind: _token,
    Reasoned.kind: _reasoned,
    Dropped.kind: _dropped,
    Failed.kind: _failed,
}
