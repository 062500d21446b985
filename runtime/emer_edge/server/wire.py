"""Messages between the server and its worker: a JSON object and a blob, each behind its length.

Knows bytes; knows nothing of what a message asks for.
"""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any, BinaryIO

Message = dict[str, Any]

_LENGTHS = struct.Struct("<II")
MESSAGE_BYTES = 64 * 1024**2
"""JSON or blob beyond this size is a broken stream."""


class BrokenWireError(Exception):
    """The bytes are no message; the other side can't be trusted any more. Never leaves the room."""


def encode(message: Message, blob: bytes | memoryview = b"") -> bytes:
    """The bytes of one message.

    >>> encode({"op": "hi"}, b"12")
    b'\\x0b\\x00\\x00\\x00\\x02\\x00\\x00\\x00{"op":"hi"}12'
    """
    text = json.dumps(message, separators=(",", ":"), allow_nan=False).encode()
    return b"".join((_LENGTHS.pack(len(text), len(blob)), text, blob))


async def receive(reader: asyncio.StreamReader) -> Message | None:
    """The next message, without its blob; None at the end of the stream."""
    try:
        text, blob = _sizes(await reader.readexactly(_LENGTHS.size))
        message = _parse(await reader.readexactly(text))
        await reader.readexactly(blob)
    except (asyncio.IncompleteReadError, OSError):
        return None
    return message


def receive_blocking(stream: BinaryIO) -> tuple[Message, bytes] | None:
    """The next message with its blob; None at the end of the stream."""
    try:
        lengths = stream.read(_LENGTHS.size)
        if len(lengths) < _LENGTHS.size:
            return None
        text, blob = _sizes(lengths)
        message, payload = stream.read(text), stream.read(blob)
    except OSError:
        return None
    return None if len(message) < text or len(payload) < blob else (_parse(message), payload)


def _sizes(lengths: bytes) -> tuple[int, int]:
    text, blob = _LENGTHS.unpack(lengths)
    if max(text, blob) > MESSAGE_BYTES:
        raise BrokenWireError(f"a message of {max(text, blob)} bytes")
    return text, blob


def _parse(text: bytes) -> Message:
    try:
        message = json.loads(text)
    except ValueError as error:
        raise BrokenWireError(str(error)) from error
    if not isinstance(message, dict):
        raise BrokenWireError("not an object")
    return message
