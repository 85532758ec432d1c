"""A client of a server that ``hpsearch serve`` runs; it needs the standard library alone."""

from __future__ import annotations

import base64
import json
import os
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from datetime import datetime
from http.client import HTTPException, HTTPResponse
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from hpsearch import errors
from hpsearch.errors import BadArgument, BadInput, HpsearchError, ServerFailure
from hpsearch.records import Action, Job, Line

API = "/hp/api/v1"
SERVER, TOKEN = "HPSEARCH_SERVER", "HPSEARCH_TOKEN"  # environment variables
PATIENCE_S = 60  # a server that is started again is away for so long at most
_COMMAND_S = 660  # a command ends within 600 s, or is ended
_EVERY_S = 0.2  # between reads of a job that is followed
_Result = TypeVar("_Result")


class Event(NamedTuple):
    """Something that has happened to a search or a job."""

    id: str  # ids increase
    name: str  # ``stage``, ``trial``, ``epoch``, ``job``, ``log``; ``reset``: events were missed, read anew
    data: Any


class CommandResult(NamedTuple):
    """The result of a command that a server carried out."""

    exit_code: int
    stdout: str
    stderr: str
    folder: str  # in which it ran there, as its output may name it
    files: Mapping[str, bytes]  # that it wrote, by name


class Client:
    """The searches and jobs of a server.

    Methods that start something return the `Job` at once, `wait` waits for its end, `follow` yields its output. What is
    read comes as ``--format json`` prints it.

    Args:
        url: Address of the server. None: ``$HPSEARCH_SERVER``.
        token: What ``hpsearch token create`` printed. None: ``$HPSEARCH_TOKEN``.
        timeout: Seconds that an answer may take.

    Raises:
        BadInput: From every method, what the server refuses, with its reason: as the kind of error that
            `hpsearch.Search` raises.
        ServerFailure: From every method, the server cannot be reached, or failed.

    For example::

        client = Client("http://127.0.0.1:8080")
        job = client.wait(client.start("mnist", trials=100))
        client.narrow("mnist", top=5, expand=True)
        job = client.start("mnist")
    """

    def __init__(self, url: str | None = None, token: str | None = None, *, timeout: float = 60) -> None:
        self.url = _address(url or os.environ.get(SERVER, ""))
        self.token = (os.environ.get(TOKEN, "") if token is None else token).strip()
        if not (self.token.isascii() and self.token.isprintable()):
            raise BadInput("the token has characters that no token has; give what `hpsearch token create` printed")
        self._timeout = timeout
        self._opener = urllib.request.build_opener(_NoRedirect)

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    # What is asked for.

    def submit(self, *actions: Action, key: str | None = None) -> Job:
        """Hand in actions, which one job carries out one after another.

        Args:
            actions: Such as ``Action("narrow", {"search": "mnist", "top": 5}), Action("start", {"search": "mnist"})``.
            key: Names the request: the same one again is the same job. None: a new one.
        """
        body = {"actions": [{"kind": action.kind, "arguments": dict(action.arguments)} for action in actions]}
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return _job(self._patiently(self._json, "POST", "/jobs", body, headers=headers))

    def start(self, search: str, **arguments: Any) -> Job:
        """Run a stage until it has the requested number of finished trials; see `hpsearch.Search.start`."""
        return self.submit(Action("start", {"search": search, **arguments}))

    def refine(self, search: str, **arguments: Any) -> Job:
        """Run trials that a model of the scores proposes; see `hpsearch.Search.refine`."""
        return self.submit(Action("refine", {"search": search, **arguments}))

    def confirm(self, search: str, **arguments: Any) -> Job:
        """Run the best trials again with other seeds; see `hpsearch.Search.confirm`."""
        return self.submit(Action("confirm", {"search": search, **arguments}))

    def evaluate(self, search: str, **arguments: Any) -> Job:
        """Score the chosen values on the test set, once; see `hpsearch.Search.evaluate`."""
        return self.submit(Action("evaluate", {"search": search, **arguments}))

    def narrow(self, search: str, **arguments: Any) -> Any:
        """Make the next stage, or with ``dry_run`` only compute its ranges; see `hpsearch.Search.narrow`."""
        return self._json("POST", f"/searches/{_part(search)}/narrow", arguments)

    def stop(self, search: str) -> Any:
        """Ask all runs of a search to stop."""
        return self._json("POST", f"/searches/{_part(search)}/stop", {})

    def run(self, kind: str, /, **arguments: Any) -> CommandResult:
        """Run a command that is done at once, such as ``run("best", search="mnist", output="csv")``."""
        return answer_of(self._json("POST", "/commands", {"kind": kind, "arguments": arguments}, timeout=_COMMAND_S))

    def send_study(self, name: str, study: Mapping[str, Any]) -> Any:
        """Put a study file of the built-in objective into the server's folder; the same one again changes nothing."""
        return self._json("POST", "/study-files", {"name": name, "study": study})

    # Jobs.

    def jobs(self, **query: Any) -> list[Job]:
        """Return jobs, the last first: those of a ``search``, in a ``state``, at most ``limit``."""
        return [_job(plain) for plain in self._json("GET", "/jobs", query=query)]

    def job(self, job: Job | int) -> Job:
        """Return a job as it is now."""
        return _job(self._json("GET", f"/jobs/{_id(job)}"))

    def cancel(self, job: Job | int) -> Job:
        """Ask a job to stop: it records what has finished."""
        return _job(self._json("POST", f"/jobs/{_id(job)}/cancel", {}))

    def log(self, job: Job | int, *, after: int = 0) -> list[Line]:
        """Return lines of a job's log, those after the line of an id."""
        return [Line(**line) for line in self._json("GET", f"/jobs/{_id(job)}/log", query={"after": after})["lines"]]

    def follow(self, job: Job | int) -> Iterator[Line]:
        """Yield the lines of a job's log as they come, until it has ended; a server's restart is waited for."""
        after = 0
        while True:
            ended = self._patiently(self.job, job).ended is not None  # first: then its log is complete
            lines = self._patiently(self.log, job, after=after)
            yield from lines
            if lines:
                after = lines[-1].id
            elif ended:
                return
            else:
                time.sleep(_EVERY_S)

    def wait(self, job: Job | int) -> Job:
        """Return a job when it has ended; a server's restart is waited for."""
        while (now := self._patiently(self.job, job)).ended is None:
            time.sleep(_EVERY_S)
        return now

    def events(self, search: str | None = None) -> Iterator[Event]:
        """Yield what happens from now on, to a search or to all, without end; a lost connection is made again."""
        last = ""
        while True:
            query, headers = {"search": search}, {"Last-Event-ID": last} if last else {}
            stream = self._patiently(self._open, "GET", "/events", query=query, headers=headers)
            with closing(stream), suppress(OSError, HTTPException):  # it goes on from the last event
                for event in _events(stream):
                    last = event.id or last
                    yield event
            time.sleep(_EVERY_S)

    # What there is.

    def searches(self) -> Any:
        """Return the searches of the server's database."""
        return self._json("GET", "/searches")

    def status(self, search: str) -> Any:
        """Return the stages of a search."""
        return self._json("GET", f"/searches/{_part(search)}")

    def trials(self, search: str, stage: int, **query: Any) -> Any:
        """Return trials of a stage: ``offset``, ``limit``, ``sort``, ``state``."""
        return self._json("GET", f"/searches/{_part(search)}/stages/{stage}/trials", query=query)

    def trial(self, search: str, stage: int, number: int) -> Any:
        """Return one trial with everything that is kept of it."""
        return self._json("GET", f"/searches/{_part(search)}/stages/{stage}/trials/{number}")

    def best(self, search: str, **query: Any) -> Any:
        """Return the best trial, of all stages or of one."""
        return self._json("GET", f"/searches/{_part(search)}/best", query=query)

    def recommend(self, search: str, **query: Any) -> Any:
        """Return the values to use, and what training them again gives."""
        return self._json("GET", f"/searches/{_part(search)}/recommendation", query=query)

    def checklist(self, search: str, **query: Any) -> Any:
        """Return the answers to what to ask of a search before its results are believed."""
        return self._json("GET", f"/searches/{_part(search)}/checklist", query=query)

    def figure(self, search: str, kind: str, **query: Any) -> Any:
        """Return a figure as Plotly's JSON."""
        return self._json("GET", f"/searches/{_part(search)}/figures/{_part(kind)}", query=query)

    def report(self, search: str, form: str = "html", *, stage: int | None = None) -> str:
        """Return a report, as ``html`` or ``md``."""
        query = {"format": form, "stage": stage}
        with self._open("GET", f"/searches/{_part(search)}/report", query=query, accept="text/*") as answer:
            return str(answer.read().decode())

    def compare(self, a: str, b: str | None = None) -> Any:
        """Compare two searches, stages or trials, or one with the baseline."""
        return self._json("GET", "/compare", query={"a": a, "b": b})

    # HTTP.

    def _json(self, method: str, path: str, body: object = None, **options: Any) -> Any:
        with self._open(method, path, body, **options) as answer:
            try:
                return json.load(answer)
            except (OSError, HTTPException, ValueError) as error:
                raise ServerFailure(f"the answer of {self.url} did not arrive whole: {error}") from error

    def _open(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, Any] | None = None,
        accept: str = "application/json",
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> HTTPResponse:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        url = f"{self.url}{API}{path}" + (f"?{urlencode(given, doseq=True)}" if given else "")
        request = urllib.request.Request(url, method=method, headers={"Accept": accept, **(headers or {})})
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            answer: HTTPResponse = self._opener.open(request, timeout=self._timeout if timeout is None else timeout)
        except urllib.error.HTTPError as refused:
            with refused:
                if refused.code == 401 and not self.token:
                    ask = "make one there with `hpsearch token create NAME`, and give it as $HPSEARCH_TOKEN"
                    raise BadInput(f"{self.url} asks for a token: {ask}") from None
                raise _refusal(self.url, refused) from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            words = getattr(reason, "strerror", None) or str(reason) or type(error).__name__
            raise ServerFailure(f"cannot reach {self.url}: {words}; is `hpsearch serve` at work there?") from error
        return answer

    def _patiently(self, ask: Callable[..., _Result], *args: Any, **options: Any) -> _Result:
        """Ask again while the server is away, and fail after `PATIENCE_S`."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                return ask(*args, **options)
            except ServerFailure:
                if time.monotonic() > end:
                    raise
                time.sleep(_EVERY_S)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: the token would be sent to wherever it leads."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _address(url: str) -> str:
    """Return a server's address without what follows its path: ``/hp/`` is the page's."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise BadArgument("server", url, "no address of a server", "give one such as http://127.0.0.1:8080")
    return url.rstrip("/").removesuffix("/hp")


def answer_of(plain: Mapping[str, Any]) -> CommandResult:
    """Return what a command did, from its JSON."""
    return CommandResult(
        **{**plain, "files": {name: base64.b64decode(content) for name, content in plain["files"].items()}}
    )


def _part(name: str) -> str:
    return quote(name, safe="")


def _id(job: Job | int) -> int:
    return job if isinstance(job, int) else job.id


def _job(plain: Mapping[str, Any]) -> Job:
    times = {name: plain[name] and datetime.fromisoformat(plain[name]) for name in ("created", "started", "ended")}
    actions = tuple(Action(action["kind"], action["arguments"]) for action in plain["actions"])
    return Job(**{**plain, **times, "actions": actions})


def _refusal(url: str, answer: urllib.error.HTTPError) -> HpsearchError:
    """Return the error that a problem (RFC 9457) names, with its sentence."""
    try:
        problem = json.load(answer)
        detail, kind = str(problem["detail"]), vars(errors).get(str(problem.get("error")))
    except (OSError, HTTPException, ValueError, TypeError, LookupError):  # a proxy's page, or no hpsearch at all
        kind, detail = None, f"{url} answered {answer.code} {answer.reason}; is it the address of `hpsearch serve`?"
    if isinstance(kind, type) and issubclass(kind, HpsearchError) and kind is not BadArgument:
        return kind(detail)
    return ServerFailure(detail) if answer.code >= 500 else BadInput(detail)


def _events(stream: HTTPResponse) -> Iterator[Event]:
    """Yield the events of a stream in the form of `text/event-stream`."""
    fields: dict[str, str] = {}
    for raw in stream:
        line = raw.decode().rstrip("\r\n")
        name, _, value = line.partition(":")
        if line:  # a comment, which keeps the connection open, has no name
            fields[name] = f"{fields['data']}\n{value[1:]}" if name == "data" and "data" in fields else value[1:]
        else:
            if "data" in fields:
                yield Event(fields.get("id", ""), fields.get("event", "message"), json.loads(fields["data"]))
            fields = {}
