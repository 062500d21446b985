"""A node of a dora dataflow: frames, sound, words and questions in, events out. The only importer of dora.

Inputs are named `image` (or `frame`), `audio`, `text` and `ask`; outputs are `state`, `token`, `reasoning`,
`dropped` and `error`, each one JSON text. What waits to be taken is the dataflow's own choice, by
`queue_size` and `queue_policy` of each input: see examples/bridges/dora.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import numpy as np

from emer_edge.bridges.payloads import Asked, Intake
from emer_edge.bridges.port import Sink, forward
from emer_edge.bridges.wire import encode_event
from emer_edge.errors import DeviceError, GenerationError, InputError
from emer_edge.live.events import LiveEvent

NAMES: Mapping[str, str] = {
    "image": "frame",
    "frame": "frame",
    "audio": "audio",
    "text": "text",
    "ask": "ask",
}
"""What each input's identifier means to `payloads`."""
_JOIN_SECONDS = 30.0


class DoraBridge:
    """One node. It must be made in a process that dora started, or with a node of one's own.

    Args:
        node: a `dora.Node`, or what stands in for one; None makes it.

    Raises:
        DeviceError: dora is not installed, or this process is no node of a dataflow.
    """

    def __init__(self, node: Any = None) -> None:
        self._arrow, dora = _import_dora()
        try:
            self._node = dora.Node() if node is None else node
        except RuntimeError as error:
            raise DeviceError(
                "This process is no node of a dora dataflow.",
                str(error).partition("\n")[0],
                "Start it by `dora run dataflow.yml`; see docs/bridges.md.",
            ) from error
        self._outputs = self._node.node_config().get("outputs")

    def send(self, event: LiveEvent) -> None:
        """Send one event, where the dataflow declares an output of its kind."""
        if self._outputs is None or event.kind in self._outputs:
            self._node.send_output(event.kind, self._arrow.array([encode_event(event).decode()]), {})

    def run(self, session: Asked, events: Iterable[LiveEvent], close: Any, *sinks: Sink) -> Intake:
        """Feed the session until the dataflow ends, and send what it tells until it has told all.

        Args:
            session: where frames, sound, words and questions go.
            events: what it tells; ends once the session is closed.
            close: called when all inputs have ended, or the dataflow is stopped.
            sinks: who else is told.

        Raises:
            GenerationError: events could not be sent.
        """
        intake, failure = Intake(session), _Failure()
        teller = threading.Thread(
            target=failure.watch, args=(forward, events, self, *sinks), name="emer-dora"
        )
        teller.start()
        try:
            # Waiting with a timeout would be slower: dora's `next` then loses whole seconds under load.
            for event in self._node:
                # dora hands out STOP before the inputs that still wait; they are taken too, unless
                # somebody asked for an end.
                stopped = event["type"] == "STOP" and event.get("id") != "ALL_INPUTS_CLOSED"
                if stopped or failure.error is not None:
                    break
                if event["type"] == "INPUT":
                    self._take(event, intake)
        finally:
            close()
            teller.join(_JOIN_SECONDS)
        if failure.error is not None:
            raise GenerationError("The events can't be sent on.", str(failure.error)) from failure.error
        return intake

    def _take(self, event: Mapping[str, Any], intake: Intake) -> None:
        name = NAMES.get(event["id"])
        if name is None:
            intake.refuse(InputError(f"There is no input {event['id']!r}.", f"There are {', '.join(NAMES)}."))
            return
        facts = dict(event["metadata"] or {})
        told = facts.pop("timestamp", None)
        seconds = told.timestamp() if isinstance(told, datetime) else 0.0
        if name in ("text", "ask"):
            data: Any = "".join(str(part) for part in event["value"].to_pylist()).encode()
            if name == "text":
                facts.setdefault("start_seconds", facts.get("pts_seconds", seconds))
                facts.setdefault("end_seconds", facts["start_seconds"])
        else:
            # A copy: the array lies in memory that the sender waits for.
            data = np.array(event["value"].to_numpy(zero_copy_only=False))
            data.flags.writeable = False
            facts.setdefault("format", facts.get("encoding") or _format(name, data))
            if name == "frame":
                facts.setdefault("pts_seconds", seconds)
        intake.take(name, data, facts)


class _Failure:
    """What went wrong in the thread that tells."""

    error: Exception | None = None

    def watch(self, call: Any, *arguments: Any) -> None:
        try:
            call(*arguments)
        except Exception as error:
            self.error = error


def _format(name: str, data: Any) -> str:
    if name == "frame":
        return "rgb8"
    kind = str(data.dtype.name)
    return {"int16": "s16", "uint8": "s16", "float32": "f32"}.get(kind, kind)


def _import_dora() -> tuple[Any, Any]:
    try:
        # pyarrow first: it takes seconds on a busy machine, and dora would load it with the first input,
        # while the queue of that input overflows.
        return importlib.import_module("pyarrow"), importlib.import_module("dora")
    except ImportError as error:
        raise DeviceError(
            "dora is not installed.", str(error), "pip install 'emer-edge[bridges]' (Python 3.11 or later)"
        ) from error
