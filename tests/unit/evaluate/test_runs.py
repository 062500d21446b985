"""A run survives any kill: no clip lost, none asked twice, the same bytes in the end."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from emer_edge.errors import DeviceError, InputError, LimitError, MediaError
from emer_edge.evaluate.carry import carry_out
from emer_edge.evaluate.outputs import Output
from emer_edge.evaluate.prosody import Prosody
from emer_edge.evaluate.run_files import OUTPUTS, RUN, is_run, load_run
from emer_edge.evaluate.runs import RunFolder
from tests.support.run_driver import answer, config, rows

ROOT = Path(__file__).resolve().parents[3]
CLIPS = 12


def whole(folder: Path, count: int = CLIPS) -> bytes:
    """The outputs of an unbroken run."""
    data = rows(count)
    with RunFolder(folder, config(data), data) as run:
        assert carry_out(run, answer) == count
    return (folder / OUTPUTS).read_bytes()


def go_on(folder: Path, count: int = CLIPS) -> list[str]:
    """Go on with a run; the ids that were asked."""
    data, asked = rows(count), list[str]()
    with RunFolder(folder, config(data), data) as run:
        carry_out(run, lambda row: (asked.append(row.id), answer(row))[1])
    return asked


def test_a_run_keeps_answers_failures_and_what_was_asked(tmp_path) -> None:
    whole(tmp_path / "run")
    stored = load_run(tmp_path / "run")
    assert [*stored.outputs] == [row.id for row in stored.data.rows]
    assert stored.data == rows(CLIPS)
    assert stored.outputs["clip 3"].error == {
        "kind": "MediaError",
        "what": "Can't read clip 3.",
        "why": "It is damaged.",
        "todo": "Record it again.",
        "exit_code": 1,
    }
    assert stored.outputs["clip 4"] == answer(rows(CLIPS).rows[4])
    assert stored.record["system"] == {"pack": "none"}
    assert set(stored.record) >= {"versions", "machine", "began", "asked", "data"}
    assert go_on(tmp_path / "run") == []


def test_a_file_torn_at_any_byte_is_completed_to_the_same_bytes(tmp_path) -> None:
    wanted = whole(tmp_path / "whole", 5)
    ends = [0, *(n + 1 for n, byte in enumerate(wanted) if byte == 10)]
    cuts = sorted(
        {*ends, *(end + 1 for end in ends[:-1]), *(end - 1 for end in ends[1:]), *range(0, len(wanted), 97)}
    )
    whole(tmp_path / "torn", 5)
    for cut in cuts:
        path = tmp_path / "torn" / OUTPUTS
        path.write_bytes(wanted[:cut])
        kept = wanted[:cut].count(b"\n")
        assert len(load_run(tmp_path / "torn").outputs) == kept
        assert len(go_on(tmp_path / "torn", 5)) == 5 - kept
        assert path.read_bytes() == wanted


def test_zeros_where_the_last_line_should_be_are_dropped(tmp_path) -> None:
    wanted = whole(tmp_path, 4)
    lines = wanted.split(b"\n")
    for tail in (b"\0" * 40, b"\0" * 40 + b"\n", b"{}\n"):
        (tmp_path / OUTPUTS).write_bytes(b"\n".join(lines[:2]) + b"\n" + tail)
        assert len(go_on(tmp_path, 4)) == 2
        assert (tmp_path / OUTPUTS).read_bytes() == wanted


def test_damage_in_the_middle_is_not_passed_over(tmp_path) -> None:
    wanted = whole(tmp_path, 4)
    (tmp_path / OUTPUTS).write_bytes(b"\0\n" + wanted)
    with pytest.raises(InputError, match="line 1"):
        go_on(tmp_path, 4)
    (tmp_path / OUTPUTS).write_bytes(wanted + wanted)
    with pytest.raises(InputError, match="second output"):
        load_run(tmp_path)


def test_another_run_never_goes_on_in_the_same_folder(tmp_path) -> None:
    whole(tmp_path, 4)
    data = rows(4)
    for other in (
        replace(config(data), asked={"question": "explain"}),
        replace(config(data), system={"pack": "another"}),
        replace(config(data), versions={"emer-edge": "9"}),
        config(rows(5)),
    ):
        with pytest.raises(InputError, match="another run"):
            RunFolder(tmp_path, other, data)
    with RunFolder(tmp_path, replace(config(data), name="a new name"), data) as run:
        assert not run.left


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path) -> None:
    (tmp_path / OUTPUTS).write_bytes(b"{}\n")
    with pytest.raises(InputError, match="no run"):
        go_on(tmp_path)
    assert (tmp_path / OUTPUTS).read_bytes() == b"{}\n"
    assert not is_run(tmp_path)
    with pytest.raises(InputError):
        load_run(tmp_path)


def test_only_one_process_writes(tmp_path) -> None:
    data = rows(4)
    with RunFolder(tmp_path, config(data), data), pytest.raises(InputError, match="Another process"):
        RunFolder(tmp_path, config(data), data)
    assert len(go_on(tmp_path, 4)) == 4


def test_an_output_is_never_written_twice(tmp_path) -> None:
    data = rows(4)
    with RunFolder(tmp_path, config(data), data) as run:
        run.append(Output("clip 0", ("happy",)))
        with pytest.raises(InputError, match="already"):
            run.append(Output("clip 0", ("sad",)))


def test_the_system_failing_ends_a_run_that_can_go_on(tmp_path) -> None:
    data = rows(6)

    def gone(row):
        if row.id == "clip 4":
            raise DeviceError("The device has gone.")
        return answer(row)

    with RunFolder(tmp_path, config(data), data) as run, pytest.raises(DeviceError):
        carry_out(run, gone)
    assert go_on(tmp_path, 6) == ["clip 4", "clip 5"]


def test_failures_are_asked_again_only_when_that_is_wanted(tmp_path) -> None:
    whole(tmp_path)
    data = rows(CLIPS)
    with RunFolder(tmp_path, config(data), data) as run:
        assert run.forget_failures() == 2
        assert [row.id for row in run.left] == ["clip 3", "clip 10"]
        carry_out(run, lambda row: Output(row.id, ("sad",)))
    outputs = load_run(tmp_path).outputs
    assert len(outputs) == CLIPS
    assert outputs["clip 3"].labels == ("sad",)


def test_progress_counts_from_where_it_was(tmp_path) -> None:
    data, told = rows(4), list[tuple[int, int, str]]()
    with RunFolder(tmp_path, config(data), data) as run:
        run.append(Output("clip 0"))
    with RunFolder(tmp_path, config(data), data) as run:
        carry_out(run, answer, lambda *told_now: told.append(told_now))
    assert told == [(1, 4, "clip 1"), (2, 4, "clip 2"), (3, 4, "clip 3"), (4, 4, "")]


def test_an_output_survives_its_line() -> None:
    voice = Prosody(*(n / 7 for n in range(7)))
    output = Output(
        "ä", ("happy",), 'He said "hi".\n', {"happy": 0.5}, "positive", ("audio",), "hi", ("no face",), voice
    )
    again = Output.from_dict(json.loads(output.to_line()))
    assert again.to_line() == output.to_line()
    assert again.text == output.text
    assert again.alone == {}, "of a pack that has no modality read by itself, or an older run"
    alone = replace(output, alone={"face": "sad", "voice": "unclear"})
    assert Output.from_dict(json.loads(alone.to_line())).alone == {"face": "sad", "voice": "unclear"}
    with pytest.raises(InputError):
        Output.from_dict(json.loads(replace(output, alone={"smell": "sad"}).to_line()))
    failure = Output.failure("b", LimitError("Too long.", "2 > 1", "Cut it."))
    assert Output.from_dict(json.loads(failure.to_line())) == failure
    assert Output("c", text="half \ud800").to_line().decode()
    with pytest.raises(InputError):
        Output("d", scores={"happy": float("nan")}).to_line()
    with pytest.raises(InputError):
        Output.from_dict({"id": 3, "status": "ok"})


def kill_until_done(folder: Path, kills: int, count: int, seed: int) -> None:
    """Start a run again and again, killing it at a random moment after random progress, then let it end."""
    chance = random.Random(seed)
    command = [sys.executable, "-m", "tests.support.run_driver", str(folder), str(count), "0.01"]
    for kill in range(kills):
        process = subprocess.Popen(command, cwd=ROOT)
        path, goal = folder / OUTPUTS, (kill + 1) * count // (kills + 1)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if path.exists() and path.read_bytes().count(b"\n") >= goal:
                break
            time.sleep(0.002)
        time.sleep(chance.random() * 0.03)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, cwd=ROOT, check=True, timeout=300)


def test_a_killed_run_equals_an_unbroken_one(tmp_path) -> None:
    wanted = whole(tmp_path / "whole", 30)
    kill_until_done(tmp_path / "killed", 2, 30, seed=1)
    assert (tmp_path / "killed" / OUTPUTS).read_bytes() == wanted
    assert (tmp_path / "killed" / RUN).is_file()


@pytest.mark.slow
def test_twenty_kills_change_nothing(tmp_path) -> None:
    wanted = whole(tmp_path / "whole", 300)
    kill_until_done(tmp_path / "killed", 20, 300, seed=2)
    assert (tmp_path / "killed" / OUTPUTS).read_bytes() == wanted


def test_a_clip_that_can_t_be_read_is_no_end(tmp_path) -> None:
    data = rows(3)

    def broken(row):
        raise MediaError(f"Can't read {row.id}.")

    with RunFolder(tmp_path, config(data), data) as run:
        assert carry_out(run, broken) == 3
        assert all(output.failed for output in run.done.values())
