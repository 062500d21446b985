"""One worker process seen from the server: started, spoken to, ended. Knows no queue of clients."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from itertools import count
from typing import Any

from emer_edge.errors import EmerError
from emer_edge.server.problems import WorkerError, error_of
from emer_edge.server.settings import Engine
from emer_edge.server.wire import BrokenWireError, Message, encode, receive

LOST: Message = {"op": "lost"}
"""What every open inbox gets when the process has ended."""

Inbox = asyncio.Queue[Message]


class WorkerProcess:
    """A running worker. Use `start`; after `ended` is set it answers nothing any more."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: Any, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader: asyncio.StreamReader = reader
        self._writer = writer
        self._inboxes: dict[int, Inbox] = {}
        self._numbers = count(1)
        self._routing: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()
        self.pack: dict[str, Any] = {}
        """What the worker says of the pack it has loaded."""

    @classmethod
    async def start(cls, engine: Engine) -> WorkerProcess:
        """Start a process and wait until the pack is loaded.

        Raises:
            PackError, DeviceError, InputError, EmerError: what loading raised.
            WorkerError: the process ended before it was ready.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "emer_edge.server.worker", str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sys.stderr,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the server, which lets the answers end first
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        worker = cls(process, reader, writer)
        try:
            await worker._load(engine)
        except BaseException:
            await worker.close()
            raise
        worker._routing = asyncio.create_task(worker._route())
        return worker

    async def _load(self, engine: Engine) -> None:
        wish = {
            "op": "load",
            "loader": engine.loader,
            "pack": engine.pack,
            "device": engine.device,
            "threads": engine.threads,
            "decoder": engine.decoder,
        }
        with contextlib.suppress(ConnectionError):
            await self.send(wish)
        told = await self._receive()
        if told is None:
            raise WorkerError(
                "The worker ended while it loaded the pack.", todo="See what stands above on standard error."
            )
        if told["op"] == "failed":
            raise error_of(told["error"])
        self.pack = told["pack"]

    @property
    def process_id(self) -> int:
        """Of the worker."""
        return self._process.pid

    def open(self, inbox: Inbox) -> int:
        """A number for one conversation; what the worker says under it comes into `inbox`."""
        number = next(self._numbers)
        self._inboxes[number] = inbox
        if self.ended.is_set():
            inbox.put_nowait(LOST)
        return number

    def close_inbox(self, number: int) -> None:
        """End a conversation; what still comes is dropped."""
        self._inboxes.pop(number, None)

    async def send(self, message: Message, blob: bytes = b"") -> None:
        """Send a message, waiting while the worker is behind. Where it has ended, the inboxes know it."""
        with contextlib.suppress(OSError):
            self._writer.write(encode(message, blob))
            await self._writer.drain()

    async def _receive(self) -> Message | None:
        try:
            return await receive(self._reader)
        except BrokenWireError:
            return None

    async def _route(self) -> None:
        """Give every message to its conversation until the worker has ended."""
        try:
            while (message := await self._receive()) is not None:
                inbox = self._inboxes.get(int(message["id"]))
                if inbox is not None:
                    inbox.put_nowait(message)
        finally:
            self.ended.set()
            self.kill()
            for inbox in self._inboxes.values():
                inbox.put_nowait(LOST)

    def kill(self) -> None:
        """End the process at once, whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def close(self) -> None:
        """Kill it and wait until it is gone."""
        self.kill()
        self._writer.close()
        if self._routing is not None:
            await asyncio.wait([self._routing], timeout=5)
        await self._process.wait()


def lost_error() -> EmerError:
    """What a client is told whose answer went with the worker."""
    return WorkerError(
        "The worker process ended in the middle of this answer.",
        "It crashed or was killed; a new one is being started.",
        "Ask again; if it ends each time, the clip is what it can't bear.",
    )
