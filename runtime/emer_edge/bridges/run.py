"""One live session behind one bridge, until somebody ends it. Knows neither transport nor model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from emer_edge.bridges.port import Sink, forward

if TYPE_CHECKING:
    from emer_edge.bridges.payloads import Asked
    from emer_edge.live.session import LiveSession


class Bridge(Sink, Protocol):
    """A bridge that listens in threads of its own."""

    def listen(self, session: Asked) -> Any:
        """Feed the session; returns an object with `counts`."""


def run_bridge(
    live: LiveSession, bridge: Bridge, *sinks: Sink, on_ready: Callable[[], None] = lambda: None
) -> dict[str, int]:
    """Feed the session from the bridge and tell the bridge what it feels, until Ctrl-C or a fatal failure.

    What was pushed before the end is still worked off and told. Returns how many of each input were taken.

    Args:
        live: the session.
        bridge: where input comes from and events go.
        sinks: who else is told.
        on_ready: called once input is listened for.
    """
    intake = bridge.listen(live)
    try:
        on_ready()
        forward(live, bridge, *sinks)
    except KeyboardInterrupt:
        live.close()
        forward(live, bridge, *sinks)
    counts: dict[str, int] = dict(intake.counts)
    return counts
