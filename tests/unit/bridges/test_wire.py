from __future__ import annotations

import doctest
import json
from typing import Any, get_args, get_type_hints

import pytest

from emer_edge.bridges import wire
from emer_edge.bridges.wire import UnknownKindError, decode_event, encode_event, event_from_dict
from emer_edge.errors import InputError, OutputError
from emer_edge.live.events import Dropped, Reasoned, State, Token, event_to_dict
from emer_edge.results import Emotion
from tests.support.sample_timeline import EVENTS, state


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_every_event_comes_back_equal(event: Any) -> None:
    assert decode_event(encode_event(event)) == event
    assert event_from_dict(json.loads(json.dumps(event_to_dict(event)))) == event


def test_the_words_are_those_of_the_annotations() -> None:
    assert get_args(get_type_hints(Emotion)["source"]) == wire.SOURCES
    assert get_args(get_type_hints(Reasoned)["finish"]) == wire.FINISHES
    assert get_args(get_type_hints(Dropped)["what"]) == wire.WHATS
    assert get_args(get_type_hints(Dropped)["why"]) == wire.CAUSES


def test_examples_of_the_docstrings_run() -> None:
    results = doctest.testmod(wire)
    assert (results.attempted, results.failed) == (2, 0)


def test_what_a_later_version_adds_is_passed_over() -> None:
    record = event_to_dict(state(4)) | {"mood": "later"}
    assert event_from_dict(record) == state(4)


def test_confidence_may_be_null() -> None:
    unsure = state(0, emotions=(Emotion("amused", None, "text"),))
    assert decode_event(encode_event(unsure)) == unsure


BROKEN: list[dict[str, Any]] = [
    {"valence": 1.5},
    {"valence": True},
    {"valence": None},
    {"emotions": "happy"},
    {"emotions": [{"label": 3, "confidence": 0.5, "source": "logits"}]},
    {"emotions": [{"label": "x", "confidence": 7, "source": "logits"}]},
    {"emotions": [{"label": "x", "confidence": 0.5, "source": "guess"}]},
    {"scores": {"happy": -0.1}},
    {"scores": []},
    {"index": -1},
    {"index": 1.5},
    {"quality": None},
    {"quality": {"modalities": ["smell"]}},
    {"quality": {"modalities": ["vision"], "speech": 1}},
    {"subtitle": None},
]


@pytest.mark.parametrize("change", BROKEN, ids=str)
def test_wrong_fields_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        event_from_dict(event_to_dict(state(0)) | change)


@pytest.mark.parametrize("key", ["start_pts_seconds", "emotions", "valence", "quality", "age_seconds"])
def test_missing_fields_are_refused(key: str) -> None:
    record = event_to_dict(state(0))
    del record[key]
    with pytest.raises(InputError, match=key):
        event_from_dict(record)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"kind": 3}', b"\xff", b'{"kind": "token"}', b"nul"])
def test_what_is_no_event_is_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        decode_event(data)


def test_an_unknown_kind_is_told_apart() -> None:
    with pytest.raises(UnknownKindError):
        decode_event(b'{"kind": "weather"}')


def test_an_event_too_long_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(InputError, match="too long"):
        decode_event(b" " * (wire.MAX_EVENT_BYTES + 1))


def test_numbers_without_a_word_in_json_are_not_sent() -> None:
    with pytest.raises(OutputError):
        encode_event(state(0, valence=float("nan")))
    with pytest.raises(OutputError):
        encode_event(Token("\ud800", 0))


def test_an_event_is_one_line() -> None:
    data = encode_event(state(0, subtitle="a\nb\r\u2028c"))
    assert len(data.split(b"\n")) == 1
    decoded = decode_event(data)
    assert isinstance(decoded, State)
    assert decoded.subtitle == "a\nb\r\u2028c"
