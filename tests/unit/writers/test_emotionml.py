from __future__ import annotations

import doctest
import json
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emer_edge.errors import OutputError
from emer_edge.live.events import LiveEvent
from emer_edge.results import Emotion
from emer_edge.writers import emotionml
from emer_edge.writers.emotionml import reasoning_to_emotionml, timeline_to_emotionml
from emer_edge.writers.timeline import Timeline
from tests.support.emotionml_check import NS, EmotionMLError, check
from tests.support.sample_results import ALL, FULL
from tests.support.sample_timeline import EVENTS, SESSION, state

TIMELINE = Timeline(SESSION, EVENTS)
SCHEMA = os.environ.get("EMER_EMOTIONML_XSD", "")
"""The W3C's emotionml.xsd, with emotionml-fragments.xsd beside it; they are not part of the project."""


def documents() -> dict[str, str]:
    return {
        "relative": timeline_to_emotionml(TIMELINE),
        "media": timeline_to_emotionml(TIMELINE, media_uri="file:///clips/talk.mp4"),
        "absolute": timeline_to_emotionml(TIMELINE, unix_origin_seconds=1_700_000_000.5),
        "empty": timeline_to_emotionml(Timeline(SESSION, ())),
        **{f"reasoning_{name}": reasoning_to_emotionml(value) for name, value in ALL.items()},
        "reasoning_media": reasoning_to_emotionml(FULL, media_uri="clips/happy.mp4"),
    }


@pytest.mark.parametrize("name", documents())
def test_every_document_keeps_the_assertions_of_the_standard(name: str) -> None:
    check(documents()[name])


@pytest.mark.skipif(not SCHEMA, reason="EMER_EMOTIONML_XSD names no copy of the W3C's schema")
@pytest.mark.parametrize("name", documents())
def test_every_document_is_valid_by_the_published_schema(name: str) -> None:
    xmlschema = pytest.importorskip("xmlschema")
    schema = xmlschema.XMLSchema(SCHEMA)
    assert list(schema.iter_errors(documents()[name])) == []
    assert not schema.is_valid(documents()[name].replace('version="1.0">', 'version="9">', 1))


def test_a_state_is_told_with_its_numbers() -> None:
    root = check(timeline_to_emotionml(TIMELINE))
    emotions = {emotion.get("id"): emotion for emotion in root.iterfind(f"{NS}emotion")}
    assert list(emotions) == [
        "state-0", "state-0-big6", "state-1", "state-1-big6", "state-2",
    ]  # fmt: skip
    second = emotions["state-1"]
    assert second.attrib["offset-to-start"] == "0"
    assert second.attrib["duration"] == "4000"
    assert second.attrib["time-ref-uri"] == "#session"
    assert second.attrib["expressed-through"] == "face voice"
    (category,) = second.iterfind(f"{NS}category")
    assert category.attrib == {"name": "sad", "confidence": "0.750000"}
    values = {one.get("name"): one.get("value") for one in second.iterfind(f"{NS}dimension")}
    assert values == {"valence": "0.200000", "arousal": "0.375000"}
    (six,) = emotions["state-1-big6"].iterfind(f"{NS}category")
    assert six.attrib == {"name": "sadness", "confidence": "0.750000"}
    note = second.find(f"{NS}info")
    assert note is not None
    assert [child.tag.split("}")[1] for child in note] == ["reasoning", "clue", "clue"]
    assert "low & slow, and the words <were> few" in (note[0].text or "")


def test_a_label_that_is_no_name_keeps_its_words() -> None:
    root = check(timeline_to_emotionml(TIMELINE))
    items = {item.get("name"): item for item in root.iter(f"{NS}item")}
    assert list(items) == ["happy", "neutral", "sad", "怒っ-ている"]
    assert [child.text for child in items["怒っ-ている"].iter() if child.text and child.text.strip()] == [
        "怒っ ている"
    ]


def test_the_session_is_kept_in_the_document() -> None:
    session = SESSION | {"odd key <": 1, "note": "a & b"}
    root = check(timeline_to_emotionml(Timeline(session, EVENTS)))
    info = root.find(f"{NS}info")
    assert info is not None
    assert json.loads(info[0].attrib["pack"]) == SESSION["pack"]
    assert info[0].get("note") == "a & b"
    assert info[0].get("window_seconds") == "4.0"


@pytest.mark.parametrize(
    "label", ["\U00010000", "\u1680", "\u00aa", "²", "\x00", " ", "<&>", "a\u0000b", "\ud800"]
)
def test_labels_that_no_name_can_hold(label: str) -> None:
    text = timeline_to_emotionml(Timeline(SESSION, (state(0, label),)))
    names = [item.get("name") for item in check(text).iter(f"{NS}item")]
    assert names[1] == "neutral"
    assert names[0] in ("label", "a-b", "ab")


def test_absolute_times_are_milliseconds_since_1970() -> None:
    root = check(timeline_to_emotionml(TIMELINE, unix_origin_seconds=1_700_000_000.5))
    emotion = root.findall(f"{NS}emotion")[2]
    assert (emotion.get("start"), emotion.get("end")) == ("1700000000500", "1700000004500")
    assert "offset-to-start" not in emotion.attrib
    with pytest.raises(OutputError):
        timeline_to_emotionml(TIMELINE, unix_origin_seconds=-10.0)


def test_media_is_referred_to_by_its_fragment() -> None:
    root = check(timeline_to_emotionml(TIMELINE, media_uri="talk.mp4"))
    uris = [reference.get("uri") for reference in root.iter(f"{NS}reference")]
    assert uris == ["talk.mp4#t=0.000,2.000", "talk.mp4#t=0.000,4.000", "talk.mp4#t=2.000,6.000"]


def test_the_check_finds_what_is_wrong() -> None:
    good = timeline_to_emotionml(TIMELINE)
    for old, new, number in (
        ('version="1.0">', 'version="1.1">', "111"),
        ('confidence="0.750000"', 'confidence="1.750000"', "300"),
        ('name="sadness"', 'name="gloom"', "211"),
        ("#labels", "#others", "161"),
        ('duration="4000"', 'duration="-4000"', "422"),
        ('name="valence" value', 'name="valence" confidence', "224"),
        ('id="state-1"', 'id="state-0"', "174"),
        ("face voice", "nose", "301"),
    ):
        with pytest.raises(EmotionMLError, match=number):
            check(good.replace(old, new, 1))


def test_examples_of_the_docstrings_run() -> None:
    results = doctest.testmod(emotionml)
    assert (results.attempted, results.failed) == (2, 0)


LABELS = st.text(min_size=1, max_size=12)
SCORES = st.dictionaries(LABELS, st.floats(0, 1), max_size=4)


@st.composite
def events(draw: st.DrawFn) -> tuple[LiveEvent, ...]:
    found: list[LiveEvent] = []
    for index in range(draw(st.integers(0, 3))):
        scores: dict[str, float] = draw(SCORES)
        emotions: Any = tuple(Emotion(label, draw(st.none() | st.floats(0, 1))) for label in scores)
        start = draw(st.floats(-1e6, 1e6))
        found.append(
            state(
                index,
                emotions=emotions,
                scores=scores,
                start_pts_seconds=start,
                end_pts_seconds=start + draw(st.floats(-1, 100)),
                valence=draw(st.floats(-1, 1)),
                subtitle=draw(st.text(max_size=20)),
            )
        )
    return tuple(found)


@settings(max_examples=150, deadline=None)
@given(events())
def test_whatever_the_labels_the_document_is_valid(found: tuple[LiveEvent, ...]) -> None:
    check(timeline_to_emotionml(Timeline(SESSION, found)))
