"""Models, health and metrics: what a client or an operator asks before it asks for an answer."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from emer_edge.server.desk import Desk
from emer_edge.server.metrics import CONTENT_TYPE, Metrics


class StatusRoutes:
    """The small routes."""

    def __init__(self, desk: Desk, metrics: Metrics) -> None:
        self._desk = desk
        self._metrics = metrics

    async def models(self, _request: Request) -> JSONResponse:
        """The one pack that is loaded, in OpenAI's list shape; `emer` holds what only we know."""
        pack = self._desk.keeper.pack
        entry = {
            "id": pack.get("name", ""),
            "object": "model",
            "created": 0,
            "owned_by": "emer-edge",
            "emer": pack,
        }
        return JSONResponse({"object": "list", "data": [entry] if pack else []})

    async def live(self, _request: Request) -> JSONResponse:
        """200 as long as the server runs."""
        return JSONResponse({"status": "live"})

    async def ready(self, _request: Request) -> JSONResponse:
        """200 while a worker can answer; 503 while it loads, is restarted, or the server drains."""
        desk = self._desk
        state = "draining" if desk.draining else "ready" if desk.keeper.alive else "starting"
        body = {"status": state, "places": desk.places, "worker_starts": desk.keeper.starts}
        return JSONResponse(body, 200 if state == "ready" else 503)

    async def metrics(self, _request: Request) -> Response:
        """Prometheus text."""
        return Response(self._metrics.text(), media_type=CONTENT_TYPE)
