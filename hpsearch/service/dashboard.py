"""The Optuna dashboard: at the root of the server, beside ``/hp``, for its paths are fixed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from a2wsgi import WSGIMiddleware
from optuna.storages import get_storage
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse

from hpsearch.service.hub import READING, path_of, prefix_of
from hpsearch.service.roles import Role
from hpsearch.store.engine import parse_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from starlette.types import ASGIApp, Receive, Scope, Send

    from hpsearch.service.settings import Settings

_LINK = """<a href="/hp/" style="position: fixed; bottom: 16px; left: 72px; padding: 4px 12px; border-radius: 4px;
 background: #1f4e79; color: #fff; font: 15px sans-serif; text-decoration: none; z-index: 1300">hpsearch{}</a>"""


class Dashboard:
    """ASGI application for what no route of the service answers; the dashboard loads when it is first asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loading = asyncio.Lock()
        self._dashboard: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the dashboard, which shares our origin: who writes by it has to be an administrator."""
        request = Request(scope)
        path = path_of(request)
        if path in ("", "/", "/hp"):
            await RedirectResponse(f"{prefix_of(request)}/hp/")(scope, receive, send)
            return
        if path.startswith("/hp/"):
            raise HTTPException(404, "there is no such page")
        if scope["method"] not in READING:
            if not self._settings.writable:
                raise HTTPException(405, "the dashboard is read-only", {"Allow": ", ".join(READING)})
            if scope["state"]["identity"].role < Role.ADMIN:
                raise HTTPException(403, "this needs the role admin")
        async with self._loading:
            if self._dashboard is None:
                self._dashboard = await run_in_threadpool(self._load)
        await self._dashboard(scope, receive, send)

    def _load(self) -> ASGIApp:
        url = parse_url(self._settings.storage).render_as_string(hide_password=False)
        application: Any = _linked(_loaded(url), writable=self._settings.writable)
        asgi: Any = WSGIMiddleware(application)  # its types are its own, not WSGI's and Starlette's
        return cast("ASGIApp", asgi)


def _loaded(url: str) -> WSGIApplication:
    """Return the dashboard over the database of an SQLAlchemy URL, which lets everybody change studies."""
    from optuna_dashboard import wsgi  # takes 1.5 s to load

    # A storage object, not a URL: Optuna caches finished trials in it, so a poll does not read them all again.
    dashboard: WSGIApplication = wsgi(get_storage(url))

    def understood(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # Its static files answer 500 to a client that does not say which encodings it takes.
        environ.setdefault("HTTP_ACCEPT_ENCODING", "identity")
        return dashboard(environ, start_response)

    return understood


def _linked(application: WSGIApplication, *, writable: bool) -> WSGIApplication:
    """Put a link to the service's page into the dashboard's, which itself does not say that it is read-only."""
    link = _LINK.format("" if writable else " (read-only here)").encode()

    def with_link(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not environ["PATH_INFO"].startswith("/dashboard"):
            return application(environ, start_response)

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Callable[[bytes], object]:
            others = [(name, value) for name, value in headers if name.lower() != "content-length"]
            return start_response(status, others, *error)

        parts = application(environ, start)
        try:
            page = b"".join(parts)
        finally:
            getattr(parts, "close", lambda: None)()
        return [page.replace(b"</body>", link + b"</body>")]

    return with_link
