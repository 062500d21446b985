from __future__ import annotations

from pathlib import Path

import pytest

from emer_edge.bridges.record import read_timeline
from emer_edge.bridges.wire import MAX_EVENT_BYTES
from emer_edge.errors import InputError, LimitError
from tests.support.sample_timeline import EVENTS, SESSION, write_record


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return write_record(tmp_path / "record.jsonl")


def test_a_record_comes_back_whole(record: Path) -> None:
    timeline = read_timeline(record)
    assert timeline.session == SESSION
    assert timeline.events == EVENTS
    assert [state.index for state in timeline.states] == [0, 1, 2]
    assert (len(timeline.reasonings), len(timeline.dropped), len(timeline.failures)) == (1, 1, 1)
    assert not timeline.truncated
    assert timeline.unknown == {}


def test_unknown_kinds_are_passed_over_and_counted(record: Path) -> None:
    with record.open("a") as handle:
        handle.write('{"kind": "heartbeat"}\n{"kind": "weather"}\n\n{"kind": "heartbeat"}\n')
    timeline = read_timeline(record)
    assert timeline.events == EVENTS
    assert timeline.unknown == {"heartbeat": 2, "weather": 1}


@pytest.mark.parametrize("cut", [1, 2, 20, 200])
def test_a_cut_off_last_line_is_told(record: Path, cut: int) -> None:
    whole = record.read_bytes()
    record.write_bytes(whole[:-cut])
    timeline = read_timeline(record)
    complete = cut == 1  # only the line break is gone
    assert timeline.truncated is not complete
    assert timeline.events == (EVENTS if complete else EVENTS[:-1])


def test_a_broken_line_in_the_middle_is_refused_with_its_number(record: Path) -> None:
    lines = record.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3][:-10] + b"\n"
    record.write_bytes(b"".join(lines))
    with pytest.raises(InputError, match="Line 4"):
        read_timeline(record)


def test_a_last_line_that_is_whole_but_wrong_is_refused(record: Path) -> None:
    with record.open("a") as handle:
        handle.write('{"kind": "token"}')
    with pytest.raises(InputError, match="no text"):
        read_timeline(record)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ('{"kind": "token", "text": "a", "state_index": 0}\n', "Line 1"),
        ('{"kind": "session"}\n', "version None"),
        ('{"kind": "session", "schema_version": "2.0"}\n', "version '2.0'"),
        ('{"kind": "session", "schema_ver', "Line 1"),
        ("\x00\x01\x02", "Line 1"),
    ],
)
def test_what_is_no_timeline_is_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "no.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=why):
        read_timeline(path)


def test_a_minor_version_later_is_read(tmp_path: Path) -> None:
    path = write_record(tmp_path / "later.jsonl", schema_version="1.7")
    assert read_timeline(path).events == EVENTS


def test_lines_are_bounded(record: Path) -> None:
    with record.open("ab") as handle:
        handle.write(b'{"kind": "token", "state_index": 0, "text": "' + b"x" * MAX_EVENT_BYTES + b'"}\n')
    with pytest.raises(LimitError):
        read_timeline(record)


def test_a_file_that_is_not_there_or_no_file(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.jsonl", tmp_path):
        with pytest.raises(InputError, match="Can't read"):
            read_timeline(path)
