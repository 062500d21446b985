"""A server as a process, and a client made of the standard library alone."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60.0


@dataclass(frozen=True)
class Answer:
    """A response, read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        return dict(self.json["error"])

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON of every server-sent event."""
        lines = self.body.decode().splitlines()
        return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


class Server:
    """`emer-edge serve` on a free port; `stub` puts a reasoner without a model behind it."""

    def __init__(self, *flags: str, stub: bool = True, environment: dict[str, str] | None = None) -> None:
        module = ["tests.support.stub_server"] if stub else ["emer_edge", "serve"]
        own = {name: value for name, value in os.environ.items() if not name.startswith("EMER_EDGE_")}
        own |= {"XDG_CONFIG_HOME": "/nonexistent", **(environment or {})}
        self.process = subprocess.Popen(
            [sys.executable, "-m", *module, "--port", "0", *flags],
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env=own,
        )
        self.said = b""
        self.port = 0

    def wait_until_listening(self) -> Server:
        end = time.monotonic() + SECONDS
        assert self.process.stderr is not None
        while b"Listening on " not in self.said or not self.said.endswith(b"\n"):
            assert time.monotonic() < end, self.said
            assert select.select([self.process.stderr], [], [], SECONDS)[0], self.said
            piece = os.read(self.process.stderr.fileno(), 65536)
            assert piece, self.said
            self.said += piece
        line = next(line for line in self.said.decode().splitlines() if "Listening on" in line)
        self.port = int(line.rpartition(":")[2])
        return self

    def wait_until_ready(self) -> Server:
        self.wait_until_listening()
        end = time.monotonic() + SECONDS
        while self.get("/health/ready").status != 200:
            assert time.monotonic() < end, "the worker did not become ready"
            time.sleep(0.05)
        return self

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            line.request(method, path, body, headers or {})
            answer = line.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            line.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=headers)

    def clip(self, data: bytes = b"a clip", *, sse: bool = False, **query: Any) -> Answer:
        """Send bytes as the raw body of `/v1/emotion`."""
        headers = {"Content-Type": "video/mp4"} | ({"Accept": "text/event-stream"} if sse else {})
        return self.request("POST", f"/v1/emotion?{urlencode(query)}", data, headers)

    def form(self, fields: dict[str, str | tuple[str, bytes]], **headers: str) -> Answer:
        """Send a multipart form; a tuple is a file."""
        mark = uuid.uuid4().hex
        parts = []
        for name, value in fields.items():
            head = f'--{mark}\r\nContent-Disposition: form-data; name="{name}"'
            if isinstance(value, tuple):
                head += f'; filename="{value[0]}"\r\nContent-Type: application/octet-stream'
            data = value[1] if isinstance(value, tuple) else value.encode()
            parts.append(head.encode() + b"\r\n\r\n" + data + b"\r\n")
        body = b"".join(parts) + f"--{mark}--\r\n".encode()
        return self.request(
            "POST", "/v1/emotion", body, {"Content-Type": f"multipart/form-data; boundary={mark}", **headers}
        )

    def worker_id(self) -> int:
        """Process id of the worker."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return next(int(child) for child in children if _is_worker(child))

    def metric(self, name: str) -> float:
        """The value of a metric, with its labels if it has any; 0 where it was never counted."""
        lines = self.get("/metrics").body.decode().splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(SECONDS)
        finally:
            self.process.kill()
        if self.process.stderr is not None:
            self.said += self.process.stderr.read()
            self.process.stderr.close()
        return self.process.returncode


def _is_worker(process: str) -> bool:
    try:
        return b"emer_edge.server.worker" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False
