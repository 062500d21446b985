"""Who is kept out: other hosts, other origins, wrong keys; and what a network may reach."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from emer_edge.errors import InputError
from emer_edge.server.settings import ServerSettings
from tests.support.server_client import Server

KEY = "a-key-of-16-char"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[::1", ""])
@pytest.mark.parametrize("path", ["/", "/health/live", "/v1/models"])
def test_another_host_name_is_refused(stub: Server, host: str, path: str) -> None:
    assert stub.get(path, Host=host).status == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_names_of_this_machine_are_taken(stub: Server, host: str) -> None:
    assert stub.get("/v1/models", Host=f"{host}:{stub.port}").status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "file://"])
def test_pages_of_another_origin_are_refused(stub: Server, origin: str) -> None:
    answer = stub.form({"clip": ("a.mp4", b"x")}, Origin=origin)
    assert (answer.status, answer.error["kind"]) == (403, "OriginRefusedError")


def test_the_servers_own_page_is_taken(stub: Server) -> None:
    assert stub.form({"clip": ("a.mp4", b"x")}, Origin=stub.address).status == 200


def test_every_answer_carries_the_headers_that_keep_pages_apart(stub: Server) -> None:
    for path in ("/", "/nothing", "/v1/models"):
        headers = stub.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_a_key_is_asked_of_everything_but_page_and_health(start: Callable[..., Server]) -> None:
    server = start("--host", "0.0.0.0", environment={"EMER_EDGE_API_KEY": KEY}).wait_until_ready()
    for path in ("/v1/models", "/metrics", "/openapi.json"):
        answer = server.get(path)
        assert (answer.status, answer.error["kind"]) == (401, "KeyRefusedError")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert server.get(path, Authorization=f"Bearer {KEY}x").status == 401
        assert server.get(path, Authorization=f"Basic {KEY}").status == 401
    assert server.clip().status == 401
    assert server.get("/v1/models", Authorization=f"Bearer {KEY}").status == 200
    assert server.get("/v1/models", **{"X-API-Key": KEY, "Host": "robot.local"}).status == 200
    assert server.get("/").status == 200
    assert server.get("/health/live").status == 200
    assert KEY.encode() not in server.said


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "robot.local"])
def test_a_network_is_not_served_without_a_key(host: str) -> None:
    with pytest.raises(InputError, match="no key is set"):
        ServerSettings(host=host)
    assert ServerSettings(host=host, api_key=KEY).host == host


@pytest.mark.parametrize(
    "wrong", [{"api_key": "short"}, {"queue": -1}, {"deadline_seconds": 0}, {"certificate": "a.pem"}]
)
def test_settings_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        ServerSettings(**wrong)  # type: ignore[arg-type]


def test_the_command_line_refuses_it_too(start: Callable[..., Server]) -> None:
    server = start("--host", "0.0.0.0")
    assert server.process.wait(20) == 2
    server.process.stderr.seekable()  # type: ignore[union-attr]
    assert b"no key is set" in server.process.stderr.read()  # type: ignore[union-attr]


def test_a_pack_that_is_absent_ends_the_server(start: Callable[..., Server]) -> None:
    server = start("--pack", "absent")
    began = time.monotonic()
    assert server.process.wait(20) == 3
    assert time.monotonic() - began < 15
    assert b"There is no pack absent." in server.process.stderr.read()  # type: ignore[union-attr]
