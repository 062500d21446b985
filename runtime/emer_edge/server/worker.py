"""The worker process: holds the reasoner, answers over one socket. Knows no HTTP.

It may crash, be killed or hang in native code; the server sees the socket end, or ends it. Run as
`python -m emer_edge.server.worker FD`.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emer_edge.errors import EmerError
from emer_edge.live.affect import place, valence_arousal
from emer_edge.server.moments import clue_moments
from emer_edge.server.wire import BrokenWireError, Message, encode, receive_blocking
from emer_edge.server.worker_live import LiveChannel

if TYPE_CHECKING:
    from emer_edge._core import CancelToken
    from emer_edge.pipeline import Event
    from emer_edge.reasoner import Reasoner
    from emer_edge.results import Reasoning


class Link:
    """The sending half of the socket; threads may share it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Send one message; ends the process where nobody listens any more."""
        data = encode(message)
        try:
            with self._lock:
                self._connection.sendall(data)
        except OSError:
            os._exit(0)


class Worker:
    """Answers one clip at a time; live sessions run beside it."""

    def __init__(self, reasoner: Reasoner, link: Link) -> None:
        self._reasoner = reasoner
        self._link = link
        self._jobs = ThreadPoolExecutor(1, "emer-edge-answer")
        self._tokens: dict[int, CancelToken] = {}
        self._live: dict[int, LiveChannel] = {}

    def take(self, message: Message, blob: bytes) -> None:
        """Begin what a message asks for; returns at once."""
        number = int(message["id"])
        match message["op"]:
            case "infer":
                from emer_edge import CancelToken

                self._tokens[number] = CancelToken()
                self._jobs.submit(self._infer, number, message)
            case "cancel" if number in self._tokens:
                self._tokens[number].cancel()
            case "live":
                self._live[number] = LiveChannel(self._reasoner, number, message["config"], self._link.send)
            case "push" if number in self._live:
                self._live[number].put(message, blob)
            case "end" if number in self._live:
                self._live.pop(number).end()

    def _infer(self, number: int, job: Message) -> None:
        try:
            answer = self._answer(number, job)
        except BaseException as error:  # also a bug must not leave the client without an answer
            self._link.send({"op": "error", "id": number, "error": _told(error, job)})
        else:
            self._link.send({"op": "done", "id": number, **answer})
        finally:
            self._tokens.pop(number, None)

    def _answer(self, number: int, job: Message) -> dict[str, Any]:
        from emer_edge import Options

        subtitle = job["subtitle"]  # None, "" or the path of a file
        reasoning = self._reasoner.infer(
            job["path"],
            question=job["question"],
            subtitle=Path(subtitle) if subtitle else subtitle,
            options=Options(**job["options"]),
            on_event=lambda event: self._tell(number, event),
            cancel=self._tokens[number],
        )
        return answer_of(reasoning, job["name"])

    def _tell(self, number: int, event: Event) -> None:
        told = event_of(event)
        if told:
            self._link.send({"op": "event", "id": number, "event": told})


def event_of(event: Event) -> dict[str, Any]:
    """A step of the work as it is told to clients; empty for one that is not."""
    match event.kind:
        case "stage":
            return {"kind": "stage", "stage": event.stage}
        case "used" if event.used is not None:
            return {"kind": "used", "used": asdict(event.used)}
        case "labels":
            return {"kind": "labels", "emotions": [asdict(emotion) for emotion in event.emotions]}
        case "text":
            return {"kind": "text", "text": event.text}
    return {}


def answer_of(reasoning: Reasoning, name: str) -> dict[str, Any]:
    """The answer under the name that the client gave its clip, with what a page needs beside it."""
    valence, arousal = valence_arousal(reasoning.scores)
    return {
        "reasoning": {**reasoning.to_dict(), "clip": name},
        "affect": {"valence": valence, "arousal": arousal},
        "cues": [asdict(cue) for cue in reasoning.cues],
        "moments": [asdict(moment) for moment in clue_moments(reasoning)],
    }


def _told(error: BaseException, job: Message) -> dict[str, Any]:
    """The error as data, in the client's words: paths of this machine are nobody's business."""
    if not isinstance(error, EmerError):
        error = EmerError("emer-edge failed in a way it should not.", f"{type(error).__name__}: {error}")
    told: dict[str, Any] = error.to_dict()
    for path, name in ((job["subtitle"], "the subtitle"), (job["path"], job["name"])):
        for field in ("what", "why", "todo"):
            told[field] = told[field].replace(path, name) if path else told[field]
    return told


def describe(reasoner: Reasoner) -> dict[str, Any]:
    """What clients may know of the pack."""
    manifest = reasoner.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "family": manifest.family,
        "description": manifest.description,
        "licence": manifest.licence.id,
        "labels": list(manifest.labels.candidates),
        "affect": {label: at for label in manifest.labels.candidates if (at := place(label)) is not None},
        "questions": sorted(manifest.prompt.questions),
        "device": reasoner.device,
        "threads": reasoner.threads,
    }


def _load(link: Link, wish: Message) -> Reasoner | None:
    """The reasoner, or None after telling why there is none."""
    try:
        module, _, name = str(wish["loader"]).partition(":")
        reasoner: Reasoner = getattr(importlib.import_module(module), name)(
            wish["pack"], device=wish["device"], threads=wish["threads"], decoder=wish["decoder"]
        )
        link.send({"op": "ready", "id": 0, "pack": describe(reasoner)})
    except Exception as error:
        told = error if isinstance(error, EmerError) else EmerError("The pack can't be loaded.", repr(error))
        link.send({"op": "failed", "id": 0, "error": told.to_dict()})
        return None
    return reasoner


def main() -> None:
    """Load what the first message names, then answer until the server has gone."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the server says when it is over, by ending the socket
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.set_inheritable(False)
    stream, link = connection.makefile("rb"), Link(connection)
    wish = receive_blocking(stream)
    reasoner = _load(link, wish[0]) if wish else None
    if reasoner is not None:
        worker = Worker(reasoner, link)
        try:
            while received := receive_blocking(stream):
                worker.take(*received)
        except BrokenWireError as error:
            print(f"emer-edge worker: {error}", file=sys.stderr)
    sys.stderr.flush()
    os._exit(0)  # threads may be inside native code; the operating system frees what there is


if __name__ == "__main__":
    main()
