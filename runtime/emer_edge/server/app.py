"""The application: routes, errors, counting. Knows where everything is; does nothing itself."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emer_edge.errors import EmerError
from emer_edge.server.chat import ChatRoute
from emer_edge.server.desk import Desk
from emer_edge.server.emotion import EmotionRoute
from emer_edge.server.guard import Guard
from emer_edge.server.live import LiveRoute
from emer_edge.server.metrics import Metrics
from emer_edge.server.pages import PageFiles
from emer_edge.server.problems import AbsentError, MethodError
from emer_edge.server.replies import problem_response
from emer_edge.server.status import StatusRoutes


def make_app(desk: Desk, metrics: Metrics) -> Starlette:
    """The whole application before one desk."""
    status, page, live = StatusRoutes(desk, metrics), PageFiles(), LiveRoute(desk, metrics)
    metrics.watch("emer_live_sessions", lambda: live.open_sessions)
    metrics.watch("emer_places", lambda: desk.places)
    metrics.watch("emer_worker_up", lambda: float(desk.keeper.alive))
    metrics.watch("emer_worker_starts_total", lambda: desk.keeper.starts)
    routes: list[Route | WebSocketRoute] = [
        Route("/", page.home),
        Route("/docs", page.docs),
        Route("/page/{name}", page.file),
        Route("/v1/emotion", EmotionRoute(desk), methods=["POST"]),
        Route("/v1/chat/completions", ChatRoute(desk), methods=["POST"]),
        WebSocketRoute("/v1/live", live.serve),
        Route("/v1/models", status.models),
        Route("/health/live", status.live),
        Route("/health/ready", status.ready),
        Route("/metrics", status.metrics),
        Route("/openapi.json", page.openapi),
    ]
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(Count, metrics=metrics, paths={route.path for route in routes}),
            Middleware(Guard, settings=desk.settings),
        ],
        exception_handlers={EmerError: problem_response, HTTPException: _no_route},
    )


async def _no_route(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        known: EmerError = MethodError(
            f"{request.url.path} does not know {request.method}.", todo="See /docs."
        )
    else:
        known = AbsentError(f"There is no {request.url.path} here.", todo="See /docs.")
    response = await problem_response(request, known)
    if isinstance(response, JSONResponse) and isinstance(error, HTTPException):
        response.headers.update(error.headers or {})
    return response


class Count:
    """Middleware that counts answers by route and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: set[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        path = scope.get("path", "")
        # Paths that clients make up must not become label values without end.
        route = path if path in self._paths else "/page/" if path.startswith("/page/") else "other"

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.count("emer_requests_total", route=route, status=str(message["status"]))
            await send(message)

        await self._app(scope, receive, send_counted if scope["type"] == "http" else send)
