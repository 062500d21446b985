"""Stands before every route: host names, origins, the key, security headers. Knows no route's work.

Without a key only this machine may ask, so what must be kept out are pages of others in a browser on this
machine: by DNS rebinding (the Host header then names their domain) or by sending forms and opening
WebSockets across origins (the Origin header then is not ours).
"""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emer_edge.errors import EmerError
from emer_edge.server.problems import KeyRefusedError, OriginRefusedError, body_of, headers_of, status_of
from emer_edge.server.settings import ServerSettings

OPEN_PATHS = ("/health/", "/page/")
"""Need no key: they tell nothing but that a server is here."""
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "permissions-policy": "camera=(self), microphone=(self), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """Middleware that refuses before a route, or a body, is touched."""

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        try:
            self._check(scope)
        except EmerError as error:
            await _refuse(error, scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        check_host(headers, self._settings)
        check_origin(headers)
        path: str = scope["path"]
        # A browser can't send headers with a WebSocket: there the key may come in the first message.
        if path in ("/", "/docs") or path.startswith(OPEN_PATHS) or scope["type"] == "websocket":
            return
        check_key(key_of(headers), self._settings)


def check_host(headers: Headers, settings: ServerSettings) -> None:
    """Refuse host names that are not ours; with a key set, any name will do.

    Raises:
        OriginRefusedError.
    """
    name = _host_name(headers.get("host", ""))
    known = LOCAL_NAMES | {settings.host.lower(), *(host.lower() for host in settings.allowed_hosts)}
    if name in known or (settings.api_key and not settings.allowed_hosts):
        return
    raise OriginRefusedError(
        f"This server is not called {name!r}.",
        "A page that reaches it under another name may be one that rebinds DNS.",
        f"Use http://{settings.host}, or start it with --allow-host {name or 'NAME'}.",
    )


def check_origin(headers: Headers) -> None:
    """Refuse what a page of another origin sends; programs send no Origin.

    Raises:
        OriginRefusedError.
    """
    origin = headers.get("origin")
    if origin is None:
        return
    parts = urlsplit(origin)
    if parts.scheme in ("http", "https") and parts.netloc.lower() == headers.get("host", "").lower():
        return
    raise OriginRefusedError(
        f"Requests of pages from {origin} are refused.", "Only the server's own page may ask it."
    )


def key_of(headers: Headers) -> str:
    """The key that came along, as `Authorization: Bearer KEY` or `X-API-Key: KEY`; else empty."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")


def check_key(key: str, settings: ServerSettings) -> None:
    """Compare in a time that does not tell how much was right.

    Raises:
        KeyRefusedError.
    """
    wanted = settings.api_key.encode()
    if wanted and not hmac.compare_digest(key.encode("utf-8", "replace"), wanted):
        raise KeyRefusedError(
            "The key is wrong." if key else "This server wants a key.",
            todo="Send the header Authorization: Bearer KEY.",
        )


async def _refuse(error: EmerError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": error.what[:120]})
        return
    response = JSONResponse(body_of(error), status_of(error), headers_of(error))
    await response(scope, receive, send)


def _host_name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
