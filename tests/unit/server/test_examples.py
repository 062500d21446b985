"""What docs/server.md shows, run as it stands there against the built-in pack."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server_client import ROOT, Server

PAGE = (ROOT / "docs" / "server.md").read_text()
BLOCKS = re.findall(r"<!-- run -->\n```(\w+)\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(demo_clip: Path, tmp_path: Path) -> Path:
    """A folder as a reader has it: a clip, its subtitle, the examples."""
    for suffix in (".mp4", ".srt"):
        shutil.copy(demo_clip.with_suffix(suffix), tmp_path / f"clip{suffix}")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


def test_there_are_examples() -> None:
    assert [language for language, _ in BLOCKS] == ["sh", "sh", "python", "sh"]


@pytest.mark.parametrize(("language", "code"), BLOCKS)
def test_an_example_runs(real: Server, folder: Path, language: str, code: str) -> None:
    if "curl" in code and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    if "openai" in code:
        pytest.importorskip("openai", reason="OpenAI's client is not installed")
    code = code.replace("127.0.0.1:8600", f"127.0.0.1:{real.port}")
    command = ["bash", "-euc", code] if language == "sh" else [sys.executable, "-c", code]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    check(code, done.stdout)


def check(code: str, out: str) -> None:
    if "live_client" in code:
        events = [json.loads(line) for line in out.splitlines()]
        kinds = [event["kind"] for event in events]
        assert kinds[0] == "session"
        assert kinds[-1] == "closed"
        assert kinds.count("state") >= 5
        assert "reasoning" in kinds
        assert not [event for event in events if event["kind"] == "error"]
    elif "event-stream" in code:
        assert "event: done" in out
    elif "openai" in code:
        assert "happy" in out
    else:
        answers = [json.loads(text) for text in out.replace("}{", "}\n{").splitlines()]
        assert [answer["question"] for answer in answers] == ["explain", "Why does she smile?", "labels"]
        assert {answer["clip"] for answer in answers} == {"clip.mp4"}
        assert answers[1]["used"]["subtitle"] == "I am fine."
