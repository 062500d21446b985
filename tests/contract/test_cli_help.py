"""The help: three examples per verb that would be accepted, a page that is not stale, quick to appear."""

from __future__ import annotations

import re
import resource
import shlex
import subprocess
import sys

import click
import pytest

from emer_edge.cli.border import EXIT_CODES
from emer_edge.cli.main import root
from scripts.make_cli_docs import TARGET, contexts, render, root_context

CONTEXTS = {context.command_path: context for context in contexts(root_context())}


def test_the_page_is_not_stale() -> None:
    assert TARGET.read_text(encoding="utf-8") == render(), "run: python scripts/make_cli_docs.py"


def test_every_promised_verb_is_there() -> None:
    promised = ["infer", "probe", "completion", "config show"]
    promised += [f"packs {verb}" for verb in ("list", "show", "verify", "path", "rm", "add")]
    assert {f"emer-edge {verb}" for verb in promised} <= set(CONTEXTS)


def examples(context: click.Context) -> list[str]:
    text = context.get_help().split("Examples:\n")[1]
    return [line.strip() for line in text.split("\n\n")[0].splitlines()]


@pytest.mark.parametrize("path", CONTEXTS)
def test_every_verb_has_three_examples_that_parse(path: str) -> None:
    found = examples(CONTEXTS[path])
    assert len(found) == 3
    for example in found:
        calls = re.findall(r"emer-edge [^&>|)]+", example)
        assert calls, example
        for call in calls:
            parse(shlex.split(call)[1:])


def parse(words: list[str]) -> None:
    """Parse a call without running it: raises click.UsageError where it makes no sense."""
    context = root_context()
    while isinstance(context.command, click.Group):
        name, *words = words
        command = context.command.get_command(context, name)
        assert command is not None, name
        context = click.Context(command, info_name=name, parent=context)
    context.command.make_context(context.info_name, words, parent=context.parent)


@pytest.mark.parametrize("path", CONTEXTS)
def test_every_option_says_what_it_does(path: str) -> None:
    for parameter in CONTEXTS[path].command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_exit_codes_are_those_of_the_errors() -> None:
    from emer_edge import errors

    codes = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type)}
    assert codes | {0} == {code for code, _ in EXIT_CODES}
    for code, meaning in EXIT_CODES:
        assert f"{code}  {meaning}" in root.get_help(root_context())


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_takes_under_200_ms(flag: str) -> None:
    spent = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "emer_edge", flag], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < 0.2  # processor time: the machine may be busy with other things
