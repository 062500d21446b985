"""A headless Chromium, spoken to over the DevTools protocol. Knows no page of ours.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "chromium-headless-shell")
SECONDS = 120.0
"""A loaded machine may need them; an idle one needs a hundredth."""


def find_chromium() -> str | None:
    """The browser's command, or None."""
    named = os.environ.get("EMER_EDGE_CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


class Chromium:
    """One browser with one tab. Everything it says of errors and requests is kept.

    Args:
        folder: of its profile; must be its own.
        camera: a .y4m or .mjpeg file that plays as the camera, for ever.
        microphone: a .wav file that plays as the microphone, for ever.
    """

    def __init__(self, folder: Path, camera: Path | None = None, microphone: Path | None = None) -> None:
        command = find_chromium()
        assert command is not None
        flags = [
            "--headless=new",
            "--remote-debugging-port=0",
            f"--user-data-dir={folder}",
            "--no-first-run",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--hide-scrollbars",
            "--mute-audio",
            "--force-device-scale-factor=1",
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
        ]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")  # Chromium's own sandbox refuses to be run by root
        if camera is not None:
            flags.append(f"--use-file-for-fake-video-capture={camera}")
        if microphone is not None:
            flags.append(f"--use-file-for-fake-audio-capture={microphone}")
        self._process = subprocess.Popen(
            [command, *flags, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._numbers = 0
        self.problems: list[str] = []
        """Exceptions, errors on the console and violations of the page's policy."""
        self.requests: list[str] = []
        """Every address that the tab asked for."""
        self._line = self._connect(folder)
        self._session = self._attach()

    def _connect(self, folder: Path) -> ClientConnection:
        port, end = folder / "DevToolsActivePort", time.monotonic() + SECONDS
        while not port.exists() or len(port.read_text().split()) < 2:
            assert time.monotonic() < end, "the browser did not start"
            assert self._process.poll() is None, "the browser ended"
            time.sleep(0.05)
        number, path = port.read_text().split()
        return connect(f"ws://127.0.0.1:{number}{path}", max_size=None, open_timeout=SECONDS)

    def _attach(self) -> str:
        targets = self._call("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        session = self._call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        self._session = str(session)
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.call(f"{domain}.enable")
        return self._session

    def call(self, method: str, **values: Any) -> dict[str, Any]:
        """A command to the tab."""
        return self._call(method, self._session, **values)

    def _call(self, method: str, session: str = "", /, **values: Any) -> dict[str, Any]:
        self._numbers += 1
        message = {"id": self._numbers, "method": method, "params": values}
        self._line.send(json.dumps(message | ({"sessionId": session} if session else {})))
        while True:
            said = json.loads(self._line.recv(timeout=SECONDS))
            if said.get("id") == self._numbers:
                assert "error" not in said, said["error"]
                return dict(said["result"])
            self._note(said.get("method", ""), said.get("params", {}))

    def _note(self, method: str, values: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.requests.append(values["url"])
        elif method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(values["exceptionDetails"])[:600])
        elif method == "Runtime.consoleAPICalled" and values["type"] == "error":
            self.problems.append(json.dumps(values["args"])[:600])
        elif method == "Log.entryAdded" and values["entry"]["level"] == "error":
            self.problems.append(f"{values['entry']['text']} {values['entry'].get('url', '')}")

    def open(self, address: str, width: int = 1360, height: int = 900, *, dark: bool = False) -> None:
        """Open an address in a window of that size."""
        self.resize(width, height, dark=dark)
        self.call("Page.navigate", url=address)
        self.wait_for("document.readyState === 'complete'")

    def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        """Another size and theme."""
        phone = width < 600
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[theme])

    def run(self, script: str) -> Any:
        """The value of an expression; a promise is awaited."""
        said = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    def wait_for(self, script: str, seconds: float = SECONDS) -> Any:
        """Wait until an expression is true, and give it."""
        end = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < end, (script, self.problems, self.run("document.body.innerText"))
            time.sleep(0.1)
        return value

    def choose_files(self, selector: str, *paths: Path) -> None:
        """Put files into a file input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def press(self, key: str, code: int = 0, text: str = "") -> None:
        """One key of the keyboard."""
        values = {"key": key, "windowsVirtualKeyCode": code, "text": text}
        self.call("Input.dispatchKeyEvent", type="keyDown", **values)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """A screenshot as PNG; `whole` shows what is below the window too."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self) -> None:
        """End the browser."""
        for end in (lambda: self._call("Browser.close"), self._line.close):
            _try(end)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _try(call: Callable[[], Any]) -> None:
    try:
        call()
    except Exception:  # the browser may be gone already
        return
