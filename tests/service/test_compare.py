"""The page that compares two searches, stages or trials."""

from __future__ import annotations

import html
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import made_stages
import pytest
import served
from starlette.testclient import TestClient

from hpsearch import Search
from hpsearch.store import open_store


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with two stages of the search ``made``."""
    file = tmp_path_factory.mktemp("compare") / "made.db"
    with closing(open_store(str(file), create=True, write=True)) as store:
        for number in (1, 2):
            made_stages.make(store, [0.5 + 0.1 * number + place / 100 for place in range(20)], trials=20, number=number)
    return file


@pytest.fixture(scope="module")
def client(file: Path) -> Iterator[TestClient]:
    with served.client(file) as client:
        yield client


def test_the_page_offers_every_search_and_stage_and_asks_for_its_part(client: TestClient) -> None:
    page = client.get("/hp/compare", params={"a": "made/stage-01", "b": 'x"&y'}).text
    for name in ("made", "made/stage-01", "made/stage-02"):
        assert f'<option value="{name}">' in page
    assert 'data-part="/hp/parts/compare?a=made/stage-01&amp;b=x%22%26y"' in page
    assert "data-part" not in client.get("/hp/compare").text


def test_a_comparison_is_that_of_the_command(client: TestClient, file: Path) -> None:
    a, b = "made/stage-01", "made/stage-02"
    page = html.unescape(client.get("/hp/parts/compare", params={"a": a, "b": b}).text)
    result = Search(a, storage=file).compare(Search(b, storage=file))
    assert {"adopt": "Adopt B", "keep": "Keep A", "undecided": "Undecided"}[result.verdict] in page
    assert str(result.sentences[1])[1:] in page
    for text in (f"A: {a}", f"B: {b}", f"{result.b.best:.4g}"):
        assert text in page


def test_without_a_baseline_the_page_says_what_to_do(client: TestClient) -> None:
    page = client.get("/hp/parts/compare", params={"a": "made", "b": ""}).text
    assert "<code>hpsearch baseline set SEARCH/STAGE/TRIAL</code>" in page
    assert "or fill in B" in page


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ("made", "", "no baseline"),
        ("nothing", "made", "nothing"),
        ("/etc/passwd.toml", "made", "not a search, a stage or a trial"),
        ("other.db::made", "made", "not a search, a stage or a trial"),
        ("made", "<b>", "not a search, a stage or a trial"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_words(client: TestClient, a: str, b: str, words: str) -> None:
    answer = client.get("/hp/parts/compare", params={"a": a, "b": b})
    assert answer.status_code == 200
    assert words in answer.text
    assert "<b>" not in answer.text
