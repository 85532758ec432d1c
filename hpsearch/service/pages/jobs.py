"""The pages of jobs: all of them, and one with its log."""

from __future__ import annotations

from contextlib import closing

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from hpsearch.records import JobState
from hpsearch.service.auth import Role, needs
from hpsearch.service.hub import hub_of, storage_of
from hpsearch.service.pages.rendering import render
from hpsearch.service.pages.steps import label
from hpsearch.service.routes import Before, JobId
from hpsearch.store import open_store
from hpsearch.wording import word

ROUTER = APIRouter(prefix="/hp", dependencies=[needs(Role.READ)], include_in_schema=False)
_MOST = 50  # jobs of a table
_LINES = 1000  # of a log on its page
_TAIL = 12  # lines of a log beside a table


@ROUTER.get("/jobs")
def jobs(request: Request, state: JobState | None = None, before: Before = None) -> HTMLResponse:
    """Return the page of all jobs, the latest first."""
    query = "&".join(f"{name}={value}" for name, value in (("state", state), ("before", before)) if value is not None)
    return render(request, "jobs", state=state, query=query)


@ROUTER.get("/parts/jobs")
def jobs_part(
    request: Request, search: str | None = None, state: JobState | None = None, before: Before = None
) -> HTMLResponse:
    """Return their table; that of a search with the end of the log of the job that runs."""
    queue = hub_of(request).queue
    listed = queue.jobs(search=search, state=state, limit=_MOST, before=before)
    running = next((job for job in listed if job.state == "running"), None) if search is not None else None
    tail = [] if running is None else queue.log(running.id, after=max(0, queue.last_line(running.id) - _TAIL))
    following = listed[-1].id if len(listed) == _MOST else None
    content = {"jobs": listed, "search": search, "state": state, "following": following, "running": running}
    return render(request, "parts/jobs", tail=tail, label=label, **content)


@ROUTER.get("/jobs/{id}")
def job(request: Request, id: JobId) -> HTMLResponse:
    """Return the page of a job."""
    return render(request, "job", job=hub_of(request).queue.job(id), label=label)


@ROUTER.get("/jobs/{id}/parts/state")
def job_state(request: Request, id: JobId) -> HTMLResponse:
    """Return how far a job is."""
    made = hub_of(request).queue.job(id)
    with closing(open_store(storage_of(request))) as store:
        begun = bool(store.stages(made.search))
    return render(request, "parts/job", job=made, begun=begun, label=label, word=word)


@ROUTER.get("/jobs/{id}/parts/log")
def job_log(request: Request, id: JobId) -> HTMLResponse:
    """Return the end of its log."""
    queue = hub_of(request).queue
    first = max(0, queue.last_line(id) - _LINES)
    return render(request, "parts/log", id=id, left_out=first, log=queue.log(id, after=first))
