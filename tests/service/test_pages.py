"""The pages: what stands in their HTML, and the files that they load."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import made_stages
import pytest
import served
from plotly.offline import get_plotlyjs
from starlette.testclient import TestClient

from hpsearch.store import open_store

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
