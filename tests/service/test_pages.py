"""The pages: what stands in their HTML, and the files that they load."""

from __future__ import annotations

import html
import json
import multiprocessing
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import Mock

import made_stages
import pytest
import served
from bounded import until
from plotly.offline import get_plotlyjs
from starlette.testclient import TestClient

from hpsearch.records import Action
from hpsearch.serialization import to_plain
from hpsearch.service.auth import Role
from hpsearch.service.pages import findings
from hpsearch.service.pages.parts import _pace
from hpsearch.service.pages.steps import label
from hpsearch.store import Owner, open_store

SCORES = [0.5, 0.9, 0.7]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a server over two stages of the search ``made``."""
    file = tmp_path_factory.mktemp("pages") / "made.db"
    with closing(open_store(str(file), create=True, write=True)) as store:
        made_stages.make(store, SCORES, trials=3)
        made_stages.make(store, [0.6, 0.4], trials=2, number=2)
    with served.client(file) as client:
        yield client


def test_the_list_says_of_each_search_how_many_trials_it_has_and_the_best_score(client: TestClient) -> None:
    page = client.get("/hp/").text
    cells = re.findall(r"<t[dh].*?>(.*?)</t[dh]>", page.split("<tbody>")[1])
    assert '<a href="/hp/searches/made">made</a>' in cells[0]
    assert cells[1:7] == ["", "5", "", "0.9", "validation_accuracy", "2"]


def test_a_part_of_a_page_is_what_the_page_has(client: TestClient) -> None:
    part = client.get("/hp/parts/searches").text
    assert part.startswith("<div")
    assert part.split("<tbody>")[0] in client.get("/hp/").text


def test_a_server_without_searches_says_how_to_start_one(tmp_path: Path) -> None:
    with served.client(tmp_path / "a.db") as client:
        assert "There is no search yet" in client.get("/hp/").text


def test_every_address_holds_the_prefix_of_a_proxy(tmp_path: Path) -> None:
    with served.client(tmp_path / "a.db", url="https://hp.example.org/tools") as client:
        addresses = re.findall(r'(?:href|src|data-base|data-part)="(/.*?)"', client.get("/hp/").text)
    assert len(addresses) > 8
    assert all(address.startswith("/tools/") for address in addresses)


def test_a_page_loads_nothing_from_elsewhere_and_all_that_it_loads_is_there(client: TestClient) -> None:
    page = client.get("/hp/").text
    loaded = re.findall(r'(?:<script.*?src|<link rel="stylesheet" href)="(.*?)"', page)
    assert len(loaded) >= 3
    for address in loaded:
        assert address.startswith("/hp/static/")
        answer = client.get(address)
        assert answer.status_code == 200
        assert answer.headers["cache-control"].endswith("immutable")


def test_plotly_comes_from_the_installed_package_and_compressed(client: TestClient) -> None:
    address = re.findall(r'"(/hp/static/\w+)/', client.get("/hp/").text)[0]
    answer = client.get(f"{address}/plotly.js", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.text == get_plotlyjs()
    plain = client.get(f"{address}/plotly.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == answer.content


def test_only_the_files_of_pages_are_served(client: TestClient) -> None:
    for name in ("nothing.js", "..%2frouting.py", "%2e%2e%2fassets.py", "../assets.py"):
        assert client.get(f"/hp/static/x/{name}").status_code == 404
    assert client.get("/hp/static/old/app.js").headers["cache-control"] == "no-store"


PARTS = ("state", "scatter", "curves", "nested", "best", "answer", "checklist", "evidence", "more", "scores")


def test_the_page_of_a_search_asks_for_its_parts_and_each_is_there(client: TestClient) -> None:
    page = client.get("/hp/searches/made").text
    assert "2 of 2 trials" in page  # how far it is comes with it
    addresses = re.findall(r'data-part="(/hp/.*?)"', page)
    assert {address.rpartition("/")[2] for address in addresses} >= set(PARTS)
    for address in addresses:
        part = client.get(address)
        assert part.status_code == 200, (address, part.text)
        assert "<html" not in part.text


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("state", ["made/stage-02", "2 of 2 trials", "nothing runs", "stage-01"]),
        ("scatter", ["Trials of stage 2", "Every trial", 'id="scatter-1"', "weight_decay"]),
        ("nested", ["Stage by stage", 'id="nested"']),
        ("best", ['href="/hp/searches/made/trials/2/0"', "The best 2 trials of stage 2"]),
        ("best?stage=1", ['href="/hp/searches/made/trials/1/1"', "0.9"]),
        ("answer", ["Validation accuracy", "number 1 of stage 1"]),
        ("evidence", ["What matters", "lr"]),
        ("more", ["How the stages came about", "Where it comes from"]),
    ],
)
def test_a_part_says_what_there_is(client: TestClient, part: str, words: list[str]) -> None:
    text = client.get(f"/hp/searches/made/parts/{part}").text
    for word in words:
        assert word in text


def test_a_stage_that_was_just_made_is_said_to_be_ready(tmp_path: Path) -> None:
    with closing(open_store(str(tmp_path / "a.db"), create=True, write=True)) as store:
        stage = made_stages.make(store, SCORES, trials=3)
        with served.client(tmp_path / "a.db") as client:
            assert "is ready" not in client.get("/hp/searches/made/parts/state").text
            store.create_stage(replace(stage, number=2, parent=1))
            assert "made/stage-02 is ready and has no trial yet" in client.get("/hp/searches/made/parts/state").text


@pytest.mark.parametrize(
    ("ages", "words"),
    [
        ([], ""),
        ([0.1, 0.2, 0.3, 0.4], ""),  # of one batch: how long it took is not known from these
        ([5.0] * 6 + [10.0] * 6, "1.7 s a trial, 5 min left"),
        ([20.0] * 100, "5.0 trials/s, 36 s left"),  # all that are looked at
    ],
)
def test_the_speed_is_that_after_the_first_trials(ages: list[float], words: str) -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    latest = {"seconds": [1.0] * len(ages), "finished": [now - timedelta(seconds=age) for age in ages]}
    assert _pace(Mock(latest=lambda stage, most: latest), Mock(), 180) == words


def test_no_part_names_the_storage(client: TestClient) -> None:
    for part in PARTS:
        assert "--storage" not in client.get(f"/hp/searches/made/parts/{part}").text


def test_what_is_not_there_is_404(client: TestClient) -> None:
    for path in ("searches/nothing", "searches/nothing/parts/answer", "searches/made/parts/nothing", "jobs/7"):
        answer = client.get(f"/hp/{path}")
        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == "application/problem+json"
        page = client.get(f"/hp/{path}", headers={"Accept": "text/html"})
        assert page.status_code == 404
        assert "All searches" in page.text  # a page, with the way back
        assert answer.json()["detail"][1:] in html.unescape(page.text)


@pytest.mark.parametrize("path", ["jobs/{}", "parts/jobs?before={}", "searches/made/trials/1/{}"])
def test_a_number_that_no_database_knows_is_refused(client: TestClient, path: str) -> None:
    assert client.get(f"/hp/{path.format(2**64)}").status_code == 422


def test_a_trial_has_its_values_its_machine_and_the_way_to_its_neighbours(client: TestClient) -> None:
    page = client.get("/hp/searches/made/trials/1/1").text
    for word in ("Trial 1 of stage 1", "weight_decay", "complete", "machine", "hpsearch 0", "trials/1/0", "trials/1/2"):
        assert word in page
    assert "trials/1/3" not in client.get("/hp/searches/made/trials/1/2").text


@pytest.mark.parametrize("small", [2000, 0])
def test_findings_are_made_again_after_a_change_but_not_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    monkeypatch.setattr(findings, "_SMALL", small)  # larger searches have a process of their own
    monkeypatch.setattr(findings, "_PAUSE", 0)
    with closing(open_store(str(tmp_path / "a.db"), create=True, write=True)) as store:
        made_stages.make(store, SCORES, trials=3)
        with served.client(tmp_path / "a.db") as client:
            first = client.get("/hp/searches/made/parts/evidence")
            made_stages.make(store, [0.6, 0.4], trials=2, number=2)
            monkeypatch.setattr(findings, "_PAUSE", 1e9)  # after the next making
            second = client.get("/hp/searches/made/parts/evidence")
            assert second.text != first.text
            assert "HP-Stale" not in second.headers
            stage = made_stages.make(store, [0.6, 0.4], trials=2, number=3)
            owner = Owner.current()
            store.claim(stage, until=3, most=1, owner=owner)
            third = client.get("/hp/searches/made/parts/evidence")
            store.release(stage, owner=owner)
            fourth = client.get("/hp/searches/made/parts/evidence")
    assert "As of 5 finished trials in all; newer findings follow." in third.text
    assert int(third.headers["HP-Stale"]) > 1
    assert "HP-Stale" not in fourth.headers  # nothing runs, so there is no pause
    assert "As of" not in fourth.text


def test_findings_are_made_again_after_their_process_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "_SMALL", 0)
    with closing(open_store(str(tmp_path / "a.db"), create=True, write=True)) as store:
        made_stages.make(store, SCORES, trials=3)
    before = set(multiprocessing.active_children())
    with served.client(tmp_path / "a.db") as client:
        assert client.get("/hp/searches/made/parts/more").status_code == 200
        (child,) = set(multiprocessing.active_children()) - before
        child.kill()
        child.join()
        assert client.get("/hp/searches/made/parts/evidence").status_code == 200
    until(lambda: not set(multiprocessing.active_children()) - before, what="the process ends with the service")


def test_jobs_have_pages_and_who_may_only_read_gets_no_buttons(tmp_path: Path) -> None:
    with closing(open_store(str(tmp_path / "a.db"), create=True, write=True)) as store:
        made_stages.make(store, SCORES, trials=3)
    with served.client(tmp_path / "a.db", role=Role.RUN) as client:
        queue = served.hub(client).queue
        job = queue.submit([Action("start", {"search": "made", "trials": 5, "stage": 1})], by="ada")
        for path in ("parts/jobs", "parts/jobs?search=made&state=queued", f"jobs/{job.id}"):
            assert label(job.actions[0]) in client.get(f"/hp/{path}").text
        assert f'data-cancel="{job.id}"' in client.get("/hp/parts/jobs").text
        assert "There is no job that is failed" in client.get("/hp/parts/jobs?state=failed").text
        state = client.get(f"/hp/jobs/{job.id}/parts/state").text
        assert "hpsearch start made --trials 5 --stage 1" in state
        assert "ada" in state
        assert "Nothing yet" in client.get(f"/hp/jobs/{job.id}/parts/log").text
        assert "data-again" not in state
        queue.cancel(job.id)
        for path in (f"jobs/{job.id}/parts/state", "searches/made/parts/state"):
            (left,) = re.findall(r'data-again="(.*?)"', client.get(f"/hp/{path}").text)
            again = client.post("/hp/api/v1/jobs", json={"actions": json.loads(html.unescape(left))})
            assert again.json()["actions"] == to_plain(job.actions)
            queue.cancel(again.json()["id"])
        reader = {"Authorization": f"Bearer {served.token(client.app, Role.READ)}"}
        for path in ("parts/jobs", f"jobs/{job.id}/parts/state", "searches/made"):
            assert not {"data-cancel", "data-again"} & {
                *re.findall(r"data-\w+", client.get(f"/hp/{path}", headers=reader).text)
            }
        assert "Start stage" not in client.get("/hp/searches/made", headers=reader).text


def test_whatever_a_search_is_called_stays_text(tmp_path: Path) -> None:
    metric = "<img src=x onerror=alert(1)>"
    with closing(open_store(str(tmp_path / "a.db"), create=True, write=True)) as store:
        made_stages.make(store, SCORES, trials=3, metric=metric)
    with served.client(tmp_path / "a.db") as client:
        paths = ["", "searches/made", "searches/made/trials/1/0", *(f"searches/made/parts/{part}" for part in PARTS)]
        for path in paths:
            assert "<img" not in client.get(f"/hp/{path}").text, path
