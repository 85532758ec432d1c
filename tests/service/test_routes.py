"""The HTTP API: what it answers is what the command line prints, and errors are problems with its sentences."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import made_stages
import pytest
import served
import tiny
from starlette.testclient import TestClient

from hpsearch.__main__ import main
from hpsearch.records import Action
from hpsearch.service import routes
from hpsearch.service.auth import Role
from hpsearch.service.problems import problem
from hpsearch.service.routes import Answer
from hpsearch.store import open_store

API = "/hp/api/v1"
_JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database in which the first stage of the tiny study has run."""
    folder = tmp_path_factory.mktemp("made")
    made_stages.searched(folder, trials={"count": 8})
    return (folder / "made.db").read_bytes()


@pytest.fixture
def storage(tmp_path: Path, made: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "made.db"
    file.write_bytes(made)
    monkeypatch.setenv("HPSEARCH_STORAGE", str(file))
    return file


@pytest.fixture
def client(storage: Path, tmp_path: Path) -> Iterator[TestClient]:
    tiny.write(tmp_path)
    with served.client(storage, Role.RUN, studies=tmp_path) as client:
        yield client


def printed(capsys: pytest.CaptureFixture[str], line: str, form: str = "json") -> str:
    capsys.readouterr()
    assert main([*line.split(), "--format", form]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("searches/tiny", "status tiny"),
        ("searches/tiny/stages/1/trials", "trials tiny"),
        ("searches/tiny/stages/1/trials?state=complete", "trials tiny --state complete"),
        ("searches/tiny/stages/1/trials/3", "trials tiny --trial 3"),
        ("searches/tiny/best", "best tiny"),
        ("searches/tiny/best?stage=1", "best tiny --stage 1"),
        ("searches/tiny/recommendation", "recommend tiny"),
        ("compare?a=tiny/stage-01/1&b=tiny", "compare tiny/stage-01/1 tiny"),
    ],
)
def test_an_answer_is_the_json_that_the_command_line_prints(
    client: TestClient, capsys: pytest.CaptureFixture[str], path: str, line: str
) -> None:
    answer = client.get(f"{API}/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == json.loads(printed(capsys, line))


def test_the_checklist_has_its_actions_as_data_too(client: TestClient, capsys: pytest.CaptureFixture[str]) -> None:
    answer = client.get(f"{API}/searches/tiny/checklist?top=3").json()
    actions = answer.pop("actions")
    assert answer == json.loads(printed(capsys, "checklist tiny --top 3"))
    assert actions
    assert all({"kind", "arguments"} == set(action) for action in actions)
    assert not any("storage" in action["arguments"] for action in actions)


def test_no_answer_names_the_server_s_database(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HPSEARCH_STORAGE")
    commands = client.get(f"{API}/searches/tiny/checklist").text
    assert "hpsearch " in commands
    assert "--storage" not in commands


def test_searches_are_listed_with_their_trials_in_sum(client: TestClient) -> None:
    (search,) = client.get(f"{API}/searches").json()
    assert (search["search"], search["stages"], search["complete"], search["running"]) == ("tiny", 1, 8, 0)
    assert search["best"] == client.get(f"{API}/searches/tiny").json()[0]["best"]


def test_trials_are_paged_sorted_and_filtered(client: TestClient, storage: Path) -> None:
    def numbers(query: str) -> tuple[list[int], str]:
        answer = client.get(f"{API}/searches/tiny/stages/1/trials?{query}")
        return [row["trial"] for row in answer.json()], answer.headers["X-Total-Count"]

    store = open_store(str(storage))
    columns = store.columns(store.stages("tiny")[0])
    store.close()
    score, rate = columns["score"], columns["param:lr"]
    every = columns["number"]
    assert numbers("offset=2&limit=3") == ([2, 3, 4], "8")
    assert numbers("offset=7&limit=3") == ([7], "8")
    assert numbers("sort=-number&limit=2") == ([7, 6], "8")
    assert numbers("sort=-score") == (sorted(every, key=lambda n: (-score[n], n)), "8")
    assert numbers("sort=param:lr") == (sorted(every, key=lambda n: rate[n]), "8")
    assert numbers("sort=-finished")[0][0] == max(every, key=lambda n: (columns["finished"][n], -n))
    assert numbers("state=fail") == ([], "0")
    assert numbers("state=complete&limit=1") == ([0], "8")


def test_what_has_no_value_comes_last_in_both_directions(client: TestClient, storage: Path) -> None:
    store = open_store(str(storage), write=True)
    stage = store.stages("tiny")[0]
    with store.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE trials SET state = 'FAIL' WHERE number = 0 AND study_id = {stage.study_id}")
        connection.exec_driver_sql(
            "DELETE FROM trial_values WHERE trial_id IN (SELECT trial_id FROM trials WHERE number = 0)"
        )
    store.close()
    for sort in ("score", "-score"):
        rows = client.get(f"{API}/searches/tiny/stages/1/trials?sort={sort}").json()
        assert rows[-1]["trial"] == 0
    failed = client.get(f"{API}/searches/tiny/stages/1/trials?state=fail")
    assert ([row["trial"] for row in failed.json()], failed.headers["X-Total-Count"]) == ([0], "1")


def test_trials_are_csv_where_that_is_accepted(client: TestClient, capsys: pytest.CaptureFixture[str]) -> None:
    answer = client.get(f"{API}/searches/tiny/stages/1/trials", headers={"Accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.text == printed(capsys, "trials tiny", "csv")
    assert len(list(csv.DictReader(StringIO(answer.text)))) == 8


@pytest.mark.parametrize("kind", ["curves", "parameters", "pair", "parallel", "history", "lineage"])
def test_figures_are_plotly_s_json(client: TestClient, kind: str) -> None:
    figure = client.get(f"{API}/searches/tiny/figures/{kind}").json()
    assert figure["data"]
    assert "layout" in figure


def test_a_report_is_a_file(client: TestClient) -> None:
    markdown = client.get(f"{API}/searches/tiny/report?format=md")
    assert markdown.text.startswith("<!-- generator: hpsearch")
    page = client.get(f"{API}/searches/tiny/report")
    assert page.text.startswith("<!doctype html>")
    assert page.headers["content-disposition"] == 'attachment; filename="tiny-report.html"'


def test_narrowing_is_shown_and_then_done(client: TestClient, capsys: pytest.CaptureFixture[str]) -> None:
    shown = client.post(f"{API}/searches/tiny/narrow", json={"top": 4, "dry_run": True}).json()
    assert shown == json.loads(printed(capsys, "narrow tiny --top 4 --dry-run"))
    assert len(client.get(f"{API}/searches/tiny").json()) == 1
    made = client.post(f"{API}/searches/tiny/narrow", json={"top": 4}).json()
    assert made == shown | {"stage": "tiny/stage-02"}
    assert len(client.get(f"{API}/searches/tiny").json()) == 2


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("searches/tyni", 404, "no search 'tyni' in "),
        ("searches/tiny/stages/9/trials", 404, "tiny has no stage 9; known: 1"),
        ("searches/tiny/stages/1/trials/99", 404, "--trial 99: tiny/stage-01 has 8 trials, numbered from 0"),
        ("searches/tiny/stages/1/trials?sort=param:x", 422, "--sort param:x: no such column"),
        ("searches/tiny/stages/1/trials?limit=0", 422, "query.limit: input should be greater than or equal to 1"),
        ("searches/tiny/figures/pie", 422, "path.kind: input should be 'curves', "),
        ("searches/..%2Fsecret.toml", 404, "no such page"),
        ("searches/secret.toml", 422, "it is a file; give the name of a search"),
        ("compare?a=../x", 422, "query.a: string should match pattern"),
        ("compare?a=tiny", 404, "no baseline"),
        ("nothing", 404, "no such page"),
        ("jobs/99", 404, "no job 99"),
    ],
)
def test_an_error_is_a_problem_with_the_command_line_s_sentence(
    client: TestClient, path: str, status: int, detail: str
) -> None:
    answer = client.get(f"{API}/{path}")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {"type": "about:blank", **answer.json()}
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert detail in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({"top": 9}, 409, "the top 9 needs 9 trials that finished with a score and there are 8"),
        ({"top": 4, "out": "x"}, 422, "body.out: extra inputs are not permitted"),
        ({"rule": "\ud800"}, 422, "body.rule"),
        ([], 422, "body"),
    ],
)
def test_what_is_refused_changes_nothing(client: TestClient, body: Any, status: int, detail: str) -> None:
    answer = client.post(f"{API}/searches/tiny/narrow", content=json.dumps(body), headers=_JSON)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert detail in answer.json()["detail"]
    assert len(client.get(f"{API}/searches/tiny").json()) == 1


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("jobs", "GET, POST"), ("searches/tiny", "GET"), ("jobs/1/cancel", "POST"), ("session", "DELETE, GET, POST")],
)
def test_another_method_is_refused_with_all_that_the_path_has(client: TestClient, path: str, allowed: str) -> None:
    answer = client.put(f"{API}/{path}")
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert answer.json()["detail"] == "Method Not Allowed"


def start(trials: int = 9, **more: Any) -> dict[str, Any]:
    return {"actions": [{"kind": "start", "arguments": {"search": "tiny", "trials": trials, **more}}]}


def test_a_job_is_handed_in_once_per_key(client: TestClient) -> None:
    keyed = {"Idempotency-Key": "first"}
    answer = client.post(f"{API}/jobs", json=start(), headers=keyed)
    job = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, f"{API}/jobs/{job['id']}")
    assert (job["state"], job["search"], job["by"]) == ("queued", "tiny", "run-0")
    assert job["actions"] == [{"kind": "start", "arguments": {"search": "tiny", "trials": 9, "stage": 1}}]
    assert client.post(f"{API}/jobs", json=start(), headers=keyed).json() == job
    other = client.post(f"{API}/jobs", json=start(10), headers=keyed)
    assert (other.status_code, "was used for job" in other.json()["detail"]) == (409, True)
    assert client.get(f"{API}/jobs").json() == [job] == client.get(f"{API}/jobs?search=tiny&state=queued").json()
    assert client.get(f"{API}/jobs?search=other").json() == []
    assert client.get(answer.headers["location"]).json() == job


def test_a_body_that_is_not_said_to_be_json_is_refused_with_the_remedy(client: TestClient) -> None:
    answer = client.post(f"{API}/jobs", content=b"{}", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "the body is not JSON; send it with `Content-Type: application/json`"
    answer = client.post(f"{API}/jobs", content=b"{", headers={"Content-Type": "application/json"})
    assert answer.json()["detail"] == "body.1: JSON decode error"


def test_a_search_whose_first_job_waits_is_stopped(client: TestClient) -> None:
    first = served.hub(client).queue.submit([Action("start", {"search": "later"})], by="ada").id
    assert client.post(f"{API}/searches/later/stop").json() == {"asked": [], "jobs": [first]}
    assert client.post(f"{API}/searches/later/stop").status_code == 404  # no job any more, and still no search


def test_an_internal_error_is_counted_and_guarded_as_any_answer(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: str) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(routes, "summaries", broken)
    same = TestClient(client.app, base_url=served.ADDRESS, headers=dict(client.headers), raise_server_exceptions=False)
    answer = same.get(f"{API}/searches")
    assert (answer.status_code, answer.json()["detail"]) == (500, "internal error, please report it: RuntimeError")
    assert "Content-Security-Policy" in answer.headers
    assert served.hub(client).answers.statuses[500] == 1


def test_a_job_is_cancelled_and_a_search_is_stopped_with_its_jobs(client: TestClient) -> None:
    first, second = (client.post(f"{API}/jobs", json=start(n)).json()["id"] for n in (9, 10))
    assert client.post(f"{API}/jobs/{first}/cancel").json()["state"] == "stopped"
    assert client.post(f"{API}/searches/tiny/stop").json() == {"asked": [], "jobs": [second]}
    assert client.get(f"{API}/jobs/{second}").json()["state"] == "stopped"


def test_a_job_s_log_is_read_line_by_line(client: TestClient) -> None:
    id = client.post(f"{API}/jobs", json=start()).json()["id"]
    assert client.get(f"{API}/jobs/{id}/log").json() == {"lines": []}
    assert client.get(f"{API}/jobs/99/log").status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({"actions": []}, 422, "body.actions: list should have at least 1 item"),
        (start(storage="other.db"), 422, "--storage other.db: extra inputs are not permitted"),
        (start(search="../../etc/passwd"), 422, "string should match pattern"),
        (start(jobs=0), 422, "--jobs 0: input should be greater than or equal to 1"),
        (start(search="unknown"), 422, "no study file"),
        (start(stage=7), 404, "tiny has no stage 7"),
        ({"actions": [{"kind": "delete", "arguments": {"search": "tiny"}}]}, 422, "does not match any of the expected"),
        ({"actions": [{"kind": "confirm", "arguments": {"search": "tyni"}}]}, 404, "no search 'tyni'"),
    ],
)
def test_a_job_that_cannot_be_done_is_refused_at_the_door(
    client: TestClient, body: Any, status: int, detail: str
) -> None:
    answer = client.post(f"{API}/jobs", json=body)
    assert (answer.status_code, detail in answer.json()["detail"]) == (status, True), answer.json()
    assert client.get(f"{API}/jobs").json() == []


def test_study_files_are_listed_and_sent(client: TestClient, tmp_path: Path) -> None:
    assert {"tiny", "mnist"} <= {of["name"] for of in client.get(f"{API}/study-files").json()}
    study = {"data": {"name": "mnist-10k"}, "space": {"lr": {"low": 1e-3, "high": 1.0, "log": True}}}
    answer = client.post(f"{API}/study-files", json={"name": "sent", "study": study})
    assert (answer.status_code, answer.json()["parameters"]) == (201, ["lr"])
    assert (tmp_path / "sent.toml").is_file()
    own = {"objective": {"command": "rm -rf /"}, "space": study["space"]}
    refused = client.post(f"{API}/study-files", json={"name": "own", "study": own})
    assert (refused.status_code, "cannot be sent" in refused.json()["detail"]) == (422, True)


def test_halves_of_characters_are_escaped() -> None:
    assert bytes(problem(422, "\ud800").body).isascii()
    assert bytes(Answer({"\ud800": "\udfff"}).body).isascii()
