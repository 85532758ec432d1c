"""The pages' addresses."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from hpsearch.api import summaries
from hpsearch.records import OUTPUT
from hpsearch.search.stage import pick, stages_of
from hpsearch.service.auth import Role, needs
from hpsearch.service.hub import hub_of, search_of, storage_of
from hpsearch.service.pages import parts, trial
from hpsearch.service.pages.parts import FROM_REPORT, QUICK, Look
from hpsearch.service.pages.rendering import render, render_finding
from hpsearch.service.pages.steps import label
from hpsearch.service.routes import OfSearch, OfStage, TrialNumber
from hpsearch.store import open_store
from hpsearch.text import printable

ROUTER = APIRouter(prefix="/hp", dependencies=[needs(Role.READ)], include_in_schema=False)
OPEN = APIRouter(prefix="/hp", include_in_schema=False)  # to everybody


@OPEN.get("/login")
def login(request: Request) -> HTMLResponse:
    """Return the page on which a token is given."""
    return render(request, "login")


@ROUTER.get("/")
def searches(request: Request) -> HTMLResponse:
    """Return the page of all searches."""
    return render(request, "searches", searches=summaries(storage_of(request)))


@ROUTER.get("/parts/searches")
def searches_part(request: Request) -> HTMLResponse:
    """Return their table."""
    return render(request, "parts/searches", searches=summaries(storage_of(request)))


@ROUTER.get("/searches/{search}")
def search_page(request: Request, search: OfSearch) -> HTMLResponse:
    """Return the page of a search with how far it is; its other parts are fetched afterwards."""
    with closing(open_store(storage_of(request), search=search)) as store:
        look = Look(store, stages_of(store, search))
        return render(request, "search", latest=look.stages[-1], **_state(request, look))


@ROUTER.get("/searches/{search}/parts/{part}")
async def search_part(request: Request, search: OfSearch, part: str, stage: int | None = None) -> HTMLResponse:
    """Return a part of it."""
    if part in FROM_REPORT:
        made = await hub_of(request).findings.part(search, part)
        name = "parts/answer" if part == "answer" else "parts/sections"
        return await run_in_threadpool(render_finding, request, name, made, content=made.content)
    if part not in QUICK and part not in ("state", "best"):
        raise HTTPException(404, f"a search has no part {printable(part, 40)}")
    return await run_in_threadpool(_quick, request, search, part, stage)


def _state(request: Request, look: Look) -> dict[str, Any]:
    """Return what the part that says how far a search is shows."""
    search = look.stages[0].search
    job = next(iter(hub_of(request).queue.jobs(search=search, limit=1)), None)
    return {"search": search, "progress": parts.progress(look), "job": job, "label": label}


def _quick(request: Request, search: str, part: str, number: int | None) -> HTMLResponse:
    with closing(open_store(storage_of(request), search=search)) as store:
        look = Look(store, stages_of(store, search))
        if part == "state":
            return render(request, "parts/state", **_state(request, look))
        if part == "best":
            stage = look.latest() if number is None else pick(look.stages, number)
            numbers, table = parts.best(look, stage)
            return render(
                request, "parts/best", search=search, stage=stage, stages=look.stages, numbers=numbers, table=table
            )
        return render(request, "parts/sections", content=list(QUICK[part](look)))


@ROUTER.get("/searches/{search}/trials/{stage}/{number}")
def trial_page(request: Request, search: OfSearch, stage: OfStage, number: TrialNumber) -> HTMLResponse:
    """Return the page of a trial."""
    details = search_of(request, search).trial(number, stage=stage)
    with closing(open_store(storage_of(request), search=search)) as store:
        owned = store.owned(details.stage, [number]).get(number)
        last = store.sampled(details.stage) - 1
    return render(
        request,
        "trial",
        search=search,
        trial=details,
        last=last,
        values=trial.values_table(details),
        facts=trial.facts_table(details, owned),
        figure=trial.curves_figure(details),
        output=details.attributes.get(OUTPUT),
    )
