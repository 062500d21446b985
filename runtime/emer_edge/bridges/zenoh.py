"""Events out and frames, sound, words and questions in, over Eclipse Zenoh. The only importer of zenoh.

Below a prefix, `emer-edge` unless told otherwise: `event/state`, `event/token`, `event/reasoning`,
`event/dropped` and `event/error` carry events as JSON; `in/frame`, `in/audio`, `in/text` and `in/ask` take
payloads as `payloads` describes them, with the facts as JSON in the attachment; and a query of `state` is
answered with the newest one.
"""

from __future__ import annotations

import importlib
import json
import re
import threading
from dataclasses import dataclass
from typing import Any

from emer_edge.bridges.payloads import INPUTS, Asked, Intake
from emer_edge.bridges.wire import encode_event
from emer_edge.errors import DeviceError, InputError
from emer_edge.live.events import LiveEvent
from emer_edge.strict_json import StrictJsonError, parse_json

KINDS = ("state", "token", "reasoning", "dropped", "error")
LOOPBACK = "tcp/127.0.0.1:7447"
_PREFIX = re.compile(r"[^\s/*$#?]+(/[^\s/*$#?]+)*\Z")
_LOCAL = re.compile(
    r"(tcp|udp|tls|quic|ws)/(127\.0\.0\.1|localhost|\[::1\]):\d+(#\S*)?\Z|unixsock-stream/\S+\Z"
)
_FRAMES = 2
_OTHERS = 256
_MAX_FACTS_BYTES = 4096


@dataclass(frozen=True, slots=True)
class ZenohOptions:
    """Where a session of zenoh listens and connects.

    Args:
        prefix: of every key.
        listen: endpoints to listen on; port 0 takes a free one.
        connect: endpoints to connect to, peers or a router.
        local_only: endpoints on this machine alone, and nobody is looked for by multicast.
        client: connect as a client of a router, which needs `connect`.

    Raises:
        InputError: a prefix that is no key, or an endpoint elsewhere with `local_only`.
    """

    prefix: str = "emer-edge"
    listen: tuple[str, ...] = (LOOPBACK,)
    connect: tuple[str, ...] = ()
    local_only: bool = True
    client: bool = False

    def __post_init__(self) -> None:
        if not _PREFIX.match(self.prefix):
            raise InputError(
                f"{self.prefix!r} is no key.", todo="Use names with / between them, no wildcards."
            )
        if self.client and not self.connect:
            raise InputError("A client needs a router to connect to.", todo="Name its endpoint.")
        for endpoint in (*self.listen, *self.connect):
            if self.local_only and not _LOCAL.match(endpoint):
                raise InputError(
                    f"{endpoint} is not on this machine.",
                    todo="Allow the network, or use tcp/127.0.0.1:PORT.",
                )


class ZenohBridge:
    """Publishes events and feeds a session. A context manager.

    Sending waits for a listener that is slow, until zenoh gives its link up after seconds; the session goes
    on meanwhile, and counts the events that nobody fetches. Of frames only the newest two wait to be taken,
    of everything else 256.

    Raises:
        DeviceError: zenoh is not installed, or an endpoint can't be had.
    """

    def __init__(self, options: ZenohOptions | None = None) -> None:
        self._options = options or ZenohOptions()
        self._zenoh = zenoh = _import_zenoh()
        try:
            self._session = zenoh.open(_config(zenoh, self._options))
        except zenoh.ZError as error:
            raise DeviceError("Can't open a session of zenoh.", str(error), "Check the endpoints.") from error
        self._newest: bytes | None = None
        self._threads: list[threading.Thread] = []
        self._subscribers: list[Any] = []
        prefix = self._options.prefix
        self._publishers = {
            kind: self._session.declare_publisher(
                f"{prefix}/event/{kind}",
                encoding=zenoh.Encoding.APPLICATION_JSON,
                # Zenoh's own way, DROP, loses a message after a millisecond's wait, and nobody learns of it.
                congestion_control=zenoh.CongestionControl.BLOCK,
                express=True,
            )
            for kind in KINDS
        }
        self._queryable = self._session.declare_queryable(f"{prefix}/state", self._answer)

    def send(self, event: LiveEvent) -> None:
        """Publish one event. Raises OutputError where JSON has no word for what it holds."""
        data = encode_event(event)
        if event.kind == "state":
            self._newest = data
        self._publishers[event.kind].put(data)

    def listen(self, session: Asked) -> Intake:
        """Feed the session, in threads of their own, until the bridge is closed; returns the counts."""
        intake, handlers = Intake(session), self._zenoh.handlers
        for name in INPUTS:
            handler = handlers.RingChannel(_FRAMES) if name == "frame" else handlers.FifoChannel(_OTHERS)
            subscriber = self._session.declare_subscriber(f"{self._options.prefix}/in/{name}", handler)
            thread = threading.Thread(
                target=self._run, args=(name, subscriber, intake), name=f"emer-zenoh-{name}", daemon=True
            )
            self._subscribers.append(subscriber)
            self._threads.append(thread)
            thread.start()
        return intake

    @property
    def peers(self) -> int:
        """How many peers and routers are connected."""
        info = self._session.info
        return len(info.peers_zid()) + len(info.routers_zid())

    def close(self) -> None:
        """Leave; what waits to be taken is given up."""
        self._session.close()
        for thread in self._threads:
            thread.join(5.0)

    def __enter__(self) -> ZenohBridge:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, name: str, subscriber: Any, intake: Intake) -> None:
        while True:
            try:
                sample = subscriber.recv()
            except self._zenoh.ZError:  # the session was closed
                return
            facts = _facts(sample.attachment)
            if facts is None:
                intake.refuse(InputError(f"The attachment of {sample.key_expr} is no JSON object."))
            else:
                intake.take(name, sample.payload.to_bytes(), facts)

    def _answer(self, query: Any) -> None:
        if self._newest is not None:
            query.reply(query.key_expr, self._newest, encoding=self._zenoh.Encoding.APPLICATION_JSON)


def _facts(attachment: Any) -> dict[str, Any] | None:
    """The attachment as a mapping; None where it is none."""
    raw = b"{}" if attachment is None else attachment.to_bytes()
    if len(raw) > _MAX_FACTS_BYTES:
        return None
    try:
        facts = parse_json(raw)
    except StrictJsonError:
        return None
    return facts if isinstance(facts, dict) else None


def _config(zenoh: Any, options: ZenohOptions) -> Any:
    config = zenoh.Config()
    values = {
        "mode": "client" if options.client else "peer",
        "listen/endpoints": [] if options.client else list(options.listen),
        "connect/endpoints": list(options.connect),
        "scouting/multicast/enabled": not options.local_only,
        "scouting/gossip/enabled": not options.local_only,
    }
    for key, value in values.items():
        config.insert_json5(key, json.dumps(value))
    return config


def _import_zenoh() -> Any:
    try:
        # By name: this module is called zenoh as well.
        return importlib.import_module("zenoh")
    except ImportError as error:
        raise DeviceError(
            "zenoh is not installed.", str(error), "pip install 'emer-edge[bridges]'"
        ) from error
