"""Events for people, or as lines of JSON. Knows events; knows nothing of how they came to be."""

from __future__ import annotations

import json
from typing import Any

from emer_edge.cli.terminal import Terminal, one_line, put, safe, say
from emer_edge.errors import EmerError
from emer_edge.live.events import Dropped, Failed, LiveEvent, Reasoned, State, Token, event_to_dict

_BAR = 10


class View:
    """Shows the events of one run on the two streams.

    Args:
        terminal: what the streams can show.
        as_json: lines of JSON instead of text.
        quiet: nothing on standard error but errors.
    """

    def __init__(self, terminal: Terminal, *, as_json: bool, quiet: bool) -> None:
        self._terminal, self._as_json, self._quiet = terminal, as_json, quiet
        self._ages: list[float] = []
        self._writing = False
        self.fatal: EmerError | None = None

    def begin(self, header: dict[str, Any]) -> None:
        """The session begins."""
        if self._as_json:
            self._json(header)

    def show(self, event: LiveEvent) -> None:
        """Show one event. Raises OSError or EmerError where standard output can't be written."""
        if isinstance(event, State):
            self._ages.append(event.age_seconds)
            del self._ages[:-10_000]
        if isinstance(event, Failed) and event.fatal:
            error = event.error
            self.fatal = EmerError(str(error.get("what")), str(error.get("why")), str(error.get("todo")))
        if self._as_json:
            self._json(event_to_dict(event))
        else:
            self._text(event)

    def end(self) -> None:
        """Nothing follows."""
        if self._writing:
            put("\n")
            self._writing = False

    def summary(self, stats: dict[str, Any]) -> str:
        """How it went, in one line."""
        ages = sorted(self._ages)
        parts = [f"{stats['states']} states"]
        if ages:
            parts.append(f"age {ages[len(ages) // 2]:.2f} s, 95 % below {ages[int(0.95 * len(ages))]:.2f} s")
        parts += [f"{n} {what.replace('_', ' ')}" for what, n in stats["dropped"].items()]
        return ", ".join(parts)

    def _text(self, event: LiveEvent) -> None:
        if isinstance(event, Token):
            put(("" if self._writing else "         ") + safe(event.text))
            self._writing = True
            return
        self.end()
        if isinstance(event, State):
            put(self._state(event) + "\n")
        elif isinstance(event, Reasoned) and event.finish == "interrupted":
            put("         [interrupted]\n")
        elif isinstance(event, Failed):
            say(f"error: {one_line(str(event.error.get('what')))} {one_line(str(event.error.get('why')))}")
        elif isinstance(event, Dropped) and not self._quiet:
            say(f"dropped: {event.n} {event.what}, {event.why.replace('_', ' ')}")

    def _state(self, state: State) -> str:
        clock = f"{state.end_pts_seconds:8.2f}"
        if not state.emotions:
            return f"{clock} nobody seen or heard"
        best = state.emotions[0]
        labels = ", ".join(
            one_line(e.label) + (f" {e.confidence:.0%}" if e.confidence is not None else "")
            for e in state.emotions
        )
        bar = self._terminal.bar(best.confidence or 0.0, _BAR)
        there = "".join(
            letter for letter, m in zip("vas", _ALL, strict=True) if m in state.quality.modalities
        )
        marks = [f"v {state.valence:+.2f} a {state.arousal:+.2f}", there, f"age {state.age_seconds:.2f} s"]
        marks += ["speech"] if state.quality.speech else []
        marks += [f"without {', '.join(state.quality.degraded)}"] if state.quality.degraded else []
        return f"{clock} {bar} {labels}  ({'; '.join(marks)})"

    def _json(self, record: dict[str, Any]) -> None:
        put(json.dumps(record, ensure_ascii=True, allow_nan=False) + "\n")


_ALL = ("vision", "audio", "subtitle")
