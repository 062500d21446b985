"""The examples that people copy: docstrings and the README's Python run as they stand."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

import emer_edge as ee
from emer_edge import reasoner

README = Path(__file__).parents[2] / "README.md"


def test_docstring_examples_run() -> None:
    results = doctest.testmod(reasoner, raise_on_error=False)
    assert results.attempted >= 6
    assert results.failed == 0


def test_the_python_of_the_readme_runs(
    demo_clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert blocks
    monkeypatch.chdir(demo_clip.parent)
    (demo_clip.parent / "clip.mp4").write_bytes(demo_clip.read_bytes())
    (demo_clip.parent / "clip.srt").write_bytes(demo_clip.with_suffix(".srt").read_bytes())
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out


def test_the_built_in_pack_says_the_same_twenty_times(demo_clip: Path) -> None:
    with ee.load("emer-nano", threads=2) as loaded:
        said = {str(loaded.infer(demo_clip).to_dict(timings=False)) for _ in range(20)}
    assert len(said) == 1
