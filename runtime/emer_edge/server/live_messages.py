"""What a live client sends, from bytes or JSON to one checked value. Knows no socket.

A binary message is a header of 16 bytes, little-endian, and the data: kind (u8: 1 frame, 2 audio), channels
(u8), two bytes of zero, sample rate (u32, Hz; 0 for a frame), pts (f64, seconds). A frame is one JPEG; audio
is PCM s16le, channels interleaved.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from emer_edge.errors import InputError

HEADER = struct.Struct("<BBHId")
FRAME, AUDIO = 1, 2
RATES = (8_000, 192_000)
CHANNELS = 8
TEXT_CHARS = 2_000

What = Literal["frame", "audio", "text", "ask", "interrupt", "flush", "close"]


@dataclass(frozen=True, slots=True)
class Push:
    """One checked message: `values` are the arguments, `blob` the JPEG or the PCM."""

    what: What
    values: dict[str, Any] = field(default_factory=dict)
    blob: bytes = b""


def parse_binary(data: bytes) -> Push:
    """A frame or sound.

    >>> parse_binary(HEADER.pack(AUDIO, 1, 0, 16000, 2.5) + bytes(4)).values
    {'pts_seconds': 2.5, 'sample_rate': 16000, 'channels': 1}

    Raises:
        InputError: too short, of an unknown kind, or with a number that makes no sense.
    """
    if len(data) <= HEADER.size:
        raise InputError("A binary message is too short.", f"The header alone has {HEADER.size} bytes.")
    kind, channels, _, rate, pts = HEADER.unpack_from(data)
    blob = data[HEADER.size :]
    if kind == FRAME:
        return Push("frame", {"pts_seconds": _seconds("pts_seconds", pts)}, blob)
    if kind == AUDIO:
        return _audio(pts, rate, channels, blob)
    raise InputError(f"No binary message is of the kind {kind}.", todo="Use 1 for a frame, 2 for audio.")


def parse_text(text: str) -> Push:
    """A message in JSON; its `kind` says what it is.

    >>> parse_text('{"kind": "text", "text": "I am fine.", "start_seconds": 1, "end_seconds": 2}').values
    {'text': 'I am fine.', 'start_seconds': 1.0, 'end_seconds': 2.0, 'final': True}

    Raises:
        InputError.
    """
    message = parse_object(text)
    match message.get("kind"):
        case "frame":
            pts = _seconds("pts_seconds", message.get("pts_seconds"))
            return Push("frame", {"pts_seconds": pts}, _blob(message, "jpeg"))
        case "audio":
            rate, channels = message.get("sample_rate"), message.get("channels", 1)
            return _audio(message.get("pts_seconds"), rate, channels, _blob(message, "pcm"))
        case "text":
            words, start = message.get("text"), _seconds("start_seconds", message.get("start_seconds"))
            end = _seconds("end_seconds", message.get("end_seconds", start))
            if not isinstance(words, str) or len(words) > TEXT_CHARS or end < start:
                raise InputError(
                    f"A text needs words, at most {TEXT_CHARS} characters, and may not end early."
                )
            final = message.get("final", True) is not False
            return Push("text", {"text": words, "start_seconds": start, "end_seconds": end, "final": final})
        case "ask":
            question = message.get("question", "explain")
            if not isinstance(question, str):
                raise InputError("A question must be text.")
            return Push("ask", {"question": question})
        case "interrupt" | "flush" | "close" as what:
            return Push(what)
    raise InputError(
        f"No message is of the kind {message.get('kind')!r}.",
        todo="Use frame, audio, text, ask, interrupt, flush or close.",
    )


def parse_object(text: str) -> Mapping[str, Any]:
    """A JSON object.

    Raises:
        InputError: it is none.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("A message is not JSON.", str(error)) from error
    if not isinstance(value, dict):
        raise InputError("A message must be a JSON object.")
    return value


def _audio(pts: Any, rate: Any, channels: Any, blob: bytes) -> Push:
    if not isinstance(rate, int) or not RATES[0] <= rate <= RATES[1]:
        raise InputError(f"sample_rate = {rate!r} makes no sense.", todo="Use 8000 to 192000.")
    if not isinstance(channels, int) or not 1 <= channels <= CHANNELS or len(blob) % (2 * channels):
        raise InputError(f"The sound is not whole s16le frames of {channels!r} channels.")
    values = {"pts_seconds": _seconds("pts_seconds", pts), "sample_rate": rate, "channels": channels}
    return Push("audio", values, blob)


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{name} = {value!r} is not a time in seconds.")
    return float(value)


def _blob(message: Mapping[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode(message.get(name, ""), validate=True)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is not base64.", str(error)) from error
