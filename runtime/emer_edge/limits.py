"""Every ceiling, one frozen value. Knows numbers, not who checks them."""

from __future__ import annotations

from dataclasses import dataclass, fields

from emer_edge.errors import InputError


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may spend. Each ceiling is checked before the resource is spent.

    Raises:
        InputError: a ceiling is not a positive number.
    """

    file_bytes: int = 2 * 1024**3
    """Size of a clip on disk."""
    clip_seconds: float = 3600.0
    """Declared or measured duration of a clip."""
    pixels: int = 4096 * 4096
    """Width times height of any decoded frame."""
    streams: int = 32
    """Streams in one container."""
    frames: int = 64
    """Frames sampled from one clip."""
    packets: int = 2_000_000
    """Packets read from one clip before giving up."""
    decode_seconds: float = 60.0
    """Wall-clock time one decode call may take."""
    audio_seconds: float = 3600.0
    """Audio decoded from one clip."""
    subtitle_bytes: int = 1024 * 1024
    """Size of a subtitle file or text."""
    subtitle_cues: int = 5_000
    """Cues in one subtitle."""
    subtitle_prompt_chars: int = 1_000
    """Characters of the subtitle that reach the prompt; the rest is cut and the cut is reported."""
    question_chars: int = 2_000
    """Characters of a free question."""
    new_tokens: int = 2_048
    """Tokens generated for one answer."""
    pack_bytes: int = 64 * 1024**3
    """Sum of the files of a pack."""
    manifest_bytes: int = 4 * 1024**2
    """Size of a manifest."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            # The annotations are text: `int` counts something, `float` is seconds.
            kinds = (int,) if field.type == "int" else (int, float)
            if isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value < 2**63:
                wanted = "whole number" if kinds == (int,) else "number"
                raise InputError(
                    f"Limits.{field.name} = {value!r} is not a positive {wanted}.",
                    todo=f"Pass a {wanted} above zero.",
                )
