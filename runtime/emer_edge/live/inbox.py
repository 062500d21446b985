"""What was pushed and is not worked on yet: a bounded queue between the caller's threads and the worker.

Decides at once, in the caller's thread, what is needed at all, so that most frames cost a comparison and not
a copy. Knows the clock and the plan. Knows no model.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emer_edge.errors import InputError
from emer_edge.live.clock import Clock, Kind
from emer_edge.live.events import Cause, Dropped
from emer_edge.live.options import Policy
from emer_edge.live.plan import Plan

What = Literal["frames", "audio", "text", "hops", "reasonings"]
COPY_BYTES = 3_200_000
"""A frame that may still be written to is copied; of a larger one only every second, third ... row."""
_SPARES = 3
_TEXTS = 256
_ASKS = 8


@dataclass(frozen=True, slots=True)
class Item:
    """Something pushed. Times are the caller's own time stamps."""

    what: Literal["frames", "audio", "text", "ask"]
    epoch: int
    origin: float
    """Of the stream's clock in this epoch."""
    start: float
    end: float
    payload: Any
    pushed_at: float
    """Wall clock."""
    slot: int = 0
    """For frames: the stretch that the frame is the first of."""
    sample_rate: int = 0
    final: bool = True
    height: int = 0
    """For frames: before rows were left out."""


@dataclass(slots=True)
class Batch:
    """Everything that was waiting, and how far the clocks were at that moment."""

    items: list[Item]
    epoch: int
    active: dict[Kind, float]
    ends: dict[Kind, float]
    flushing: bool
    closed: bool


@dataclass(slots=True)
class _Load:
    """What waits of one kind, and how much may."""

    most: float
    waiting: float = 0.0
    slot: int = -1
    """For frames: the newest stretch that has its frame."""
    last: float | None = None
    interval: float = 0.0
    """For frames: seconds from one to the next, about."""

    def measure(self, pts: float) -> float:
        """The interval between frames, after the one at `pts`."""
        if self.last is not None:
            step = pts - self.last
            self.interval += (0.2 if self.interval else 1.0) * (step - self.interval)
        self.last = pts
        return self.interval


class Inbox:
    """Takes what callers push; any thread may call.

    Args:
        plan: the grid.
        policy: `block` lets the caller wait where the queue is full; else the oldest of the same kind goes.
        clock: judges time stamps.
    """

    def __init__(self, plan: Plan, policy: Policy, clock: Clock) -> None:
        self._plan, self._policy, self._clock = plan, policy, clock
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._left = threading.Condition(self._lock)
        self._items: deque[Item] = deque()
        # A window and a hop: more would be dropped from the window anyway before it is looked at.
        self._loads = {
            "frames": _Load(plan.frames + plan.frames_per_hop),
            "audio": _Load(plan.reach_seconds + plan.hop_seconds),
            "text": _Load(_TEXTS),
            "ask": _Load(_ASKS),
        }
        self._dropped: dict[tuple[Cause, What], tuple[int, float]] = {}
        self.counts: Counter[str] = Counter()
        self.copies = Copies()
        self._off: Kind | None = None
        self._closed = self._flushing = False
        self._epoch = 0

    def switch_off(self, kind: Kind | None) -> None:
        """Take nothing more of a modality until it is switched on again with None."""
        with self._lock:
            self._off = kind

    def push_frame(self, make: Callable[[], NDArray[np.uint8]], pts: float | None) -> None:
        """Take a frame, uint8 (H, W, 3), where it is the one of its stretch; only then is it made."""
        now = time.monotonic()
        with self._lock:
            self._check_open()
            self.counts["frames_pushed"] += 1
            pts = self._stamp("frames", pts, now)
            if not self._admitted("frames", pts, pts, now):
                return
            load = self._loads["frames"]
            slot = self._plan.slot_of(pts - (self._clock.origin or 0.0), load.measure(pts))
            if slot <= load.slot:
                self.counts["frames_between"] += 1
                return
            load.slot = slot
            epoch, origin = self._clock.epoch, self._clock.origin or 0.0
            if self._off == "frames":
                self._note("skipped_modality", "frames", 1, pts)
                return
        pixels = make()
        kept = self.copies.own(pixels)
        self._put(Item("frames", epoch, origin, pts, pts, kept, now, slot=slot, height=pixels.shape[0]), 1.0)

    def push_audio(self, pcm: NDArray[Any], sample_rate: int, pts: float | None) -> None:
        """Take sound, (n,) or (channels, n), of which `pts` is the time of the first sample."""
        now = time.monotonic()
        seconds = pcm.shape[-1] / sample_rate
        with self._lock:
            self._check_open()
            self.counts["audio_pushed"] += 1
            pts = self._stamp("audio", pts, now)
            if not self._admitted("audio", pts, pts + seconds, now):
                return
            epoch, origin = self._clock.epoch, self._clock.origin or 0.0
            if self._off == "audio":
                self._note("skipped_modality", "audio", 1, pts)
                return
        kept = pcm if _is_settled(pcm) else pcm.copy()
        self._put(
            Item("audio", epoch, origin, pts, pts + seconds, kept, now, sample_rate=sample_rate), seconds
        )

    def push_text(self, text: str, start: float, end: float, final: bool) -> None:
        """Take words; a later text with the same start takes the place of one that was not final."""
        now = time.monotonic()
        with self._lock:
            self._check_open()
            self.counts["text_pushed"] += 1
            if not (np.isfinite(start) and np.isfinite(end)) or end < start:
                self._note("invalid", "text", 1, 0.0)
                return
        self._put(Item("text", 0, 0.0, start, end, text, now, final=final), 1.0)

    def ask(self, question: str) -> None:
        """Ask about the newest state, without waiting for the answer."""
        with self._lock:
            self._check_open()
        self._put(Item("ask", 0, 0.0, 0.0, 0.0, question, time.monotonic()), 1.0)

    def take(self, timeout: float) -> Batch:
        """Everything that waits; waits itself, up to `timeout` seconds, while there is nothing."""
        with self._lock:
            if not (self._items or self._closed or self._flushing):
                self._arrived.wait(timeout)
            items = list(self._items)
            self._items.clear()
            for load in self._loads.values():
                load.waiting = 0.0
            self._left.notify_all()
            clock = self._clock
            flushing, self._flushing = self._flushing, False
            return Batch(
                items,
                clock.epoch,
                clock.active(time.monotonic()),
                clock.ends(),
                flushing,
                self._closed,
            )

    def note(self, why: Cause, what: What, n: int, pts: float) -> None:
        """Count something that was not used."""
        with self._lock:
            self._note(why, what, n, pts)

    def dropped(self) -> list[Dropped]:
        """What was not used since the last call, one event for each cause and kind."""
        with self._lock:
            noted, self._dropped = self._dropped, {}
        return [Dropped(n, why, what, pts) for (why, what), (n, pts) in noted.items()]

    def flush(self) -> None:
        """Let the worker finish the window that has begun."""
        with self._lock:
            self._flushing = True
            self._arrived.notify_all()

    def close(self, *, discard: bool = False) -> None:
        """Take nothing more; nobody waits any longer."""
        with self._lock:
            self._closed = True
            if discard:
                self._items.clear()
            self._arrived.notify_all()
            self._left.notify_all()

    def waiting(self) -> dict[str, float]:
        """How much waits of each kind: frames, seconds of sound, texts, questions."""
        with self._lock:
            return {kind: load.waiting for kind, load in self._loads.items()}

    @property
    def closed(self) -> bool:
        """Whether nothing is taken any more."""
        return self._closed

    def newest_hop(self) -> int:
        """The last window whose end every active modality has reached, judged by what was pushed."""
        with self._lock:
            ends = self._clock.active(time.monotonic())
            if self._clock.origin is None or not ends:
                return 0
            return int((min(ends.values()) - self._clock.origin + 1e-6) // self._plan.hop_seconds)

    def _put(self, item: Item, size: float) -> None:
        with self._lock:
            load = self._loads[item.what]
            while self._policy == "block" and load.waiting and load.waiting + size > load.most:
                self._check_open()
                self._left.wait()
            while load.waiting and load.waiting + size > load.most:
                self._drop_oldest(item.what, load)
            load.waiting += size
            self._items.append(item)
            self._arrived.notify()

    def _drop_oldest(self, what: str, load: _Load) -> None:
        for index, item in enumerate(self._items):
            if item.what == what:
                del self._items[index]
                if what == "frames":
                    self.copies.give_back(item.payload)
                load.waiting -= item.end - item.start if what == "audio" else 1.0
                named: What = "reasonings" if item.what == "ask" else item.what
                self._note("queue_full", named, 1, item.start)
                return
        load.waiting = 0.0

    def _admitted(self, kind: Kind, start: float, end: float, now: float) -> bool:
        verdict = self._clock.admit(kind, start, end, now)
        if verdict == "restart":
            load = self._loads["frames"]
            load.slot, load.last, load.interval = -1, None, 0.0
        elif verdict != "ok":
            self._note(verdict, kind, 1, start if np.isfinite(start) else 0.0)
            return False
        return True

    def _stamp(self, kind: Kind, pts: float | None, now: float) -> float:
        """The time stamp, or where there is none, one from the wall clock and from the sound before."""
        if pts is not None:
            return float(pts)
        self.counts["stamped_here"] += 1
        track = self._clock.tracks[kind]
        if kind == "audio" and np.isfinite(track.end):
            return track.end
        return now if self._clock.origin is None else self._clock.now(now)

    def _note(self, why: Cause, what: What, n: int, pts: float) -> None:
        count, _ = self._dropped.get((why, what), (0, 0.0))
        self._dropped[(why, what)] = (count + n, pts)
        self.counts[f"dropped_{what}_{why}"] += n

    def _check_open(self) -> None:
        if self._closed:
            raise InputError("This live session is closed.", todo="Open another with reasoner.live().")


class Copies:
    """Copies of frames, in arrays that are used again: new memory costs more than what is written into it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spare: list[NDArray[np.uint8]] = []
        self._lent: set[int] = set()

    def own(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The frame itself where nobody can change it any more, else a copy of all rows or of every n-th."""
        if _is_settled(pixels):
            return pixels
        rows = pixels[:: -(-pixels.nbytes // COPY_BYTES)]
        with self._lock:
            fitting = [i for i, spare in enumerate(self._spare) if spare.shape == rows.shape]
            copy = self._spare.pop(fitting[0]) if fitting else np.empty(rows.shape, np.uint8)
            self._lent.add(id(copy))
        np.copyto(copy, rows)
        return copy

    def give_back(self, pixels: NDArray[np.uint8]) -> None:
        """Take back what `own` gave; a frame of the caller's own is left alone."""
        with self._lock:
            if id(pixels) in self._lent:
                self._lent.discard(id(pixels))
                self._spare = [*self._spare[-_SPARES:], pixels]


def _is_settled(array: NDArray[Any]) -> bool:
    """Whether neither the array nor what it is a view of may be written to."""
    base: Any = array
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return False
        base = base.base
    return base is None or (isinstance(base, memoryview) and base.readonly) or isinstance(base, bytes)
