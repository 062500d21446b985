"""A Reasoning as a record: JSON, JSON Lines, plain text. Knows no files and no terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from emer_edge.errors import EmerError, OutputError

if TYPE_CHECKING:
    from emer_edge.results import Emotion, Reasoning

SCHEMA_VERSION = "1.0"
"""Version of the failure record; equal to the version of `Reasoning.to_dict()`."""


def to_json(reasoning: Reasoning, *, timings: bool = False) -> str:
    """The documented JSON object, indented, with a newline at the end.

    Without `timings` it is equal for equal input at temperature 0.

    Raises:
        OutputError: the result holds a number that JSON has no word for.
    """
    return _dump(reasoning.to_dict(timings=timings), indent=2) + "\n"


def to_json_line(reasoning: Reasoning, *, timings: bool = False, ascii_only: bool = False) -> str:
    """As `to_json`, on one line; `ascii_only` escapes everything else for terminals that are not UTF-8."""
    return _dump(reasoning.to_dict(timings=timings), ascii_only=ascii_only) + "\n"


def failure_line(clip: str, error: EmerError, *, ascii_only: bool = False) -> str:
    """The one-line record of a clip that failed; the schema is `failure.schema.json`."""
    record = {"schema_version": SCHEMA_VERSION, "clip": clip, "error": error.to_dict()}
    return _dump(record, ascii_only=ascii_only) + "\n"


def to_text(reasoning: Reasoning, *, timings: bool = False) -> str:
    """The answer for people to read: the text, the labels, the clues, what it rests on."""
    used = reasoning.used
    lines = [reasoning.clip, "=" * min(72, max(4, len(reasoning.clip))), ""]
    if reasoning.text:
        lines += [reasoning.text, ""]
    lines += ["Emotions"]
    lines += [f"  {label_line(emotion)}" for emotion in reasoning.emotions] or ["  none above the threshold"]
    if len(reasoning.alone) > 1:
        lines += ["", "Alone", *(f"  {line}" for line in alone_lines(reasoning))]
    if reasoning.clues:
        lines += ["", "Clues", *(f"  {clue.modality}: {clue.text}" for clue in reasoning.clues)]
    lines += ["", f"Question  {reasoning.question}"]
    lines += [f"Rests on  {', '.join(used.modalities) or 'nothing'}"]
    if used.subtitle:
        lines += [f'Words     "{used.subtitle}" ({used.subtitle_source})']
    lines += [f"Missing   {sentence}" for sentence in used.missing]
    lines += [f"Pack      {reasoning.pack} {reasoning.pack_version} on {reasoning.device}"]
    if timings:
        lines += [f"Time      {line}" for line in timing_lines(reasoning)]
    return "\n".join(lines) + "\n"


def label_line(emotion: Emotion) -> str:
    """`happy 62 %`, or the label alone where only the text names it."""
    if emotion.confidence is None:
        return emotion.label
    return f"{emotion.label} {emotion.confidence:.0%}".replace("%", " %")


def alone_lines(reasoning: Reasoning) -> list[str]:
    """What each modality shows by itself, a line each: `vision happy 81 %`."""
    return [f"{a.modality} {a.label} {a.confidence:.0%}".replace("%", " %") for a in reasoning.alone]


def timing_lines(reasoning: Reasoning) -> list[str]:
    """One line per stage that took time, in the order of the trip; seconds, and tokens as counts."""
    values: dict[str, Any] = reasoning.to_dict(timings=True)["timings"]
    lines = []
    for name, value in values.items():
        if not value:
            continue
        amount = f"{value:.0f}" if name.endswith("_tokens") else f"{value:.4f} s"
        lines.append(f"{name.replace('_', ' '):<14} {amount}")
    return lines


def _dump(record: dict[str, Any], *, indent: int | None = None, ascii_only: bool = False) -> str:
    try:
        return json.dumps(record, indent=indent, ensure_ascii=ascii_only, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise OutputError(
            "The result can't be written as JSON.",
            why=str(error),
            todo="Report this with the clip's `emer-edge probe` output.",
        ) from error
