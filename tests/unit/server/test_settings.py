"""What is checked before anything is served: flags, certificates, addresses; and beats in long pauses."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
import urllib.request
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from emer_edge.errors import InputError
from emer_edge.server import replies, run
from emer_edge.server.problems import STATUS, error_of, status_of
from emer_edge.server.settings import ServerSettings
from tests.support.server_client import Server


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"127.0.0.1:{port}"):
            run.serve(ServerSettings(port=port), lambda address: None)


def test_a_certificate_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text("nothing")
    for name in ("a.pem", "absent.pem"):
        settings = ServerSettings(port=0, certificate=tmp_path / name, certificate_key=tmp_path / "a.pem")
        with pytest.raises(InputError, match="certificate"):
            run.serve(settings, lambda address: None)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_https(start: Callable[..., Server], tmp_path: Path) -> None:
    files = [tmp_path / "cert.pem", tmp_path / "key.pem"]
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-out", files[0], "-keyout", files[1]]
    subprocess.run(["openssl", *request.split(), *names], check=True, capture_output=True)
    server = start("--certificate", str(files[0]), "--certificate-key", str(files[1])).wait_until_listening()
    trust = ssl.create_default_context(cafile=str(files[0]))
    with urllib.request.urlopen(f"https://127.0.0.1:{server.port}/health/live", context=trust) as answer:
        assert answer.status == 200


def test_every_error_has_a_status_and_survives_the_wire() -> None:
    for kind, status in STATUS.items():
        assert status_of(kind("what", "why", "todo")) == status
        back = error_of(kind("what", "why", "todo").to_dict())
        assert (back.what, back.why, back.todo) == ("what", "why", "todo")
        assert type(back) is kind or kind.__name__ == "BusyError"


def test_long_pauses_have_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "BEAT_SECONDS", 0.02)
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        sent.append(message.get("body", b"head"))

    async def slow() -> AsyncGenerator[dict[str, Any], None]:
        await asyncio.sleep(0.3)
        yield {"kind": "done"}

    async def stream() -> list[dict[str, Any]]:
        async with aclosing(replies.with_beats(slow(), replies.EventStream(send))) as events:
            return [event async for event in events]

    assert asyncio.run(stream()) == [{"kind": "done"}]
    assert sent[0] == b"head"
    assert set(sent[1:]) == {b": still here\n\n"}
    assert len(sent) > 3
