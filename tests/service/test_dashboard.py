"""The dashboard behind its guards, and as a browser shows it. The manual's tests ask it over HTTP."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from wsgiref.util import setup_testing_defaults

import pytest
import tiny
from browser import Browser

from hpsearch import Search
from hpsearch.errors import BadArgument
from hpsearch.service import dashboard

pytest.importorskip("optuna_dashboard")


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database that `url` copies."""
    folder = tmp_path_factory.mktemp("served")
    search = Search(str(tiny.write(folder)), storage=folder / "studies.db")
    search.start(trials=5, engine="inline")
    search.narrow(top=3)
    return folder / "studies.db"


@pytest.fixture
def url(studies: Path, tmp_path: Path) -> str:
    """A database with a finished stage 1 and an empty stage 2."""
    return f"sqlite:///{shutil.copy(studies, tmp_path)}"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


Ask = Callable[..., Answer]


def asking(url: str, *, writable: bool) -> Ask:
    """Return a function that asks the application as its server does."""
    application: Any = dashboard.application(url, writable=writable)

    def ask(path: str, method: str = "GET", *, body: object = None, **headers: str) -> Answer:
        text, started = b"" if body is None else json.dumps(body).encode(), []
        request: dict[str, Any] = {"PATH_INFO": path, "REQUEST_METHOD": method, "wsgi.input": io.BytesIO(text)}
        request |= {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(text))}
        request |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
        setup_testing_defaults(request)
        parts = application(request, lambda *start: started.append(start))
        content = b"".join(parts)
        if hasattr(parts, "close"):  # a file
            parts.close()
        status, sent, *_ = started[-1]
        return Answer(int(status.split()[0]), dict(sent), content)

    return ask


@pytest.fixture
def ask(url: str) -> Ask:
    """Asks a read-only dashboard."""
    return asking(url, writable=False)


def study_ids(ask: Ask) -> dict[str, int]:
    return {study["study_name"]: study["study_id"] for study in ask("/api/studies").json()["study_summaries"]}


def test_the_stages_and_their_trials_are_there(ask: Ask) -> None:
    ids = study_ids(ask)
    assert list(ids) == ["tiny/stage-01", "tiny/stage-02"]
    trials = ask(f"/api/studies/{ids['tiny/stage-01']}").json()["trials"]
    assert [trial["number"] for trial in trials] == list(range(5))
    for trial in trials:
        assert {param["name"] for param in trial["params"]} == {"lr", "weight_decay"}
        assert trial["state"] == "Complete"
        assert trial["values"] == [trial["intermediate_values"][-1]["value"]]
    assert ask(f"/api/studies/{ids['tiny/stage-02']}").json()["trials"] == []


def test_nothing_can_be_changed_when_read_only(ask: Ask) -> None:
    ids = study_ids(ask)
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        for body in (None, {"study_name": "new", "directions": ["minimize"]}, {"much": "x" * 3_000}):
            refused = ask(f"/api/studies/{ids['tiny/stage-02']}", method, body=body)
            assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
            assert "read-only" in refused.json()["reason"]
    assert study_ids(ask) == ids


def test_a_writable_dashboard_changes_studies(url: str) -> None:
    ask = asking(url, writable=True)
    ids = study_ids(ask)
    made = ask("/api/studies", "POST", body={"study_name": "new", "directions": ["minimize"]})
    assert made.status == 201
    assert "new" in study_ids(ask)
    note = {"body": "seen", "version": 1}
    assert ask(f"/api/studies/{ids['tiny/stage-01']}/note", "PUT", body=note).status == 204
    assert ask(f"/api/studies/{ids['tiny/stage-02']}", "DELETE").status == 204
    assert set(study_ids(ask)) == {"tiny/stage-01", "new"}


@pytest.mark.parametrize("writable", [False, True])
def test_only_this_machine_s_names_are_answered(url: str, writable: bool) -> None:
    ask = asking(url, writable=writable)
    for host in ("evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil", ""):
        assert {ask("/api/studies", method, host=host, body={}).status for method in ("GET", "POST")} == {403}
    assert ask("/api/studies", host="localhost:8080").status == 200


def test_pages_of_other_sites_are_refused(url: str) -> None:
    ask = asking(url, writable=True)
    host = "127.0.0.1:8080"
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1:8080"):
        assert ask("/api/studies", "POST", host=host, body={}, origin=origin).status == 403
    assert ask("/api/studies", host=host, origin=f"http://{host}").status == 200


def test_the_page_and_its_script_come_without_accept_encoding(ask: Ask) -> None:
    assert ask("/").status == 302
    page = ask("/dashboard")
    assert (page.status, b"/static/bundle.js" in page.body) == (200, True)
    script = ask("/static/bundle.js")
    assert script.status == 200
    assert len(script.body) > 100_000
    assert script.body[:2] != b"\x1f\x8b"
    assert ask("/static/bundle.js", accept_encoding="gzip").status == 200


def test_a_port_that_is_taken_or_none_is_one_line(url: str) -> None:
    def never(address: str) -> None:
        raise AssertionError(address)

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for port in (taken.getsockname()[1], 70_000):
            with pytest.raises(BadArgument, match=rf"port={port}: cannot be used .*, or 0") as caught:
                dashboard.serve(url, port=port, on_ready=never)
            assert len(str(caught.value).splitlines()) == 1


def test_no_site_may_frame_it_and_the_score_has_its_name(ask: Ask) -> None:
    for answer in (ask("/dashboard"), ask("/api/studies"), ask("/", "POST"), ask("/", host="evil.example")):
        assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
        assert answer.headers["X-Frame-Options"] == "DENY"
    first = min(study_ids(ask).values())
    assert ask(f"/api/studies/{first}").json()["objective_names"] == ["validation_accuracy"]


def test_a_client_that_resets_its_connection_is_no_news(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    left = threading.Event()

    def ready(address: str) -> None:
        def leave() -> None:
            for sent in (
                b"GET /api/studies HTTP/1.1\r\n",
                b"GET /static/bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n",
            ):
                with socket.create_connection(("127.0.0.1", int(address.rstrip("/").rpartition(":")[2]))) as client:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset at its end
                    client.sendall(sent)
            left.set()
            signal.raise_signal(signal.SIGINT)

        threading.Thread(target=leave).start()

    dashboard.serve(url, port=0, on_ready=ready)
    assert left.is_set()
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_the_page_lists_the_stages(url: str, browser: Browser) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "hpsearch", "dashboard", "--port", "0"],
        env={**os.environ, "HPSEARCH_STORAGE": url},
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:
        try:
            assert server.stdout is not None
            address = re.search(r"http://\S+", server.stdout.readline())
            assert address is not None
            with browser.page() as page:
                page.open(f"{address[0]}dashboard/")
                page.shows("tiny/stage-01")
                page.shows("tiny/stage-02")
        finally:
            server.send_signal(signal.SIGTERM)
    assert server.returncode == 0
