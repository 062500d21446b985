"""`emer-edge live`: lines for people and for programs, a timeline on disk, and the exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emer_edge.cli.live_view import View
from emer_edge.cli.main import root
from emer_edge.cli.terminal import Terminal
from emer_edge.live.events import Dropped, Failed, Quality, Reasoned, State, Token
from emer_edge.results import Emotion


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        root.main(["live", *arguments])
    assert isinstance(left.value.code, int)
    return left.value.code


def test_a_file_as_lines_of_json_and_as_a_timeline(
    demo_clip: Path, stub_pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    timeline = tmp_path / "timeline.jsonl"
    arguments = [str(demo_clip), "--pack", str(stub_pack), "--fast", "--json", "--record", str(timeline)]
    assert (
        _run(
            *arguments,
            "--hop",
            "1",
            "--window",
            "4",
            "--reasoning",
            "3",
            "--max-tokens",
            "3",
            "--without-speech",
        )
        == 0
    )
    out = capsys.readouterr().out
    records = [json.loads(line) for line in out.splitlines()]
    assert records == [json.loads(line) for line in timeline.read_text(encoding="utf-8").splitlines()]
    assert records[0]["kind"] == "session"
    assert records[0]["pack"] == {"name": "stub", "version": records[0]["pack"]["version"]}
    kinds = [record["kind"] for record in records]
    assert kinds.count("state") == 6
    assert "token" in kinds
    assert "reasoning" in kinds
    assert _run(*arguments) == 1  # the timeline exists
    assert _run(*arguments, "--force", "--quiet") == 0


def test_a_file_as_lines_for_people(
    demo_clip: Path, stub_pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(str(demo_clip), "--pack", str(stub_pack), "--fast", "--seconds", "60") == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 3
    assert "3 states, age" in captured.err


def test_what_makes_no_sense_has_its_exit_code(
    stub_pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = ["--pack", str(stub_pack)]
    assert _run("rtsp://127.0.0.1:1/x", *pack) == 2
    assert _run("http://127.0.0.1/x.mp4", *pack) == 2
    assert _run(str(tmp_path / "absent.mp4"), *pack) == 2
    assert _run("/dev/video77", *pack) == 1
    assert _run("clip.mp4", "--hop", "9", *pack) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_ctrl_c_ends_it_with_130_and_keeps_whole_lines(
    demo_clip: Path, stub_pack: Path, tmp_path: Path
) -> None:
    timeline = tmp_path / "timeline.jsonl"
    command = [sys.executable, "-m", "emer_edge", "live", str(demo_clip), "--loop", "--hop", "0.5"]
    command += ["--window", "2", "--pack", str(stub_pack), "--record", str(timeline), "--quiet"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    end = time.monotonic() + 60
    while time.monotonic() < end and (not timeline.exists() or timeline.read_bytes().count(b"\n") < 3):
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGINT)
    assert child.wait(30) == 130
    assert child.stderr is not None
    assert b"Traceback" not in child.stderr.read()
    lines = timeline.read_text(encoding="utf-8").splitlines()
    assert all(json.loads(line)["kind"] for line in lines)


def test_the_view_shows_every_kind_and_nothing_that_moves_the_cursor(
    capsys: pytest.CaptureFixture[str],
) -> None:
    terminal = Terminal(out_is_tty=False, err_is_tty=False, colour=False, unicode=False)
    view = View(terminal, as_json=False, quiet=False)
    quality = Quality(("vision", "subtitle"), 8, 8, 0.0, True, ("reasoning",))
    happy = (Emotion("happy\x1b[2J", 0.75), Emotion("glad", None, "text"))
    view.show(State(0.0, 8.0, happy, {"happy": 0.75}, 0.6, 0.4, quality, 0.12))
    view.show(State(2.0, 10.0, (), {}, 0.0, 0.0, Quality(()), 0.1, 1))
    view.show(Token("A smile", 0))
    view.show(Token(" \x1b[31mwide", 0))
    view.show(Reasoned("A smile wide", (), 0, 0.0, 8.0, "interrupted"))
    view.show(Dropped(3, "skipped_hop", "hops"))
    view.show(Failed({"what": "It broke.", "why": "", "todo": ""}, True))
    view.end()
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "#######" in out
    assert "75%" in out
    assert "speech; without reasoning" in out
    assert "nobody seen or heard" in out
    assert "[interrupted]" in out
    assert "dropped: 3 hops, skipped hop" in err
    assert "error: It broke." in err
    assert view.fatal is not None
