"""Frames, sound and words as bytes beside a few facts, into a live session. Knows no transport.

The facts travel as a mapping: zenoh's attachment (JSON), dora's metadata.

| input | format | data | facts |
|---|---|---|---|
| `frame` | `jpeg`, `rgb8`, `bgr8` | a JPEG file, or rows of pixels | `pts_seconds`; raw: `width`, `height` |
| `audio` | `s16`, `f32` | little-endian samples, interleaved | `sample_rate`; `channels` (1), `pts_seconds` |
| `text` | `text` | UTF-8 | `start_seconds`, `end_seconds`; `final` (true) |
| `ask` | `text` | UTF-8, the question, or nothing for `explain` | |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emer_edge.bridges.port import Inputs, Tally
from emer_edge.errors import InputError, LimitError
from emer_edge.limits import Limits

INPUTS = ("frame", "audio", "text", "ask")
MAX_TEXT_BYTES = 16_384
MAX_AUDIO_BYTES = 16 * 1024 * 1024


class Asked(Inputs, Protocol):
    """A session that also takes questions."""

    def ask(self, question: str = "explain") -> Any:
        """Ask about the newest state."""


@dataclass
class Intake(Tally):
    """Hands payloads to a session; one that can't be read is counted, never raised into a callback.

    Args:
        session: where frames, sound, words and questions go.
        limits: ceilings of one payload.
    """

    session: Asked
    limits: Limits = field(default_factory=Limits)

    def take(self, name: str, data: Any, facts: Mapping[str, Any]) -> bool:
        """Hand over one payload; whether it could be read.

        Args:
            name: one of `INPUTS`.
            data: bytes, or an array of uint8, int16 or float32.
            facts: as the module says.
        """
        return self.attempt(name, lambda: self._push(name, data, facts))

    def _push(self, name: str, data: Any, facts: Mapping[str, Any]) -> None:
        if name == "frame":
            self.session.push_frame(frame_pixels(data, facts, self.limits), _seconds(facts, "pts_seconds"))
        elif name == "audio":
            rate = _whole(facts, "sample_rate", low=1_000, high=768_000)
            pts = _seconds(facts, "pts_seconds") if "pts_seconds" in facts else None
            self.session.push_audio(audio_samples(data, facts), rate, pts)
        elif name == "text":
            start, end = _seconds(facts, "start_seconds"), _seconds(facts, "end_seconds")
            final = facts.get("final", True)
            if not isinstance(final, bool):
                raise InputError("final of a text is no flag.")
            self.session.push_text(_text(data), start, end, final)
        elif name == "ask":
            self.session.ask(_text(data).strip() or "explain")
        else:
            raise InputError(f"There is no input {name!r}.", f"There are {', '.join(INPUTS)}.")


def frame_pixels(data: Any, facts: Mapping[str, Any], limits: Limits) -> NDArray[np.uint8]:
    """The pixels of a frame: (H, W, 3) uint8 RGB.

    Raises:
        InputError: another format, or not as many bytes as the size asks for. MediaError: no JPEG.
        LimitError: too many pixels.
    """
    form = facts.get("format", "jpeg")
    if form == "jpeg":
        from emer_edge.media.pyav_picture import decode_jpeg

        return decode_jpeg(bytes(data), limits)
    if form not in ("rgb8", "bgr8"):
        raise InputError(f"A frame of the format {form!r} can't be read.", "There are jpeg, rgb8 and bgr8.")
    width, height = (_whole(facts, key, low=1, high=65_536) for key in ("width", "height"))
    if width * height > limits.pixels:
        raise LimitError("A frame is too large.", f"{width}x{height} > {limits.pixels} pixels.")
    pixels = np.frombuffer(data, np.uint8)
    if pixels.size != 3 * width * height:
        raise InputError("A frame is not as large as it says.", f"{pixels.size} bytes for {width}x{height}.")
    pixels = pixels.reshape(height, width, 3)
    return np.ascontiguousarray(pixels[:, :, ::-1]) if form == "bgr8" else pixels


def audio_samples(data: Any, facts: Mapping[str, Any]) -> NDArray[Any]:
    """The samples of a piece of sound: (channels, n), int16 or float32.

    Raises:
        InputError: another format, or half a sample. LimitError: more than `MAX_AUDIO_BYTES`.
    """
    form = facts.get("format", "s16")
    if form not in ("s16", "f32"):
        raise InputError(f"Sound of the format {form!r} can't be read.", "There are s16 and f32.")
    channels = _whole(facts, "channels", low=1, high=64) if "channels" in facts else 1
    raw = memoryview(data).cast("B")
    if len(raw) > MAX_AUDIO_BYTES:
        raise LimitError("A piece of sound is too long.", f"{len(raw)} bytes.", "Send shorter pieces.")
    kind = np.dtype("<i2" if form == "s16" else "<f4")
    if len(raw) == 0 or len(raw) % (kind.itemsize * channels):
        raise InputError("A piece of sound ends within a sample.", f"{len(raw)} bytes, {channels} channels.")
    samples = np.frombuffer(raw, kind).reshape(-1, channels).T
    return np.ascontiguousarray(samples.astype(np.int16 if form == "s16" else np.float32, copy=False))


def _text(data: Any) -> str:
    raw = bytes(data)
    if len(raw) > MAX_TEXT_BYTES:
        raise LimitError("A text is too long.", f"{len(raw)} bytes; {MAX_TEXT_BYTES} are taken.")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InputError("A text is not UTF-8.", str(error)) from error


def _seconds(facts: Mapping[str, Any], key: str) -> float:
    value = facts.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        raise InputError(f"{key} is missing or no number.", f"It is {value!r}.")
    return float(value)


def _whole(facts: Mapping[str, Any], key: str, *, low: int, high: int) -> int:
    value = facts.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(f"{key} is no whole number from {low} to {high}.", f"It is {value!r}.")
    return value
