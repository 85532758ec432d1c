"""The state of the server, for programs that look after it: alive, ready, and measurements for Prometheus."""

from __future__ import annotations

import bisect
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from sqlalchemy import func, select

from hpsearch import __version__
from hpsearch.errors import HpsearchError
from hpsearch.records import JobState
from hpsearch.service.auth import Role, needs
from hpsearch.service.hub import Hub, hub_of
from hpsearch.service.jobs import JOBS
from hpsearch.store import schema
from hpsearch.store.engine import Database, as_permitted, parse_url
from hpsearch.store.leases import database_now

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)  # bounds of the histogram
ROUTER = APIRouter(tags=["health"])


@dataclass(eq=False)
class Answers:
    """Answers so far: by status, and by the seconds until they began."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))

    def add(self, status: int, seconds: float) -> None:
        """Count one more."""
        self.statuses[status] += 1
        self.seconds += seconds
        self.buckets[bisect.bisect_left(BUCKETS_S, seconds)] += 1


class TimingMiddleware:
    """ASGI middleware that counts answers."""

    def __init__(self, app: ASGIApp, *, answers: Answers) -> None:
        self._app, self._answers = app, answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, and count its answer as it begins: a stream of events ends much later."""
        began = time.perf_counter()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._answers.add(message["status"], time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, counted)


@ROUTER.get("/healthz")
async def healthz() -> dict[str, str]:
    """Answer while the server lives."""
    return {"status": "alive"}


@ROUTER.get("/readyz", responses={503: {"description": "A database does not answer."}})
def readyz(request: Request) -> JSONResponse:
    """Answer 200 where both databases answer, else 503."""
    hub = hub_of(request)
    try:
        with _studies(hub) as studies, studies.read() as connection:
            connection.execute(select(schema.studies.c.study_id).limit(1))
        with hub.database.read() as connection:
            connection.execute(select(JOBS.c.id).limit(1))
    except HpsearchError:  # which is for those who may read
        return JSONResponse({"status": "a database does not answer"}, 503)
    return JSONResponse({"status": "ready"})


@ROUTER.get("/metrics", response_class=PlainTextResponse, dependencies=[needs(Role.READ)])
def metrics(request: Request) -> PlainTextResponse:
    """Return measurements in the text format of Prometheus."""
    hub = hub_of(request)
    with _studies(hub) as studies:
        lines = [*_of_trials(studies), *_of_jobs(hub.database), *_of_server(hub)]
    return PlainTextResponse("\n".join([*lines, ""]), media_type="text/plain; version=0.0.4")


def _studies(hub: Hub) -> closing[Database]:
    """Return the study database as it is, without the patience that a search has with a server that is away."""
    return closing(Database(as_permitted(parse_url(hub.settings.storage), write=False), shared=True))


def _head(name: str, kind: str, words: str) -> list[str]:
    return [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]


def _of_trials(studies: Database) -> Iterator[str]:
    trials = schema.trials.c
    with studies.read() as connection:
        rows = connection.execute(select(trials.state, func.count()).group_by(trials.state))
        counts: dict[str, int] = dict(map(tuple, rows))
    yield from _head("hpsearch_trials", "gauge", "Trials in the study database, by state.")
    yield from (
        f'hpsearch_trials{{state="{state.lower()}"}} {counts.get(state, 0)}'
        for state in (*schema.FINISHED, "RUNNING", "WAITING")
    )


def _of_jobs(database: Database) -> Iterator[str]:
    jobs = JOBS.c
    with database.read() as connection:
        rows = connection.execute(select(jobs.state, func.count(), func.min(jobs.created)).group_by(jobs.state))
        states, now = {state: (count, first) for state, count, first in rows}, database_now(connection)
    yield from _head("hpsearch_jobs", "gauge", "Jobs, by state.")
    yield from (
        f'hpsearch_jobs{{state="{state}"}} {states[state][0] if state in states else 0}' for state in get_args(JobState)
    )
    waited = (now - states["queued"][1]).total_seconds() if "queued" in states else 0.0
    yield from _head("hpsearch_oldest_queued_job_seconds", "gauge", "Age of the oldest job that waits.")
    yield f"hpsearch_oldest_queued_job_seconds {waited:.3f}"


def _of_server(hub: Hub) -> Iterator[str]:
    yield from _head("hpsearch_info", "gauge", "The version.")
    yield f'hpsearch_info{{version="{__version__}"}} 1'
    yield from _head("hpsearch_event_streams", "gauge", "Event streams that are open.")
    yield f"hpsearch_event_streams {hub.feed.clients}"
    answers, name = hub.answers, "hpsearch_http_answer_seconds"
    yield from _head("hpsearch_http_answers_total", "counter", "Answers, by status.")
    yield from (
        f'hpsearch_http_answers_total{{status="{status}"}} {n}' for status, n in sorted(answers.statuses.items())
    )
    yield from _head(name, "histogram", "Seconds until an answer began.")
    below = 0
    for bound, count in zip((*BUCKETS_S, "+Inf"), answers.buckets, strict=True):
        below += count
        yield f'{name}_bucket{{le="{bound}"}} {below}'
    yield f"{name}_sum {answers.seconds:.6f}"
    yield f"{name}_count {below}"
    yield from _head("process_cpu_seconds_total", "counter", "CPU time of the server's process.")
    yield f"process_cpu_seconds_total {time.process_time():.3f}"
    if (statm := Path("/proc/self/statm")).exists():
        yield from _head("process_resident_memory_bytes", "gauge", "Memory of the server's process.")
        yield f"process_resident_memory_bytes {int(statm.read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')}"
