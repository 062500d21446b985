"""`emer-edge infer`: the flags, and nothing else."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from emer_edge.cli.border import Root, debug_option
from emer_edge.cli.options import PathText, engine_options


def _number(_ctx: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a number.")
    return value


@click.command(name="infer", short_help="Say what the person in a clip feels, and why.")
@click.argument("clips", nargs=-1, required=True, type=PathText(), metavar="CLIP...")
@click.option(
    "-q",
    "--question",
    default="explain",
    show_default=True,
    metavar="TEXT",
    help="explain, labels, sentiment, or any question in words.",
)
@click.option(
    "-s",
    "--subtitle",
    type=PathText(),
    metavar="FILE|TEXT",
    help="What is said: an .srt, .vtt or .txt file, or the words. Without it: a file beside the clip, "
    "or text inside the clip. For one clip only.",
)
@click.option("--no-subtitle", is_flag=True, help="Use no subtitle, also where one is found.")
@engine_options
@click.option(
    "--max-tokens",
    type=click.IntRange(0),
    metavar="N",
    help="Ceiling of the text; 0 gives only the labels, at once.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(0, 10),
    callback=_number,
    metavar="T",
    help="0 is repeatable; more is freer. [default: the pack's]",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=0, metavar="N", help="Seed of the sampler."
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object per clip, one line each, and nothing else."
)
@click.option(
    "-f",
    "--format",
    "formats",
    multiple=True,
    metavar="LIST",
    help="Write files: json, jsonl, txt, srt, vtt; several with commas. jsonl is one file for the whole run.",
)
@click.option(
    "-o",
    "--output",
    type=PathText(),
    metavar="DIR",
    help="Folder for the files, made if missing. [default: the current one; implies --format json]",
)
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
@click.option("-k", "--keep-going", is_flag=True, help="Go on with the next clip after one that failed.")
@click.option("--timings", is_flag=True, help="Show seconds per stage, and add them to JSON.")
@click.option("--quiet", is_flag=True, help="Say nothing on standard error but errors.")
@debug_option
@click.pass_context
def infer(
    ctx: click.Context,
    /,
    clips: tuple[str, ...],
    subtitle: str | None,
    no_subtitle: bool,
    formats: tuple[str, ...],
    output: str | None,
    **flags: Any,
) -> int:
    """Say what the person in a clip feels, and why.

    CLIP is a video or sound file, a folder of them (one level, by name), or - for a list on standard
    input, one path a line. The answer goes to standard output: the reasoning as it is written, then the
    labels with their confidences. Everything else goes to standard error.

    \b
    Examples:
      emer-edge infer clip.mp4
      emer-edge infer clip.mp4 --question "Why does she hesitate?" --subtitle "I am fine."
      emer-edge infer clips/ --keep-going --json > answers.jsonl

    \b
    Files that --format writes, for clip.mp4:
      clip.emer.json  clip.emer.txt  clip.emer.srt  clip.emer.vtt, and emer.jsonl for the run

    With several clips, --keep-going tries them all and ends with 1 if any failed; without it the run
    ends at the first failure, with the exit code of that failure. In --json a clip that failed gives
    an object with "error" in the place of its answer.
    """
    from emer_edge.cli.batch import Request, run
    from emer_edge.cli.outputs import parse_formats
    from emer_edge.config import DEFAULTS, load_settings

    if subtitle is not None and no_subtitle:
        raise click.UsageError("--subtitle and --no-subtitle exclude each other.", ctx)
    root = ctx.find_root().command
    settings = load_settings({name: flags.pop(name, None) for name in DEFAULTS})
    if output is not None and not formats:
        formats = ("json",)
    return run(
        Request(
            arguments=clips,
            settings=settings,
            subtitle="" if no_subtitle else subtitle,
            formats=parse_formats(formats),
            folder=Path(output or "."),
            debug=isinstance(root, Root) and root.debug,
            **flags,
        )
    )
