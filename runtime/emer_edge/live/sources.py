"""Where a stream comes from: a file, a camera and a microphone, or a network stream. Pushes into a session.

Knows paces, clocks and names of devices. Knows no codec and no model.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from emer_edge.errors import EmerError, InputError
from emer_edge.inputs import open_inputs
from emer_edge.limits import Limits
from emer_edge.live.session import LiveSession
from emer_edge.media.flow import Flow, Picture, Piece, device_flow, file_flow, network_flow
from emer_edge.results import Cue

CAMERA = "camera"
_ALSA_SETTINGS = Path("/usr/share/alsa/alsa.conf")


class Source(Protocol):
    """Something that pushes a stream into a session, in the thread that calls `run`."""

    def run(self, live: LiveSession, stop: threading.Event) -> None:
        """Push until the stream ends or `stop` is set; does not close the session.

        Raises:
            MediaError, UnsupportedMediaError, LimitError, InputError.
        """


@dataclass(frozen=True, slots=True)
class FileSource:
    """A media file, with the words beside or inside it.

    Args:
        path: of the file.
        realtime: at the pace of its time stamps; else as fast as the session takes it.
        loop: begin again at its end, without a jump of time.
        subtitle: as for `Reasoner.infer`: None looks beside and inside the file, "" is none.
        limits: the ceilings.
    """

    path: str | Path
    realtime: bool = True
    loop: bool = False
    subtitle: str | Path | None = None
    limits: Limits = field(default_factory=Limits)

    def run(self, live: LiveSession, stop: threading.Event) -> None:
        """Push the file, as `Source` says."""
        inputs = open_inputs(self.path, self.subtitle, self.limits)
        pace = _Pace(stop) if self.realtime else None
        offset = 0.0
        while not stop.is_set():
            began = offset
            cues = list(inputs.cues)
            with closing(file_flow(Path(self.path), self.limits)) as flow:
                for item in flow:
                    at = item.seconds + began
                    if (pace is not None and not pace.wait(at)) or stop.is_set():
                        return
                    offset = max(offset, _push(live, item, at))
                    while cues and cues[0].start_seconds <= item.seconds:
                        _say(live, cues.pop(0), began)
            if not self.loop or offset <= began:
                return


@dataclass(frozen=True, slots=True)
class CameraSource:
    """A camera by Video4Linux, and a microphone by ALSA or PulseAudio. One of them may be None.

    Their drivers' clocks are not comparable: both are stamped as they arrive, by the machine's own clock.

    Args:
        camera: for example /dev/video0.
        microphone: name of an ALSA device, for example `default`.
        size: width and height asked of the camera; None: its own choice.
        fps: frames per second asked of the camera; None: its own choice.
        camera_format: libav's name of the kind of camera.
        microphone_format: libav's name of the kind of microphone: alsa, or pulse where PyAV has it.
        limits: the ceilings.
    """

    camera: str | None = "/dev/video0"
    microphone: str | None = None
    size: tuple[int, int] | None = None
    fps: float | None = None
    camera_format: str = "v4l2"
    microphone_format: str = "alsa"
    limits: Limits = field(default_factory=Limits)

    def run(self, live: LiveSession, stop: threading.Event) -> None:
        """Push what camera and microphone give, as `Source` says."""
        flows: list[Flow] = []
        if self.camera is not None:
            wishes = {"video_size": f"{self.size[0]}x{self.size[1]}"} if self.size else {}
            wishes |= {"framerate": f"{self.fps:g}"} if self.fps else {}
            flows.append(device_flow(self.camera, self.camera_format, wishes, self.limits))
        if self.microphone is not None:
            if self.microphone_format == "alsa" and _ALSA_SETTINGS.exists():
                # PyAV's own libasound looks for its settings where it was built.
                os.environ.setdefault("ALSA_CONFIG_PATH", str(_ALSA_SETTINGS))
            flows.append(device_flow(self.microphone, self.microphone_format, {}, self.limits))
        if not flows:
            raise InputError("There is neither a camera nor a microphone.", todo="Name one of them.")
        _Arrivals(live, stop).run(flows)


@dataclass(frozen=True, slots=True)
class NetworkSource:
    """A network stream by RTSP; opened only where the network is allowed by name.

    Args:
        url: rtsp:// or rtsps://.
        allow_network: must be True.
        limits: the ceilings.
    """

    url: str
    allow_network: bool = False
    limits: Limits = field(default_factory=Limits)

    def run(self, live: LiveSession, stop: threading.Event) -> None:
        """Push the stream by its own time stamps, as `Source` says."""
        if not self.allow_network:
            raise InputError(
                "The network is not used unless it is allowed.", self.url, "Allow it: --allow-network."
            )
        with closing(network_flow(self.url, self.limits)) as flow:
            for item in flow:
                if stop.is_set():
                    return
                _push(live, item, item.seconds)


def open_source(
    name: str,
    *,
    realtime: bool = True,
    loop: bool = False,
    microphone: str | None = None,
    subtitle: str | None = None,
    allow_network: bool = False,
) -> Source:
    """The source of a name: a file, `camera`, a device such as /dev/video1, `microphone`, or an RTSP address.

    Raises:
        InputError: a URL of another kind, or the network without permission.
    """
    if "://" in name:
        if not name.startswith(("rtsp://", "rtsps://")):
            raise InputError(f"{name} can't be watched.", "Of URLs only RTSP is read.", "Download it first.")
        if not allow_network:
            raise InputError(
                "The network is not used unless it is allowed.", name, "Allow it: --allow-network."
            )
        return NetworkSource(name, allow_network)
    if name == CAMERA:
        return CameraSource(microphone=microphone)
    if name == "microphone":
        return CameraSource(camera=None, microphone=microphone or "default")
    if name.startswith("/dev/video"):
        return CameraSource(name, microphone)
    return FileSource(name, realtime, loop, subtitle)


class _Pace:
    """Holds a stream back to the pace of its time stamps."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._began: float | None = None

    def wait(self, seconds: float) -> bool:
        """Wait until it is time for an item; False where the stream is stopped meanwhile."""
        now = time.monotonic()
        if self._began is None:
            self._began = now - seconds
        return not self._stop.wait(max(0.0, self._began + seconds - now))


class _Arrivals:
    """Several devices at once, each in a thread, stamped as they arrive."""

    def __init__(self, live: LiveSession, stop: threading.Event) -> None:
        self._live, self._stop = live, stop
        self._failed: list[BaseException] = []
        self._ended = threading.Event()

    def run(self, flows: list[Flow]) -> None:
        """Until they end, one of them fails, or the stream is stopped."""
        threads = [
            threading.Thread(target=self._one, args=(flow,), name="emer-edge-device", daemon=True)
            for flow in flows
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive() and not self._stop.is_set():
                thread.join(0.1)
                if self._failed:
                    self._ended.set()
                    raise self._failed[0]
        self._ended.set()
        if self._failed:
            raise self._failed[0]

    def _one(self, flow: Flow) -> None:
        try:
            for item in flow:
                if self._stop.is_set() or self._ended.is_set():
                    return
                now = time.monotonic()
                length = item.pcm.shape[1] / item.sample_rate if isinstance(item, Piece) else 0.0
                _push(self._live, item, now - length)
        except EmerError as error:
            if not self._live.closed:
                self._failed.append(error)
        finally:
            flow.close()


def _push(live: LiveSession, item: Picture | Piece, at: float) -> float:
    """Push one item; returns its end."""
    if isinstance(item, Picture):
        live.push_frame(item.pixels, at)
        return at
    live.push_audio(item.pcm, item.sample_rate, at)
    return at + int(item.pcm.shape[1]) / item.sample_rate


def _say(live: LiveSession, cue: Cue, offset: float) -> None:
    live.push_text(cue.text, cue.start_seconds + offset, cue.end_seconds + offset)
