"""A session of eight seconds, made by hand, and its record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from emer_edge.live.events import Dropped, Failed, LiveEvent, Quality, Reasoned, State, Token, event_to_dict
from emer_edge.results import Clue, Emotion

SESSION: dict[str, Any] = {
    "kind": "session",
    "schema_version": "1.0",
    "pack": {"name": "emer-nano", "version": "0.6.0"},
    "window_seconds": 4.0,
    "hop_seconds": 2.0,
}


def state(index: int, label: str = "happy", share: float = 0.6, **more: Any) -> State:
    """State number `index` of windows of 4 s every 2 s; the rest of the scores is `neutral`."""
    values: dict[str, Any] = {
        "start_pts_seconds": max(0.0, 2.0 * index - 2.0),
        "end_pts_seconds": 2.0 * index + 2.0,
        "emotions": (Emotion(label, share),),
        "scores": {label: share, "neutral": round(1.0 - share, 6)},
        "valence": 0.5,
        "arousal": -0.25,
        "quality": Quality(("vision", "audio"), 8, 7, 4.0, True),
        "age_seconds": 0.25,
        "index": index,
        "subtitle": "I am glad, <really> & truly.",
    }
    return State(**(values | more))


EVENTS: tuple[LiveEvent, ...] = (
    state(0),
    Token("She smiles.", 0),
    Dropped(3, "late", "frames", 1.0),
    state(1, "sad", 0.75, valence=-0.6),
    Reasoned(
        "She looked down. Her voice was low & slow, and the words <were> few.",
        (Clue("face", "She looked down."), Clue("voice", "Her voice was low.")),
        1,
        0.0,
        4.0,
    ),
    Failed({"kind": "GenerationError", "what": "It failed.", "exit_code": 1}),
    state(2, "怒っ ている", 0.9, quality=Quality(("subtitle",), degraded=("vision",))),
)


def write_record(path: Path, events: tuple[LiveEvent, ...] = EVENTS, **session: Any) -> Path:
    """Write a record as `emer-edge live --record` does."""
    lines = [SESSION | session, *(event_to_dict(event) for event in events)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
