"""How a server is set up, and which set-ups are refused. Knows no socket."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from emer_edge.errors import InputError

KEY_VARIABLE = "EMER_EDGE_API_KEY"
"""Environment variable of the key; better than the flag, which every user of the machine can read in `ps`."""
KEY_CHARS = 8
"""A shorter key is refused."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What the worker loads."""

    pack: str = "emer-nano"
    device: str = "cpu"
    threads: int | None = None
    decoder: str = "auto"
    loader: str = "emer_edge.reasoner:load"
    """`module:function`, called with the four settings above; tests put a stub there."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Every setting of a server.

    Raises:
        InputError: a value makes no sense, or a network could reach the server and no key is set.
    """

    host: str = "127.0.0.1"
    port: int = 8600
    """0 takes any free one."""
    api_key: str = ""
    allowed_hosts: tuple[str, ...] = ()
    """Further host names under which the server is reached."""
    queue: int = 8
    """Requests that may wait while one is answered."""
    wait_seconds: float = 60.0
    """How long a request may wait for its turn."""
    deadline_seconds: float = 120.0
    """From the start of the work on an answer to its end; then the worker is ended."""
    body_seconds: float = 20.0
    """How long a body may stand still while it is received."""
    drain_seconds: float = 30.0
    """How long answers may take to end after SIGTERM."""
    upload_bytes: int = 256 * 1024**2
    """Body of `/v1/emotion`."""
    chat_bytes: int = 48 * 1024**2
    """Body of `/v1/chat/completions`, which is held in memory."""
    live_sessions: int = 2
    certificate: Path | None = None
    certificate_key: Path | None = None
    engine: Engine = field(default_factory=Engine)

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and not self.api_key:
            raise InputError(
                f"{self.host} can be reached from the network, and no key is set.",
                "Whoever reaches the server could use it.",
                f"Set --api-key or {KEY_VARIABLE}, or keep the default --host 127.0.0.1.",
            )
        if self.api_key and (len(self.api_key) < KEY_CHARS or not self.api_key.isascii()):
            raise InputError(f"A key needs {KEY_CHARS} or more ASCII characters.", todo="Use a longer one.")
        for name in ("wait_seconds", "deadline_seconds", "body_seconds", "drain_seconds"):
            if not 0 < getattr(self, name) <= 86_400:
                raise InputError(f"{name} = {getattr(self, name)} makes no sense.", todo="Use 1 to 86400.")
        for name in ("queue", "live_sessions"):
            if not 0 <= getattr(self, name) <= 10_000:
                raise InputError(f"{name} = {getattr(self, name)} makes no sense.", todo="Use 0 to 10000.")
        if (self.certificate is None) != (self.certificate_key is None):
            raise InputError("A certificate needs its key, and a key its certificate.", todo="Give both.")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
