"""A real-time stream: how old a state is when it is told. Knows the clock of the stream, no window, no model.

A drawn face talks; frames and sound are pushed when they are due, as a camera and a microphone would do. The
age of a state is the wall-clock time since its newest input was pushed, as the live session tells it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from emer_edge.bench.drawn_face import draw_lot, hum, talk
from emer_edge.bench.early_stopping import percentile
from emer_edge.live.events import Dropped, Failed, State

if TYPE_CHECKING:
    from emer_edge.reasoner import Reasoner

WIDTH, HEIGHT, FRAMES_PER_SECOND, SAMPLE_RATE = 640, 360, 25, 16_000
HOP_SECONDS = 2.0


def stream(
    reasoner: Reasoner, seconds: float, seed: int = 0, hop_seconds: float = HOP_SECONDS
) -> dict[str, Any]:
    """Push `seconds` of a talking face in real time, and tell the ages of the states.

    Raises:
        InputError, LimitError, DeviceError, GenerationError.
    """
    random = np.random.default_rng((seed, 99))
    person = draw_lot(random, WIDTH, HEIGHT)
    frames = list(talk(person, random, FRAMES_PER_SECOND, seconds))
    sound = hum(person, random, SAMPLE_RATE, seconds)
    each = SAMPLE_RATE // FRAMES_PER_SECOND
    late = []
    with reasoner.live(hop_seconds=hop_seconds) as live:
        live.push_text(person.words, 0.0, seconds)
        began = time.perf_counter()
        for index, frame in enumerate(frames):
            due = index / FRAMES_PER_SECOND
            wait = due - (time.perf_counter() - began)
            time.sleep(max(0.0, wait))
            late.append(max(0.0, -wait))
            live.push_frame(frame, due)
            live.push_audio(sound[index * each : (index + 1) * each], SAMPLE_RATE, due)
    events = list(live)
    states = [event for event in events if isinstance(event, State)]
    lost = sum(event.n for event in events if isinstance(event, Dropped))
    failed = [event.error for event in events if isinstance(event, Failed)]
    return figures([state.age_seconds for state in states], late) | {
        "seconds": seconds,
        "hop_seconds": hop_seconds,
        "states": len(states),
        "lost": lost,
        "errors": failed,
        "ages_seconds": [round(state.age_seconds, 6) for state in states],
    }


def figures(ages: Sequence[float], late: Sequence[float]) -> dict[str, Any]:
    """Percentiles of the ages, and how late the source itself was: a busy machine can't push in time."""
    out: dict[str, Any] = {
        f"age_p{round(100 * share)}_seconds": round(percentile(ages, share), 6) if ages else None
        for share in (0.5, 0.9, 0.99)
    }
    return out | {"source_late_p99_seconds": round(percentile(late, 0.99), 6) if late else None}
