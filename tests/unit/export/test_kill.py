"""The command is killed outright, at several moments, and goes on where it was."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

for _name in ("torch", "transformers", "onnx"):
    pytest.importorskip(_name)

_PATIENCE_SECONDS = 300.0
_MOMENTS = ("vision.fp32.onnx", "audio.fp32.onnx", "llm.F16.gguf")


def _start(light_mer: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "emer_edge", "export", "light-mer", "-o", str(out), "--look", "frames"]
    command += ["--checkpoint", str(light_mer / "checkpoint.pth"), "--models", str(light_mer)]
    command += ["--precision", "fp32,int8", "--quantize", "F16,Q8_0"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while not path.exists() and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.01)


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.slow
def test_a_killed_export_is_finished_by_the_same_command(light_mer: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole" / "pack"
    process = _start(light_mer, whole)
    assert process.wait(_PATIENCE_SECONDS) == 0, process.communicate()[1].decode()

    broken = tmp_path / "broken" / "pack"
    beside = broken.with_name("pack.part")
    kept: dict[str, int] = {}
    for moment in _MOMENTS:
        process = _start(light_mer, broken)
        _wait_for(beside / moment, process)
        process.kill()
        process.communicate()
        assert process.returncode == -9, "it was over before it could be killed"
        assert not broken.exists()
        # What was finished before an earlier kill was not made again.
        assert all((beside / name).stat().st_ino == inode for name, inode in kept.items())
        finished = [name for name in _MOMENTS[: _MOMENTS.index(moment)] if (beside / name).exists()]
        kept = {name: (beside / name).stat().st_ino for name in finished}
    assert len(kept) == 2

    process = _start(light_mer, broken)
    said = process.communicate(timeout=_PATIENCE_SECONDS)[1].decode()
    assert process.returncode == 0, said
    assert not beside.exists()
    assert all((broken / name).stat().st_ino == inode for name, inode in kept.items())
    assert _digests(broken) == _digests(whole)
