"""Who may come in, whose turn it is, and for how long. Knows no HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

from emer_edge.errors import EmerError
from emer_edge.server.keeper import Keeper
from emer_edge.server.metrics import Metrics
from emer_edge.server.problems import BusyError, DeadlineError, WorkerError, error_of
from emer_edge.server.process import Inbox, WorkerProcess, lost_error
from emer_edge.server.settings import ServerSettings

START_SECONDS = 60.0
"""How long a request waits for a worker that is being started."""
GRACE_SECONDS = 1.0
"""How long a worker may take to stop by itself once it was asked to; then it is killed."""


@dataclass(frozen=True, slots=True)
class Job:
    """One question about one clip."""

    path: str
    """Of the clip, on this machine."""
    name: str
    """What the client calls the clip."""
    question: str = "explain"
    subtitle: str | None = None
    """Path of a file, "" for none, None to look inside the clip."""
    options: dict[str, Any] = field(default_factory=dict)
    """The fields of `emer_edge.Options`."""


class Desk:
    """The queue before the one worker.

    Args:
        settings: how many may wait, and how long an answer may take.
        metrics: counts what happens.
        on_first_failure: called where the pack can't be loaded at all.
    """

    def __init__(
        self, settings: ServerSettings, metrics: Metrics, on_first_failure: Callable[[EmerError], None]
    ) -> None:
        self.settings = settings
        self.keeper = Keeper(settings.engine, on_first_failure)
        self._metrics = metrics
        self._turn = asyncio.Lock()
        self._places = 0
        self._mean_seconds = 1.0
        self.draining = False

    @property
    def places(self) -> int:
        """Requests inside: received, waiting or answered now."""
        return self._places

    @contextlib.contextmanager
    def place(self) -> Any:
        """Hold one of the `queue + 1` places, from the head of a request to the end of its answer.

        Raises:
            BusyError: none is free.
        """
        if self.draining:
            raise BusyError(
                "The server is about to stop.", todo="Ask again when it is back.", retry_seconds=10
            )
        if self._places > self.settings.queue:
            self._metrics.count("emer_refused_total", reason="queue_full")
            raise BusyError(
                "The server is busy.",
                f"{self._places} requests are inside, {self.settings.queue} may wait while one is answered.",
                "Ask again after the seconds that Retry-After names.",
                retry_seconds=self._retry_seconds(),
            )
        self._places += 1
        try:
            yield
        finally:
            self._places -= 1

    async def answer(self, job: Job) -> AsyncGenerator[dict[str, Any], None]:
        """Events of an answer, the last one of kind `done`. Close it (`aclose`) to stop the work.

        Raises:
            EmerError: what the reasoner raised.
            WorkerError, DeadlineError, BusyError: the worker was lost, took too long, or is not there.
        """
        came = time.monotonic()
        await self._take_turn()
        try:
            began = time.monotonic()
            self._metrics.observe("emer_wait_seconds", began - came)
            talk, outcome = _Talk(job, self.settings.deadline_seconds), "left"
            try:
                event = await self._begin(talk)
                while event is not None:
                    yield event
                    event = await talk.next_event()
                outcome = "answered"
            except EmerError as error:
                outcome = type(error).__name__
                raise
            finally:
                # A client that has gone must not leave the worker busy, nor its turn taken for ever.
                await asyncio.shield(asyncio.ensure_future(talk.end()))
                spent = time.monotonic() - began
                self._mean_seconds += 0.2 * (spent - self._mean_seconds)
                self._metrics.observe("emer_answer_seconds", spent)
                self._metrics.count("emer_answers_total", outcome=outcome)
        finally:
            self._turn.release()

    async def _take_turn(self) -> None:
        """Wait for the one turn there is.

        Raises:
            BusyError: it did not come in time.
        """
        acquiring = asyncio.ensure_future(self._turn.acquire())
        try:
            await asyncio.wait([acquiring], timeout=self.settings.wait_seconds)
        except asyncio.CancelledError:
            if not acquiring.cancel():
                self._turn.release()
            raise
        if not acquiring.done():
            acquiring.cancel()
            self._metrics.count("emer_refused_total", reason="waited")
            raise BusyError(
                f"The turn did not come within {self.settings.wait_seconds:g} s.",
                "The answers before this one take long.",
                "Ask again, or start the server with a longer --wait or a shorter --queue.",
                retry_seconds=self._retry_seconds(),
            )

    def _retry_seconds(self) -> int:
        """When a place is likely to be free."""
        return max(1, math.ceil(self._mean_seconds * self._places))

    async def _begin(self, talk: _Talk) -> dict[str, Any] | None:
        """The first event. A worker that ends before it has touched the job costs nobody an answer."""
        await talk.begin(await self.keeper.worker(START_SECONDS))
        try:
            return await talk.next_event()
        except WorkerError:
            await talk.begin(await self.keeper.worker(START_SECONDS))
            return await talk.next_event()


class _Talk:
    """One answer's conversation with the worker, watched by a deadline."""

    def __init__(self, job: Job, seconds: float) -> None:
        self._job = job
        self._seconds = seconds
        self._deadline = 0.0
        self._worker: WorkerProcess | None = None
        self._inbox: Inbox = asyncio.Queue()
        self._number = 0
        self._over = True

    async def begin(self, worker: WorkerProcess) -> None:
        """Give the job to a worker; the deadline counts from here."""
        self._worker, self._inbox, self._over = worker, asyncio.Queue(), False
        self._number = worker.open(self._inbox)
        self._deadline = time.monotonic() + self._seconds
        job = self._job
        await worker.send(
            {
                "op": "infer",
                "id": self._number,
                "path": job.path,
                "name": job.name,
                "question": job.question,
                "subtitle": job.subtitle,
                "options": job.options,
            }
        )

    async def next_event(self) -> dict[str, Any] | None:
        """The next event; None after `done`."""
        if self._over:
            return None
        message = await self._next(self._deadline)
        if message is None:
            raise DeadlineError(
                f"{self._job.name} took longer than the {self._seconds:g} s that one answer may take.",
                "The worker was stopped, so that the others need not wait.",
                "Use a shorter clip, ask for fewer tokens, or raise --deadline.",
            )
        match message["op"]:
            case "event":
                return dict(message["event"])
            case "done":
                self._over = True
                return {"kind": "done", **{k: v for k, v in message.items() if k not in ("op", "id")}}
            case "error":
                self._over = True
                raise error_of(message["error"])
        self._over = True
        raise lost_error()

    async def _next(self, deadline: float) -> dict[str, Any] | None:
        try:
            return await asyncio.wait_for(self._inbox.get(), max(0.0, deadline - time.monotonic()))
        except asyncio.TimeoutError:
            return None

    async def end(self) -> None:
        """Give the worker back idle: ask it to stop, and kill it where it does not."""
        if self._worker is None:
            return
        try:
            if self._over:
                return
            await self._worker.send({"op": "cancel", "id": self._number})
            patience = max(self._deadline, time.monotonic() + GRACE_SECONDS)
            while (message := await self._next(patience)) is not None:
                if message["op"] != "event":
                    return
            self._worker.kill()
            await self._worker.ended.wait()
        finally:
            self._worker.close_inbox(self._number)
