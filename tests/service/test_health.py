"""What programs ask that look after a server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import big_stage
import pytest
import served
from starlette.testclient import TestClient

from hpsearch import __version__
from hpsearch.records import Action
from hpsearch.service.auth import Role
from hpsearch.service.health import BUCKETS_S

SAMPLE = re.compile(r'([a-z_]+)(?:\{([a-z]+)="([^"\\\n]*)"\})? ([0-9.]+)')


@pytest.fixture
def file(tmp_path: Path, empty_database: bytes) -> Path:
    file = tmp_path / "studies.db"
    file.write_bytes(empty_database)
    return file


@pytest.fixture
def client(file: Path) -> Iterator[TestClient]:
    with served.client(file, Role.READ) as client:
        yield client


def measured(client: TestClient) -> dict[tuple[str, str], float]:
    """The values by metric and label; every line is one of the text format's."""
    answer = client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.text.endswith("\n")
    types, values = {}, {}
    for line in answer.text.splitlines():
        if line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types
            types[name] = kind
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        name, _, label, value = match.groups(default="")
        assert re.sub("_(bucket|sum|count)$", "", name) in types
        assert (name, label) not in values
        values[name, label] = float(value)
    return values


def test_alive_and_ready_without_a_token(client: TestClient, file: Path) -> None:
    nobody = {"Authorization": ""}
    assert client.get("/healthz", headers=nobody).json() == {"status": "alive"}
    assert client.get("/readyz", headers=nobody).json() == {"status": "ready"}


@pytest.mark.parametrize("name", ["studies.db", "studies-service.db"])
def test_a_database_that_is_gone(client: TestClient, file: Path, name: str) -> None:
    file.with_name(name).rename(file.with_name("elsewhere.db"))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "a database does not answer"})
    assert client.get("/healthz").status_code == 200


def test_trials_and_jobs_by_state(client: TestClient, file: Path) -> None:
    big_stage.make_stage(file, 100, 2, curves=False)
    queue = served.hub(client).queue
    before = measured(client)
    assert before["hpsearch_oldest_queued_job_seconds", ""] == 0
    for _ in range(2):
        queue.submit([Action("start", {"search": "big"})], by="anna")
    values = measured(client)
    assert values["hpsearch_trials", "complete"] == 99
    assert values["hpsearch_trials", "fail"] == 1
    assert values["hpsearch_trials", "running"] == 0
    assert (values["hpsearch_jobs", "queued"], values["hpsearch_jobs", "done"]) == (2, 0)
    assert 0 <= values["hpsearch_oldest_queued_job_seconds", ""] < 60
    assert values["hpsearch_info", __version__] == 1


def test_answers_are_counted(client: TestClient) -> None:
    for path in ("/healthz", "/healthz", "/nothing"):
        client.get(path)
    client.get("/healthz", headers={"Host": "evil.example"})
    values = measured(client)
    answers = {label: value for (name, label), value in values.items() if name == "hpsearch_http_answers_total"}
    assert answers == {"200": 2, "403": 1, "404": 1}
    assert values["hpsearch_http_answer_seconds_count", ""] == 4
    assert values["hpsearch_http_answer_seconds_bucket", "+Inf"] == 4
    assert values["process_resident_memory_bytes", ""] > 2**20


def test_the_histogram_is_cumulative(client: TestClient) -> None:
    answers = served.hub(client).answers
    for seconds in (0.001, 0.005, 0.2, 99.0):
        answers.add(200, seconds)
    values = measured(client)
    name = "hpsearch_http_answer_seconds_bucket"
    counts = [values[name, label] for label in (*map(str, BUCKETS_S), "+Inf")]
    assert counts == [2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4]
    assert values["hpsearch_http_answer_seconds_sum", ""] == pytest.approx(99.206)
