"""Subtitle files and words: finds them beside a clip, reads SRT and WebVTT, gives cues.

Knows text and times; knows nothing of containers (embedded text comes from the decoder) or of prompts.
"""

from __future__ import annotations

import html
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from emer_edge.errors import LimitError, SubtitleError
from emer_edge.limits import Limits
from emer_edge.results import Cue

CUE_SUFFIXES = (".srt", ".vtt")
"""Suffixes that are looked for beside a clip, in this order."""

# WebVTT allows hours to be left out and needs a dot; SRT needs hours and a comma. Files in the wild mix both.
_TIME = r"(?:(\d{1,6}):)?(\d{1,3}):(\d{1,2})(?:[.,](\d{1,9}))?"
_TIMING = re.compile(rf"\s{{0,64}}{_TIME}\s{{0,64}}-->\s{{0,64}}{_TIME}(?:\s|$)", re.ASCII)
_COUNTER = re.compile(r"\s{0,64}\d{1,9}\s{0,64}$", re.ASCII)
# Bounded repeats: a file of a million "<" must cost linear time.
_TAG = re.compile(r"<(?:/?[A-Za-z][^<>\n]{0,200}|[\d:.]{1,20}|/)?>", re.ASCII)
_OVERRIDE = re.compile(r"\{\\[^{}\n]{0,200}\}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\ud800-\udfff]")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,2}$", re.ASCII)
_LOOKS_LIKE_FILE = re.compile(r"[^\n]{1,4096}\.(?:srt|vtt|txt|ass|ssa|sub)$", re.IGNORECASE)


def parse_subtitles(data: bytes | str, limits: Limits) -> list[Cue]:
    """Cues of an SRT or WebVTT text, ordered by start; broken ones are left out.

    Markup, override tags and control characters are removed. Bytes may be UTF-8, UTF-16 (with or
    without a mark) or a Western 8-bit set.

    Raises:
        LimitError: more than `subtitle_bytes` or `subtitle_cues`.
    """
    return parse_counted(data, limits)[0]


def parse_counted(data: bytes | str, limits: Limits) -> tuple[list[Cue], int]:
    """As `parse_subtitles`, with the number of blocks that were left out because they are broken."""
    text = _decode(data, limits)
    is_vtt = text.lstrip().startswith("WEBVTT")
    cues: list[Cue] = []
    skipped = 0
    for timing, lines in _blocks(text, is_vtt=is_vtt):
        cue = _cue(timing, lines, is_vtt=is_vtt)
        if cue is None:
            skipped += 1
            continue
        if not cue.text:
            continue
        cues.append(cue)
        if len(cues) > limits.subtitle_cues:
            raise LimitError(
                f"The subtitle has more than {limits.subtitle_cues} cues.",
                todo="Cut the subtitle to the part that belongs to the clip.",
            )
    cues.sort(key=lambda cue: cue.start_seconds)
    return cues, skipped


def cues_to_text(cues: list[Cue] | tuple[Cue, ...]) -> str:
    """The words of the cues in order; a line that only repeats the one before it is left out."""
    lines: list[str] = []
    for cue in cues:
        for line in cue.text.splitlines():
            words = " ".join(line.split())
            if words and (not lines or lines[-1] != words):
                lines.append(words)
    return " ".join(lines)


def find_sidecar(clip_path: str | Path) -> Path | None:
    """The subtitle file beside a clip, or None.

    In order: `clip.srt`, `clip.vtt`, `clip.mp4.srt`, then `clip.LANGUAGE.srt` (English first). The case
    of the suffix does not matter. Results that were written by this program are never taken.
    """
    clip = Path(clip_path)
    for suffix in CUE_SUFFIXES:
        exact = clip.with_name(clip.stem + suffix) if clip.stem else None
        if exact is not None and exact != clip and _is_regular(exact):
            return exact
    ranked: list[tuple[tuple[int, int, str], Path]] = []
    try:
        with os.scandir(clip.parent) as entries:
            for entry in entries:
                rank = _rank(clip, entry.name)
                if rank is not None and _is_regular(Path(entry.path)):
                    ranked.append((rank, Path(entry.path)))
    except OSError:
        return None
    return min(ranked)[1] if ranked else None


def load_subtitle(argument: str | Path, limits: Limits) -> list[Cue]:
    """Cues of the subtitle that a caller named: a file where one of that name exists, otherwise the words.

    A `Path` is always a file. `.srt` and `.vtt` must hold cues; a `.txt` file holds plain words. Words
    without times give one cue from 0 to 0 seconds; words that are only blanks give none.

    Raises:
        SubtitleError: no such file, not a regular file, or nothing to read in it.
        LimitError: more than `subtitle_bytes` or `subtitle_cues`.
    """
    if isinstance(argument, str) and not _names_file(argument):
        return literal_cues(argument, limits)
    path = Path(argument)
    data = _read(path, limits)
    suffix = path.suffix.lower()
    if suffix not in (*CUE_SUFFIXES, ".txt"):
        raise SubtitleError(
            f"{path} is no subtitle that can be read.",
            why=f"The suffix is {path.suffix or 'missing'}; .srt, .vtt and .txt are read.",
            todo="Convert the file to SRT or WebVTT.",
        )
    skipped = 0
    if suffix == ".txt":
        cues = literal_cues(_decode(data, limits), limits)
    else:
        cues, skipped = parse_counted(data, limits)
    if not cues:
        raise SubtitleError(
            f"{path} holds no words that can be read.",
            why=f"{skipped} broken blocks were found." if skipped else "No cue was found.",
            todo="Correct the file, or leave the subtitle out with --no-subtitle.",
        )
    return cues


def _decode(data: bytes | str, limits: Limits) -> str:
    if len(data) > limits.subtitle_bytes:
        raise LimitError(
            f"The subtitle is larger than {limits.subtitle_bytes} bytes.",
            todo="Cut the subtitle to the part that belongs to the clip.",
        )
    text = data if isinstance(data, str) else _decode_bytes(data)
    return text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")


def _decode_bytes(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    for codec, zeros in (("utf-16-le", data[1:2000:2]), ("utf-16-be", data[0:2000:2])):
        # Western text in UTF-16 without a mark: nearly every second byte is zero.
        if len(zeros) >= 4 and zeros.count(0) > 0.7 * len(zeros):
            return data.decode(codec, errors="replace")
    for codec in ("utf-8", "cp1252"):
        try:
            return data.decode(codec)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def _blocks(text: str, *, is_vtt: bool) -> Iterator[tuple[str | None, list[str]]]:
    """Blocks between blank lines as (timing line or None, lines after it); comments and styles left out."""
    block: list[str] = []
    first = True
    for line in [*text.split("\n"), ""]:
        if line.strip():
            block.append(line)
            continue
        if block and not (is_vtt and (first or block[0].startswith(("NOTE", "STYLE", "REGION")))):
            yield from _split(block)
        elif block and first:
            # A header without its blank line: cues may follow in the same block.
            yield from (part for part in _split(block[1:]) if part[0] is not None)
        if block:
            first = False
        block = []


def _split(block: list[str]) -> Iterator[tuple[str | None, list[str]]]:
    """One block may hold several cues where the blank lines between them are missing."""
    timing: str | None = None
    lines: list[str] = []
    for line in block:
        if "-->" not in line:
            lines.append(line)
            continue
        if timing is not None:
            if lines and _COUNTER.match(lines[-1]):
                lines.pop()
            yield timing, lines
        timing, lines = line, []  # what stood before the first timing line is the cue's name
    if timing is not None or lines:
        yield timing, lines


def _cue(timing: str | None, lines: list[str], *, is_vtt: bool) -> Cue | None:
    match = _TIMING.match(timing) if timing is not None else None
    if match is None:
        return None
    start, end = _seconds(*match.groups()[:4]), _seconds(*match.groups()[4:])
    if end < start:
        return None
    return Cue(start, end, _clean("\n".join(lines), is_vtt=is_vtt))


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return float(f"{whole}.{fraction or 0}")  # exact to the digit, where a sum would not be


def _clean(text: str, *, is_vtt: bool) -> str:
    text = _OVERRIDE.sub("", _TAG.sub("", text)).replace("\\N", "\n")
    if is_vtt:  # SRT has no escapes: what looks like one are the words
        text = html.unescape(text)
    lines = (" ".join(_CONTROL.sub("", line).split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _rank(clip: Path, name: str) -> tuple[int, int, str] | None:
    """How good the file `name` is as the subtitle of `clip`: smaller is better, None is no subtitle of it."""
    base, suffix = os.path.splitext(name)  # noqa: PTH122 - names, many of them, not paths
    if name == clip.name or suffix.lower() not in CUE_SUFFIXES:
        return None
    kind = CUE_SUFFIXES.index(suffix.lower())
    if base == clip.stem:
        return (0, kind, name)
    if base == clip.name:
        return (1, kind, name)
    tag = base.removeprefix(f"{clip.stem}.")
    if tag == base or not _LANGUAGE.match(tag):
        return None
    return (2 if tag.lower().split("-")[0].split("_")[0] in ("en", "eng") else 3, kind, name)


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _names_file(argument: str) -> bool:
    """Whether a caller's words name a file: it exists, or it clearly was meant to."""
    try:
        mode = Path(argument).stat().st_mode
    except (OSError, ValueError):
        return _LOOKS_LIKE_FILE.match(argument.strip()) is not None and " " not in argument.strip()
    return not stat.S_ISDIR(mode)  # the word "no" stays a word beside a folder of that name


def _read(path: Path, limits: Limits) -> bytes:
    try:
        # Non-blocking, so that a named pipe is refused instead of waited for.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as handle:
            if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
                raise SubtitleError(f"{path} is not a regular file.", todo="Name an .srt, .vtt or .txt file.")
            data = handle.read(limits.subtitle_bytes + 1)
    except (OSError, ValueError) as error:
        raise SubtitleError(
            f"Can't read the subtitle {path}.",
            why=getattr(error, "strerror", None) or str(error),
            todo="Check the path and its permissions.",
        ) from error
    if len(data) > limits.subtitle_bytes:
        raise LimitError(
            f"{path} is larger than {limits.subtitle_bytes} bytes.",
            todo="Cut the subtitle to the part that belongs to the clip.",
        )
    return data


def literal_cues(words: str, limits: Limits) -> list[Cue]:
    """Words that somebody typed, cleaned, as one cue without times; none for blank words.

    Raises:
        LimitError: longer than `limits.subtitle_bytes`.
    """
    if len(words) > limits.subtitle_bytes:
        raise LimitError(
            f"The subtitle is larger than {limits.subtitle_bytes} bytes.", todo="Pass fewer words."
        )
    text = " ".join(_CONTROL.sub(" ", words).split())
    return [Cue(0.0, 0.0, text)] if text else []
