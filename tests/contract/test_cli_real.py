"""The command line with real engines and a pack of random weights, as a process of its own."""

from __future__ import annotations

import importlib.resources
import json
import subprocess
import sys
import wave
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from tests.data.make_pack import make_stub_pack


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    make_stub_pack(folder / "pack")
    for name, hertz in (("low.wav", 110.0), ("high.wav", 440.0)):
        samples = 0.3 * np.sin(2 * np.pi * hertz * np.arange(48_000) / 16_000)
        with wave.open(str(folder / name), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(16_000)
            sound.writeframes((samples * 32_767).astype("<i2").tobytes())
    (folder / "low.srt").write_text("1\n00:00:00,500 --> 00:00:02,000\nI am fine.\n")
    (folder / "broken.mp4").write_bytes(b"\0" * 1000)
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "emer_edge", "infer", *arguments, "--pack", "./pack", "--threads", "1"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_answers_follow_the_schema_and_repeat(folder: Path) -> None:
    schemas = importlib.resources.files("emer_edge") / "schemas"
    first, second = (run(folder, "low.wav", "high.wav", "--json", "--max-tokens", "8") for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    records = [json.loads(line) for line in first.stdout.splitlines()]
    for record in records:
        jsonschema.validate(record, json.loads((schemas / "reasoning.schema.json").read_text()))
    assert [record["clip"] for record in records] == ["low.wav", "high.wav"]
    assert records[0]["used"]["subtitle_source"] == "sidecar:low.srt"
    assert records[0]["used"]["subtitle"] == "I am fine."
    assert "no video stream" in records[1]["used"]["missing"]
    assert "no subtitle" in records[1]["used"]["missing"]
    assert "pack stub" in first.stderr
    assert "subtitle from sidecar:low.srt" in first.stderr


def test_a_free_question(folder: Path) -> None:
    done = run(folder, "low.wav", "--json", "--question", "Why does he hesitate?", "--max-tokens", "4")
    assert json.loads(done.stdout)["question"] == "Why does he hesitate?"


def test_labels_alone_and_words(folder: Path) -> None:
    done = run(folder, "high.wav", "--json", "--max-tokens", "0", "--subtitle", "Leave me alone.")
    record = json.loads(done.stdout)
    assert (record["text"], record["finish"]) == ("", "labels_only")
    assert (record["used"]["subtitle"], record["used"]["subtitle_source"]) == ("Leave me alone.", "flag")
    assert record["emotions"]
    none = json.loads(run(folder, "low.wav", "--json", "--max-tokens", "0", "--no-subtitle").stdout)
    assert none["used"]["subtitle"] == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["broken.mp4"], 1),
        (["low.wav", "--subtitle", "absent.srt"], 1),
        (["absent.wav"], 2),
        (["low.wav", "--question", "x" * 3000], 5),
        (["low.wav", "--max-tokens", "1000000"], 5),
    ],
)
def test_exit_codes(folder: Path, arguments: list[str], code: int) -> None:
    done = run(folder, *arguments)
    assert done.returncode == code, done.stderr
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
