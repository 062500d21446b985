"""What goes wrong between a client and an answer, and the HTTP status of every error. Knows no route."""

from __future__ import annotations

from typing import Any

from emer_edge import errors
from emer_edge.errors import EmerError


class BusyError(EmerError):
    """Every place is taken, or the worker is not there yet: come again after `retry_seconds`."""

    def __init__(self, what: str, why: str = "", todo: str = "", retry_seconds: int = 1) -> None:
        super().__init__(what, why, todo)
        self.retry_seconds = retry_seconds


class WorkerError(EmerError):
    """The worker process ended while it worked on this answer."""


class DeadlineError(EmerError):
    """The answer took longer than one answer may."""


class SlowBodyError(EmerError):
    """The body of a request stopped coming."""


class KeyRefusedError(EmerError):
    """No key, or not the right one."""


class OriginRefusedError(EmerError):
    """A page of another origin, or a host name that is not ours."""


class AbsentError(EmerError):
    """No such route or model."""


class MethodError(EmerError):
    """The route knows another method."""


STATUS: dict[type[EmerError], int] = {
    errors.InputError: 400,
    KeyRefusedError: 401,
    OriginRefusedError: 403,
    AbsentError: 404,
    MethodError: 405,
    SlowBodyError: 408,
    errors.LimitError: 413,
    errors.UnsupportedMediaError: 415,
    errors.MediaError: 422,
    errors.SubtitleError: 422,
    errors.Cancelled: 499,
    WorkerError: 502,
    BusyError: 503,
    errors.DeviceError: 503,
    errors.PackError: 503,
    DeadlineError: 504,
    errors.OutputError: 507,
    EmerError: 500,
}
"""HTTP status by class; others have that of their parent. 499 is nginx's: the client has gone."""

_KINDS: dict[str, type[EmerError]] = {
    kind.__name__: kind
    for kind in (*STATUS, errors.PackNotFoundError, errors.GenerationError)
    if kind is not BusyError
}


def status_of(error: EmerError) -> int:
    """The HTTP status of an error.

    >>> from emer_edge.errors import GenerationError, LimitError
    >>> status_of(LimitError("too long")), status_of(GenerationError("no"))
    (413, 500)
    """
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def error_of(told: dict[str, Any]) -> EmerError:
    """The error that another process told as `EmerError.to_dict()`.

    >>> error_of({"kind": "MediaError", "what": "broken"})
    MediaError('broken')
    """
    kind = _KINDS.get(str(told.get("kind")), EmerError)
    return kind(str(told.get("what", "")), str(told.get("why", "")), str(told.get("todo", "")))


def body_of(error: EmerError) -> dict[str, Any]:
    """`{"error": {kind, what, why, todo, exit_code, message, type, code}}`.

    The last three are OpenAI's names for the same things, so that its clients can show them.
    """
    told: dict[str, Any] = error.to_dict()
    return {"error": {**told, "message": str(error), "type": told["kind"], "code": status_of(error)}}


def headers_of(error: EmerError) -> dict[str, str]:
    """`Retry-After` where coming again helps, `WWW-Authenticate` where a key does."""
    if isinstance(error, BusyError):
        return {"retry-after": str(error.retry_seconds)}
    if isinstance(error, KeyRefusedError):
        return {"www-authenticate": 'Bearer realm="emer-edge"'}
    return {"retry-after": "1"} if status_of(error) in (502, 503) else {}
