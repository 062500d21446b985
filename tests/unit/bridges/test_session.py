"""A real session's timeline, recorded, read back, and written in every format."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

import emer_edge as ee
from emer_edge.bridges.port import Recording, forward
from emer_edge.bridges.record import read_timeline
from emer_edge.bridges.wire import decode_event, encode_event
from emer_edge.live.record import Recorder, session_record
from emer_edge.writers.emotionml import timeline_to_emotionml
from emer_edge.writers.timeline import Timeline, timeline_to_vtt
from emer_edge.writers.timeline_table import timeline_to_csv
from tests.support.emotionml_check import NS, check


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[object]]:
    path = tmp_path_factory.mktemp("record") / "record.jsonl"
    told: list[object] = []

    class Told:
        def send(self, event: object) -> None:
            told.append(event)

    with ee.load("emer-nano", threads=1) as reasoner:
        live = reasoner.live(window_seconds=2.0, hop_seconds=1.0, policy="block")
        with Recorder(path, session_record(reasoner.manifest, live.options)) as recorder:
            with live:
                live.push_text("I am so happy for you!", 0.5, 1.5)
                tone = 0.2 * np.sin(2 * np.pi * 220 * np.arange(16_000) / 16_000)
                for second in range(3):
                    live.push_audio(tone.astype(np.float32), 16_000, float(second))
                live.ask()
            assert forward(live, Told(), Recording(recorder)) == len(told)
    return path, told


def test_a_session_comes_back_as_it_was_told(recorded: tuple[Path, list[object]]) -> None:
    path, told = recorded
    timeline = read_timeline(path)
    assert list(timeline.events) == told
    assert [decode_event(encode_event(event)) for event in timeline.events] == told
    assert timeline.session["pack"]["name"] == "emer-nano"
    assert len(timeline.states) >= 2
    assert len(timeline.reasonings) == 1
    assert timeline.unknown == {}


def test_a_session_in_every_format(recorded: tuple[Path, list[object]]) -> None:
    timeline: Timeline = read_timeline(recorded[0])
    root = check(timeline_to_emotionml(timeline))
    plain = [e for e in root.iterfind(f"{NS}emotion") if not (e.get("id") or "").endswith("-big6")]
    assert len(plain) == len(timeline.states)
    rows = list(csv.DictReader(io.StringIO(timeline_to_csv(timeline), newline="")))
    assert [float(row["end_pts_seconds"]) for row in rows] == [s.end_pts_seconds for s in timeline.states]
    assert sum(1 for row in rows if row["reasoning"]) == 1
    assert timeline_to_vtt(timeline).count("-->") >= 1
