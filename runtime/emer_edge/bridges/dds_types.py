"""The messages of `ros_types` as types of Eclipse Cyclone DDS. The only place that builds them.

Their serialised form is CDR version 1 with final types, byte for byte what ROS 2 writes; tests compare it
with `rosbags`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from emer_edge.bridges.ros_types import MESSAGES, dds_type
from emer_edge.errors import DeviceError

_PRIMITIVES = ("uint8", "int32", "uint32", "float32", "float64")


def import_cyclonedds() -> Any:
    """The module `cyclonedds`.

    Raises:
        DeviceError: it is not installed.
    """
    try:
        import cyclonedds
        import cyclonedds.core
        import cyclonedds.domain
        import cyclonedds.idl
        import cyclonedds.pub
        import cyclonedds.sub
        import cyclonedds.topic
        import cyclonedds.util
    except ImportError as error:
        raise DeviceError(
            "DDS needs cyclonedds, which is not installed.",
            str(error),
            "pip install 'emer-edge[bridges]'; on aarch64 see docs/bridges.md.",
        ) from error
    return cyclonedds


@cache
def struct(name: str) -> Any:
    """The type of the message `name`, for example `hri_msgs/Expression`.

    Raises:
        DeviceError: cyclonedds is not installed.
    """
    idl = import_cyclonedds().idl
    fields = {field: _field_type(kind) for kind, field in MESSAGES[name]}
    short = name.partition("/")[2]
    if "uint8[]" not in (kind for kind, _ in MESSAGES[name]):
        return idl.make_idl_struct(short, dds_type(name), fields)
    # DDS must be told of a sequence, and Cyclone moves a sequence byte by byte (0.2 s for one VGA image), but
    # `bytes` in one copy. On the wire they are the same, so a twin of the type does the moving.
    blobs = {field: bytes if kind == "uint8[]" else fields[field] for kind, field in MESSAGES[name]}
    whole = idl.make_idl_struct(short, dds_type(name), fields)
    _move_by(idl.make_idl_struct(short, dds_type(name), blobs), whole)
    return whole


class CycloneMessages:
    """Makes messages as Cyclone's types; fields that are missing are an error of the caller."""

    def make(self, name: str, **fields: Any) -> Any:
        """The message `name` with these fields."""
        return struct(name)(**fields)


def _move_by(twin: Any, whole: Any) -> None:
    def serialize(self: Any, buffer: Any = None, endianness: Any = None, use_version_2: Any = None) -> Any:
        copy = twin(**{field: getattr(self, field) for field in twin.__dataclass_fields__})
        return copy.serialize(buffer=buffer, endianness=endianness, use_version_2=use_version_2)

    def deserialize(_cls: Any, data: bytes, has_header: bool = True, use_version_2: Any = None) -> Any:
        return twin.deserialize(data, has_header=has_header, use_version_2=use_version_2)

    whole.serialize = serialize
    whole.deserialize = classmethod(deserialize)


def _field_type(kind: str) -> Any:
    types = import_cyclonedds().idl.types
    if kind.endswith("[]"):
        return types.sequence[_field_type(kind[:-2])]
    if kind in _PRIMITIVES:
        return getattr(types, kind)
    return str if kind == "string" else struct(kind)
