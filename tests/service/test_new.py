"""The page of a new search: the list of study files, and the form that is made from one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import served
from browser import Browser
from starlette.testclient import TestClient

from hpsearch.exchange.drafts import draft
from hpsearch.objectives.kinds import DEFAULT
from hpsearch.service.auth import Role
from hpsearch.service.pages.new import FormField, _field
from hpsearch.space import Categorical, Float
from hpsearch.study_file import find, shipped


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a server with three study files of its own: a command's, one with a path, and a broken one."""
    folder = tmp_path_factory.mktemp("new")
    own = draft("own", command="train {x}", direction="maximize", ranges=["x=0:1"]).text()
    (folder / "own.toml").write_text(own)
    (folder / "table.toml").write_text('name = "table"\ndata.path = "my.csv"\nspace.lr = { low = 0.1, high = 1.0 }\n')
    (folder / "broken.toml").write_text("name = <script>")
    with served.client(folder / "a.db", role=Role.RUN, studies=folder) as client:
        yield client


def test_the_list_has_every_study_file(client: TestClient) -> None:
    page = client.get("/hp/new").text
    for name in ("own", "table", *shipped()):
        assert f'href="/hp/new?from={name}"' in page
    assert "is not valid TOML" in page
    assert "<script>" not in page.split("<main")[1]


def test_the_form_has_a_field_for_every_key_that_may_be_sent(client: TestClient) -> None:
    page, study = client.get("/hp/new", params={"from": "mnist"}).text, find("mnist")
    fields = set(re.findall(r'name="([a-z]+\.[a-z_0-9]+)"', page))
    plain, sent = study.to_dict(), DEFAULT.sections().sent  # type: ignore[attr-defined]
    keys = {(section, key) for section, of in plain.items() if isinstance(of, dict) for key in of}
    allowed = {(s, k) for s, k in keys if s != "space" and k in sent.get(s, (k,))}
    assert fields == {f"{section}.{key}" for section, key in allowed}
    assert set(re.findall(r'data-parameter="(\w+)"', page)) == set(DEFAULT.parameters or ())


def test_the_form_is_filled_in_from_the_study_file(client: TestClient) -> None:
    page = client.get("/hp/new", params={"from": "mnist"}).text
    assert re.search(r'name="network\.hidden" data-type="list" autocomplete="off" value="100, 100, 100', page)
    assert re.search(r'name="trials\.count"[^>]* value="100" type="number" step="1" min="1"', page)
    assert re.search(r"<option selected>validation_accuracy</option>", page)
    assert re.search(r'name="data\.stratify" data-type="flag">', page)
    row = page.split('data-parameter="lr"')[1].split("</tr>")[0]
    assert 'value="1e-06"' in row
    assert 'data-key="log" checked' in row


@pytest.mark.parametrize("name", ["own", "table"])
def test_what_cannot_be_sent_can_only_be_started_as_it_is(client: TestClient, name: str) -> None:
    page = client.get("/hp/new", params={"from": name}).text
    assert f'id="start" data-search="{name}"' in page
    assert 'id="study"' not in page


@pytest.mark.parametrize("name", ["nothing", "../own", "/etc/passwd", "broken"])
def test_what_is_no_study_file_is_refused_in_words(client: TestClient, name: str) -> None:
    answer = client.get("/hp/new", params={"from": name})
    assert answer.status_code == 404
    assert '<p class="bad">' in answer.text


def test_who_may_only_read_gets_no_form(tmp_path: Path) -> None:
    with served.client(tmp_path / "a.db", role=Role.READ) as client:
        assert "<form" not in client.get("/hp/new", params={"from": "mnist"}).text
        assert "needs the role run" in client.get("/hp/new").text
        page = client.get("/hp/").text
        assert "needs the role run" in page
        assert "/hp/new" not in page


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"enum": ["a", "b"]}, "b", FormField("s", "k", "choice", "b", ("a", "b"))),
        ({"type": "boolean"}, True, FormField("s", "k", "flag", True)),
        ({"type": "integer", "minimum": 1}, 3, FormField("s", "k", "number", 3, least=1, whole=True)),
        (
            {"anyOf": [{"type": "number", "exclusiveMaximum": 1.0}, {"type": "null"}]},
            None,
            FormField("s", "k", "number", None, most=1.0),
        ),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, 0.8, FormField("s", "k", "number", 0.8)),
        ({"anyOf": [{"type": "string"}, {"type": "number"}]}, "auto", FormField("s", "k", "any", "auto")),
        ({"type": "array", "items": {"type": "integer"}}, [1, 2], FormField("s", "k", "list", "1, 2")),
        ({"type": "string"}, "relu", FormField("s", "k", "text", "relu")),
    ],
)
def test_the_schema_of_a_key_gives_its_field(schema: dict[str, object], value: object, expected: FormField) -> None:
    assert _field("s", "k", schema, value) == expected


def test_the_form_writes_a_study_file_and_starts_it(tmp_path: Path, browser: Browser) -> None:
    with served.serving(tmp_path) as server, browser.page() as page:
        page.open(server.enter)
        page.open(f"{server.url}/hp/new?from=mnist")
        page.evaluate("document.querySelectorAll('details').forEach((of) => { of.open = true; })")
        page.fill("textbox", "Name of the new search", "mine")
        page.fill("spinbutton", "lr: low", "0.001")
        page.choose("weight_decay: sampled from", "not sampled")
        page.choose("optimizer: sampled from", "choices")
        page.fill("textbox", "hidden", "8, 4")
        page.fill("spinbutton", "epochs", "1")
        page.fill("spinbutton", "count", "2")
        page.choose("activation", "tanh")
        page.fill("textbox", "optimizer: choices", "sgd, adum")
        page.click("button", "Start the new search")
        page.shows("no optimizer 'adum'")
        page.fill("textbox", "optimizer: choices", "sgd, adam")
        page.click("button", "Start the new search")
        page.until("location.pathname === '/hp/searches/mine'")
        errors = [entry for entry in page.console if "422" not in str(entry)]
    study, before = find(str(tmp_path / "studies/mine.toml")), find("mnist")
    assert (study.trials.count, study.epochs, study.settings["hidden"]) == (2, 1, (8, 4))
    assert study.settings["activation"] == "tanh"
    assert study.space["lr"] == Float(0.001, 0.01, log=True)
    assert study.space["optimizer"] == Categorical(("sgd", "adam"))
    assert set(study.space) == {"lr", "optimizer"}
    assert study.sections.data == before.sections.data
    assert errors == []
