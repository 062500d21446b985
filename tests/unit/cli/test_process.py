"""`emer-edge` as a process: signals, streams that end, terminals, speed."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def wait_for(process: subprocess.Popen[bytes], words: bytes, seconds: float = 20) -> bytes:
    """Reads standard output until `words` come."""
    seen = b""
    deadline = time.monotonic() + seconds
    while words not in seen:
        assert time.monotonic() < deadline, seen
        if select.select([process.stdout], [], [], 0.5)[0]:
            piece = os.read(process.stdout.fileno(), 65536)
            assert piece, (seen, process.stderr.read())
            seen += piece
    return seen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["slow.mp4", "stuck.mp4"])
def test_a_signal_stops_within_a_second(start, clips, tmp_path, number, name) -> None:
    out = tmp_path / "out"
    process = start("infer", *clips("a.mp4", name, "b.mp4"), "-f", "json,jsonl", "-o", out)
    wait_for(process, b"word3" if name == "slow.mp4" else b"STUCK")
    began = time.monotonic()
    process.send_signal(number)
    process.wait(10)
    assert time.monotonic() - began < 1.5  # a second, and what a loaded machine needs to notice
    assert process.returncode == 130
    stderr = process.stderr.read().decode()
    assert "Interrupted." in stderr
    assert "Traceback" not in stderr
    assert sorted(path.name for path in out.iterdir()) == ["a.emer.json", "emer.jsonl"]
    assert len([json.loads(line) for line in (out / "emer.jsonl").open()]) == 1


def test_a_second_ctrl_c_ends_at_once(start, clips) -> None:
    process = start("infer", *clips("stuck.mp4"))
    wait_for(process, b"STUCK")
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert time.monotonic() - began < 0.9  # less than the second that the first one has


def test_ctrl_c_while_a_pack_is_loaded(start, clips) -> None:
    process = start("infer", *clips("a.mp4"), "--pack", "slow-to-load")
    wait_for(process, b"LOADING")
    process.send_signal(signal.SIGINT)
    assert process.wait(3) == 130


def wait_until_idle(process: subprocess.Popen[bytes], seconds: float = 30.0) -> None:
    """Wait until a process has started and then used no processor time for half a second: it awaits input."""
    stat, before, end = Path(f"/proc/{process.pid}/stat"), -1, time.monotonic() + seconds
    if not stat.exists():
        time.sleep(3)
        return
    while time.monotonic() < end:
        used = sum(map(int, stat.read_text().rpartition(")")[2].split()[11:13]))
        # Under load a process that has hardly begun may stand still too: importing takes 20 ticks and more.
        if used == before and used >= 20:
            return
        before = used
        time.sleep(0.5)


def test_ctrl_c_while_a_list_is_awaited(start) -> None:
    process = start("infer", "-", stdin=subprocess.PIPE)
    wait_until_idle(process)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert b"Traceback" not in process.stderr.read()


def test_a_reader_that_leaves_is_no_error_to_talk_about(start, clips) -> None:
    process = start("infer", *clips("slow.mp4"))
    wait_for(process, b"word")
    process.stdout.close()
    began = time.monotonic()
    assert process.wait(10) == 1
    assert time.monotonic() - began < 3
    stderr = process.stderr.read().decode()
    assert "error" not in stderr
    assert "Exception" not in stderr
    process.stdout = None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_full_disk_is_said(start, clips, flags) -> None:
    with Path("/dev/full").open("wb") as full:
        process = start("infer", *clips("a.mp4", "b.mp4"), "--keep-going", *flags, stdout=full)
        assert process.wait(20) == 1
    stderr = process.stderr.read().decode()
    assert "error: Can't write to standard output.\n  No space left on device" in stderr
    assert "Traceback" not in stderr
    assert "Exception ignored" not in stderr


def test_help_to_a_full_disk(start) -> None:
    with Path("/dev/full").open("wb") as full:
        process = start("--help", stdout=full)
        assert process.wait(20) == 1
    assert process.stderr.read().startswith(b"error: ")


def test_closed_streams(start, clips) -> None:
    clip = clips("a.mp4")[0]
    command = f"'{sys.executable}' -m tests.support.stub_reasoner infer '{clip}'"
    for closing, code in ((">&-", 1), ("2>&-", 0), ("<&-", 0)):
        done = subprocess.run(
            f"{command} {closing}", shell=True, capture_output=True, cwd=Path.cwd(), timeout=60
        )
        assert done.returncode == code, (closing, done)
        assert b"Traceback" not in done.stderr


def test_a_latin_terminal_gets_escapes_and_valid_json(start, clips) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    process = start("infer", *clips("怒.mp4"), "--json", env=environment)
    stdout, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert json.loads(stdout.decode("ascii"))["clip"].endswith("怒.mp4")


def test_a_path_that_is_no_utf_8(start, tmp_path) -> None:
    clip = os.fsencode(tmp_path) + b"/\xff.mp4"
    Path(os.fsdecode(clip)).write_bytes(b"")
    process = start("infer", os.fsdecode(clip), "--json", "-f", "json,txt,jsonl", "-o", tmp_path / "out")
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["clip"] == os.fsdecode(clip)


@pytest.mark.parametrize(("variables", "escapes"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_sees_stages_and_bars(start, clips, variables, escapes) -> None:
    try:
        ours, theirs = pty.openpty()
    except OSError:
        pytest.skip("this machine has no pseudo-terminals")
    environment = {**os.environ, "TERM": "xterm", **variables}
    environment.pop("NO_COLOR", None) if not variables else None
    process = start("infer", *clips("a.mp4", "b.mp4"), stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    seen = b""
    while select.select([ours], [], [], 20)[0]:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    os.close(ours)
    assert process.wait(20) == 0
    text = seen.decode()
    assert "prefill" in text
    assert "1/2" in text
    assert "█" in text
    assert "happy 62 %, relieved 21 %" in text  # the decision is seen before the text
    assert ("\x1b[1m" in text) is escapes


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["infer", "--help"]])
def test_help_needs_no_engine(arguments) -> None:
    code = (
        "import sys; from emer_edge.cli.main import main\n"
        f"try: main({arguments})\nexcept SystemExit: pass\n"
        "print({'numpy', 'av', 'onnxruntime', 'llama_cpp', 'emer_edge._core'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.splitlines()[-1] == "set()"
