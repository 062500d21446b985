"""The examples of docs/live.md run as they stand, and the doctests of the small modules."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from emer_edge.live import affect, options, plan

PAGE = Path(__file__).parents[3] / "docs" / "live.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_there_is_an_example_for_each_way_to_read() -> None:
    assert len(BLOCKS) == 3


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_an_example_of_the_page_runs(
    number: int,
    demo_clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "clip.mp4").symlink_to(demo_clip)
    (tmp_path / "clip.srt").symlink_to(demo_clip.with_suffix(".srt"))
    monkeypatch.chdir(tmp_path)
    exec(compile(BLOCKS[number], "docs/live.md", "exec"), {"__name__": "example"})
    said = capsys.readouterr().out
    assert len(said.splitlines()) >= 3


@pytest.mark.parametrize("module", [affect, options, plan])
def test_docstring_examples_run(module: object) -> None:
    results = doctest.testmod(module)  # type: ignore[arg-type]
    assert results.attempted >= 1
    assert results.failed == 0


def test_every_label_of_the_built_in_pack_has_a_place() -> None:
    import emer_edge as ee

    with ee.load("emer-nano") as reasoner:
        for label in reasoner.manifest.labels.candidates:
            assert affect.place(label) is not None, label
    for valence, arousal in affect.TERMS.values():
        assert -1 <= valence <= 1
        assert -1 <= arousal <= 1
    assert set(affect.STANDS_FOR.values()) <= set(affect.TERMS)
    assert affect.valence_arousal({"no such label": 1.0}) == (0.0, 0.0)
    assert affect.valence_arousal({}) == (0.0, 0.0)
