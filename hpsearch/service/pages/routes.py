"""The pages' addresses."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from hpsearch.api import summaries
from hpsearch.service.auth import Role, needs
from hpsearch.service.pages.rendering import render

ROUTER = APIRouter(prefix="/hp", dependencies=[needs(Role.READ)], include_in_schema=False)


@ROUTER.get("/")
def searches(request: Request) -> HTMLResponse:
    """Return the page of all searches."""
    return render(request, "searches", searches=summaries(_storage(request)))


@ROUTER.get("/parts/searches")
def searches_part(request: Request) -> HTMLResponse:
    """Return their table."""
    return render(request, "parts/searches", searches=summaries(_storage(request)))


def _storage(request: Request) -> str:
    return str(request.app.state.hub.settings.storage)
