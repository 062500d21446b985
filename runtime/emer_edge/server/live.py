"""`WS /v1/live`: pictures, sound and words in, events out. Knows WebSocket; knows no session."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from emer_edge.errors import EmerError, InputError
from emer_edge.live.events import Dropped, Failed, event_to_dict
from emer_edge.server.desk import Desk
from emer_edge.server.guard import check_key, key_of
from emer_edge.server.live_messages import Push, parse_binary, parse_object, parse_text
from emer_edge.server.metrics import Metrics
from emer_edge.server.problems import BusyError, error_of, status_of
from emer_edge.server.process import Inbox, WorkerProcess, lost_error

CREDITS = 64
"""Messages that the worker may have before it; further pictures and sounds are dropped, or waited with."""
FIRST_MESSAGE_SECONDS = 10.0
CLOSING_SECONDS = 20.0
WORKER_SECONDS = 10.0

CONFIG: dict[str, tuple[type, ...]] = {
    "window_seconds": (int, float),
    "hop_seconds": (int, float),
    "deadline_seconds": (int, float, type(None)),
    "policy": (str,),
    "reasoning": (str, int, float),
    "question": (str,),
    "max_tokens": (int, type(None)),
    "language": (str,),
}
"""The settings of a session that a client may choose, and their types."""

# https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number
NORMAL, POLICY, FAILED, RESTART, LATER = 1000, 1008, 1011, 1012, 1013


class LiveRoute:
    """Opens sessions; counts how many there are."""

    def __init__(self, desk: Desk, metrics: Metrics) -> None:
        self._desk = desk
        self._metrics = metrics
        self.open_sessions = 0

    async def serve(self, websocket: WebSocket) -> None:
        """One client, from its first message to the end."""
        await websocket.accept()
        code = NORMAL
        try:
            config = await self._config(websocket)
            with self._place():
                worker = await self._desk.keeper.worker(WORKER_SECONDS)
                await _Bridge(websocket, worker, config, self._desk, self._metrics).run()
        except (WebSocketDisconnect, asyncio.TimeoutError):
            code = POLICY
        except EmerError as error:
            code = {401: POLICY, 400: POLICY, 502: RESTART, 503: LATER}.get(status_of(error), FAILED)
            await _send(websocket, event_to_dict(Failed(error.to_dict(), fatal=True)))
        if websocket.application_state is not WebSocketState.DISCONNECTED:
            with contextlib.suppress(RuntimeError, WebSocketDisconnect, OSError):
                await websocket.close(code)

    async def _config(self, websocket: WebSocket) -> dict[str, Any]:
        message = await asyncio.wait_for(websocket.receive(), FIRST_MESSAGE_SECONDS)
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect
        config = dict(parse_object(message.get("text") or ""))
        key = config.pop("api_key", "") or key_of(websocket.headers)
        check_key(key if isinstance(key, str) else "", self._desk.settings)
        return check_config(config)

    @contextlib.contextmanager
    def _place(self) -> Any:
        if self.open_sessions >= self._desk.settings.live_sessions or self._desk.draining:
            raise BusyError(
                "No further live session can be opened.",
                f"{self.open_sessions} are open.",
                "Try again later, or start the server with a larger --live-sessions.",
                retry_seconds=5,
            )
        self.open_sessions += 1
        try:
            yield
        finally:
            self.open_sessions -= 1


def check_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a session, as far as their names and types go.

    Raises:
        InputError.
    """
    for name, value in config.items():
        if name not in CONFIG:
            raise InputError(
                f"The setting {name!r} is unknown.", todo=f"The settings are {', '.join(CONFIG)}."
            )
        if isinstance(value, bool) or not isinstance(value, CONFIG[name]):
            raise InputError(f"{name} = {value!r} makes no sense.")
    return dict(config)


class _Bridge:
    """Between one client and its session in the worker."""

    def __init__(
        self,
        websocket: WebSocket,
        worker: WorkerProcess,
        config: dict[str, Any],
        desk: Desk,
        metrics: Metrics,
    ) -> None:
        self._websocket = websocket
        self._worker = worker
        self._config = config
        self._patience_seconds = desk.settings.deadline_seconds
        self._metrics = metrics
        self._inbox: Inbox = asyncio.Queue()
        self._number = worker.open(self._inbox)
        self._before_worker = 0
        self._credit = asyncio.Event()
        self._last_ack = time.monotonic()
        self._dropped: Counter[str] = Counter()

    async def run(self) -> None:
        """Until the client or the session ends.

        Raises:
            EmerError: the session can't go on.
        """
        await self._worker.send({"op": "live", "id": self._number, "config": self._config})
        down = asyncio.ensure_future(self._down())
        up = asyncio.ensure_future(self._up())
        try:
            await asyncio.wait([down, up], return_when=asyncio.FIRST_COMPLETED)
            await self._worker.send({"op": "end", "id": self._number})
            if up.done() and up.exception() is None and up.result():
                # The client said goodbye: it gets what is still being made.
                await asyncio.wait([down], timeout=CLOSING_SECONDS)
            if down.done():
                down.result()
            if up.done():
                up.result()
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.wait([up, down])
            self._worker.close_inbox(self._number)

    async def _up(self) -> bool:
        """Client to worker; True where the client asked to close, False where it has gone."""
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return False
            try:
                data = message.get("bytes")
                push = parse_text(message.get("text") or "") if data is None else parse_binary(data)
            except InputError as error:
                await self._event(event_to_dict(Failed(error.to_dict())))
                continue
            if push.what == "close":
                return True
            if await self._may_send(push):
                await self._tell_dropped()
                self._before_worker += 1
                await self._worker.send(
                    {"op": "push", "id": self._number, "what": push.what, "values": push.values}, push.blob
                )

    async def _may_send(self, push: Push) -> bool:
        """Whether the worker has room; waits for it under the policy `block`, drops media otherwise."""
        if self._before_worker < CREDITS:
            return True
        if self._config.get("policy") != "block" and push.what in ("frame", "audio"):
            self._dropped["frames" if push.what == "frame" else "audio"] += 1
            self._metrics.count("emer_live_dropped_total")
            self._end_hung_worker()
            return False
        while self._before_worker >= CREDITS:
            self._credit.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._credit.wait(), 1.0)
            self._end_hung_worker()
        return True

    def _end_hung_worker(self) -> None:
        """A worker that takes nothing for as long as one answer may take hangs, in a decoder most likely."""
        if time.monotonic() - self._last_ack > self._patience_seconds:
            self._worker.kill()

    async def _tell_dropped(self) -> None:
        for what, n in self._dropped.items():
            await self._event(event_to_dict(Dropped(n, "queue_full", what)))  # type: ignore[arg-type]
        self._dropped.clear()

    async def _down(self) -> None:
        """Worker to client, until the session has ended."""
        while True:
            message = await self._inbox.get()
            match message["op"]:
                case "ack":
                    self._before_worker -= 1
                    self._last_ack = time.monotonic()
                    self._credit.set()
                case "event":
                    await self._event(message["event"])
                case "done":
                    await self._event({"kind": "closed", "stats": message["stats"]})
                    return
                case "error":
                    raise error_of(message["error"])
                case "lost":
                    raise lost_error()

    async def _event(self, event: dict[str, Any]) -> None:
        self._metrics.count("emer_live_events_total", kind=event["kind"])
        await _send(self._websocket, event)


async def _send(websocket: WebSocket, event: dict[str, Any]) -> None:
    with contextlib.suppress(RuntimeError, WebSocketDisconnect, OSError):  # the client has gone
        await websocket.send_text(json.dumps(event, ensure_ascii=False, separators=(",", ":")))
