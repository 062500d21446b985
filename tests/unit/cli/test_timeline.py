"""`emer-edge timeline`: endings, refusals, what is said of a record that lacks something."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.emotionml_check import check
from tests.support.sample_timeline import write_record


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return write_record(tmp_path / "record.jsonl")


@pytest.mark.parametrize(
    ("ending", "begins"),
    [
        (".emotionml", b'<?xml version="1.0" encoding="UTF-8"?>\n<emotionml'),
        (".vtt", b"WEBVTT\n"),
        (".srt", b"1\n00:00:00,000 --> 00:00:02,000\nhappy"),
        (".csv", b"index,start_pts_seconds,"),
        (".parquet", b"PAR1"),
    ],
)
def test_every_ending_is_written(run, record: Path, tmp_path: Path, ending: str, begins: bytes) -> None:
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    target = tmp_path / f"out{ending}"
    result = run("timeline", "convert", str(record), "-o", str(target))
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    assert target.read_bytes().startswith(begins)
    assert "3 states" in result.stderr


def test_emotionml_with_an_origin(run, record: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.emotionml"
    assert run("timeline", "convert", str(record), "-o", str(target), "--origin", "1000").exit_code == 0
    assert 'start="1000000"' in target.read_text()
    check(target.read_text())


def test_what_exists_is_kept(run, record: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("mine")
    result = run("timeline", "convert", str(record), "-o", str(target))
    assert result.exit_code == 1
    assert target.read_text() == "mine"
    assert run("timeline", "convert", str(record), "-o", str(target), "--force").exit_code == 0
    assert target.read_text() != "mine"


@pytest.mark.parametrize("name", ["out.mp3", "out", "out.csv.gz"])
def test_an_unknown_ending(run, record: Path, tmp_path: Path, name: str) -> None:
    result = run("timeline", "convert", str(record), "-o", str(tmp_path / name))
    assert result.exit_code == 2
    assert ".emotionml" in result.stderr
    assert not (tmp_path / name).exists()


def test_flags_of_another_format(run, record: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out.csv")
    assert run("timeline", "convert", str(record), "-o", out, "--origin", "1").exit_code == 2
    assert run("timeline", "convert", str(record), "-o", out, "--origin", "nan").exit_code == 2


def test_what_is_lacking_is_said(run, record: Path, tmp_path: Path) -> None:
    with record.open("a") as handle:
        handle.write('{"kind": "weather"}\n{"kind": "tok')
    result = run("timeline", "convert", str(record), "-o", str(tmp_path / "out.csv"))
    assert result.exit_code == 0
    assert "1 records of the unknown kind weather" in result.stderr
    assert "cut off" in result.stderr


def test_show(run, record: Path) -> None:
    result = run("timeline", "show", str(record), "--json")
    found = json.loads(result.stdout)
    assert (found["states"], found["end_pts_seconds"], found["dropped"]) == (3, 6.0, {"late": 3})
    assert not found["truncated"]
    assert "late 3" in run("timeline", "show", str(record)).stdout


def test_no_timeline(run, tmp_path: Path) -> None:
    result = run("timeline", "show", str(tmp_path / "absent.jsonl"))
    assert result.exit_code == 2
    assert "Can't read" in result.stderr
