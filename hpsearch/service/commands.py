"""Commands that are done at once, for ``hpsearch --server``: a child runs one, and its output is the answer."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import AfterValidator, Field

from hpsearch import representations
from hpsearch.api import Search, searches
from hpsearch.errors import ServerFailure, UnknownSearch
from hpsearch.records import Action
from hpsearch.reports import PlotKind
from hpsearch.service.actions import (
    NAME,
    NO_FILE,
    ActionRequest,
    Arguments,
    Count,
    Narrow,
    Number,
    Retry,
    StageName,
    Strict,
    Text,
    TrialState,
    no_file,
)
from hpsearch.service.auth import RoleCheck, needs
from hpsearch.service.client import SERVER, TOKEN
from hpsearch.service.credentials import Identity
from hpsearch.service.hub import Hub, hub_of
from hpsearch.service.roles import Role
from hpsearch.store.engine import parse_url, sqlite_file
from hpsearch.wording import words

AT_ONCE = 2
LIMIT_S = 600
PATIENCE_S = 30  # that a command waits for others to end
ROLES = {
    **dict.fromkeys(
        ("status", "best", "recommend", "trials", "checklist", "plot", "report", "export", "compare"), Role.READ
    ),
    **dict.fromkeys(("narrow", "stop", "retry", "baseline set"), Role.RUN),
    "delete": Role.ADMIN,
}
_TRIAL = rf"^{NAME}(/(stage|confirm)-[0-9]{{1,6}}(/[0-9]{{1,9}})?)?$"
TrialName: TypeAlias = Annotated[
    str, Field(pattern=_TRIAL, examples=["mnist/stage-02/7"], json_schema_extra=NO_FILE), AfterValidator(no_file)
]
# The name of a file, without a folder, which the answer brings; - for standard output.
FileName: TypeAlias = Annotated[str, Field(pattern=r"^(-|[A-Za-z0-9_][A-Za-z0-9_. -]{0,199})$", examples=["pair.html"])]
ROUTER = APIRouter(tags=["commands"])


class Trials(Arguments):
    """Arguments of ``trials``."""

    top: Count | None = None
    state: TrialState | None = None
    trial: Number | None = None
    curves: bool | None = None


class Checklist(Arguments):
    """Arguments of ``checklist``."""

    top: Count | None = None


class Plot(Arguments):
    """Arguments of ``plot``."""

    kind: Annotated[PlotKind, Field(strict=False)]
    out: FileName | None = None
    parameters: Annotated[list[Text], Field(max_length=10)] | None = None
    top: Count | None = None
    quantity: Text | None = None
    dark: bool = False


class Report(Arguments):
    """Arguments of ``report``."""

    out: FileName | None = None
    form: Literal["html", "md"] | None = None


class Export(Arguments):
    """Arguments of ``export``."""

    out: FileName | None = None
    form: Literal["csv", "parquet", "json"] | None = None
    what: Literal["trials", "curves", "all"] | None = None
    columns: bool = False


class Compare(Strict):
    """Arguments of ``compare``."""

    a: TrialName
    b: TrialName | None = None
    output: Literal["table", "csv", "json"] | None = None


class Baseline(Strict):
    """Arguments of ``baseline set``."""

    search: TrialName
    output: Literal["table", "csv", "json"] | None = None


class Delete(Strict):
    """Arguments of ``delete``."""

    study: StageName
    with_descendants: bool = False
    yes: bool = False
    no_backup: bool = False
    output: Literal["table", "csv", "json"] | None = None


Command: TypeAlias = Annotated[
    ActionRequest[Literal["status", "best", "recommend", "stop"], Arguments]
    | ActionRequest[Literal["trials"], Trials]
    | ActionRequest[Literal["checklist"], Checklist]
    | ActionRequest[Literal["plot"], Plot]
    | ActionRequest[Literal["report"], Report]
    | ActionRequest[Literal["export"], Export]
    | ActionRequest[Literal["compare"], Compare]
    | ActionRequest[Literal["narrow"], Narrow]
    | ActionRequest[Literal["retry"], Retry]
    | ActionRequest[Literal["baseline set"], Baseline]
    | ActionRequest[Literal["delete"], Delete],
    Field(discriminator="kind"),
]


class Output(Strict):
    """The result of a command."""

    exit_code: int
    stdout: str
    stderr: str
    folder: str  # in which it ran, as its output may name it
    files: dict[str, str]  # that it wrote, by name, in Base64


@ROUTER.post("/commands")
async def run(command: Command, request: Request, by: Annotated[Identity, needs(Role.READ)]) -> Output:
    """Carry out a command as the command line does. Those that write need the role ``run``, ``delete`` ``admin``."""
    RoleCheck(ROLES[command.kind])(by, None)
    hub = hub_of(request)
    with TemporaryDirectory(prefix="hpsearch-") as name:
        folder, action = Path(name), command.action
        if action.arguments.get("out", "-") != "-":  # what is printed names the folder, for which clients put theirs
            action = replace(action, arguments={**action.arguments, "out": str(folder / action.arguments["out"])})
        if command.kind == "stop" and (answer := await run_in_threadpool(_stop_jobs, hub, action)):
            return Output(exit_code=0, stdout=answer, stderr="", folder=name, files={})
        try:
            await asyncio.wait_for(hub.commands.acquire(), PATIENCE_S)
        except TimeoutError:
            raise HTTPException(503, "other commands are at work; try again", {"Retry-After": "30"}) from None
        try:
            code, stdout, stderr = await child(words(action), folder, environment_of(folder, hub.settings.storage))
        finally:
            hub.commands.release()
        made = [path for path in folder.iterdir() if not path.is_symlink()]
        made.sort(key=lambda path: path.stat().st_mtime_ns)  # what is written first is checked first
        files = {path.name: base64.b64encode(path.read_bytes()).decode() for path in made}
        return Output(exit_code=code, stdout=stdout, stderr=stderr, folder=name, files=files)


def _stop_jobs(hub: Hub, action: Action) -> str:
    """Stop the jobs of a search, of the only one where none is named, and its runs; return what the command prints.

    Nothing where it has no jobs: what else it runs the command stops.
    """
    known = searches(hub.settings.storage)
    named = str(action.arguments.get("search") or (known[0] if len(known) == 1 else ""))
    search = named.partition("/")[0]  # of a stage its search, as it is the search that is stopped
    if not search or not hub.queue.open_jobs(search):
        return ""
    stopped = stop_search(hub, search)
    if action.arguments.get("output") == "json":
        return f"{json.dumps(stopped, indent=2)}\n"
    return f"asked to stop: {', '.join(f'job {id}' for id in stopped['jobs'])}\n"


def stop_search(hub: Hub, search: str) -> dict[str, Any]:
    """Stop the jobs of a search, then its runs wherever they were started; return both as plain data.

    Raises:
        UnknownSearch: There is no such search, and no job that begins it.
    """
    jobs = [job.id for job in hub.queue.cancel_open(search)]  # first: what ends then was stopped, not done
    try:
        asked = Search(search, storage=hub.settings.storage).stop()
    except UnknownSearch:
        if not jobs:
            raise
        asked = ()  # its first job had not begun
    return {"asked": representations.stopped(asked), "jobs": jobs}


async def child(line: list[str], folder: Path, environment: Mapping[str, str]) -> tuple[int, str, str]:
    """Run a command in a process of its own; return its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "hpsearch", *line],
        cwd=folder,
        env=environment,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            stdout, stderr = await process.communicate()
    except TimeoutError:
        raise ServerFailure(f"the command took more than {LIMIT_S} s, and was ended") from None
    finally:
        if process.returncode is None:  # it took too long, or the server ends
            process.kill()
            await process.wait()
    return process.returncode or 0, stdout.decode(errors="replace"), stderr.decode(errors="replace")


def environment_of(folder: Path, storage: str) -> Mapping[str, str]:
    """Return the environment of a command in a folder of its own, over a study database."""
    file = sqlite_file(parse_url(storage))
    if file is not None and len(file.parts) > 1 and file.parts[0] not in (os.sep, os.pardir):
        # Messages name the database as they do where the server runs: studies/hpsearch.db.
        (folder / file.parts[0]).symlink_to(Path(file.parts[0]).absolute())
    elif file is not None:
        storage = str(file.absolute())
    own = {name: value for name, value in os.environ.items() if name not in (SERVER, TOKEN)}
    return own | {"HPSEARCH_STORAGE": storage, "PYTHONUTF8": "1"}
