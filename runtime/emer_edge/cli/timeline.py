"""`emer-edge timeline`: recorded timelines in other formats. Knows flags and endings, not formats."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from emer_edge.cli.border import debug_option
from emer_edge.cli.options import PathText
from emer_edge.cli.terminal import one_line, put, say
from emer_edge.errors import InputError

if TYPE_CHECKING:
    from emer_edge.writers.timeline import Timeline

ENDINGS = (".emotionml", ".vtt", ".srt", ".csv", ".parquet")


@click.group(name="timeline", short_help="Turn recorded timelines into other formats.")
def timeline() -> None:
    """Turn timelines, as `emer-edge live --record` writes them, into other formats.

    See docs/bridges.md for the formats and their columns.

    \b
    Examples:
      emer-edge timeline convert record.jsonl -o record.vtt
      emer-edge timeline convert record.jsonl -o record.parquet --force
      emer-edge timeline show record.jsonl
    """


def _finite(_ctx: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a number.")
    return value


@timeline.command(short_help="Write a timeline as EmotionML, WebVTT, SRT, CSV or Parquet.")
@click.argument("record", type=PathText(), metavar="RECORD")
@click.option(
    "-o",
    "--output",
    type=PathText(),
    required=True,
    metavar="FILE",
    help="Its ending is the format: .emotionml, .vtt, .srt, .csv, .parquet.",
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
@click.option(
    "--media",
    default="",
    metavar="URI",
    help="EmotionML: the recording that the times belong to, as it is to be referred to.",
)
@click.option(
    "--origin",
    type=float,
    callback=_finite,
    metavar="SECONDS",
    help="EmotionML: the stream's zero in Unix time; times are then absolute.",
)
@debug_option
def convert(record: str, output: str, force: bool, media: str, origin: float | None) -> int:
    """Write a recorded timeline in another format, named by the file's ending.

    What the record lacks is said: kinds of events that this version does not know, and a last line that
    was cut off. The exit code is 0 all the same.

    \b
    Examples:
      emer-edge timeline convert record.jsonl -o record.emotionml --media talk.mp4
      emer-edge timeline convert record.jsonl -o record.srt
      emer-edge timeline convert record.jsonl -o record.csv --force
    """
    from emer_edge.atomic import open_atomic
    from emer_edge.bridges.record import read_timeline

    target = Path(output)
    if target.suffix.lower() not in ENDINGS:
        raise InputError(
            f"No format is called {target.suffix or output!r}.", todo=f"End the name in {', '.join(ENDINGS)}."
        )
    if origin is not None and target.suffix.lower() != ".emotionml":
        raise InputError("--origin is for EmotionML.", todo="Leave it out.")
    found = read_timeline(Path(record))
    with open_atomic(target, overwrite=force) as handle:
        handle.write(_render(found, target.suffix.lower(), media, origin))
    _remark(found)
    say(f"{len(found.states)} states -> {one_line(output)}")
    return 0


@timeline.command(short_help="Say what a timeline holds.")
@click.argument("record", type=PathText(), metavar="RECORD")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@debug_option
def show(record: str, as_json: bool) -> int:
    """Say what a recorded timeline holds: how many states, over which time, what was dropped.

    \b
    Examples:
      emer-edge timeline show record.jsonl
      emer-edge timeline show record.jsonl --json
      emer-edge timeline show record.jsonl && emer-edge timeline convert record.jsonl -o record.csv
    """
    from emer_edge.bridges.record import read_timeline

    found = read_timeline(Path(record))
    states = found.states
    dropped: dict[str, int] = {}
    for event in found.dropped:
        dropped[event.why] = dropped.get(event.why, 0) + event.n
    summary = {
        "session": found.session,
        "states": len(states),
        "start_pts_seconds": min((state.start_pts_seconds for state in states), default=0.0),
        "end_pts_seconds": max((state.end_pts_seconds for state in states), default=0.0),
        "reasonings": len(found.reasonings),
        "errors": len(found.failures),
        "dropped": dropped,
        "unknown": found.unknown,
        "truncated": found.truncated,
    }
    if as_json:
        put(json.dumps(summary) + "\n")
        return 0
    for key, value in summary.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {count}" for name, count in value.items()) or "none"
        put(f"{key:<18} {one_line(str(value))}\n")
    return 0


def _render(found: Timeline, ending: str, media: str, origin: float | None) -> bytes:
    from emer_edge.writers import timeline as captions
    from emer_edge.writers import timeline_table as table
    from emer_edge.writers.emotionml import timeline_to_emotionml

    if ending == ".parquet":
        return table.timeline_to_parquet(found)
    if ending == ".csv":
        text = table.timeline_to_csv(found)
    elif ending == ".emotionml":
        text = timeline_to_emotionml(found, media_uri=media, unix_origin_seconds=origin)
    else:
        text = (captions.timeline_to_srt if ending == ".srt" else captions.timeline_to_vtt)(found)
    return text.encode("utf-8", "backslashreplace")


def _remark(found: Timeline) -> None:
    for kind, count in found.unknown.items():
        say(f"{count} records of the unknown kind {one_line(kind)} were passed over")
    if found.truncated:
        say("the last line was cut off and is left out")
