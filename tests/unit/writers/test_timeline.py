from __future__ import annotations

import csv
import io
import json
import sys
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emer_edge.errors import OutputError
from emer_edge.limits import Limits
from emer_edge.live.events import LiveEvent, Reasoned
from emer_edge.media.subtitles import parse_counted
from emer_edge.writers.timeline import (
    Timeline,
    timeline_cues,
    timeline_spans,
    timeline_to_srt,
    timeline_to_vtt,
)
from emer_edge.writers.timeline_table import COLUMNS, timeline_rows, timeline_to_csv, timeline_to_parquet
from tests.support.sample_timeline import EVENTS, SESSION, state

TIMELINE = Timeline(SESSION, EVENTS)


def test_a_state_stands_for_what_it_added() -> None:
    assert timeline_spans(TIMELINE) == [(0.0, 2.0), (2.0, 4.0), (4.0, 6.0)]


def test_captions_follow_the_states_and_carry_the_reasoning() -> None:
    cues = timeline_cues(TIMELINE)
    assert cues[0].text == "happy 60 %"
    assert (cues[0].start_seconds, cues[0].end_seconds) == (0.0, 2.0)
    assert cues[1].text == "sad 75 %\nShe looked down."
    assert cues[1].start_seconds == 2.0
    assert cues[-1].text.startswith("怒っ ている 90 %")
    assert cues[-1].end_seconds == 6.0
    joined = " ".join(cue.text.split("\n", 1)[1].replace("\n", " ") for cue in cues[1:])
    assert "Her voice was low & slow, and the words" in joined
    assert "<were> few." in joined


@pytest.mark.parametrize("write", [timeline_to_srt, timeline_to_vtt])
def test_captions_read_back(write: Any) -> None:
    cues, skipped = parse_counted(write(TIMELINE), Limits())
    assert skipped == 0
    assert len(cues) == len(timeline_cues(TIMELINE))


def test_the_wall_clock_is_counted_from_the_first_state() -> None:
    events = tuple(
        state(i, start_pts_seconds=1.7e9 + 2 * i, end_pts_seconds=1.7e9 + 2 * i + 2) for i in range(2)
    )
    assert [(cue.start_seconds, cue.end_seconds) for cue in timeline_cues(Timeline(SESSION, events))] == [
        (0.0, 4.0)
    ]


def test_nothing_told_is_an_empty_file_of_the_format() -> None:
    assert timeline_to_srt(Timeline(SESSION, ())) == ""
    assert timeline_to_vtt(Timeline(SESSION, ())) == "WEBVTT\n"
    assert timeline_to_csv(Timeline(SESSION, ())) == ",".join(COLUMNS) + "\r\n"


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    events: list[LiveEvent] = []
    at = draw(st.floats(-10, 10))
    for index in range(draw(st.integers(0, 6))):
        at += draw(st.floats(-0.5, 3))
        events.append(state(index, start_pts_seconds=at, end_pts_seconds=at + draw(st.floats(0, 8))))
        if draw(st.booleans()):
            text = draw(st.sampled_from(["One. Two. Three.", "A long sentence " * 12 + ".", ""]))
            events.append(Reasoned(text, (), draw(st.integers(0, 6)), at, at + 4))
    return Timeline(SESSION, tuple(events))


@settings(max_examples=200, deadline=None)
@given(timelines())
def test_captions_never_overlap(timeline: Timeline) -> None:
    cues = timeline_cues(timeline)
    assert all(cue.start_seconds < cue.end_seconds for cue in cues)
    assert all(a.end_seconds <= b.start_seconds for a, b in pairwise(cues))
    back, skipped = parse_counted(timeline_to_vtt(timeline), Limits())
    assert (len(back), skipped) == (len(cues), 0)


def test_rows_hold_what_the_columns_promise() -> None:
    rows = timeline_rows(TIMELINE)
    assert all(list(row)[: len(COLUMNS)] == list(COLUMNS) for row in rows)
    assert list(rows[0])[len(COLUMNS) :] == ["score_happy", "score_neutral", "score_sad", "score_怒っ ている"]
    assert [row["label"] for row in rows] == ["happy", "sad", "怒っ ている"]
    assert [(row["dropped"], row["errors"]) for row in rows] == [(0, 0), (3, 0), (0, 1)]
    assert [row["finish"] for row in rows] == [None, "stop", None]
    assert rows[2]["score_happy"] is None
    assert rows[2]["degraded"] == ["vision"]


def test_csv_reads_back() -> None:
    rows = list(csv.DictReader(io.StringIO(timeline_to_csv(TIMELINE), newline="")))
    assert [row["index"] for row in rows] == ["0", "1", "2"]
    assert rows[0]["modalities"] == "vision|audio"
    assert rows[0]["speech"] == "1"
    assert rows[0]["subtitle"] == "I am glad, <really> & truly."
    assert float(rows[1]["valence"]) == -0.6
    assert rows[2]["score_happy"] == ""


def test_parquet_reads_back_with_its_types_and_its_session() -> None:
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = parquet.read_table(io.BytesIO(timeline_to_parquet(TIMELINE)))
    assert table.to_pylist() == timeline_rows(TIMELINE)
    assert str(table.schema.field("labels").type) == "list<element: string>"
    assert str(table.schema.field("speech").type) == "bool"
    assert json.loads(table.schema.metadata[b"emer_edge.session"]) == SESSION
    empty = parquet.read_table(io.BytesIO(timeline_to_parquet(Timeline(SESSION, ()))))
    assert (empty.num_rows, empty.column_names) == (0, list(COLUMNS))


def test_parquet_without_pyarrow_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(OutputError, match="timeline"):
        timeline_to_parquet(TIMELINE)
