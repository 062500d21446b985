"""Records: valid JSON, one line where one is promised, text that says everything."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from emer_edge.errors import LimitError, OutputError
from emer_edge.results import SCHEMA_VERSION
from emer_edge.writers import records
from tests.support.sample_results import ALL, BARE, FULL, HOSTILE


@pytest.mark.parametrize("name", ALL)
def test_json_is_the_documented_object(name: str) -> None:
    reasoning = ALL[name]
    assert json.loads(records.to_json(reasoning)) == reasoning.to_dict(timings=False)
    assert json.loads(records.to_json(reasoning, timings=True)) == reasoning.to_dict()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("ascii_only", [False, True])
def test_a_line_is_one_line(name: str, ascii_only: bool) -> None:
    line = records.to_json_line(ALL[name], ascii_only=ascii_only)
    assert line.endswith("\n")
    assert "\n" not in line[:-1]
    assert line.isascii() or not ascii_only
    assert json.loads(line) == ALL[name].to_dict(timings=False)


def test_a_path_that_is_not_utf_8_survives_as_an_escape() -> None:
    data = records.to_json(HOSTILE).encode("utf-8", "backslashreplace")
    assert json.loads(data)["clip"] == HOSTILE.clip


def test_failure_line() -> None:
    record = json.loads(records.failure_line("a.mp4", LimitError("Too long.", "2 h", "Cut it.")))
    assert record["clip"] == "a.mp4"
    assert record["error"]["kind"] == "LimitError"
    assert record["error"]["exit_code"] == 5
    assert record["schema_version"] == SCHEMA_VERSION


def test_a_number_that_json_lacks_is_an_error() -> None:
    with pytest.raises(OutputError):
        records.to_json(replace(FULL, scores={"happy": float("nan")}))


def test_text_says_everything() -> None:
    text = records.to_text(FULL, timings=True)
    for words in (
        FULL.text,
        "happy 62 %",
        "amused\n",
        "face: She smiles",
        "sidecar:happy.srt",
        "emer-nano 0.1.0",
    ):
        assert words in text
    assert "decode video" in text
    assert "decode video" not in records.to_text(FULL)
    assert "none above the threshold" in records.to_text(BARE)
