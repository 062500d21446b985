"""`POST /v1/chat/completions`: answers in OpenAI's shape, whole or streamed. Knows HTTP; knows no model."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from emer_edge.errors import EmerError
from emer_edge.server.bodies import chunks, clip_folder
from emer_edge.server.chat_request import MODEL_ALIASES, Chat, read_chat
from emer_edge.server.desk import Desk
from emer_edge.server.problems import body_of
from emer_edge.server.replies import EventStream, until_gone, with_beats


class ChatRoute:
    """The route as an ASGI application."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._reading = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        request = Request(scope, receive)
        settings = self._desk.settings
        with self._desk.place(), clip_folder() as folder:
            body = bytearray()
            async for piece in chunks(request, settings.chat_bytes, settings.body_seconds):
                body += piece
            models = (*MODEL_ALIASES, str(self._desk.keeper.pack.get("name", "")))
            # Tens of megabytes of base64 would keep the event loop from everybody else, and several at once
            # would need more memory than a small machine has.
            async with self._reading:
                chat = await asyncio.to_thread(read_chat, bytes(body), folder, models)
            del body
            reply = _Reply(self._desk, chat)
            await until_gone(receive, (reply.stream if chat.stream else reply.whole)(scope, receive, send))


class _Reply:
    """One answer in OpenAI's shape; the field `emer` holds what only this server knows."""

    def __init__(self, desk: Desk, chat: Chat) -> None:
        self._desk = desk
        self._chat = chat
        self._head = {
            "id": f"chatcmpl-{uuid.uuid4().hex[:24]}",
            "created": int(time.time()),
            "model": desk.keeper.pack.get("name", ""),
        }

    async def whole(self, scope: Scope, receive: Receive, send: Send) -> None:
        done: dict[str, Any] = {}
        async with aclosing(self._desk.answer(self._chat.job)) as events:
            async for event in events:
                done = event
        answer = done["reasoning"]
        message = {"role": "assistant", "content": answer["text"] or _labels(answer), "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": _finish(answer), "logprobs": None}
        body = {
            **self._head,
            "object": "chat.completion",
            "choices": [choice],
            "usage": _usage(answer),
            "emer": answer,
        }
        await JSONResponse(body)(scope, receive, send)

    async def stream(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        out = EventStream(send)
        async with (
            aclosing(self._desk.answer(self._chat.job)) as answer,
            aclosing(with_beats(answer, out)) as all_,
        ):
            try:
                async for event in all_:
                    for chunk in self._chunks(event):
                        await out.send(chunk)
                await out.send("[DONE]")
            except EmerError as error:
                if not out.begun:
                    raise
                await out.send(body_of(error))
        await out.end()

    def _chunks(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        match event["kind"]:
            case "labels":
                first = self._chunk({"role": "assistant", "content": ""})
                return [{**first, "emer": {"emotions": event["emotions"]}}]
            case "text":
                return [self._chunk({"content": event["text"]})]
            case "done":
                answer = event["reasoning"]
                words = [] if answer["text"] else [self._chunk({"content": _labels(answer)})]
                last = {**self._chunk({}, _finish(answer)), "emer": answer}
                usage = {**self._chunk({}), "choices": [], "usage": _usage(answer)}
                return [*words, last, *([usage] if self._chat.usage else [])]
        return []

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice]}


def _labels(answer: Mapping[str, Any]) -> str:
    return ", ".join(emotion["label"] for emotion in answer["emotions"])


def _finish(answer: Mapping[str, Any]) -> str:
    return "length" if answer["finish"] == "length" else "stop"


def _usage(answer: Mapping[str, Any]) -> dict[str, int]:
    asked, said = answer["timings"]["prompt_tokens"], answer["timings"]["new_tokens"]
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}
