"""Keeps one worker alive: starts it, notices its end, starts the next. Knows no client and no queue."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from typing import Any

from emer_edge.errors import EmerError
from emer_edge.server.problems import BusyError
from emer_edge.server.process import WorkerProcess
from emer_edge.server.settings import Engine

PAUSES_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Pause before the next try after 0, 1, 2 ... starts in a row that failed."""


class Keeper:
    """The worker, and the one after it.

    Args:
        engine: what a worker loads.
        on_first_failure: called with the error where the very first start fails; no other is tried then.
    """

    def __init__(self, engine: Engine, on_first_failure: Callable[[EmerError], None]) -> None:
        self._engine = engine
        self._on_first_failure = on_first_failure
        self._current: WorkerProcess | None = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failure: EmerError | None = None
        self.starts = 0
        """Workers that became ready."""
        self.pack: dict[str, Any] = {}
        """What the last worker said of its pack; kept while the next one starts."""

    def begin(self) -> None:
        """Start the first worker, in the background."""
        self._task = asyncio.create_task(self._keep())

    @property
    def alive(self) -> bool:
        """Whether a worker is ready now."""
        return self._current is not None and not self._current.ended.is_set()

    async def worker(self, patience_seconds: float) -> WorkerProcess:
        """The worker that is ready, awaited while one is being started.

        Raises:
            BusyError: none became ready in time.
        """
        end = asyncio.get_running_loop().time() + patience_seconds
        while True:
            if self._current is not None and not self._current.ended.is_set():
                return self._current
            self._changed.clear()
            left = end - asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(self._changed.wait(), max(0.0, left))
            except asyncio.TimeoutError:
                why = self._failure.what if self._failure else "It is still being started."
                raise BusyError("There is no worker to answer.", why, "Ask again.", 5) from None

    async def _keep(self) -> None:
        failed = 0
        while True:
            await asyncio.sleep(PAUSES_SECONDS[min(failed, len(PAUSES_SECONDS) - 1)])
            try:
                worker = await WorkerProcess.start(self._engine)
            except (EmerError, OSError) as error:
                known = (
                    error
                    if isinstance(error, EmerError)
                    else EmerError("No process can be started.", str(error))
                )
                if not self.starts:
                    self._on_first_failure(known)
                    return
                print(f"emer-edge: the worker could not be started again: {known.what}", file=sys.stderr)
                self._failure, failed = known, failed + 1
                continue
            failed, self._failure = 0, None
            self.starts += 1
            self._current, self.pack = worker, worker.pack
            self._changed.set()
            try:
                await worker.ended.wait()
                print("emer-edge: the worker ended; starting another", file=sys.stderr)
            finally:
                self._current = None
                await worker.close()

    async def close(self) -> None:
        """End the worker and start no other."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
