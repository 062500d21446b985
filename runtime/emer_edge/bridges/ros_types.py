"""The ROS 2 messages that the bridges speak, as facts: names and types of fields, names on the wire.

Knows no ROS installation and no DDS library. Sources, read in November 2026: hri_msgs 2.3 (Expression,
IdsList, LiveSpeech; github.com/ros4hri/hri_msgs, Apache-2.0, PAL Robotics), audio_common_msgs 0.3 (AudioData;
github.com/ros-drivers/audio_common, BSD), std_msgs, sensor_msgs and builtin_interfaces of ROS 2 Humble
(github.com/ros2, Apache-2.0). Fields stand in wire order. Topics: REP-155 (draft of 11 January 2022).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from emer_edge.bridges.expressions import EXPRESSIONS
from emer_edge.errors import InputError

MESSAGES: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "builtin_interfaces/Time": (("int32", "sec"), ("uint32", "nanosec")),
        "std_msgs/Header": (("builtin_interfaces/Time", "stamp"), ("string", "frame_id")),
        "std_msgs/String": (("string", "data"),),
        "sensor_msgs/Image": (
            ("std_msgs/Header", "header"),
            ("uint32", "height"),
            ("uint32", "width"),
            ("string", "encoding"),
            ("uint8", "is_bigendian"),
            ("uint32", "step"),
            ("uint8[]", "data"),
        ),
        "sensor_msgs/CompressedImage": (
            ("std_msgs/Header", "header"),
            ("string", "format"),
            ("uint8[]", "data"),
        ),
        "audio_common_msgs/AudioData": (("uint8[]", "data"),),
        "hri_msgs/Expression": (
            ("std_msgs/Header", "header"),
            ("string", "expression"),
            ("float32", "valence"),
            ("float32", "arousal"),
            ("float32", "confidence"),
        ),
        "hri_msgs/IdsList": (("std_msgs/Header", "header"), ("string[]", "ids")),
        "hri_msgs/LiveSpeech": (
            ("std_msgs/Header", "header"),
            ("string", "incremental"),
            ("string", "final"),
            ("float64", "confidence"),
            ("string", "locale"),  # called `language` before 2.2; the wire is the same
        ),
    }
)
"""Type and name of each field of each message."""

CONSTANTS: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {"hri_msgs/Expression": tuple((name.upper(), name) for name in EXPRESSIONS)}
)
"""Name and value of each string constant."""

# REP-155 asks for identifiers that start with a letter; ROS 2 allows no `__` in a topic's name.
_ID = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9])*\Z")


def definition(name: str) -> str:
    """The text of a `.msg` file: constants, then fields.

    >>> print(definition("hri_msgs/IdsList"), end="")
    std_msgs/Header header
    string[] ids
    """
    lines = [f'string {constant}="{value}"' for constant, value in CONSTANTS.get(name, ())]
    lines += [f"{kind} {field}" for kind, field in MESSAGES[name]]
    return "\n".join(lines) + "\n"


def dds_type(name: str) -> str:
    """The name of a message's type on the wire.

    >>> dds_type("hri_msgs/Expression")
    'hri_msgs::msg::dds_::Expression_'
    """
    package, _, message = name.partition("/")
    return f"{package}::msg::dds_::{message}_"


def dds_topic(name: str) -> str:
    """The name of a topic on the wire: `rt` and the absolute name.

    >>> dds_topic("/humans/faces/f1/expression")
    'rt/humans/faces/f1/expression'
    """
    return f"rt/{name.lstrip('/')}"


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one face and one voice.

    Args:
        face_id: identifier of the face, as its detector calls it.
        voice_id: identifier of the voice; the face's where there is none.

    Raises:
        InputError: an identifier that no topic may hold.
    """

    face_id: str
    voice_id: str = ""

    def __post_init__(self) -> None:
        for name in (self.face_id, self.voice_id):
            if (name or name is self.face_id) and not _ID.match(name):
                raise InputError(
                    f"{name!r} is no identifier of ROS4HRI.",
                    todo="Use letters, digits and _; begin with a letter.",
                )

    @property
    def expression(self) -> str:
        """`hri_msgs/Expression`, as REP-155 names it."""
        return f"/humans/faces/{self.face_id}/expression"

    @property
    def reasoning(self) -> str:
        """`std_msgs/String`, the text of a reasoning; REP-155 has no name for it, this one is ours."""
        return f"/humans/faces/{self.face_id}/expression_reasoning"

    @property
    def events(self) -> str:
        """`std_msgs/String`, every event as JSON; REP-155 has no name for it, this one is ours."""
        return f"/humans/faces/{self.face_id}/expression_events"

    @property
    def cropped(self) -> str:
        """`sensor_msgs/Image`, where a face detector of ROS4HRI publishes the face."""
        return f"/humans/faces/{self.face_id}/cropped"

    @property
    def audio(self) -> str:
        """`audio_common_msgs/AudioData`, the separated sound of the voice."""
        return f"/humans/voices/{self.voice_id or self.face_id}/audio"

    @property
    def speech(self) -> str:
        """`hri_msgs/LiveSpeech`, what the voice says."""
        return f"/humans/voices/{self.voice_id or self.face_id}/speech"

    @property
    def frame_id(self) -> str:
        """The TF frame of the face."""
        return f"face_{self.face_id}"


TRACKED_FACES = "/humans/faces/tracked"
"""`hri_msgs/IdsList` of the faces there are; published by the face detector, or by us where there is none."""
