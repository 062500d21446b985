"""One live session inside the worker. Knows the session's calls; knows no WebSocket."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from emer_edge.errors import EmerError
from emer_edge.limits import Limits
from emer_edge.live.events import Failed, event_to_dict
from emer_edge.server.wire import Message

if TYPE_CHECKING:
    from emer_edge.live.session import LiveSession
    from emer_edge.reasoner import Reasoner

HEAD_VERSION = "1.0"
FLUSH_SECONDS = 10.0


class LiveChannel:
    """Feeds one session in a thread and tells its events in another; both end with `end`.

    Args:
        reasoner: opens the session.
        number: of the conversation with the server.
        config: the arguments of `Reasoner.live`.
        send: sends a message to the server.
    """

    def __init__(
        self, reasoner: Reasoner, number: int, config: dict[str, Any], send: Callable[[Message], None]
    ) -> None:
        self._reasoner = reasoner
        self._number = number
        self._config = config
        self._send = send
        # Bounded by the server, which sends no more than it got acknowledged.
        self._inputs: queue.SimpleQueue[tuple[Message, bytes] | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=f"emer-edge-live-{number}", daemon=True).start()

    def put(self, message: Message, blob: bytes) -> None:
        """Take one message of the client; returns at once."""
        self._inputs.put((message, blob))

    def end(self) -> None:
        """Close the session once everything that came before is taken."""
        self._inputs.put(None)

    def _run(self) -> None:
        try:
            stats = self._live()
        except BaseException as error:  # a bug too must reach the client
            known = error if isinstance(error, EmerError) else EmerError("The session failed.", repr(error))
            self._tell("error", error=known.to_dict())
        else:
            self._tell("done", stats=stats)

    def _live(self) -> dict[str, Any]:
        with self._reasoner.live(**self._config) as session:
            self._tell("event", event=self._head(session))
            telling = threading.Thread(target=self._tell_events, args=(session,), daemon=True)
            telling.start()
            while (taken := self._inputs.get()) is not None:
                message, blob = taken
                try:
                    self._push(session, message, blob)
                except EmerError as error:
                    self._tell("event", event=event_to_dict(Failed(error.to_dict())))
                finally:
                    self._tell("ack")
        telling.join()
        return session.stats()

    def _tell_events(self, session: LiveSession) -> None:
        for event in session:
            self._tell("event", event=event_to_dict(event))

    def _head(self, session: LiveSession) -> dict[str, Any]:
        """The first line, as in a recorded timeline."""
        manifest = self._reasoner.manifest
        return {
            "kind": "session",
            "schema_version": HEAD_VERSION,
            "pack": {"name": manifest.name, "version": manifest.version},
            "labels": list(manifest.labels.candidates),
            "window_seconds": session.options.window_seconds,
            "hop_seconds": session.options.hop_seconds,
        }

    def _push(self, session: LiveSession, message: Message, blob: bytes) -> None:
        values = message["values"]
        match message["what"]:
            case "frame":
                from emer_edge.media.pyav_picture import decode_jpeg

                session.push_frame(decode_jpeg(blob, Limits()), values["pts_seconds"])
            case "audio":
                pcm = np.frombuffer(blob, "<i2").reshape(-1, values["channels"]).T
                session.push_audio(np.ascontiguousarray(pcm), values["sample_rate"], values["pts_seconds"])
            case "text":
                times = values["start_seconds"], values["end_seconds"]
                session.push_text(values["text"], *times, values["final"])
            case "ask":
                session.ask(values["question"])
            case "interrupt":
                session.interrupt()
            case "flush":
                session.flush(FLUSH_SECONDS)

    def _tell(self, op: str, **values: Any) -> None:
        self._send({"op": op, "id": self._number, **values})
