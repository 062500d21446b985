"""How an answer travels: as one JSON object, or as server-sent events while it is made. Knows no job.

Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Send

from emer_edge.errors import EmerError
from emer_edge.server.bodies import BODY_READ
from emer_edge.server.problems import body_of, headers_of, status_of

BEAT_SECONDS = 10.0
"""A comment is sent after this long without an event, so that nobody on the way takes the line for dead."""
DISCARD_BYTES = 8 * 1024**2
DISCARD_SECONDS = 1.0


class EventStream:
    """A response of server-sent events, begun with the first of them."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def begin(self) -> None:
        """Send the head."""
        if self.begun:
            return
        self.begun = True
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),  # nginx would keep events back
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def send(self, data: Any, name: str = "") -> None:
        """Send one event; `data` is JSON, or text that is sent as it is."""
        await self.begin()
        text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        head = f"event: {name}\n" if name else ""
        await self._body(f"{head}data: {text}\n\n")

    async def beat(self) -> None:
        """Send a comment, which clients ignore."""
        await self.begin()
        await self._body(": still here\n\n")

    async def end(self) -> None:
        """Send the end."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _body(self, text: str) -> None:
        await self._send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def with_beats(
    events: AsyncGenerator[dict[str, Any], None], stream: EventStream
) -> AsyncGenerator[dict[str, Any], None]:
    """The events, with a beat in every long pause between them."""
    while True:
        coming = asyncio.ensure_future(anext(events))
        try:
            while not (await asyncio.wait([coming], timeout=BEAT_SECONDS))[0]:
                await stream.beat()
        finally:
            if not coming.done():
                coming.cancel()
                await asyncio.wait([coming])
        try:
            yield coming.result()
        except StopAsyncIteration:
            return


async def until_gone(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do `work`, and cancel it when the client leaves."""
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait([working, watching], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (working, watching):
            if not task.done():
                task.cancel()
        await asyncio.wait([working, watching])
    if not working.cancelled():
        working.result()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def problem_response(request: Request, error: Exception) -> Response:
    """The JSON answer to an error. A body that still comes is swallowed for a while first.

    A server that closes while its client still sends may cut off its own answer on the way.
    """
    known = error if isinstance(error, EmerError) else EmerError("The server failed.", type(error).__name__)
    if not request.scope.get(BODY_READ) and "expect" not in request.headers:
        declared = request.headers.get("content-length", "0")
        if request.headers.get("transfer-encoding") or (declared.isdecimal() and int(declared) > 0):
            await _discard(request.receive)
    return JSONResponse(body_of(known), status_of(known), headers_of(known))


async def _discard(receive: Receive) -> None:
    async def swallow() -> None:
        left = DISCARD_BYTES
        while left > 0:
            message: Message = await receive()
            left -= len(message.get("body", b""))
            if message["type"] != "http.request" or not message.get("more_body"):
                return

    try:
        await asyncio.wait_for(swallow(), DISCARD_SECONDS)
    except asyncio.TimeoutError:
        return
