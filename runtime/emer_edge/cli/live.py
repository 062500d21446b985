"""`emer-edge live`: the flags, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from emer_edge.cli.border import debug_option
from emer_edge.cli.options import PathText, engine_options


def _when(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str | float:
    try:
        return float(value)
    except ValueError:
        return value


@click.command(name="live", short_help="Watch a camera, a file or a stream as it happens.")
@click.argument("source", type=PathText(), metavar="SOURCE")
@click.option(
    "--microphone", metavar="NAME", help="Microphone beside a camera: an ALSA device, as `default`."
)
@click.option(
    "--window", type=float, default=8.0, show_default=True, metavar="S", help="Seconds a state looks back."
)
@click.option(
    "--hop", type=float, default=2.0, show_default=True, metavar="S", help="Seconds between states."
)
@click.option(
    "--deadline", type=float, metavar="S", help="Age that a state should not pass. [default: the hop]"
)
@click.option(
    "--policy",
    type=click.Choice(["drop_oldest", "degrade", "block"]),
    help="What gives way where the model is too slow. [default: drop_oldest; block with --fast]",
)
@click.option(
    "--reasoning",
    default="never",
    show_default=True,
    metavar="WHEN",
    callback=_when,
    help="When to explain: never, on_change of the best label, or every so many seconds.",
)
@click.option("--without-speech", is_flag=True, help="Explain windows in which nobody speaks too.")
@click.option(
    "-q", "--question", default="explain", show_default=True, metavar="TEXT", help="What is explained."
)
@click.option("--max-tokens", type=click.IntRange(1), metavar="N", help="Ceiling of one explanation.")
@click.option(
    "--transcribe", type=PathText(), metavar="FOLDER", help="Write words down with this Vosk model."
)
@click.option("--language", default="en", show_default=True, metavar="TAG", help="Of what is said.")
@click.option("--fast", is_flag=True, help="A file as fast as it can be worked on, not at its own pace.")
@click.option("--loop", is_flag=True, help="A file again and again.")
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Stop after that time."
)
@click.option("--no-subtitle", is_flag=True, help="Use no words beside or inside a file.")
@click.option("--allow-network", is_flag=True, help="Allow an rtsp:// address as SOURCE.")
@engine_options
@click.option(
    "--json", "as_json", is_flag=True, help="Print every event as a line of JSON, and nothing else."
)
@click.option("--record", type=PathText(), metavar="FILE", help="Write the timeline there, as lines of JSON.")
@click.option("--force", is_flag=True, help="Overwrite the timeline if it exists.")
@click.option("--quiet", is_flag=True, help="Say nothing on standard error but errors.")
@debug_option
def live(source: str, record: str | None, **flags: Any) -> int:
    """Watch a camera, a file or a stream as it happens.

    SOURCE is a media file, `camera`, a device such as /dev/video1, `microphone`, or an rtsp:// address with
    --allow-network. A line is printed for every state: the time, the labels with their confidences, valence
    and arousal, what it rests on and how old it is. Explanations follow the state that they are about.

    \b
    Examples:
      emer-edge live camera --microphone default
      emer-edge live clip.mp4 --reasoning on_change
      emer-edge live clip.mp4 --fast --json --record timeline.jsonl > events.jsonl

    The run ends with the file, with Ctrl-C, or after --seconds. A source that fails ends it with its error.
    """
    from emer_edge.cli.live_run import Request, run
    from emer_edge.config import DEFAULTS, load_settings

    settings = load_settings({name: flags.pop(name, None) for name in DEFAULTS})
    return run(Request(source, settings, record=None if record is None else Path(record), **flags))
