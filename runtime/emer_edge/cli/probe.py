"""`emer-edge probe`: what is inside a clip, and whether it would be refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from emer_edge.cli.border import debug_option, report
from emer_edge.cli.inputs import refuse_url
from emer_edge.cli.options import PathText
from emer_edge.cli.terminal import one_line, put
from emer_edge.errors import EmerError
from emer_edge.writers.records import failure_line

if TYPE_CHECKING:
    from emer_edge.media.source import Probe


@click.command(name="probe", short_help="Show what is inside a clip, and whether it would be refused.")
@click.argument("clip", type=PathText(), metavar="CLIP")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@debug_option
def probe(clip: str, as_json: bool) -> int:
    """Show what is inside a clip, and whether it would be refused and why.

    No frame is decoded. The exit code is 0 for a clip that would be taken, 5 where a limit would be
    passed, and 1 for any other reason to refuse it.

    \b
    Examples:
      emer-edge probe clip.mp4
      emer-edge probe clip.mp4 --json
      emer-edge probe clip.mp4 > /dev/null && emer-edge infer clip.mp4
    """
    import emer_edge as ee

    refuse_url(clip)
    try:
        found = ee.probe(clip)
    except EmerError as error:
        if as_json:
            put(failure_line(clip, error, ascii_only=True))
        report(error)
        return error.exit_code
    if as_json:
        put(json.dumps({"clip": clip, **found.to_dict()}) + "\n")
    else:
        put("".join(f"{one_line(line)}\n" for line in _lines(clip, found)))
    return 1 if found.refusals else 0


def _lines(clip: str, found: Probe) -> list[str]:
    """The findings for people to read."""
    length = f"{found.duration_seconds:.2f} s" if found.duration_seconds else "unknown duration"
    lines = [f"{clip}: {found.container}, {length}, {found.size_bytes} bytes, {found.streams} streams"]
    video, audio = found.video, found.audio
    if video is None:
        lines.append("video     none")
    else:
        turned = f", turned {video.rotation} degrees" if video.rotation else ""
        frames = f", {video.frames} frames" if video.frames else ""
        lines.append(
            f"video     {video.codec} {video.width}x{video.height}, {video.fps:.3g} fps{frames}, "
            f"{video.pixel_format}{turned}"
        )
    if audio is None:
        lines.append("audio     none")
    else:
        lines.append(f"audio     {audio.codec} {audio.sample_rate} Hz, {audio.channels} channels")
    for stream in found.subtitles:
        kind = "text" if stream.is_text else "pictures, which are not read"
        lines.append(
            f"subtitle  {stream.codec} {stream.language or 'no language'}, {kind} (stream {stream.index})"
        )
    lines += [f"refused   {reason}" for reason in found.refusals]
    return [*lines, *([] if found.refusals else ["accepted"])]
