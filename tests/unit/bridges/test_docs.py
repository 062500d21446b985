"""docs/bridges.md says what the code does: its tables, its commands, its Python and its dataflow."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from emer_edge.bridges.expressions import expression_name
from emer_edge.bridges.payloads import INPUTS
from emer_edge.bridges.ros_inputs import RosOptions
from emer_edge.bridges.ros_types import Topics
from emer_edge.bridges.zenoh import KINDS
from emer_edge.cli.main import root
from emer_edge.writers.timeline_table import COLUMNS
from tests.support.sample_timeline import write_record

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "bridges.md").read_text(encoding="utf-8")


def test_the_columns() -> None:
    found = re.findall(r"^\| `(\w+)` \| (.+) \|$", TEXT.partition("| column | meaning |")[2], re.MULTILINE)
    assert dict(found) == dict(COLUMNS)


def test_the_labels_and_their_constants() -> None:
    table = TEXT.partition("| label | constant | |")[2].partition("\n\n")[0]
    found = re.findall(r"\| ([a-z, ]+) \| (?:`(\w+)`|none: not published) (?=\|)", table)
    told = {label: constant or None for labels, constant in found for label in labels.split(", ")}
    assert len(told) == 10
    assert told == {label: expression_name(label) for label in told}


def test_the_topics_and_keys() -> None:
    options = RosOptions(Topics("ID"))
    for topic, name in (*options.inputs, *options.outputs):
        assert f"`{topic}`" in TEXT
        assert f"`{name}`" in TEXT
    assert all(f"`event/{kind}`" in TEXT for kind in KINDS)
    assert all(f"`in/{name}`" in TEXT for name in INPUTS)


def test_the_commands_parse() -> None:
    calls = [line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]
    ours = [line for line in calls if line.startswith("emer-edge ")]
    assert len(ours) >= 4
    for line in ours:
        words = shlex.split(line.partition("#")[0].rstrip(" &"))[1:]
        context = click.Context(root, info_name="emer-edge")
        while isinstance(context.command, click.Group):
            name, *words = words
            command = context.command.get_command(context, name)
            assert command is not None, line
            context = click.Context(command, info_name=name, parent=context)
        context.command.make_context(context.info_name, words, parent=context.parent)


def test_the_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_record(tmp_path / "timeline.jsonl")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 1
    for block in blocks:
        exec(compile(block, "docs/bridges.md", "exec"), {})
    assert "4.0 sad -0.6 She looked down." in capsys.readouterr().out


def test_the_files_are_there() -> None:
    for target in re.findall(r"\]\((\.\./[^)]+|[a-z]+\.md)\)", TEXT):
        if target != "live.md":  # written beside this page
            assert (ROOT / "docs" / target).exists(), target
