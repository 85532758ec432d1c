"""What to do next with a search: buttons of the checklist's actions, the preview of a narrowing, figures."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import made_stages
import numpy as np
import pytest
import served
from starlette.testclient import TestClient

from hpsearch import Search
from hpsearch.records import Action, Argument, Sentence
from hpsearch.search.best import REPEATS, TOP
from hpsearch.search.narrowing import DEFAULT_TOP
from hpsearch.search.refinement import TRIALS
from hpsearch.service.auth import Identity, Role
from hpsearch.service.pages.steps import Mentions, label
from hpsearch.space import Float, describe
from hpsearch.store import open_store

PARTS = "/hp/searches/made/parts"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a stage of the search ``made`` whose better values lie in one place."""
    file = tmp_path_factory.mktemp("steps") / "made.db"
    scores = np.random.default_rng(0).uniform(0.5, 0.9, 30).round(2).tolist()
    with closing(open_store(str(file), create=True, write=True)) as store:
        made_stages.make(store, scores, trials=30)
    return file


@pytest.fixture(scope="module")
def client(file: Path) -> Iterator[TestClient]:
    with served.client(file, role=Role.RUN) as client:
        yield client


def actions(page: str) -> list[Any]:
    """The actions of the buttons of a page."""
    return [json.loads(html.unescape(of)) for of in re.findall(r'data-action="(.*?)"', page)]


def test_the_checklist_has_a_button_for_each_action_that_it_names(client: TestClient, file: Path) -> None:
    seen, page = Search("made", storage=file).checklist(), client.get(f"{PARTS}/checklist").text
    named = [*seen.next.actions, *(of.action for of in seen.questions if of.action is not None)]
    expected = [of for of in named if of.kind in ("start", "narrow", "confirm", "refine", "evaluate")]
    assert expected
    for action in expected:
        given = {name: of for name, of in action.arguments.items() if of not in (None, False) and name != "storage"}
        assert {"kind": action.kind, "arguments": {"search": "made", **given}} in actions(page)
    for question in seen.questions:
        assert html.escape(question.question, quote=False) in page
    assert page.count("data-plot=") >= sum(of.figure is not None for of in seen.questions)
    assert str(file) not in page


def test_who_may_only_read_sees_the_same_words_without_buttons(file: Path) -> None:
    with served.client(file, role=Role.READ) as client:
        page = client.get(f"{PARTS}/checklist").text
    assert actions(page) == []
    assert "<code>hpsearch " in page


def test_figures_that_the_checklist_names_can_be_had(client: TestClient) -> None:
    addresses = map(html.unescape, re.findall(r'data-plot="(.*?)"', client.get(f"{PARTS}/checklist").text))
    quick = [address for address in addresses if "=history" in address or "=parameters" in address]
    assert len(quick) > 1
    for address in quick:
        answer = client.get(address)
        assert answer.status_code == 200, (address, answer.text)
        assert '<figure id="plot"' in answer.text


def test_what_stands_in_the_database_is_text(tmp_path: Path) -> None:
    file = tmp_path / "hostile.db"
    hostile = '"><script>alert(1)</script>'
    space = {hostile: Float(0.1, 1.0)}
    with closing(open_store(str(file), create=True, write=True)) as store:
        made_stages.make(store, [i / 30 for i in range(30)], trials=30, space=space)
    with served.client(file) as client:
        pages = [client.get(f"{PARTS}/{part}") for part in ("checklist", "narrow")]
    for page in pages:
        assert page.status_code == 200
        assert "<script>alert" not in page.text


def test_the_preview_shows_the_ranges_of_a_dry_run(client: TestClient, file: Path) -> None:
    page = client.get(f"{PARTS}/narrow", params={"top": 3, "rule": "order-statistics", "regardless": True}).text
    dry = Search("made", storage=file).narrow(top=3, rule="order-statistics", regardless=True, dry_run=True)
    for range_ in dry.narrowing.ranges.values():
        assert describe(range_.after) in html.unescape(page)
    assert '"next range"' in page  # the band in the figure
    assert len(Search("made", storage=file).status()) == 1


def test_a_narrowing_that_cannot_be_is_refused_in_words(client: TestClient) -> None:
    answer = client.get(f"{PARTS}/narrow", params={"top": 31})
    assert (answer.status_code, "data-refused" in answer.text) == (200, True)
    assert "30" in answer.text


@pytest.mark.parametrize("part", ["checklist", "narrow", "plot?kind=history"])
def test_of_an_unknown_search_there_is_nothing(client: TestClient, part: str) -> None:
    assert client.get(f"/hp/searches/nothing/parts/{part}").status_code == 404


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("next: {}", "Next: <code>--top 5</code>."),
        ("lr matters", "lr matters."),
        ("p = 1e-11 says so", "p = 1e-11 says so."),
        ("a<b> is \x1b[1m", r"a&lt;b&gt; is \x1b[1m."),
        ("x_1 lies beyond {}.", "x_1 lies beyond <code>--top 5</code>."),
    ],
)
def test_a_sentence_begins_and_ends_as_one_and_is_text(text: str, shown: str) -> None:
    request = Mock(state=Mock(identity=Identity("me", Role.RUN)), scope={})
    show = Mentions(request, "made", names={"lr"})
    mentions = (Argument("top", 5),) if "{}" in text else ()
    assert show.sentence(Sentence(text, mentions)) == shown


def test_what_is_widened_by_is_called_as_in_the_dialog(client: TestClient) -> None:
    show = Mentions(Mock(state=Mock(identity=Identity("me", Role.RUN)), scope={}), "made")
    assert show.sentence(Sentence("widen with {}", (Argument("expand"),))) == "Widen with <q>Widen</q>."
    assert '<label><input type="checkbox" name="expand"> Widen:' in client.get("/hp/searches/made").text


def test_on_another_page_an_action_is_a_link_that_opens_its_dialog() -> None:
    request = Mock(state=Mock(identity=Identity("me", Role.RUN)), scope={"root_path": "/tools"})
    link = Mentions(request, "made", there=False).mention(Action("confirm", {"search": "made/stage-01", "repeats": 20}))
    address = "/tools/hp/searches/made#do=%7B%22kind%22%3A%20%22confirm%22%2C"
    assert link.startswith(f'<a href="{address}')
    assert link.endswith('">Confirm the best (20 repeats) of made/stage-01</a>')


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (Action("start"), "Run trials"),
        (Action("start", {"search": "x", "trials": 1200, "stage": 2}), "Run 1,200 trials (stage 2)"),
        (Action("narrow", {"top": 5, "expand": True, "epochs": 40}), "Narrow (top 5, expand, 40 epochs)"),
        (Action("confirm", {"repeats": 5, "stage": None}), "Confirm the best (5 repeats)"),
    ],
)
def test_a_button_says_what_it_does(action: Action, words: str) -> None:
    assert label(action) == words


def test_the_dialogs_name_the_defaults_of_the_commands() -> None:
    template = Path(str(served.__file__)).parents[2] / "hpsearch/service/pages/templates/parts/actions.html.jinja"
    text = template.read_text()
    for kind, name, default in (
        ("narrow", "top", DEFAULT_TOP),
        ("refine", "trials", TRIALS),
        ("confirm", "top", TOP),
        ("confirm", "repeats", REPEATS),
    ):
        assert re.search(rf'number\("{kind}", "{name}", "[\w ]+", "{default}"\)', text), (kind, name)
