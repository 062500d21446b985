"""Tables and the chart say what the result files hold, losses too."""

from __future__ import annotations

import doctest
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import chart, decode_clips, decode_floor, decode_ways, encoders, tables, trip, turns
from benchmarks.chart import decode_panel, draw, latest, trip_panel
from benchmarks.tables import best_peer, decode_all_table, decode_table, figures_table, floor_of


def peer(frames: float, cpu: float, sound: float = 5.0, **more: Any) -> dict[str, Any]:
    return {"median": {"frames_ms": frames, "frames_cpu_ms": cpu, "sound_ms": sound}, **more}


@pytest.fixture
def cell() -> dict[str, Any]:
    return {
        "cell": "h264 <720p>, keyframe every 25",
        "count": 8,
        "peers": {
            "emer-edge": peer(20.0, 30.0),
            "emer-edge on PyAV": peer(1.0, 1.0),
            "fast but wrong": peer(2.0, 2.0, wrong_frames=3),
            "decord": peer(40.0, 33.0),
            "OpenCV": peer(15.0, 60.0),
            "torchcodec": {"error": "no such file", "failed": 1, "runs": 8},
            "libavcodec, 1 thread": peer(16.0, 15.0),
            "libavcodec, all threads": peer(10.0, 20.0),
        },
    }


def test_the_best_peer_is_somebody_elses_and_right(cell: dict[str, Any]) -> None:
    assert best_peer(cell, "frames_ms") == (15.0, "OpenCV")
    assert best_peer(cell, "frames_cpu_ms") == (33.0, "decord")
    assert (floor_of(cell, "frames_ms"), floor_of(cell, "frames_cpu_ms")) == (10.0, 15.0)


def test_a_loss_stands_in_the_table(cell: dict[str, Any]) -> None:
    row = decode_table([cell]).splitlines()[2]
    assert "| 20.0 | 15.0 OpenCV | 0.75 | 10.0 | 2.00 | 1.10 decord | 2.00 |" in row
    assert len(decode_table([cell], head=False).splitlines()) == 1
    everyone = decode_all_table([cell])
    assert "| torchcodec | fails |" in everyone
    assert "2 (2), 3 wrong" in everyone


def test_a_cell_without_ours_says_why(cell: dict[str, Any]) -> None:
    cell["peers"]["emer-edge"] = {"error": "not there"}
    assert "failed: not there" in decode_table([cell])
    assert not decode_panel({"environment": {"cpu": "x", "cores": 2}, "cells": [cell]}).groups


def test_figures_that_are_absent_are_no_zero() -> None:
    rows = {"a": {"median": {"x": 1.234}}, "b": {"error": "gone"}}
    lines = figures_table(rows, [("x", "X"), ("y", "Y")]).splitlines()
    assert lines[2:] == ["| a | 1.23 | - |", "| b | gone |"]


def test_the_chart_is_sound_svg_for_both_grounds(cell: dict[str, Any], tmp_path: Path) -> None:
    decode = {"environment": {"cpu": "A <CPU>", "cores": 2}, "cells": [cell]}
    ways = {
        "emer-edge light-mer": {"median": {"first_label_ms": 900.0, "total_ms": 3000.0}},
        "reference float32": {"median": {"first_label_ms": 4000.0, "total_ms": 16000.0}},
        "reference compile": {"error": "no compiler"},
    }
    words = {**decode, "new_tokens": 64, "peers": ways}
    text = draw([trip_panel(words), decode_panel(decode)])
    root = ElementTree.fromstring(text)
    shown = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "0.90 s, emer-edge light-mer" in shown
    assert "15 ms, OpenCV" in shown
    assert not any("compile" in line for line in shown)
    assert "prefers-color-scheme: dark" in text
    assert len(root.findall(".//{http://www.w3.org/2000/svg}path")) == 1
    for name, number in (("decode-2026-01-01.json", 1), ("decode-2026-02-01.json", 2)):
        (tmp_path / name).write_text(json.dumps({"number": number}))
    assert (latest(tmp_path, "decode") or {})["number"] == 2
    assert latest(tmp_path, "trip") is None


def test_differences_are_relative() -> None:
    ours = {"soft": {"audio": [1.0, 1.0]}, "logits": [0.0, 2.0], "prompt_tokens": 7}
    truth = {"soft": {"audio": [1.0, 1.0]}, "logits": [0.0, 1.0], "prompt_tokens": 7}
    found = trip.agreement(ours, truth)
    assert found == {"soft": 0.0, "logits": 1.0, "same_first_token": True, "prompt_tokens": [7, 7]}


@pytest.mark.parametrize(
    "module", [chart, decode_clips, decode_floor, decode_ways, encoders, tables, trip, turns]
)
def test_docstring_examples_run(module: Any) -> None:
    assert doctest.testmod(module).failed == 0
