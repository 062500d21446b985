"""Bodies of requests, bounded in size and in patience, on their way to a file. Knows no model.

A clip is written as it comes: at no time is more of it in memory than one chunk.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from emer_edge.errors import Cancelled, InputError, LimitError, OutputError
from emer_edge.server.problems import SlowBodyError

FIELD_BYTES = 64 * 1024
"""A form field that is no file may not be larger."""
FIELDS = 32
BODY_READ = "emer_edge.body_read"
"""Set in the scope once a body was read to its end."""

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}$")


@contextmanager
def clip_folder() -> Iterator[Path]:
    """A folder of its own for one request, gone with it: nothing lies beside the clip but what came along.

    Raises:
        OutputError: no folder can be made.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="emer-edge-"))
    except OSError as error:
        raise OutputError(
            "No temporary folder can be made.", str(error), "Check TMPDIR and the disk."
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def chunks(request: Request, limit_bytes: int, patience_seconds: float) -> AsyncIterator[bytes]:
    """The body piece by piece.

    Args:
        request: whose body.
        limit_bytes: of the whole body; `Content-Length` is checked before anything is read.
        patience_seconds: how long the next piece may take.

    Raises:
        LimitError, SlowBodyError, InputError, Cancelled.
    """
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > limit_bytes:
        raise _too_large(limit_bytes)
    seen, stream = 0, request.stream()
    while True:
        try:
            chunk = await asyncio.wait_for(anext(stream), patience_seconds)
        except StopAsyncIteration:
            break
        except asyncio.TimeoutError:
            raise SlowBodyError(
                "The body stopped coming.", f"Nothing came for {patience_seconds:g} s.", "Send it again."
            ) from None
        except ClientDisconnect:
            raise Cancelled("The client left while it sent its body.") from None
        seen += len(chunk)
        if seen > limit_bytes:
            raise _too_large(limit_bytes)
        if chunk:
            yield chunk
    request.scope[BODY_READ] = True


def _too_large(limit_bytes: int) -> LimitError:
    return LimitError(
        "The body is too large.",
        f"The ceiling is {limit_bytes / 1024**2:g} MiB.",
        "Send a shorter clip, or start the server with a larger --max-upload-mb.",
    )


@dataclass(slots=True)
class Form:
    """What came: at most one file per name, and short texts."""

    files: dict[str, tuple[Path, str]] = field(default_factory=dict)
    """Path and the client's file name, by field."""
    texts: dict[str, str] = field(default_factory=dict)


async def read_raw(request: Request, folder: Path, pieces: AsyncIterator[bytes]) -> Form:
    """The whole body is the clip; everything else is in the query."""
    texts = dict(request.query_params)
    name = texts.pop("filename", "") or "clip"
    path = folder / f"clip{_suffix(name)}"
    with _writing(), path.open("wb") as out:
        async for piece in pieces:
            out.write(piece)
    return Form({"clip": (path, _shown(name))}, texts)


async def read_multipart(content_type: str, folder: Path, pieces: AsyncIterator[bytes]) -> Form:
    """The parts of a `multipart/form-data` body.

    Raises:
        InputError: it is not well-formed, a name stands twice, or there are too many parts.
        LimitError: a text is too long.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise InputError("The multipart body has no boundary.", todo="Let your client set Content-Type.")
    sink = _Sink(folder)
    with _writing():
        try:
            parser = MultipartParser(boundary, sink.callbacks())  # type: ignore[arg-type]
            async for piece in pieces:
                parser.write(piece)
            parser.finalize()
        except FormParserError as error:
            raise InputError("The multipart body is not well-formed.", str(error)) from error
        finally:
            sink.close()
    if not sink.complete:
        raise InputError("The multipart body ends before its last boundary.", todo="Send it again.")
    return sink.form


class _Sink:
    """Takes the parser's callbacks; writes files as they come."""

    def __init__(self, folder: Path) -> None:
        self.form = Form()
        self.complete = False
        self._folder = folder
        self._headers: dict[str, bytes] = {}
        self._header, self._value = bytearray(), bytearray()
        self._name = ""
        self._text = bytearray()
        self._file: BinaryIO | None = None

    def callbacks(self) -> dict[str, Callable[..., None]]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._open,
            "on_part_data": self._write,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._headers, self._text = {}, bytearray()
        if len(self.form.files) + len(self.form.texts) >= FIELDS:
            raise InputError("The form has too many parts.", todo=f"At most {FIELDS} are read.")

    def _end_header(self) -> None:
        self._headers[self._header.decode("latin-1").lower()] = bytes(self._value)
        self._header, self._value = bytearray(), bytearray()

    def _open(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if not self._name or self._name in self.form.files or self._name in self.form.texts:
            raise InputError(f"The form's field {self._name!r} has no name, or stands twice.")
        if b"filename" in options:
            name = options[b"filename"].decode("utf-8", "replace") or "clip"
            # The name on disk is ours: what a client calls its file never becomes a path.
            path = self._folder / f"part{len(self.form.files)}{_suffix(name)}"
            self.form.files[self._name] = (path, _shown(name))
            self._file = path.open("wb")

    def _write(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(memoryview(data)[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > FIELD_BYTES:
            raise LimitError(f"The field {self._name!r} is too long.", f"The ceiling is {FIELD_BYTES} bytes.")

    def _end(self) -> None:
        if self._file is None:
            self.form.texts[self._name] = self._text.decode("utf-8", "replace")
        self.close()

    def _finish(self) -> None:
        self.complete = True

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError("The clip can't be stored.", str(error), "Free some disk space.") from error


def _suffix(name: str) -> str:
    found = _SUFFIX.search(name)
    return found.group().lower() if found else ""


def _shown(name: str) -> str:
    """The client's name for its file, as it may stand in an answer."""
    name = unquote(name).replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in name if letter.isprintable())[:200] or "clip"
