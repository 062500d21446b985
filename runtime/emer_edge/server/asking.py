"""From the texts of a request to a job: questions, options, subtitles. Knows no HTTP."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emer_edge.errors import InputError
from emer_edge.server.bodies import Form
from emer_edge.server.desk import Job

OPTIONS: dict[str, type[int] | type[float]] = {
    "max_tokens": int,
    "temperature": float,
    "top_p": float,
    "top_k": int,
    "seed": int,
}
"""The fields of `emer_edge.Options` and their types."""


def job_of_form(form: Form, folder: Path) -> Job:
    """The job of an uploaded form.

    Raises:
        InputError: no clip, two clips, an unknown field, or a number that is none.
    """
    clips = {name: file for name, file in form.files.items() if name != "subtitle"}
    if len(clips) != 1:
        raise InputError(
            f"The form holds {len(clips)} clips.", todo="Send one file, for example as the field `clip`."
        )
    texts = dict(form.texts)
    question = texts.pop("question", "").strip() or "explain"
    words = texts.pop("subtitle", None)
    subtitle = None if words is None else write_words(words, folder)
    if "subtitle" in form.files:
        subtitle = _named_as_cues(form.files["subtitle"])
    unknown = sorted(set(texts) - set(OPTIONS))
    if unknown:
        raise InputError(
            f"The field {unknown[0]!r} is unknown.",
            todo=f"The fields are question, subtitle, {', '.join(OPTIONS)}.",
        )
    options = {name: _number(name, text) for name, text in texts.items() if text.strip()}
    path, name = next(iter(clips.values()))
    if path.stat().st_size == 0:
        raise InputError(
            "The clip is empty.", todo="Send a video or sound file as the body or as a form's file."
        )
    return Job(str(path), name, question, subtitle, options)


def _number(name: str, text: str) -> int | float:
    try:
        value = OPTIONS[name](text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{name} = {text!r} is not a number that makes sense there.")
    return value


def options_of_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options among JSON values; null means the pack's default. `emer_edge.Options` checks the types."""
    return {name: values[name] for name in OPTIONS if values.get(name) is not None}


def write_words(words: str, folder: Path) -> str:
    """Put a subtitle into a file, and give its path; "" for blank words.

    The reasoner takes words that name a file as that file: a client could read any subtitle of this machine.
    """
    if not words.strip():
        return ""
    suffix = (
        ".vtt" if words.lstrip("\ufeff \r\n").startswith("WEBVTT") else ".srt" if "-->" in words else ".txt"
    )
    path = folder / f"words{suffix}"
    path.write_text(words, encoding="utf-8", errors="replace")
    return str(path)


def _named_as_cues(file: tuple[Path, str]) -> str:
    path, name = file
    if path.suffix not in (".srt", ".vtt", ".txt"):
        raise InputError(f"{name} is no subtitle.", todo="Send an .srt, .vtt or .txt file.")
    return str(path)
