"""The thread behind a live session: takes what was pushed, makes states and words of it, tells events.

Knows the order of work. The arithmetic of windows, the senses, the policy and the queues are elsewhere.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np

from emer_edge._core import CancelToken
from emer_edge.errors import Cancelled, EmerError
from emer_edge.live.channel import Channel
from emer_edge.live.clock import Kind
from emer_edge.live.events import Failed, LiveEvent
from emer_edge.live.inbox import Batch, Inbox, Item
from emer_edge.live.options import LiveOptions
from emer_edge.live.policy import Ladder
from emer_edge.live.reasons import Occasion
from emer_edge.live.windows import Made, Windows

_IDLE_SECONDS = 0.05
_REST_SECONDS = 0.25
"""A window that has begun gets no state at the end for less than this."""
_FAILURES = 10
"""So many windows in a row that failed end the session."""


@dataclass(slots=True)
class _Due:
    """A window whose end one modality has reached; when that was first seen, by the wall clock."""

    hop: int
    since: float


class Worker:
    """Runs until the inbox is closed and empty.

    Args:
        inbox: what is pushed.
        channel: where events go.
        windows: makes states and words.
        options: of the session.
        is_closed: whether the pack was closed under our feet.
    """

    def __init__(
        self,
        inbox: Inbox,
        channel: Channel,
        windows: Windows,
        options: LiveOptions,
        is_closed: Callable[[], bool],
    ) -> None:
        self._inbox, self._channel, self._windows = inbox, channel, windows
        self._plan, self._options, self._is_closed = windows.plan, options, is_closed
        self.ladder = Ladder(options.deadline, options.hop_seconds, options.policy == "degrade")
        self._occasion = Occasion(options, windows.hears_speech)
        self._thread = threading.Thread(target=self._run, name="emer-edge-live", daemon=True)
        self._flushed = threading.Condition()
        self._flushes = self._flushes_done = 0
        self._asked: deque[str] = deque()
        self._ends: dict[Kind, float] = {}
        self._epoch = 0
        self._origin = 0.0
        self._hop = 0
        self._due: _Due | None = None
        self._failures = 0
        self._fatal = self._busy = False
        self.stop = CancelToken()
        """Ends whatever runs, at once."""
        self._speaking: CancelToken | None = None
        self._finished_at = 0.0
        self.callback_errors = 0

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    @property
    def is_self(self) -> bool:
        """Whether the calling thread is this worker's own."""
        return threading.current_thread() is self._thread

    def abort(self) -> None:
        """Stop whatever runs, at once."""
        self.stop.cancel()
        self.interrupt()

    def join(self, timeout: float | None) -> bool:
        """Wait for the end; False where it did not come in time."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def interrupt(self) -> None:
        """Stop the words that are generated, before the next token."""
        speaking = self._speaking
        if speaking is not None:
            speaking.cancel()

    def flush(self, timeout: float | None) -> bool:
        """Wait until everything that was pushed before is worked off; False where it took too long."""
        with self._flushed:
            self._flushes += 1
            number = self._flushes
            self._inbox.flush()
            return self._flushed.wait_for(
                lambda: self._flushes_done >= number or not self._thread.is_alive(), timeout
            )

    def _run(self) -> None:
        try:
            while not self._fatal:
                batch = self._inbox.take(0.0 if self._busy else _IDLE_SECONDS if self._due else 0.5)
                with self._flushed:
                    flushes = self._flushes
                try:
                    self._work(batch)
                except Exception as error:  # told, never a dead thread
                    self._fail(error)
                self._tell_dropped()
                with self._flushed:
                    if batch.flushing or batch.closed:
                        self._flushes_done = max(self._flushes_done, flushes)
                        self._flushed.notify_all()
                if batch.closed and not batch.items:
                    break
        finally:
            self._inbox.close(discard=True)
            self._channel.close()
            with self._flushed:
                self._flushes_done = self._flushes
                self._flushed.notify_all()

    def _work(self, batch: Batch) -> None:
        for item in batch.items:
            self._take(item)
            if self._options.policy == "block":
                self._answer_due(batch, item.pushed_at)
        if batch.epoch == self._epoch:
            self._ends = {kind: max(end, self._ends.get(kind, end)) for kind, end in batch.ends.items()}
        self._answer_due(batch, time.monotonic())
        if batch.flushing or (batch.closed and not batch.items):
            self._finish()
        self._answer_asked()
        self._busy = self._windows.work_ahead()

    def _take(self, item: Item) -> None:
        if item.what == "ask":
            self._asked.append(item.payload)
            return
        if item.what in ("frames", "audio"):
            if item.epoch < self._epoch:
                self._drop_late(item)
                return
            if item.epoch > self._epoch:
                self._finish()
                self._restart(item.epoch, item.origin)
            kind: Kind = "frames" if item.what == "frames" else "audio"
            self._ends[kind] = max(self._ends.get(kind, item.end), item.end)
        if item.what == "audio" and not np.isfinite(item.payload).all():
            self._inbox.note("invalid", "audio", 1, item.start)
        elif not self._windows.take(item):
            self._drop_late(item)
        elif item.what == "frames":
            self._inbox.copies.give_back(item.payload)

    def _drop_late(self, item: Item) -> None:
        assert item.what != "ask"
        self._inbox.note("late", item.what, 1, item.start)

    def _restart(self, epoch: int, origin: float) -> None:
        self._epoch, self._origin, self._finished_at = epoch, origin, 0.0
        self._hop, self._due, self._ends = 0, None, {}
        self._windows.restart(self._origin, first=epoch == 1)

    def _answer_due(self, batch: Batch, now: float) -> None:
        """Make a state of every window that is due; old ones give way where the policy says so."""
        last = self._last_due(batch, now)
        if last <= self._hop:
            return
        self._due = None
        for hop in range(self._hop + 1, last + 1):
            if self._over():
                return
            self._hop = hop
            # Judged anew before each: while one is made, those after it grow old.
            old = hop < last and self._options.policy != "block" and self._is_old(hop)
            if old or (hop % self.ladder.stride and hop > 1):
                pts = self._origin + self._plan.end_seconds(hop)
                self._inbox.note("skipped_hop", "hops", 1, pts)
            else:
                self._make(hop)
        self._windows.forget(last)

    def _is_old(self, hop: int) -> bool:
        return self._windows.age(hop) > self._options.deadline

    def _last_due(self, batch: Batch, now: float) -> int:
        """The last window that every active modality has reached, or that was waited for long enough."""
        if not self._ends:
            return 0
        reached = {kind: self._windows.reached(kind, end) for kind, end in self._ends.items()}
        awaited = [reached.get(kind, -1.0) for kind in batch.active] or list(reached.values())
        pushed = max(end - self._origin for end in self._ends.values())
        ahead = int((pushed + 1e-6) // self._plan.hop_seconds)
        sure = int((min(pushed, *awaited) + 1e-6) // self._plan.hop_seconds)
        if ahead <= max(sure, self._hop):
            return sure
        if self._due is None or self._due.hop != ahead:
            since = now if self._due is None or sure > self._hop else self._due.since
            self._due = _Due(ahead, since)
        return ahead if now - self._due.since >= self._options.patience_seconds else sure

    def _over(self) -> bool:
        return self._fatal or self.stop.cancelled

    def _finish(self) -> None:
        """The end of what there is: the window that has begun gets a state too."""
        reached = max((end - self._origin for end in self._ends.values()), default=0.0)
        least = 1e-3 if self._windows.newest is None else _REST_SECONDS
        last = ceil((reached - least) / self._plan.hop_seconds)
        if reached <= self._finished_at or last <= self._hop or self._over():
            return
        self._windows.finish()
        self._finished_at, self._due = reached, None
        for hop in range(self._hop + 1, last + 1):
            if self._over():
                return
            self._make(hop)
            if self._plan.end_seconds(hop) <= reached + 1e-6:
                self._hop = hop

    def _make(self, hop: int) -> None:
        began = time.monotonic()
        try:
            until = max(self._ends.values(), default=0.0) - self._origin
            made = self._windows.make(hop, until, self._degraded(), self.stop)
        except Cancelled:
            return
        except Exception as error:
            self._fail(error)
            return
        self._failures = 0
        self._tell(made.state)
        if self._occasion.arises(made.state, heard=made.heard):
            if self.ladder.reasons:
                self._reason(made, self._options.question, automatic=True)
            else:
                self._inbox.note("skipped_reasoning", "reasonings", 1, made.state.end_pts_seconds)
        busy = time.monotonic() - began
        if self.ladder.observe(made.state.age_seconds, busy):
            self._follow_ladder()
        self._tell_dropped()

    def _answer_asked(self) -> None:
        made = self._windows.newest
        while self._asked and made is not None:
            self._reason(made, self._asked.popleft(), automatic=False)

    def _reason(self, made: Made, question: str, *, automatic: bool) -> None:
        token = self._speaking = CancelToken()
        if self._over():  # later, the token itself is cancelled
            return

        def tell(event: LiveEvent) -> None:
            self._tell(event)
            # Words give way first: those that nobody asked for end when the next state is due.
            if automatic and self.ladder.active and self._inbox.newest_hop() > made.hop:
                token.cancel()

        try:
            finished = self._windows.reason(made, question, tell, token)
            if not finished and automatic:
                self._inbox.note("skipped_reasoning", "reasonings", 1, made.state.end_pts_seconds)
        except Exception as error:
            self._fail(error, counts=False)
        finally:
            self._speaking = None

    def _degraded(self) -> tuple[str, ...]:
        out = []
        if not self.ladder.reasons:
            out.append("reasoning")
        if self.ladder.stride > 1:
            out.append("hop")
        if self.ladder.drops_modality:
            out.append(self._windows.costliest)
        return tuple(out)

    def _follow_ladder(self) -> None:
        kind: Kind | None = None
        if self.ladder.drops_modality:
            kind = "frames" if self._windows.costliest == "vision" else "audio"
        self._inbox.switch_off(kind)
        self._windows.without = None if kind is None else self._windows.costliest

    def _tell(self, event: LiveEvent) -> None:
        try:
            self._channel.put(event)
        except Exception as error:  # the caller's callback; it must not end the stream
            self.callback_errors += 1
            if not isinstance(event, Failed):
                self._fail(error, counts=False)

    def _tell_dropped(self) -> None:
        for event in self._inbox.dropped():
            self._tell(event)

    def tell_failure(self, error: Exception) -> None:
        """Tell of what failed beside the worker; states go on."""
        self._tell(Failed(as_emer_error(error).to_dict(), False))

    def _fail(self, error: Exception, *, counts: bool = True) -> None:
        self._failures += counts
        self._fatal = self._fatal or self._is_closed() or self._failures >= _FAILURES
        self._tell(Failed(as_emer_error(error).to_dict(), self._fatal))


def as_emer_error(error: Exception) -> EmerError:
    """The error as one of ours."""
    if isinstance(error, EmerError):
        return error
    if isinstance(error, MemoryError):
        return EmerError("Memory ran out.", str(error), "Use a shorter window or a smaller pack.")
    return EmerError(
        "A live session failed in a way it should not.",
        f"{type(error).__name__}: {error}",
        "Please report it.",
    )
