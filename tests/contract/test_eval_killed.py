"""A run of the real pack, killed 20 times at random moments, ends with the bytes of an unbroken one."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KILLS, CLIPS = 20, 120
WORDS = ("I am so happy for you!", "Leave me alone.", "My dog died today.", "Where is the station?", "")


def command(table: Path, folder: Path, at_once: int) -> list[str]:
    line = ["eval", "run", table, "--text-only", "--max-tokens", 12, "--threads", 1, "--resamples", 100]
    more = ["--at-once", at_once, "-o", folder, "--quiet"]
    return [sys.executable, "-m", "emer_edge", *map(str, [*line, *more])]


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 8])
def test_a_run_killed_twenty_times_equals_an_unbroken_one(tmp_path: Path, at_once: int) -> None:
    table, chance = tmp_path / "words.csv", random.Random(at_once)
    rows = [
        f'clip {n},"{WORDS[n % 5]} {n}",happy\n' if WORDS[n % 5] else f"clip {n},,sad\n" for n in range(CLIPS)
    ]
    table.write_text("id,subtitle,label\n" + "".join(rows), encoding="utf-8")
    subprocess.run(command(table, tmp_path / "whole", at_once), cwd=ROOT, stdout=subprocess.DEVNULL)
    wanted = (tmp_path / "whole/outputs.jsonl").read_bytes()
    assert wanted.count(b"\n") == CLIPS

    folder, line = tmp_path / "killed", command(table, tmp_path / "killed", at_once)
    outputs, begun = folder / "outputs.jsonl", list[int]()
    for kill in range(KILLS):
        process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL)
        goal, deadline = (kill + 1) * CLIPS // (KILLS + 2), time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if outputs.exists() and outputs.read_bytes().count(b"\n") >= goal:
                break
            time.sleep(0.002)
        time.sleep(chance.random() * 0.1)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL  # it had not come to its end
        begun.append(outputs.read_bytes().count(b"\n"))
    assert begun == sorted(begun)
    assert len(set(begun)) > KILLS // 2
    subprocess.run(line, cwd=ROOT, stdout=subprocess.DEVNULL)
    assert outputs.read_bytes() == wanted
    assert (folder / "report.html").is_file()
