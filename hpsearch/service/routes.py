"""The HTTP API: searches, stages, trials, jobs and study files, as JSON like that of the command line's."""

from __future__ import annotations

import io
import json
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter, Header, HTTPException, Path, Query, Request, Response
from pydantic import AfterValidator, Field

from hpsearch import representations
from hpsearch.api import summaries
from hpsearch.errors import BadArgument
from hpsearch.records import Job, JobState, Line
from hpsearch.reports import PlotKind
from hpsearch.serialization import to_plain
from hpsearch.service import studies
from hpsearch.service.actions import (
    NAME,
    NO_FILE,
    JobAction,
    Narrowing,
    SearchName,
    Strict,
    TrialState,
    no_file,
    settle_stages,
)
from hpsearch.service.auth import Identity, Role, needs
from hpsearch.service.commands import stop_search
from hpsearch.service.hub import hub_of, prefix_of, search_of, storage_of
from hpsearch.service.problems import without_storage, word

ROUTER = APIRouter(dependencies=[needs(Role.READ)])

_CSV = "text/csv"
ENTRANT = rf"^{NAME}(/stage-[0-9]{{1,6}}(/[0-9]{{1,9}})?)?$"
Runner: TypeAlias = Annotated[Identity, needs(Role.RUN)]
OfSearch: TypeAlias = Annotated[SearchName, Path(description="Name of the search.")]
OfStage: TypeAlias = Annotated[int, Path(ge=1, le=10**9, description="Number of the stage.")]
Stage: TypeAlias = Annotated[int | None, Query(ge=1, le=10**9, description="Number of the stage.")]
Entrant: TypeAlias = Annotated[
    str,
    Query(pattern=ENTRANT, description="A search, a stage or a trial: mnist/stage-02/7.", json_schema_extra=NO_FILE),
    AfterValidator(no_file),
]
TrialNumber: TypeAlias = Annotated[int, Path(ge=0, le=10**9)]
JobId: TypeAlias = Annotated[int, Path(ge=1, le=2**31 - 1)]
Before: TypeAlias = Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Id of the last job seen.")]


class Answer(Response):
    """Records as JSON, in ASCII: names from databases may hold halves of characters."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the bytes of an answer."""
        return json.dumps(to_plain(content, word=word), allow_nan=False, separators=(",", ":")).encode()


@ROUTER.get("/searches")
def get_searches(request: Request) -> Answer:
    """List the searches, those whose trials finished last first."""
    return Answer(
        [
            {
                "search": summary.name,
                "stages": len(summary.stages),
                "metric": summary.metric,
                "direction": summary.stages[0].direction,
                **to_plain(summary.counts),
                "best": summary.best,
                "last_finished": summary.finished,
            }
            for summary in summaries(storage_of(request))
        ]
    )


@ROUTER.get("/searches/{search}")
def get_search(request: Request, search: OfSearch) -> Answer:
    """Return the state of every stage, as ``status --format json``."""
    return Answer(representations.by_row(representations.status(search_of(request, search).status())))


@ROUTER.get(
    "/searches/{search}/stages/{stage}/trials",
    responses={200: {"content": {_CSV: {"schema": {"type": "string"}}}}},
)
def get_trials(
    request: Request,
    search: OfSearch,
    stage: OfStage,
    state: Annotated[TrialState | None, Query(description="Only those in this state.")] = None,
    sort: Annotated[
        str,
        Query(
            pattern=r"^-?(number|score|started|finished|param:.{1,200})$",
            description="Column to sort by, highest first with a - before it.",
        ),
    ] = "number",
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
    accept: Annotated[str, Header()] = "",
) -> Response:
    """Return a part of the trials of a stage, as ``trials --format json``, or CSV where Accept asks for that.

    The header X-Total-Count says how many there are.
    """
    part, total = search_of(request, search).page(stage=stage, state=state, sort=sort, offset=offset, limit=limit)
    headers = {"X-Total-Count": str(total), "Vary": "Accept"}
    as_csv = _CSV in accept
    columns = representations.trials(part, csv=as_csv)
    if not as_csv:
        return Answer(representations.by_row(columns), headers=headers)
    text = io.StringIO()
    representations.write_csv(columns, text)
    return Response(text.getvalue().encode(errors="backslashreplace"), media_type=_CSV, headers=headers)


@ROUTER.get("/searches/{search}/stages/{stage}/trials/{number}")
def get_trial(request: Request, search: OfSearch, stage: OfStage, number: TrialNumber) -> Answer:
    """Return one trial: its values, its learning curve, and all else that is kept of it."""
    try:
        return Answer(representations.trial(search_of(request, search).trial(number, stage=stage)))
    except BadArgument as error:
        raise HTTPException(404, error.worded(word)) from error


@ROUTER.get("/searches/{search}/best")
def get_best(request: Request, search: OfSearch, stage: Stage = None) -> Answer:
    """Return the best trial, and how sure it is the best, as ``best --format json``."""
    return Answer(representations.best(*search_of(request, search).best_of(stage=stage)))


@ROUTER.get("/searches/{search}/recommendation")
def get_recommendation(request: Request, search: OfSearch, stage: Stage = None) -> Answer:
    """Return the values to use, and what training them again gives, as ``recommend --format json``."""
    return Answer(representations.recommendation(search_of(request, search).recommend(stage=stage), word))


@ROUTER.get("/searches/{search}/checklist")
def get_checklist(request: Request, search: OfSearch, top: Annotated[int, Query(ge=2, le=10**9)] = 5) -> Answer:
    """Answer what to ask of a search before its results are believed, as ``checklist --format json``.

    ``actions`` has the actions of questions and of the next step as data, as a job takes them.
    """
    checklist = search_of(request, search).checklist(top=top)
    actions = [question.action for question in checklist.questions if question.action is not None]
    actions += checklist.next.actions
    return Answer(
        {**to_plain(checklist, word=word), "actions": to_plain([without_storage(action) for action in actions])}
    )


@ROUTER.get("/searches/{search}/figures/{kind}")
def get_figure(
    request: Request,
    search: OfSearch,
    kind: PlotKind,
    stage: Stage = None,
    parameter: Annotated[list[str], Query(max_length=2)] = [],  # noqa: B006 - FastAPI copies it
    top: Annotated[int | None, Query(ge=1, le=10**9)] = None,
    quantity: Annotated[str | None, Query(max_length=200)] = None,
    dark: bool = False,
) -> Response:
    """Return a figure as Plotly's JSON."""
    options: dict[str, Any] = {"top": top, "quantity": quantity, "dark": dark}
    plot = search_of(request, search).plot(kind, stage=stage, parameters=parameter, **options)
    return Response(plot.figure.to_json(), media_type="application/json")


@ROUTER.get(
    "/searches/{search}/report",
    response_class=Response,
    responses={200: {"content": {kind: {"schema": {"type": "string"}} for kind in ("text/html", "text/markdown")}}},
)
def get_report(
    request: Request,
    search: OfSearch,
    format: Annotated[Literal["html", "md"], Query()] = "html",
    stage: Stage = None,
) -> Response:
    """Return the report of a search, as a file."""
    report = search_of(request, search).report(stage=stage, form=format, word=word)
    return Response(
        report.text.encode(errors="backslashreplace"),
        media_type="text/html" if format == "html" else "text/markdown",
        headers={"Content-Disposition": f'attachment; filename="{report.file_name}"'},
    )


@ROUTER.get("/compare")
def get_comparison(request: Request, a: Entrant, b: Entrant | None = None) -> Answer:
    """Compare two searches, stages or trials, or one with its baseline, as ``compare --format json``."""
    return Answer(search_of(request, a).compare(None if b is None else search_of(request, b)))


@ROUTER.post("/searches/{search}/narrow")
def narrow(request: Request, search: OfSearch, options: Narrowing, by: Runner) -> Answer:
    """Make the next stage, or with ``dry_run`` only compute its ranges, as ``narrow --format json``."""
    return Answer(representations.narrowed(search_of(request, search).narrow(**options.model_dump()), word))


@ROUTER.post("/searches/{search}/stop")
def stop(request: Request, search: OfSearch, by: Runner) -> Answer:
    """Stop a search: its jobs, and all runs of it wherever they were started."""
    return Answer(stop_search(hub_of(request), search))


class NewJob(Strict):
    """A job: actions that are carried out one after another."""

    actions: Annotated[list[JobAction], Field(min_length=1, max_length=20)]


@ROUTER.post("/jobs", status_code=202, response_model=Job)
def submit_job(
    request: Request,
    job: NewJob,
    by: Runner,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
) -> Answer:
    """Hand in a job; the same key and actions again give the same job.

    The actions are about one search; with an Idempotency-Key a request may be repeated without harm.
    """
    actions = settle_stages([action.action for action in job.actions], hub_of(request).settings)
    made = hub_of(request).queue.submit(actions, by=by.name, key=idempotency_key)
    where = prefix_of(request) + request.app.url_path_for("get_job", id=made.id)
    return Answer(to_plain(made), 202, headers={"Location": where})


class Log(Strict):
    """Lines of what a job printed."""

    lines: list[Line]


@ROUTER.get("/jobs", response_model=list[Job])
def get_jobs(
    request: Request,
    search: Annotated[SearchName | None, Query()] = None,
    state: Annotated[JobState | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Before = None,
) -> Answer:
    """List jobs, the latest first."""
    return Answer(to_plain(hub_of(request).queue.jobs(search=search, state=state, limit=limit, before=before)))


@ROUTER.get("/jobs/{id}", response_model=Job)
def get_job(request: Request, id: JobId) -> Answer:
    """Return a job."""
    return Answer(to_plain(hub_of(request).queue.job(id)))


@ROUTER.get("/jobs/{id}/log", response_model=Log)
def get_log(
    request: Request,
    id: JobId,
    after: Annotated[int, Query(ge=0, le=2**31 - 1, description="Id of the last line seen.")] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> Answer:
    """Return lines of what a job printed, each with its stream."""
    return Answer({"lines": hub_of(request).queue.log(id, after=after, limit=limit)})


@ROUTER.post("/jobs/{id}/cancel", response_model=Job)
def cancel_job(request: Request, id: JobId, by: Runner) -> Answer:
    """Stop a job: what has finished is recorded."""
    return Answer(to_plain(hub_of(request).queue.cancel(id)))


@ROUTER.get("/study-files", response_model=list[studies.Listed])
def get_study_files(request: Request) -> Answer:
    """List the study files that can be started."""
    return Answer(studies.list_studies(hub_of(request).settings.studies))


class NewStudy(Strict):
    """A study file of the built-in objective."""

    name: SearchName
    study: dict[str, Any]


@ROUTER.post("/study-files", status_code=201, response_model=studies.Listed)
def write_study_file(request: Request, new: NewStudy, by: Runner) -> Answer:
    """Write a study file into the server's folder; the same one again changes nothing."""
    return Answer(studies.write_sent(new.name, new.study, hub_of(request).settings.studies), 201)
