"""The pages' addresses."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from hpsearch.api import summaries
from hpsearch.service.pages.rendering import render

ROUTER = APIRouter(prefix="/hp", include_in_schema=False)


@ROUTER.get("/")
def searches(request: Request) -> HTMLResponse:
    """Return the list of searches."""
    return render(request, "searches", searches=summaries(request.app.state.hub.settings.storage))
