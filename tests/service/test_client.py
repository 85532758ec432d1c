"""The client against a server that answers as it is told: what is sent, and what becomes of each answer."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import hpsearch
from hpsearch import Action, BadArgument, BadInput, Client, ServerFailure, UnknownSearch
from hpsearch.service import client as module
from hpsearch.service.client import Event

JOB = {
    "id": 7,
    "actions": [{"kind": "start", "arguments": {"search": "mnist", "trials": 8}}],
    "search": "mnist",
    "state": "running",
    "by": "local",
    "created": "2026-01-02T03:04:05+00:00",
    "started": "2026-01-02T03:04:06+00:00",
    "ended": None,
}
DONE = {**JOB, "state": "done", "ended": "2026-01-02T03:05:00+00:00", "exit_code": 0}


@dataclass
class Fake:
    """A server that gives the next answer to each request: a status, a body, and headers."""

    url: str = ""
    answers: list[tuple[int, object, dict[str, str]]] = field(default_factory=list)
    requests: list[tuple[str, str, Any, dict[str, str]]] = field(default_factory=list)  # method, path, body, headers

    def answer(self, body: object, status: int = 200, **headers: str) -> None:
        self.answers.append((status, body, headers))


@pytest.fixture
def fake() -> Iterator[Fake]:
    told = Fake()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            told.requests.append((self.command, self.path, json.loads(text) if text else None, dict(self.headers)))
            status, body, headers = told.answers.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        do_POST = do_GET  # noqa: N815 - http.server calls it so

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        told.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield told
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EVERY_S", 0.001)
    monkeypatch.setattr(module, "PATIENCE_S", 0)
    for name in (module.SERVER, module.TOKEN):
        monkeypatch.delenv(name, raising=False)


def test_a_job_is_handed_in_under_a_key_with_the_token(fake: Fake) -> None:
    fake.answer(JOB, 202)
    job = Client(fake.url, "hps_secret").start("mnist", trials=8)
    [(method, path, body, headers)] = fake.requests
    assert (method, path) == ("POST", "/hp/api/v1/jobs")
    assert body == {"actions": [{"kind": "start", "arguments": {"search": "mnist", "trials": 8}}]}
    assert headers["Authorization"] == "Bearer hps_secret"
    assert len(headers["Idempotency-Key"]) > 20
    assert job.actions == (Action("start", {"search": "mnist", "trials": 8}),)
    assert (job.id, job.state, job.created.year, job.ended) == (7, "running", 2026, None)


@pytest.mark.parametrize(
    ("call", "kind"), [("start", "start"), ("refine", "refine"), ("confirm", "confirm"), ("evaluate", "evaluate")]
)
def test_each_job_is_an_action(fake: Fake, call: str, kind: str) -> None:
    fake.answer(JOB, 202)
    getattr(Client(fake.url), call)("mnist", stage=2)
    assert fake.requests[0][2]["actions"] == [{"kind": kind, "arguments": {"search": "mnist", "stage": 2}}]


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (lambda to: to.searches(), "/searches"),
        (lambda to: to.status("a b"), "/searches/a%20b"),
        (lambda to: to.trials("m", 2, limit=5, state=None), "/searches/m/stages/2/trials?limit=5"),
        (lambda to: to.trial("m", 2, 7), "/searches/m/stages/2/trials/7"),
        (lambda to: to.best("m", stage=1), "/searches/m/best?stage=1"),
        (lambda to: to.recommend("m"), "/searches/m/recommendation"),
        (lambda to: to.checklist("m"), "/searches/m/checklist"),
        (lambda to: to.figure("m", "pair", parameter=["lr", "b"]), "/searches/m/figures/pair?parameter=lr&parameter=b"),
        (lambda to: to.compare("m/stage-01", "n"), "/compare?a=m%2Fstage-01&b=n"),
        (lambda to: to.narrow("m", top=5), "/searches/m/narrow"),
        (lambda to: to.stop("../x"), "/searches/..%2Fx/stop"),
    ],
)
def test_what_is_asked_for_and_what_comes_back(fake: Fake, call: Any, path: str) -> None:
    fake.answer({"some": "data"})
    assert call(Client(fake.url)) == {"some": "data"}
    assert fake.requests[0][1] == f"/hp/api/v1{path}"


def test_a_job_is_followed_to_its_end_and_waited_for(fake: Fake) -> None:
    line = {"id": 1, "stream": "stdout", "text": "8/8 trials"}
    end = {"id": 2, "stream": "stderr", "text": "note"}
    logs: list[list[object]] = [[line], [], [end], []]
    for job, lines in zip((JOB, JOB, DONE, DONE), logs, strict=True):
        fake.answer(job)
        fake.answer({"lines": lines})
    client = Client(fake.url)
    assert [(of.stream, of.text) for of in client.follow(7)] == [("stdout", "8/8 trials"), ("stderr", "note")]
    assert [path for _, path, *_ in fake.requests if "log" in path][-1].endswith("/jobs/7/log?after=2")
    fake.answer(JOB)
    fake.answer(DONE)
    assert client.wait(7).state == "done"


def test_a_server_that_is_started_again_is_waited_for(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 60)
    fake.answer({}, 503)
    fake.answer(DONE)
    assert Client(fake.url).wait(7).state == "done"
    fake.answer({}, 502)
    fake.answer(JOB, 202)
    Client(fake.url).start("mnist")
    first, second = (headers["Idempotency-Key"] for *_, headers in fake.requests[-2:])
    assert first == second  # else it would be two jobs


def test_events_go_on_after_a_lost_connection(fake: Fake) -> None:
    fake.answer(b': hello\n\nid: 4\nevent: trial\ndata: {"number":\ndata: 3}\n\nid: 5\nevent: tri')
    fake.answer(b"id: 5\nevent: stage\ndata: {}\n\n")
    events = Client(fake.url).events("mnist")
    assert next(events) == Event("4", "trial", {"number": 3})
    assert next(events) == Event("5", "stage", {})
    assert [path for _, path, *_ in fake.requests] == ["/hp/api/v1/events?search=mnist"] * 2
    assert fake.requests[1][3]["Last-Event-Id"] == "4"


def test_a_command_s_output_and_files_come_back(fake: Fake) -> None:
    answer = {"exit_code": 0, "stdout": "wrote x.csv", "stderr": "", "folder": "/tmp/x", "files": {"x.csv": "YQo="}}
    fake.answer(answer)
    ran = Client(fake.url).run("export", search="mnist", out="x.csv")
    assert fake.requests[0][2] == {"kind": "export", "arguments": {"search": "mnist", "out": "x.csv"}}
    assert (ran.exit_code, ran.stdout, ran.files) == (0, "wrote x.csv", {"x.csv": b"a\n"})


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (404, "UnknownSearch", UnknownSearch),
        (400, "BadArgument", BadInput),
        (401, None, BadInput),
        (422, "Any", BadInput),
        (503, "StorageFailure", hpsearch.StorageFailure),
        (503, "BadStorage", hpsearch.BadStorage),
        (500, None, ServerFailure),
    ],
)
def test_a_problem_is_raised_as_the_error_that_it_names(
    fake: Fake, status: int, error: str | None, kind: type[Exception]
) -> None:
    fake.answer({"error": error, "detail": "top=9: only {} 8 trials", "status": status}, status)
    with pytest.raises(kind) as refused:
        Client(fake.url, "token").best("mnist")
    assert str(refused.value) == "top=9: only {} 8 trials"
    assert type(refused.value) is kind


@pytest.mark.parametrize("body", [b"<h1>Bad gateway</h1>", b"[1]", b'{"detial": 1}'])
def test_an_answer_that_is_no_problem_says_the_status(fake: Fake, body: bytes) -> None:
    fake.answer(body, 404)
    with pytest.raises(BadInput, match="answered 404 Not Found; is it the address of `hpsearch serve`"):
        Client(fake.url).searches()


def test_an_answer_that_is_no_json_is_a_failure(fake: Fake) -> None:
    fake.answer(b"<html>")
    with pytest.raises(ServerFailure, match="did not arrive whole"):
        Client(fake.url).searches()


def test_a_redirect_is_not_followed_with_the_token(fake: Fake) -> None:
    fake.answer(b"", 302, Location=f"{fake.url}/elsewhere")
    with pytest.raises(BadInput, match="answered 302"):
        Client(fake.url, "secret").searches()
    assert len(fake.requests) == 1


def test_a_server_that_is_not_there_is_named_in_one_line() -> None:
    with pytest.raises(ServerFailure, match=r"cannot reach http://127\.0\.0\.1:1: Connection refused; is `hpsearch se"):
        Client("http://127.0.0.1:1").searches()


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8080", "file:///etc/passwd", "ftp://host", "http://", "http://host/hp/enter?code=x"]
)
def test_an_address_is_one_of_a_server(url: str) -> None:
    with pytest.raises(BadArgument, match="give one such as http://"):
        Client(url)


@pytest.mark.parametrize("url", ["http://h:1", "http://h:1/", "http://h:1/hp", "http://h:1/hp/"])
def test_the_page_s_address_is_the_server_s(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Client(url).url == "http://h:1"
    monkeypatch.setenv(module.SERVER, url)
    assert Client().url == "http://h:1"
    assert Client("https://h/tools/hp/").url == "https://h/tools"


def test_the_token_is_in_no_text_of_the_client() -> None:
    assert "secret" not in repr(Client("http://h", "secret"))


@pytest.mark.parametrize("token", ["hps_se\ncret", "hps_secret\N{EURO SIGN}"])
def test_a_token_that_no_header_can_hold_is_refused_without_it(token: str) -> None:
    with pytest.raises(BadInput, match="has characters that no token has") as refused:
        Client("http://h", token)
    assert "secret" not in str(refused.value)
    assert Client("http://h", " hps_secret\n").token == "hps_secret"  # as a file or a paste gives it


def test_the_client_needs_the_standard_library_alone() -> None:
    script = """
import sys
from hpsearch import Client
Client("http://127.0.0.1:1")
others = {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names - {"hpsearch"}
print(sorted(name for name in others if not name.startswith("_")))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
