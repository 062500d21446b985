"""The moment of a clip that a clue speaks of. Knows cues and sampled times; knows no page.

A clue is a sentence; no pack says when it saw what it states. What can be said honestly:

- `words`: the subtitle cue that holds what the clue quotes; without a quote, every cue.
- `voice`: from the first to the last cue, since people are heard while they speak; without cues, the sound.
- `face`, `scene`: from the first to the last frame that was sampled; `at_seconds` is the middle one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from emer_edge.results import Clue, Cue, Reasoning

_QUOTED = re.compile(r'"([^"]+)"|“([^”]+)”')
_WORD = re.compile(r"\w+", re.UNICODE)


@dataclass(frozen=True, slots=True)
class Moment:
    """Where in the clip a clue can be looked at; seconds on the clip's clock."""

    start_seconds: float
    end_seconds: float
    at_seconds: float
    """Where a player jumps to."""
    basis: str
    """`cue`, `speech`, `sound`, `frames` or `clip`: what the times rest on."""


def clue_moments(reasoning: Reasoning) -> list[Moment]:
    """One moment for each clue, in the order of `reasoning.clues`."""
    return [_moment(clue, reasoning) for clue in reasoning.clues]


def _moment(clue: Clue, reasoning: Reasoning) -> Moment:
    cues = [cue for cue in reasoning.cues if cue.end_seconds > cue.start_seconds]
    if clue.modality == "words" and cues:
        quoted = _quoted_cues(clue.text, cues)
        return _span(quoted or cues, "cue" if quoted else "speech")
    if clue.modality == "voice" and cues:
        return _span(cues, "speech")
    if clue.modality == "voice" and reasoning.used.audio_seconds:
        return Moment(0.0, round(reasoning.used.audio_seconds, 3), 0.0, "sound")
    times = frame_times(reasoning)
    if clue.modality in ("face", "scene") and times:
        return Moment(times[0], times[-1], times[len(times) // 2], "frames")
    return Moment(0.0, round(reasoning.duration_seconds, 3), 0.0, "clip")


def frame_times(reasoning: Reasoning) -> list[float]:
    """Times of the sampled frames (those with a face, in face packs), seconds."""
    return [round(seconds, 3) for seconds in reasoning.used.frame_seconds]


def _span(cues: list[Cue], basis: str) -> Moment:
    start, end = min(cue.start_seconds for cue in cues), max(cue.end_seconds for cue in cues)
    return Moment(start, end, start, basis)


def _quoted_cues(text: str, cues: list[Cue]) -> list[Cue]:
    """The cues that a quotation of the clue touches.

    The subtitle reaches the prompt as one line, so a quotation may begin in one cue and end in the next.
    """
    owners = [(word, cue) for cue in cues for word in _words(cue.text)]
    stream = [word for word, _ in owners]
    for groups in _QUOTED.findall(text):
        quote = _words("".join(groups))
        for start in range(len(stream) - len(quote) + 1):
            if quote and stream[start : start + len(quote)] == quote:
                touched = [cue for _, cue in owners[start : start + len(quote)]]
                return [cue for cue in cues if cue in touched]
    return []


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]
