"""errors, limits, results and atomic: the floor that everything stands on."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emer_edge import atomic, errors
from emer_edge.errors import EmerError, InputError, OutputError
from emer_edge.limits import Limits
from emer_edge.results import FrameBatch, Reasoning, Timings, Used, Waveform


def test_every_error_is_in_the_drawn_tree() -> None:
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, EmerError)
    }
    assert errors.__doc__ is not None
    drawn = {
        word for word in errors.__doc__.replace("├──", " ").replace("└──", " ").split() if word in classes
    }
    assert drawn == classes


def test_error_has_three_lines_and_a_dict() -> None:
    error = errors.LimitError("a.mp4 is too long.", "2 h > 1 h", "Cut it.")
    assert str(error).splitlines() == ["a.mp4 is too long.", "2 h > 1 h", "Cut it."]
    assert error.to_dict()["exit_code"] == 5
    assert str(EmerError("only what")) == "only what"


@pytest.mark.parametrize("value", [0, -1, float("nan"), "8", True, None])
def test_limits_refuse_what_is_not_a_positive_number(value: object) -> None:
    with pytest.raises(InputError):
        Limits(frames=value)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["manifest_bytes", "pack_bytes", "subtitle_bytes"])
@pytest.mark.parametrize("value", [1e6, float("inf"), 2**64])
def test_limits_that_count_are_whole_numbers(name: str, value: float) -> None:
    with pytest.raises(InputError):
        Limits(**{name: value})  # type: ignore[arg-type]


def test_atomic_write_takes_the_longest_names(tmp_path: Path) -> None:
    target = tmp_path / ("\u5fc3" * 75 + ".emer.json")
    atomic.write_text_atomic(target, "one", overwrite=False)
    assert target.read_text() == "one"


def test_atomic_write_does_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "out.json"
    atomic.write_text_atomic(target, "one", overwrite=False)
    assert target.read_text() == "one"
    with pytest.raises(OutputError, match="exists already"):
        atomic.write_text_atomic(target, "two", overwrite=False)


def test_values_print_their_shape_not_their_data() -> None:
    batch = FrameBatch(np.zeros((2, 3, 4, 5), np.uint8), np.zeros(2), "array")
    assert "(2, 3, 4, 5)" in repr(batch)
    assert repr(Waveform(np.zeros(16_000, np.float32), 16_000)).startswith("Waveform(1.000 s")


def test_to_dict_without_timings_has_no_clock_in_it() -> None:
    reasoning = Reasoning("c", "explain", "t", (), (), Used(("audio",)), Timings(total=1.23))
    assert "timings" in reasoning.to_dict()
    assert "1.23" not in str(reasoning.to_dict(timings=False))


def test_atomic_write_is_whole_or_absent(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    atomic.write_text_atomic(target, "one")
    with pytest.raises(RuntimeError), atomic.open_atomic(target) as handle:
        handle.write(b"half")
        raise RuntimeError
    assert target.read_text() == "one"
    assert list(tmp_path.iterdir()) == [target]


def test_atomic_write_does_not_overwrite_unless_told(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    atomic.write_text_atomic(target, "one", overwrite=False)
    with pytest.raises(OutputError, match="exists already"):
        atomic.write_text_atomic(target, "two", overwrite=False)
    assert target.read_text() == "one"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_atomic_write_reports_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os if call == "fsync" else Path, call, fail)
    with pytest.raises(OutputError, match="No space left"):
        atomic.write_text_atomic(tmp_path / "out.json", "one")
    assert list(tmp_path.iterdir()) == []


def test_atomic_write_survives_kill_9(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom emer_edge.atomic import write_text_atomic\n"
        "n = 0\nprint('ready', flush=True)\n"
        "while True:\n    n += 1\n    write_text_atomic(Path(sys.argv[1]), str(n % 10) * 200_000)\n"
    )
    target = tmp_path / "out.txt"
    torn = 0
    for attempt in range(5):
        child = subprocess.Popen([sys.executable, "-c", script, str(target)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.02 + 0.013 * attempt)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        text = target.read_text() if target.exists() else ""
        torn += bool(text) and (len(text) != 200_000 or len(set(text)) != 1)
    assert torn == 0
    old = time.time() - 7200
    for leftover in tmp_path.glob(".emer-tmp-*"):
        os.utime(leftover, (old, old))
    atomic.sweep(tmp_path)
    assert not list(tmp_path.glob(".emer-tmp-*"))
