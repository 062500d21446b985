"""What `/v1/chat/completions` takes: a stated subset of OpenAI's shape. Knows JSON; knows no HTTP.

Taken: one message of the role `user` whose content holds text parts and exactly one clip, as a `data:` URL in
a `video_url`, `audio_url` or `file` part, or as base64 in an `input_audio` part. What this server would have
to ignore (earlier turns, system messages, tools, several choices, URLs of other places) is refused.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emer_edge.errors import InputError
from emer_edge.server.asking import options_of_json, write_words
from emer_edge.server.desk import Job
from emer_edge.server.problems import AbsentError

TAKEN = frozenset(
    ("model", "messages", "stream", "stream_options", "temperature", "top_p", "top_k", "seed", "subtitle")
) | {"max_tokens", "max_completion_tokens"}
HARMLESS = frozenset(("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"))
"""Fields that change no answer; they are ignored."""
WITHOUT_EFFECT: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logprobs": (False,),
    "tools": ([],),
    "modalities": (["text"],),
    "response_format": ({"type": "text"},),
}
"""Fields that are taken only with a value that asks for nothing."""
MODEL_ALIASES = ("emer-edge", "default")
_DATA_URL = re.compile(r"data:(video|audio|application)/([\w.+-]{1,40})(?:;[\w=.+\"-]+)*;base64,", re.ASCII)


@dataclass(frozen=True, slots=True)
class Chat:
    """A checked request."""

    job: Job
    stream: bool
    usage: bool
    """Whether the stream ends with the numbers of tokens."""


def read_chat(body: bytes, folder: Path, models: tuple[str, ...]) -> Chat:
    """Check a request, and write its clip into `folder`.

    Raises:
        InputError: not JSON, or outside the subset. AbsentError: another model.
    """
    try:
        wish = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InputError("The body is not JSON.", str(error)) from error
    if not isinstance(wish, dict):
        raise InputError("The body must be a JSON object.")
    _check_fields(wish)
    if wish.get("model") not in models:
        raise AbsentError(
            f"There is no model {wish.get('model')!r} here.",
            todo=f"Use {models[-1] or models[0]}; see /v1/models.",
        )
    words, clip = _parts(_only_message(wish))
    path, name = _write_clip(clip, folder)
    subtitle = wish.get("subtitle")
    if subtitle is not None and not isinstance(subtitle, str):
        raise InputError("subtitle must be text.")
    options = options_of_json(
        {**wish, "max_tokens": wish.get("max_completion_tokens", wish.get("max_tokens"))}
    )
    stream_options = wish.get("stream_options")
    return Chat(
        Job(
            str(path),
            name,
            words or "explain",
            None if subtitle is None else write_words(subtitle, folder),
            options,
        ),
        stream=wish.get("stream") is True,
        usage=isinstance(stream_options, dict) and stream_options.get("include_usage") is True,
    )


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _check_fields(wish: Mapping[str, Any]) -> None:
    for name, value in wish.items():
        if name in TAKEN or name in HARMLESS or value is None or value in WITHOUT_EFFECT.get(name, ()):
            continue
        raise InputError(
            f"{name} = {json.dumps(value)[:60]} can't be honoured here.",
            "Only a subset of OpenAI's chat completions is offered; nothing is ignored in silence.",
            "Leave it out; docs/server.md says what is taken.",
        )


def _only_message(wish: Mapping[str, Any]) -> list[Any]:
    messages = wish.get("messages")
    if not isinstance(messages, list) or len(messages) != 1 or not isinstance(messages[0], dict):
        raise InputError(
            "messages must hold exactly one message.",
            "The pack answers one question about one clip; it knows no system message and no earlier turns.",
            "Put the clip and the question into one user message.",
        )
    content = messages[0].get("content")
    if messages[0].get("role") != "user" or not isinstance(content, list):
        raise InputError("The message must be of the role `user`, with a list of parts as its content.")
    return content


def _parts(content: list[Any]) -> tuple[str, tuple[str, str]]:
    """The words, and the clip as (suffix or data URL's subtype, base64)."""
    words, clips = list[str](), list[tuple[str, str]]()
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        inner = part.get(kind) if isinstance(kind, str) else None
        if kind == "text" and isinstance(inner, str):
            words.append(inner)
        elif kind in ("video_url", "audio_url") and isinstance(inner, dict):
            clips.append(_data_url(inner.get("url")))
        elif kind == "file" and isinstance(inner, dict):
            clips.append(_data_url(inner.get("file_data")))
        elif kind == "input_audio" and isinstance(inner, dict):
            clips.append((str(inner.get("format", "")), str(inner.get("data", ""))))
        else:
            raise InputError(
                f"A part of the type {kind!r} is not taken, or not whole.",
                todo="Use text and one of video_url, audio_url, input_audio, file.",
            )
    if len(clips) != 1:
        raise InputError(f"The message holds {len(clips)} clips.", todo="Send exactly one.")
    return "\n".join(words).strip(), clips[0]


def _data_url(url: Any) -> tuple[str, str]:
    found = _DATA_URL.match(url) if isinstance(url, str) else None
    if found is None:
        raise InputError(
            "The clip is not a base64 `data:` URL of video or audio.",
            "Nothing is ever fetched from other places.",
            "Use data:video/mp4;base64,...",
        )
    return found[2], url[found.end() :]


def _write_clip(clip: tuple[str, str], folder: Path) -> tuple[Path, str]:
    kind, data = clip
    suffix = "".join(letter for letter in kind.rpartition("-")[2] if letter.isalnum())[:5].lower()
    try:
        decoded = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError("The clip is not base64.", str(error)) from error
    if not decoded:
        raise InputError("The clip is empty.")
    path = folder / f"clip.{suffix or 'bin'}"
    path.write_bytes(decoded)
    return path, path.name
