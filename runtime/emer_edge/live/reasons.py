"""When words are asked for without a question: on change, every so often, about speech. Knows states only."""

from __future__ import annotations

from dataclasses import dataclass

from emer_edge.live.events import State
from emer_edge.live.options import LiveOptions


@dataclass(slots=True)
class Occasion:
    """Decides after each state whether to reason about it.

    Args:
        options: `reasoning` says when.
        gated: whether somebody hears if there is speech; then only windows with speech are reasoned about.
    """

    options: LiveOptions
    gated: bool
    _label: str = ""
    _at: float | None = None

    def arises(self, state: State, *, heard: bool) -> bool:
        """Whether to reason about this state; an occasion without speech is kept for the next with speech.

        Args:
            state: the newest.
            heard: whether there was sound; also where the state does not rest on it, since it says nothing.
        """
        label = state.emotions[0].label if state.emotions else ""
        every = self.options.every_seconds
        if not label:
            return False
        if every is not None:
            wanted = self._at is None or state.end_pts_seconds - self._at >= every - 1e-6
            wanted = wanted or (self._at is not None and state.end_pts_seconds < self._at)
        else:
            wanted = self.options.reasoning == "on_change" and label != self._label
        if not wanted or (self.gated and heard and not state.quality.speech):
            return False
        self._label, self._at = label, state.end_pts_seconds
        return True
