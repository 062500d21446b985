"""Events as values for ROS messages, and ROS messages as frames, sound and words. Knows no transport.

Messages are only looked at by their fields, so those of rclpy, of cyclonedds and of rosbags all do.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emer_edge.bridges.expressions import to_expression
from emer_edge.bridges.ros_types import Topics
from emer_edge.bridges.wire import encode_event
from emer_edge.errors import InputError, LimitError
from emer_edge.limits import Limits
from emer_edge.live.events import LiveEvent, Reasoned, State, Token

# Slices, since an index by a list of channels takes thirty times as long.
_RED_FIRST, _BLUE_FIRST, _GREY = slice(0, 3), slice(2, None, -1), slice(0, 1)
_CHANNELS = {
    "rgb8": _RED_FIRST,
    "bgr8": _BLUE_FIRST,
    "rgba8": _RED_FIRST,
    "bgra8": _BLUE_FIRST,
    "8UC3": _BLUE_FIRST,  # what cv_bridge writes: OpenCV's order
    "mono8": _GREY,
    "8UC1": _GREY,
}
_BYTES_PER_PIXEL = {"rgb8": 3, "bgr8": 3, "8UC3": 3, "rgba8": 4, "bgra8": 4, "mono8": 1, "8UC1": 1}
ENCODINGS = tuple(_CHANNELS)
"""Encodings of `sensor_msgs/Image` that are read."""


class Speaks(Protocol):
    """Makes the messages of one ROS library: `make("std_msgs/String", data="x")`."""

    def make(self, name: str, **fields: Any) -> Any:
        """The message of that name with these fields."""


def event_messages(event: LiveEvent, topics: Topics, ros: Speaks) -> list[tuple[str, str, Any]]:
    """What one event becomes: triples of topic, name of the message type, message.

    A state is an Expression where its labels stand under one of the constants; a reasoning is a String;
    everything but single tokens is a String of JSON too.

    Raises:
        OutputError: the event holds what JSON has no word for.
    """
    out: list[tuple[str, str, Any]] = []
    if isinstance(event, State):
        found = to_expression(event)
        if found is not None:
            message = ros.make(
                "hri_msgs/Expression",
                header=header(ros, event.end_pts_seconds, topics.frame_id),
                expression=found.expression,
                valence=found.valence,
                arousal=found.arousal,
                confidence=found.confidence,
            )
            out.append((topics.expression, "hri_msgs/Expression", message))
    elif isinstance(event, Reasoned):
        out.append((topics.reasoning, "std_msgs/String", ros.make("std_msgs/String", data=event.text)))
    if not isinstance(event, Token):
        text = encode_event(event).decode()
        out.append((topics.events, "std_msgs/String", ros.make("std_msgs/String", data=text)))
    return out


def header(ros: Speaks, seconds: float, frame_id: str) -> Any:
    """A `std_msgs/Header` with this time in microseconds, what a float holds of it; before 1970 is 1970."""
    sec, microsec = divmod(max(0, round(seconds * 1e6)), 1_000_000)
    stamp = ros.make("builtin_interfaces/Time", sec=min(sec, 2**31 - 1), nanosec=1000 * microsec)
    return ros.make("std_msgs/Header", stamp=stamp, frame_id=frame_id)


def stamp_seconds(message: Any) -> float | None:
    """The time of a message's header, or None where it has none or leaves it zero."""
    stamp = getattr(getattr(message, "header", None), "stamp", None)
    if stamp is None or (stamp.sec == 0 and stamp.nanosec == 0):
        return None
    return float(stamp.sec) + 1e-9 * float(stamp.nanosec)


def image_pixels(message: Any, limits: Limits) -> NDArray[np.uint8]:
    """The pixels of a `sensor_msgs/Image`: (H, W, 3) uint8 RGB, C-contiguous.

    Raises:
        InputError: an encoding outside `ENCODINGS`, or fewer bytes than its size asks for.
        LimitError: more than `limits.pixels`.
    """
    encoding, height, width, step = message.encoding, message.height, message.width, message.step
    if encoding not in _CHANNELS:
        raise InputError(
            f"Images of the encoding {encoding!r} can't be read.",
            todo=f"Convert them to one of {', '.join(ENCODINGS)}.",
        )
    size = _BYTES_PER_PIXEL[encoding]
    if height * width > limits.pixels or step > 64 * limits.pixels:
        raise LimitError("An image is too large.", f"{width}x{height} > {limits.pixels} pixels.")
    if not height * width or step < width * size:
        raise InputError(f"An image of {width}x{height} with rows of {step} bytes makes no sense.")
    data = np.frombuffer(bytes(message.data), np.uint8)
    if len(data) < (height - 1) * step + width * size:
        raise InputError("An image is cut off.", f"{len(data)} bytes for {height} rows of {step}.")
    if len(data) < height * step:  # the last row may lack its padding
        data = np.pad(data, (0, height * step - len(data)))
    rows = data[: height * step].reshape(height, step)[:, : width * size]
    pixels = rows.reshape(height, width, size)[:, :, _CHANNELS[encoding]]
    return np.ascontiguousarray(np.broadcast_to(pixels, (height, width, 3)))


def compressed_pixels(message: Any, limits: Limits) -> NDArray[np.uint8]:
    """The pixels of a `sensor_msgs/CompressedImage` that holds a JPEG: (H, W, 3) uint8 RGB.

    Raises:
        MediaError: another format, or damaged. LimitError: more than `limits.pixels`.
    """
    from emer_edge.media.pyav_picture import decode_jpeg

    return decode_jpeg(bytes(message.data), limits)


def audio_pcm(message: Any, *, channels: int = 1) -> NDArray[np.int16]:
    """The samples of an `audio_common_msgs/AudioData`: (channels, n) int16.

    The message says nothing of its format; signed 16-bit little-endian, interleaved, is what
    `audio_capture` sends with `format:=wave`. Half a sample at the end is left out.
    """
    data = bytes(message.data)
    width = 2 * channels
    samples = np.frombuffer(data[: len(data) // width * width], "<i2")
    return np.ascontiguousarray(samples.reshape(-1, channels).T).astype(np.int16, copy=False)
