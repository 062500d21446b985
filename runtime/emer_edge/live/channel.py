"""Events on their way out: from the worker to an iterator, an asyncio iterator or a callback.

Knows threads and event loops. Knows nothing about the events but how many may wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator

from emer_edge.live.events import LiveEvent

MOST_WAITING = 4096
"""Events that wait for somebody who does not fetch them; then the oldest go."""


class Channel:
    """A bounded queue of events; any number of readers share it, each event goes to one.

    Args:
        on_event: takes every event, in the worker's thread, instead of the queue.
    """

    def __init__(self, on_event: Callable[[LiveEvent], None] | None = None) -> None:
        self._on_event = on_event
        self._events: deque[LiveEvent] = deque()
        self._changed = threading.Condition()
        self._wakers: set[Callable[[], None]] = set()
        self._closed = False
        self.lost = 0
        """Events that nobody fetched in time."""

    @property
    def waiting(self) -> int:
        """Events that wait to be fetched."""
        return len(self._events)

    def put(self, event: LiveEvent) -> None:
        """Tell an event; what a callback raises is the worker's to handle."""
        if self._on_event is not None:
            self._on_event(event)
            return
        with self._changed:
            if len(self._events) >= MOST_WAITING:
                self._events.popleft()
                self.lost += 1
            self._events.append(event)
            self._wake()

    def close(self) -> None:
        """No more events; readers end when they have what waits."""
        with self._changed:
            self._closed = True
            self._wake()

    def get(self, timeout: float | None = None) -> LiveEvent | None:
        """The next event; None where there is none within `timeout` seconds or none will come."""
        end = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not self._events:
                left = None if end is None else end - time.monotonic()
                if self._closed or (left is not None and left <= 0):
                    return None
                self._changed.wait(left)
            return self._events.popleft()

    def __iter__(self) -> Iterator[LiveEvent]:
        """Every event until the channel is closed."""
        while (event := self.get()) is not None:
            yield event

    async def events_async(self) -> AsyncIterator[LiveEvent]:
        """The same for asyncio; no thread is used for waiting."""
        loop, ready = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(ready.set)

        with self._changed:
            self._wakers.add(wake)
        try:
            while True:
                ready.clear()
                while (event := self.get(0)) is not None:
                    yield event
                if self._closed and not self._events:
                    return
                await ready.wait()
        finally:
            with self._changed:
                self._wakers.discard(wake)

    def _wake(self) -> None:
        self._changed.notify_all()
        for wake in self._wakers:
            wake()
