"""A Reasoning as captions: SRT and WebVTT. Knows no files and no players.

Every caption is the label line and then a piece of the reasoning, at most two lines long. The pieces share
the clip's duration in proportion to their length; captions never overlap, and together they cover the clip.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from emer_edge.writers.records import label_line

if TYPE_CHECKING:
    from emer_edge.results import Cue, Reasoning

LINE_CHARS = 42
"""Characters per line, the usual ceiling of broadcast captions."""
CHARS_PER_SECOND = 15.0
"""Reading speed that sets the length of captions where the duration of the clip is unknown."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
# What would end a caption early, or is no text: control characters and every kind of line break.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")


def to_srt(reasoning: Reasoning) -> str:
    """Captions of the result as SRT."""
    return cues_to_srt(reasoning_cues(reasoning))


def to_vtt(reasoning: Reasoning) -> str:
    """Captions of the result as WebVTT."""
    return cues_to_vtt(reasoning_cues(reasoning))


def reasoning_cues(reasoning: Reasoning) -> list[Cue]:
    """Captions of the result, in order, without overlap; one caption where there is no text."""
    from emer_edge.results import Cue

    labels = " · ".join(label_line(emotion) for emotion in reasoning.emotions)
    pieces = split_text(reasoning.text) or [""]
    weights = [max(1, len(piece)) for piece in pieces]
    total = reasoning.duration_seconds or max(2.0, sum(weights) / CHARS_PER_SECOND)
    cues: list[Cue] = []
    done = 0
    start = 0
    for piece, weight in zip(pieces, weights, strict=True):
        done += weight
        end = max(start + 1, round(1000 * total * done / sum(weights)))  # milliseconds
        text = "\n".join(part for part in (labels, piece) if part)
        if text:
            cues.append(Cue(start / 1000, end / 1000, text))
        start = end
    return cues


def cues_to_srt(cues: Sequence[Cue]) -> str:
    """Cues as SRT. The format has no escapes: `<` is written as `‹` so that no player takes it for markup."""
    blocks: list[str] = []
    for cue in _writable(cues):
        text = cue.text.replace("<", "‹").replace("{\\", "{ \\").replace("\\N", "\\ N")
        times = f"{_stamp(cue.start_seconds, ',')} --> {_stamp(cue.end_seconds, ',')}"
        blocks.append(f"{len(blocks) + 1}\n{times}\n{text}\n")
    return "\n".join(blocks)


def cues_to_vtt(cues: Sequence[Cue]) -> str:
    """Cues as WebVTT, with its escapes for `&`, `<` and `>`."""
    blocks = ["WEBVTT\n"]
    for cue in _writable(cues):
        text = cue.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        text = text.replace("{\\", "{ \\").replace("\\N", "\\ N")
        blocks.append(f"{_stamp(cue.start_seconds, '.')} --> {_stamp(cue.end_seconds, '.')}\n{text}\n")
    return "\n".join(blocks)


def _writable(cues: Sequence[Cue]) -> list[Cue]:
    """Cues whose text can't end the caption early: no blank line, no arrow; empty ones are left out."""
    kept = []
    for cue in cues:
        lines = (" ".join(_UNSAFE.sub(" ", line).split()) for line in cue.text.split("\n"))
        text = "\n".join(line for line in lines if line).replace("-->", "→")
        if text:
            kept.append(replace(cue, text=text))
    return kept


def split_text(text: str) -> list[str]:
    """Sentences of a text, cut further to at most two lines of `LINE_CHARS`."""
    pieces: list[str] = []
    for sentence in _SENTENCE_END.split(text.strip()):
        lines = textwrap.wrap(sentence, LINE_CHARS)
        pieces += ["\n".join(lines[i : i + 2]) for i in range(0, len(lines), 2)]
    return pieces


def _stamp(seconds: float, separator: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}{separator}{rest % 1000:03d}"
