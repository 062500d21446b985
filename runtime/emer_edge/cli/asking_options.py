"""Options of the verbs that ask a pack about many clips. Knows no verb."""

from __future__ import annotations

from typing import Any

import click

from emer_edge.cli.options import PathText


def asking_options(command: Any) -> Any:
    """Adds what is asked of which clips: --media, --only, --question, --max-tokens and so on."""
    options = [
        click.option(
            "--media", type=PathText(), metavar="DIR", help="Folder that holds the clips, at any depth."
        ),
        click.option("--text-only", is_flag=True, help="Where there is no clip, ask by the subtitle alone."),
        click.option(
            "--allow-missing", is_flag=True, help="Let clips that are missing fail, rather than refuse."
        ),
        click.option(
            "--only",
            type=click.Choice(("face", "voice", "words")),
            default=None,
            help="Give the pack this modality alone: a baseline.",
        ),
        click.option(
            "-q", "--question", default="explain", show_default=True, metavar="TEXT", help="What is asked."
        ),
        click.option(
            "--max-tokens", type=click.IntRange(0), metavar="N", help="Ceiling of the text; 0: labels only."
        ),
        click.option(
            "--temperature",
            type=click.FloatRange(0, 10),
            metavar="T",
            help="0 is repeatable. [default: the pack's]",
        ),
        click.option(
            "--seed", type=click.IntRange(0, 2**32 - 1), default=0, metavar="N", help="Seed of the sampler."
        ),
    ]
    return _with(command, options)


def running_options(command: Any) -> Any:
    """Adds how a run is carried out: --at-once, --ray, --workers, --output and so on."""
    options = [
        click.option(
            "--at-once",
            type=click.IntRange(1, 64),
            default=1,
            show_default=True,
            metavar="N",
            help="Clips side by side in the language model: more of them a second.",
        ),
        click.option(
            "--ray",
            metavar="ADDRESS",
            help="Spread the clips over a Ray cluster: its address, auto, or local for one on this machine.",
        ),
        click.option(
            "--workers",
            type=click.IntRange(1, 100_000),
            metavar="N",
            help="Workers of --ray. [default: as many as it has room for]",
        ),
        click.option(
            "-o", "--output", type=PathText(), required=True, metavar="DIR", help="The run's folder."
        ),
        click.option("--parquet", is_flag=True, help="Write outputs.parquet too, one row a clip."),
        click.option("--name", metavar="TEXT", help="Name in tables. [default: that of the pack]"),
        click.option("--retry-failed", is_flag=True, help="Ask again about clips that failed before."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        click.option("--quiet", is_flag=True, help="Say nothing on standard error but errors."),
    ]
    return _with(command, options)


def _with(command: Any, options: list[Any]) -> Any:
    for option in reversed(options):
        command = option(command)
    return command
