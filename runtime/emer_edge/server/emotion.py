"""`POST /v1/emotion`: a clip in, a reasoning out, whole or as it comes. Knows HTTP; knows no model."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from emer_edge.errors import EmerError, InputError
from emer_edge.server.asking import job_of_form
from emer_edge.server.bodies import Form, chunks, clip_folder, read_multipart, read_raw
from emer_edge.server.desk import Desk, Job
from emer_edge.server.problems import body_of
from emer_edge.server.replies import EventStream, until_gone, with_beats

EVENTS = "text/event-stream"


class EmotionRoute:
    """The route as an ASGI application, so that clip and place last as long as the answer."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One upload."""
        request = Request(scope, receive)
        settings = self._desk.settings
        with self._desk.place(), clip_folder() as folder:
            pieces = chunks(request, settings.upload_bytes, settings.body_seconds)
            kind = request.headers.get("content-type", "")
            form: Form
            if kind.startswith("multipart/form-data"):
                form = await read_multipart(kind, folder, pieces)
            elif kind.startswith("application/x-www-form-urlencoded"):
                raise InputError(
                    "A clip can't be sent as a URL-encoded form.",
                    todo="Send it as a file: curl -F clip=@clip.mp4",
                )
            else:
                form = await read_raw(request, folder, pieces)
            job = job_of_form(form, folder)
            reply = self._stream if EVENTS in request.headers.get("accept", "") else self._whole
            await until_gone(receive, reply(job, scope, receive, send))

    async def _whole(self, job: Job, scope: Scope, receive: Receive, send: Send) -> None:
        answer: dict[str, Any] = {}
        async with aclosing(self._desk.answer(job)) as events:
            async for event in events:
                if event["kind"] == "done":
                    answer = event["reasoning"]
        await JSONResponse(answer)(scope, receive, send)

    async def _stream(self, job: Job, _scope: Scope, _receive: Receive, send: Send) -> None:
        stream = EventStream(send)
        await stream.send({"kind": "queued", "ahead": self._desk.places - 1}, "queued")
        async with aclosing(self._desk.answer(job)) as answer, aclosing(with_beats(answer, stream)) as events:
            try:
                async for event in events:
                    await stream.send(event, event["kind"])
            except EmerError as error:  # the head is out: the error is an event now
                await stream.send({"kind": "error", **body_of(error)}, "error")
        await stream.end()
