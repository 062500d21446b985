"""ROS messages into a live session: one clock, counted refusals. Knows no transport.

Images carry their time. `audio_common_msgs/AudioData` carries none, so sound is laid end to end from the time
of its first arrival, and laid anew where it would run more than `MAX_DRIFT_SECONDS` from the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from emer_edge.bridges.port import Inputs, Tally
from emer_edge.bridges.ros_types import Topics
from emer_edge.bridges.ros_values import audio_pcm, compressed_pixels, image_pixels, stamp_seconds
from emer_edge.errors import InputError
from emer_edge.limits import Limits

MAX_DRIFT_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class RosOptions:
    """Which topics are read and written, and how sound is to be understood.

    Args:
        topics: of the face and the voice.
        image_topic: `sensor_msgs/Image`; the face's `cropped` topic where empty.
        compressed: the images are `sensor_msgs/CompressedImage`, JPEG.
        audio_topic: `audio_common_msgs/AudioData`; the voice's `audio` topic where empty.
        speech_topic: `hri_msgs/LiveSpeech`; the voice's `speech` topic where empty.
        listen_to: which of `image`, `audio` and `speech` are read.
        sample_rate: of the sound, Hz; the message does not say it.
        channels: of the sound.
        announce_face: publish the face's identifier on `/humans/faces/tracked`; for a camera without a
            face detector, since whoever listens by REP-155 learns of faces only there.
        domain_id: DDS domain, ROS_DOMAIN_ID.
        local_only: talk to this machine alone, as ROS_LOCALHOST_ONLY=1 does.

    Raises:
        InputError: a rate, a number of channels or a domain that makes no sense.
    """

    topics: Topics
    image_topic: str = ""
    compressed: bool = False
    audio_topic: str = ""
    speech_topic: str = ""
    listen_to: tuple[str, ...] = ("image", "audio", "speech")
    sample_rate: int = 16_000
    channels: int = 1
    announce_face: bool = False
    domain_id: int = 0
    local_only: bool = True

    def __post_init__(self) -> None:
        if not self.listen_to or not set(self.listen_to) <= {"image", "audio", "speech"}:
            raise InputError(f"{self.listen_to!r} are no inputs.", todo="Name some of image, audio, speech.")
        for name, low, high in (("sample_rate", 1, 768_000), ("channels", 1, 64), ("domain_id", 0, 232)):
            if not low <= getattr(self, name) <= high:
                raise InputError(f"{name} = {getattr(self, name)} is not from {low} to {high}.")

    @property
    def inputs(self) -> tuple[tuple[str, str], ...]:
        """Topic and type of each message that is read."""
        image = "sensor_msgs/CompressedImage" if self.compressed else "sensor_msgs/Image"
        all_of_them = {
            "image": (self.image_topic or self.topics.cropped, image),
            "audio": (self.audio_topic or self.topics.audio, "audio_common_msgs/AudioData"),
            "speech": (self.speech_topic or self.topics.speech, "hri_msgs/LiveSpeech"),
        }
        return tuple(all_of_them[name] for name in all_of_them if name in self.listen_to)

    @property
    def outputs(self) -> tuple[tuple[str, str], ...]:
        """Topic and type of each message that is written, apart from the announcement."""
        return (
            (self.topics.expression, "hri_msgs/Expression"),
            (self.topics.reasoning, "std_msgs/String"),
            (self.topics.events, "std_msgs/String"),
        )


@dataclass
class RosInputs(Tally):
    """Hands ROS messages to a session; one that can't be read is counted, never raised into a callback.

    Args:
        session: where frames, sound and words go.
        options: how they are to be understood.
        now: the clock of messages without a time, Unix seconds.
        limits: ceilings of one message.
    """

    session: Inputs
    options: RosOptions
    now: Callable[[], float] = time.time
    limits: Limits = field(default_factory=Limits)
    _audio_end: float | None = field(default=None, repr=False)
    _speech_start: float | None = field(default=None, repr=False)

    def take(self, name: str, message: Any) -> bool:
        """Hand over one message of the type `name`; whether it could be read."""
        handle = {
            "sensor_msgs/Image": self._image,
            "sensor_msgs/CompressedImage": self._compressed,
            "audio_common_msgs/AudioData": self._audio,
            "hri_msgs/LiveSpeech": self._speech,
        }[name]
        return self.attempt(name, lambda: handle(message))

    def _image(self, message: Any) -> None:
        self._push_frame(message, image_pixels(message, self.limits))

    def _compressed(self, message: Any) -> None:
        self._push_frame(message, compressed_pixels(message, self.limits))

    def _push_frame(self, message: Any, pixels: Any) -> None:
        seconds = stamp_seconds(message)
        self.session.push_frame(pixels, self.now() if seconds is None else seconds)

    def _audio(self, message: Any) -> None:
        pcm = audio_pcm(message, channels=self.options.channels)
        duration = pcm.shape[1] / self.options.sample_rate
        start = self.now() - duration
        if self._audio_end is not None and abs(start - self._audio_end) <= MAX_DRIFT_SECONDS:
            start = self._audio_end
        self._audio_end = start + duration
        self.session.push_audio(pcm, self.options.sample_rate, start)

    def _speech(self, message: Any) -> None:
        seconds = stamp_seconds(message)
        end = self.now() if seconds is None else seconds
        text, final = (message.final, True) if message.final else (message.incremental, False)
        if not text:
            return
        start = end if self._speech_start is None else min(self._speech_start, end)
        self._speech_start = None if final else start
        self.session.push_text(text, start, end, final)
