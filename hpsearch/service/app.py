"""The application: routers, errors as problems, and what lives as long as the server."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from hpsearch import __version__
from hpsearch.service import auth, commands, events, health, problems, routes
from hpsearch.service.client import API
from hpsearch.service.credentials import Credentials
from hpsearch.service.dashboard import Dashboard
from hpsearch.service.database import open_service
from hpsearch.service.events import Feed
from hpsearch.service.guard import Guard, audit_log
from hpsearch.service.health import Answers, TimingMiddleware
from hpsearch.service.hub import Hub
from hpsearch.service.jobs import Queue
from hpsearch.service.pages import assets, compare, new, steps
from hpsearch.service.pages import jobs as job_pages
from hpsearch.service.pages import routes as pages
from hpsearch.service.pages.findings import Findings
from hpsearch.service.settings import Settings
from hpsearch.store.engine import sharing_engines


def create_app(settings: Settings) -> FastAPI:
    """Return the application of a server.

    Args:
        settings: The server's; the study database exists.
    """
    database = open_service(settings.storage)
    code = secrets.token_urlsafe(32) if settings.local else None
    queue = Queue(database)
    hub = Hub(
        settings,
        database,
        queue,
        Feed(settings.storage, database, queue),
        Answers(),
        Credentials(database, code=code),
        code,
        Findings(settings.storage),
        asyncio.Semaphore(commands.AT_ONCE),
    )
    audit = audit_log(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with sharing_engines():
            try:
                yield
            finally:
                await hub.feed.close()
                hub.findings.close()
                hub.database.close()
                for handler in audit.handlers:
                    handler.close()

    app = FastAPI(
        title="hpsearch",
        version=__version__,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        responses=problems.RESPONSES,
    )
    app.state.hub = hub
    app.include_router(assets.ROUTER)
    for router in (pages.OPEN, steps.ROUTER, new.ROUTER, compare.ROUTER, job_pages.ROUTER, pages.ROUTER):
        app.include_router(router)
    app.include_router(routes.ROUTER, prefix=API)
    problems.add_handlers(app)
    app.include_router(auth.ROUTER)
    app.include_router(commands.ROUTER, prefix=API)
    app.include_router(events.ROUTER, prefix=API)
    app.include_router(health.ROUTER)
    app.router.default = Dashboard(settings)
    app.add_middleware(Guard, settings=settings, credentials=hub.credentials, audit=audit)
    app.add_middleware(TimingMiddleware, answers=hub.answers)
    return app
