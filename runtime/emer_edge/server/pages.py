"""The page, its files and the description of the routes, read once. Knows no answer."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from emer_edge.server.openapi import describe_routes
from emer_edge.server.problems import AbsentError

FOLDER = Path(__file__).parent / "page"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class PageFiles:
    """The files of `page/`, in memory; nothing else of the disk can be asked for."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {
            path.name: (path.read_bytes(), TYPES[path.suffix])
            for path in sorted(folder.iterdir())
            if path.suffix in TYPES
        }
        self._routes = describe_routes()

    def _answer(self, request: Request, name: str) -> Response:
        if name not in self._files:
            raise AbsentError(f"There is no file {name!r} here.")
        data, kind = self._files[name]
        tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        headers = {"etag": tag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(data, media_type=kind, headers=headers)

    async def home(self, request: Request) -> Response:
        """The page at `/`."""
        return self._answer(request, "index.html")

    async def docs(self, request: Request) -> Response:
        """The page that shows `/openapi.json`."""
        return self._answer(request, "docs.html")

    async def openapi(self, _request: Request) -> Response:
        """The description of the routes."""
        return JSONResponse(self._routes)

    async def file(self, request: Request) -> Response:
        """A file of the page."""
        return self._answer(request, request.path_params["name"])
