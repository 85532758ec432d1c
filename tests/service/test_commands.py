"""Commands over HTTP: who may have which carried out, what may be named, and in what surroundings it runs."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import served
from bounded import LIMIT_S
from starlette.testclient import TestClient

from hpsearch.errors import ServerFailure
from hpsearch.records import Action
from hpsearch.service import commands
from hpsearch.service.roles import Role

URL = "/hp/api/v1/commands"
Ran = tuple[list[str], Path, Mapping[str, str]]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Ran]:
    """What would have been run: each writes its words into a file."""
    every: list[Ran] = []

    async def child(line: list[str], folder: Path, environment: Mapping[str, str]) -> tuple[int, str, str]:
        every.append((line, folder, environment))
        (folder / "words.txt").write_text(" ".join(line))
        return 0, "out", "err"

    monkeypatch.setattr(commands, "child", child)
    return every


@pytest.fixture
def http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    with served.client("studies/s.db", Role.READ) as client:
        yield client


def ask(http: TestClient, kind: str, role: Role = Role.READ, /, **arguments: Any) -> Any:
    headers = {"Authorization": f"Bearer {served.token(http.app, role)}"}
    return http.post(URL, json={"kind": kind, "arguments": arguments}, headers=headers)


@pytest.mark.parametrize(
    ("kind", "arguments", "role"),
    [
        ("status", {}, Role.READ),
        ("narrow", {}, Role.RUN),
        ("stop", {}, Role.RUN),
        ("retry", {}, Role.RUN),
        ("baseline set", {"search": "m"}, Role.RUN),
        ("delete", {"study": "m"}, Role.ADMIN),
    ],
)
def test_what_writes_needs_a_role(
    http: TestClient, ran: list[Ran], kind: str, arguments: Mapping[str, Any], role: Role
) -> None:
    answers = {of: ask(http, kind, of, **arguments).status_code for of in Role}
    assert answers == {of: 200 if of >= role else 403 for of in Role}
    assert len(ran) == list(answers.values()).count(200)


@pytest.mark.parametrize(("known", "stopped"), [(["m"], ["m"]), (["m", "n"], []), ([], [])])
def test_stop_without_a_name_stops_the_jobs_of_the_only_search(
    http: TestClient, ran: list[Ran], monkeypatch: pytest.MonkeyPatch, known: list[str], stopped: list[str]
) -> None:
    monkeypatch.setattr(commands, "searches", lambda storage: known)
    queue = served.hub(http).queue
    for search in ("m", "n", "new"):
        queue.submit([Action("start", {"search": search})], by="ann")
    assert ask(http, "stop", Role.RUN).status_code == 200
    assert [job.search for job in queue.jobs(state="stopped")] == stopped


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("plot", {"kind": "pair", "out": "../x.html"}),
        ("plot", {"kind": "pair", "out": "/etc/x.html"}),
        ("plot", {"kind": "pair", "out": "-x"}),
        ("report", {"out": ".bashrc"}),
        ("export", {"out": "a\nb.csv"}),
        ("export", {"to": "mlflow"}),
        ("export", {"storage": "other.db"}),
        ("status", {"search": "--storage=x"}),
        ("status", {"search": "../m"}),
        ("status", {"search": "m.toml"}),
        ("compare", {"a": "other.db::m"}),
        ("delete", {"study": "m; rm -rf /"}),
        ("start", {}),
        ("db check", {}),
        ("train", {"save": "x.npz"}),
    ],
)
def test_nothing_names_a_file_a_database_or_another_command(
    http: TestClient, ran: list[Ran], kind: str, arguments: Mapping[str, Any]
) -> None:
    assert ask(http, kind, Role.ADMIN, **arguments).status_code == 422
    assert ran == []


def test_a_command_runs_in_a_folder_of_its_own_that_is_gone_afterwards(http: TestClient, ran: list[Ran]) -> None:
    done = ask(http, "report", out="r.md").json()
    [(line, folder, _)] = ran
    assert line == ["report", f"--out={folder}/r.md"]
    assert (done["exit_code"], done["stdout"], done["stderr"], done["folder"]) == (0, "out", "err", str(folder))
    assert {name: base64.b64decode(of).decode() for name, of in done["files"].items()} == {"words.txt": " ".join(line)}
    assert not folder.exists()
    assert Path("studies/s.db").exists()  # to which the folder had a link


def test_a_command_knows_the_database_and_no_server(
    http: TestClient, ran: list[Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPSEARCH_SERVER", "http://127.0.0.1:1")  # else it would ask itself
    monkeypatch.setenv("HPSEARCH_TOKEN", "secret")
    ask(http, "status")
    [(_, _, environment)] = ran
    assert environment["HPSEARCH_STORAGE"] == "studies/s.db"
    assert environment.keys() & {"HPSEARCH_SERVER", "HPSEARCH_TOKEN"} == set()
    assert environment["PATH"] == os.environ["PATH"]
    assert environment["PYTHONUTF8"] == "1"  # whatever the server's locale


@pytest.mark.parametrize(
    ("storage", "known"),
    [
        ("studies/s.db", "studies/s.db"),
        ("s.db", "{here}/s.db"),
        ("../s.db", "{here}/../s.db"),
        ("{here}/s.db", "{here}/s.db"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg://u@h/d"),
    ],
)
def test_a_relative_database_is_the_server_s(
    storage: str, known: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / "own").mkdir()
    monkeypatch.chdir(tmp_path)
    environment = commands.environment_of(tmp_path / "own", storage.format(here=tmp_path))
    assert environment["HPSEARCH_STORAGE"] == known.format(here=tmp_path)
    if storage == "studies/s.db":
        assert (tmp_path / "own" / "studies").resolve() == tmp_path / "studies"


def test_a_command_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(commands, "LIMIT_S", 0.01)
    endless = commands.child(["serve", "--worker"], tmp_path, os.environ)
    with pytest.raises(ServerFailure, match=r"took more than 0\.01 s, and was ended"):
        asyncio.run(asyncio.wait_for(endless, LIMIT_S))


def test_stop_stops_the_jobs_of_the_search_too(http: TestClient, ran: list[Ran]) -> None:
    queue = http.app.state.hub.queue  # type: ignore[attr-defined] # which Starlette's applications have
    jobs = [queue.submit([Action("start", {"search": search})], by="ada") for search in ("m", "n")]
    answer = ask(http, "stop", Role.RUN, search="m").json()
    assert [queue.job(job.id).state for job in jobs] == ["stopped", "queued"]
    assert (answer["exit_code"], answer["stdout"]) == (0, f"asked to stop: job {jobs[0].id}\n")
    assert ran == []  # it would say that nothing runs
    answer = ask(http, "stop", Role.RUN, search="n/stage-01", output="json").json()
    assert json.loads(answer["stdout"]) == {"asked": [], "jobs": [jobs[1].id]}


def test_a_command_that_waits_too_long_for_others_is_asked_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "AT_ONCE", 0)
    monkeypatch.setattr(commands, "PATIENCE_S", 0.01)
    with served.client(tmp_path / "s.db") as http:
        answer = ask(http, "status")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert answer.json()["detail"] == "other commands are at work; try again"


def test_what_it_prints_comes_back_whatever_it_is(tmp_path: Path) -> None:
    code, out, err = asyncio.run(commands.child(["docs", "\udcff"], tmp_path, os.environ))
    assert (code, out) == (2, "")
    assert err.startswith("hpsearch: no topic")
