"""A recorded timeline as rows and as captions. Knows the events of a session, not how they are stored.

States overlap: each tells of a whole window, and windows move on by a hop. As captions and for the eye, a
state stands for what it added: from the end of the state before it to its own end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from emer_edge.results import Cue
from emer_edge.writers.captions import CHARS_PER_SECOND, cues_to_srt, cues_to_vtt, split_text
from emer_edge.writers.records import label_line

if TYPE_CHECKING:
    from emer_edge.live.events import Dropped, Failed, LiveEvent, Reasoned, State

WALL_CLOCK_SECONDS = 1e8
"""A clock that shows more counts from 1970: three years of streaming lie below it."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """What a session told, in the order in which it was told."""

    session: dict[str, Any]
    """The first record: schema_version, pack, window_seconds, hop_seconds, and what else was written."""
    events: tuple[LiveEvent, ...]
    unknown: dict[str, int] = field(default_factory=dict)
    """How many records of each unknown kind were passed over."""
    truncated: bool = False
    """Whether the last line was cut off, as a killed recorder leaves it."""

    @property
    def states(self) -> tuple[State, ...]:
        """The states in the order of their index."""
        found: list[State] = [event for event in self.events if event.kind == "state"]  # type: ignore[misc]
        return tuple(sorted(found, key=lambda state: state.index))

    @property
    def reasonings(self) -> tuple[Reasoned, ...]:
        """The finished and interrupted reasonings."""
        return tuple(event for event in self.events if event.kind == "reasoning")  # type: ignore[misc]

    @property
    def dropped(self) -> tuple[Dropped, ...]:
        """What was not used."""
        return tuple(event for event in self.events if event.kind == "dropped")  # type: ignore[misc]

    @property
    def failures(self) -> tuple[Failed, ...]:
        """What failed."""
        return tuple(event for event in self.events if event.kind == "error")  # type: ignore[misc]


def timeline_spans(timeline: Timeline) -> list[tuple[float, float]]:
    """For each state, the seconds on the stream's clock that it added; empty spans have equal ends."""
    spans: list[tuple[float, float]] = []
    before: float | None = None
    for state in timeline.states:
        start = state.start_pts_seconds if before is None else max(before, state.start_pts_seconds)
        end = max(start, state.end_pts_seconds)
        spans.append((start, end))
        before = end
    return spans


def timeline_cues(timeline: Timeline) -> list[Cue]:
    """Captions of the timeline, in order, without overlap.

    The first line names the labels of the state; below it run the sentences of its reasoning, at reading
    speed, until they end or the next reasoning begins. Times count from zero of the stream's clock, or from
    the first state where that clock is the wall clock or begins below zero.
    """
    states, spans = timeline.states, timeline_spans(timeline)
    if not states:
        return []
    begins = {state.index: start for state, (start, _) in zip(states, spans, strict=True)}
    labels = [
        (start, end, " · ".join(label_line(emotion) for emotion in state.emotions))
        for state, (start, end) in zip(states, spans, strict=True)
        if end > start
    ]
    said = list(_spoken(timeline.reasonings, begins, spans[-1][1]))
    edges = sorted({t for start, end, _ in (*labels, *said) for t in (start, end)})
    first = spans[0][0]
    origin = first if first < 0 or first > WALL_CLOCK_SECONDS else 0.0
    cues: list[Cue] = []
    for start, end in pairwise(edges):
        text = "\n".join(line for line in (_text_at(labels, start), _text_at(said, start)) if line)
        if not text or round(1000 * start) == round(1000 * end):
            continue
        if cues and cues[-1].text == text and cues[-1].end_seconds == start - origin:
            cues[-1] = Cue(cues[-1].start_seconds, end - origin, text)
        else:
            cues.append(Cue(start - origin, end - origin, text))
    return cues


def timeline_to_srt(timeline: Timeline) -> str:
    """Captions of the timeline as SRT."""
    return cues_to_srt(timeline_cues(timeline))


def timeline_to_vtt(timeline: Timeline) -> str:
    """Captions of the timeline as WebVTT."""
    return cues_to_vtt(timeline_cues(timeline))


def _spoken(
    reasonings: tuple[Reasoned, ...], begins: dict[int, float], end: float
) -> Iterator[tuple[float, float, str]]:
    """Pieces of the reasonings with their times; a reasoning ends where the next one begins."""
    known = sorted((r for r in reasonings if r.state_index in begins), key=lambda r: begins[r.state_index])
    stops = [*(begins[r.state_index] for r in known[1:]), float("inf")]
    for reasoning, stop in zip(known, stops, strict=False):
        start = begins[reasoning.state_index]
        pieces = split_text(reasoning.text)
        seconds = max(1.0, sum(map(len, pieces)) / CHARS_PER_SECOND)
        # What the end of the record leaves no time to read is read faster rather than lost.
        room = min(stop, max(end, start + 1.0)) - start
        scale = min(1.0, room / seconds) if room > 0 else 0.0
        for piece in pieces:
            length = scale * seconds * len(piece) / max(1, sum(map(len, pieces)))
            yield start, start + length, piece
            start += length


def _text_at(spans: list[tuple[float, float, str]], seconds: float) -> str:
    """The text of the span that holds this time; spans are in order and do not overlap."""
    at = bisect_right(spans, seconds, key=lambda span: span[0]) - 1
    return spans[at][2] if at >= 0 and seconds < spans[at][1] else ""
