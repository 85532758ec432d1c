"""Who may come in, by what, and to which routes."""

from __future__ import annotations

import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import made_stages
import pytest
import served
from fastapi.routing import iter_route_contexts
from starlette.testclient import TestClient

from hpsearch.errors import BadArgument, BadInput
from hpsearch.service import server
from hpsearch.service.credentials import Credentials, Failures, TooManyFailures, UnknownSecret
from hpsearch.service.database import open_service
from hpsearch.service.roles import Role
from hpsearch.service.settings import Settings
from hpsearch.store import open_store

API = "/hp/api/v1"
OPEN = ("/healthz", "/readyz", "/hp/login", "/hp/enter", "/hp/static/{version}/{name}")  # to everybody, for reading
# The least role that a route asks for which does more than to answer; those that only answer ask for READ.
WRITING: dict[str, Role | None] = {
    f"POST {API}/session": None,
    f"DELETE {API}/session": Role.READ,
    f"POST {API}/searches/{{search}}/narrow": Role.RUN,
    f"POST {API}/searches/{{search}}/stop": Role.RUN,
    f"POST {API}/jobs": Role.RUN,
    f"POST {API}/jobs/{{id}}/cancel": Role.RUN,
    f"POST {API}/study-files": Role.RUN,
    f"POST {API}/commands": Role.READ,  # those that write ask for more: tests/service/test_commands.py
}
FOLDED = {"search": "made", "stage": "1", "number": "0", "id": "1", "kind": "history", "part": "stages"}
FOLDED |= {"version": "x", "name": "y.js"}
DASHBOARD = ("/dashboard", "/dashboard/studies/1", "/api/meta", "/api/studies", "/static/bundle.js", "/csv/1", "/x")
ENDLESS = f"{API}/events"


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a stage of the search ``made``."""
    file = tmp_path_factory.mktemp("access") / "made.db"
    with closing(open_store(str(file), create=True, write=True)) as store:
        made_stages.make(store, [0.5, 0.9, 0.7], trials=3)
    return file


@pytest.fixture(scope="module")
def browser(storage: Path) -> Iterator[TestClient]:
    """Nobody, at a server that is writable."""
    with served.client(storage, None, writable=True) as client:
        yield client


@pytest.fixture(scope="module")
def bearers(browser: TestClient) -> dict[Role, dict[str, str]]:
    """The headers of somebody with each role."""
    return {role: {"Authorization": f"Bearer {served.token(browser.app, role)}"} for role in Role}


@pytest.fixture
def credentials(tmp_path: Path) -> Iterator[Credentials]:
    """Those of a service without tokens, whose link has the code ``open``."""
    with closing(open_service(str(tmp_path / "a.db"))) as database:
        yield Credentials(database, code="open")


def elsewhere(client: TestClient, address: str) -> TestClient:
    """A client of the same server from another address, whose failures are its own."""
    return TestClient(client.app, base_url=served.ADDRESS, client=(address, 1), follow_redirects=False)


def test_a_route_answers_those_with_its_role_and_nobody_else(
    browser: TestClient, bearers: dict[Role, dict[str, str]]
) -> None:
    application: Any = browser.app
    routes = [(m, route.path) for route in iter_route_contexts(application.routes) for m in route.methods or ()]
    assert len(routes) > 40
    for method, pattern in routes:
        route = f"{method} {pattern}"
        assert method in ("GET", "HEAD") or route in WRITING, f"say in WRITING which role {route} asks for"
        least = WRITING.get(route, None if pattern in OPEN else Role.READ)
        path = str(pattern).format(**FOLDED)
        refused = {} if least is None else {"no token": (401, {}), "wrong": (401, {"Authorization": "Bearer wrong"})}
        refused |= {role.name: (403, bearers[role]) for role in Role if least and role < least}
        for name, (status, headers) in refused.items():
            answer = elsewhere(browser, route).request(method, path, headers=headers)
            assert answer.status_code == status, (route, name)
            assert answer.headers["content-type"] == "application/problem+json", (route, name)
        if path != ENDLESS:
            headers = {} if least is None else bearers[least]
            assert browser.request(method, path, headers=headers).status_code not in (401, 403), route


@pytest.mark.parametrize("path", DASHBOARD)
def test_the_dashboard_is_read_by_all_roles_and_changed_by_administrators(
    path: str, browser: TestClient, bearers: dict[Role, dict[str, str]]
) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        for method in ("GET", "POST", "PUT", "DELETE"):
            assert elsewhere(browser, path).request(method, path, headers=headers).status_code == 401
    for role in Role:
        assert browser.get(path, headers=bearers[role]).status_code == (404 if path == "/x" else 200)
    for role, status in ((Role.READ, 403), (Role.RUN, 403), (Role.ADMIN, 404 if path == "/x" else 405)):
        if path != "/api/studies":
            assert browser.delete(path, headers=bearers[role]).status_code == status


def test_the_dashboard_changes_studies_where_it_is_writable_and_nowhere_else(
    browser: TestClient, bearers: dict[Role, dict[str, str]], storage: Path
) -> None:
    study = {"study_name": "new", "directions": ["minimize"]}
    for role, status in ((Role.READ, 403), (Role.RUN, 403), (Role.ADMIN, 201)):
        assert browser.post("/api/studies", json=study, headers=bearers[role]).status_code == status
    with served.client(storage) as client:
        refused = client.post("/api/studies", json={**study, "study_name": "other"})
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        names = {study["study_name"] for study in client.get("/api/studies").json()["study_summaries"]}
        assert names == {"made/stage-01", "new"}


def test_the_dashboard_has_the_stages_and_their_trials(
    browser: TestClient, bearers: dict[Role, dict[str, str]]
) -> None:
    read = bearers[Role.READ]
    listed = browser.get("/api/studies", headers=read).json()["study_summaries"]
    ids = {study["study_name"]: study["study_id"] for study in listed}
    stage = browser.get(f"/api/studies/{ids['made/stage-01']}", headers=read).json()
    assert stage["objective_names"] == ["validation_accuracy"]
    assert [(trial["number"], trial["state"], trial["values"]) for trial in stage["trials"]] == [
        (0, "Complete", [0.5]),
        (1, "Complete", [0.9]),
        (2, "Complete", [0.7]),
    ]
    plain = elsewhere(browser, "plain")
    del plain.headers["accept-encoding"]
    script = plain.get("/static/bundle.js", headers=read)
    assert (script.status_code, len(script.content) > 100_000, script.content[:2] != b"\x1f\x8b") == (200, True, True)


def test_the_root_leads_to_the_page_and_the_dashboard_has_a_link_to_it(storage: Path) -> None:
    with served.client(storage) as client:
        assert client.get("/").headers["location"] == "/hp/"
        assert client.get("/hp").headers["location"] == f"{served.ADDRESS}/hp/"
        page = client.get("/dashboard").text
        assert '<a href="/hp/"' in page
        assert "hpsearch (read-only here)</a>" in page
        assert client.get("/hp/nothing").json()["detail"] == "there is no such page"


def test_a_token_begins_a_session_that_is_ended(storage: Path) -> None:
    with served.client(storage, None) as browser:
        secret = served.token(browser.app, Role.RUN)
        assert browser.get(f"{API}/session").status_code == 401
        began = browser.post(f"{API}/session", json={"token": secret})
        assert began.status_code == 204
        cookie = began.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
        assert secret not in cookie
        assert browser.get(f"{API}/session").json()["role"] == "run"
        again = f"{browser.cookies}"
        assert browser.delete(f"{API}/session").status_code == 204
        assert browser.get(f"{API}/session").status_code == 401
        assert again != f"{browser.cookies}"
    with served.client(storage, None) as browser:  # what was ended is ended at the server, not in the browser alone
        assert browser.get(f"{API}/session", headers={"Cookie": cookie.partition(";")[0]}).status_code == 401


def test_a_session_behind_a_proxy_with_tls_is_for_tls_alone(tmp_path: Path) -> None:
    with served.client(tmp_path / "a.db", None, url="https://hp.example.org") as browser:
        secret = served.token(browser.app, Role.READ)
        began = browser.post(f"{API}/session", json={"token": secret}, headers={"Host": "hp.example.org"})
        assert "Secure" in began.headers["set-cookie"].split("; ")


def test_a_session_outlives_the_server_and_ends_with_its_token(storage: Path) -> None:
    with served.client(storage, None) as browser:
        browser.post(f"{API}/session", json={"token": served.hub(browser).credentials.create("eve", Role.READ)})
        cookies = browser.cookies
    with served.client(storage, None) as browser:
        browser.cookies = cookies
        assert browser.get(f"{API}/session").json() == {"name": "eve", "role": "read"}
        served.hub(browser).credentials.revoke("eve")
        ended = browser.get(f"{API}/session")
        assert ended.status_code == 401
        assert "Max-Age=0" in ended.headers["set-cookie"]  # so that the browser does not send it again


def test_the_printed_link_opens_once(storage: Path) -> None:
    with served.client(storage, None) as browser:
        link = f"/hp/enter?code={served.hub(browser).code}"
        opened = browser.get(link)
        assert (opened.status_code, opened.headers["location"]) == (303, "/hp/")
        assert browser.get(f"{API}/session").json() == {"name": "local", "role": "admin"}
        browser.cookies.clear()
        assert "set-cookie" not in browser.get(link).headers
        assert browser.get("/hp/", headers={"Accept": "text/html"}).headers["location"] == "/hp/login?next=/hp/"


def test_a_session_of_the_link_ends_where_others_can_reach_the_server(storage: Path) -> None:
    with served.client(storage, None) as browser:
        browser.get(f"/hp/enter?code={served.hub(browser).code}")
        cookies = browser.cookies
    for address, status in (({}, 200), ({"url": "https://hp.example.org"}, 401)):
        with served.client(storage, None, **address) as browser:
            browser.cookies = cookies
            assert browser.get(f"{API}/session").status_code == status


def test_a_cookie_goes_over_tls_alone_where_the_page_came_by_it(storage: Path) -> None:
    with served.client(storage, None, url="https://hp.example.org/tools") as browser:
        browser.base_url = "https://hp.example.org/tools"
        secret = served.token(browser.app, Role.READ)
        cookie = browser.post("/hp/api/v1/session", json={"token": secret}).headers["set-cookie"]
        assert {"Secure", "Path=/tools/"} <= set(cookie.split("; "))


def test_the_database_has_no_secret(credentials: Credentials, tmp_path: Path) -> None:
    token = credentials.create("ada", Role.RUN)
    session = credentials.begin(token)
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"ada" in kept
    assert not any(secret.encode() in kept for secret in (token, session))


def test_tokens_are_listed_and_revoked_by_name(credentials: Credentials) -> None:
    secrets = {name: credentials.create(name, Role.RUN) for name in ("eve", "ada")}
    assert [token.name for token in credentials.tokens()] == ["ada", "eve"]
    with pytest.raises(BadInput, match=r"a token of eve; .* first"):
        credentials.create("eve", Role.READ)
    credentials.revoke("eve")
    assert credentials.by_token(secrets["ada"], "here").name == "ada"
    with pytest.raises(UnknownSecret):
        credentials.by_token(secrets["eve"], "here")
    with pytest.raises(BadInput, match="no token of eve"):
        credentials.revoke("eve")
    for name in ("", "x" * 65, "a\nb"):
        with pytest.raises(BadInput, match="1 to 64 printable"):
            credentials.create(name, Role.READ)


def test_a_token_that_is_revoked_meanwhile_begins_no_session(credentials: Credentials) -> None:
    token = credentials.create("eve", Role.READ)
    credentials.revoke("eve")
    with pytest.raises(UnknownSecret):
        credentials.by_session(credentials.begin(token), "here")


def test_a_session_ends_after_a_month_and_never_becomes_another_s(
    credentials: Credentials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = credentials.begin(credentials.create("eve", Role.READ))
    assert credentials.by_session(session, "here").name == "eve"
    with closing(sqlite3.connect(tmp_path / "a-service.db")) as connection, connection:
        connection.execute("DELETE FROM tokens")  # by hand, where nothing ends its sessions
    with pytest.raises(UnknownSecret):
        credentials.by_session(session, "here")
    session, now = credentials.begin(None), time.time()
    monkeypatch.setattr("hpsearch.service.credentials.time.time", lambda: now + 31 * 86_400)
    with pytest.raises(UnknownSecret):
        credentials.by_session(session, "here")


def test_after_too_many_wrong_tokens_of_a_client_none_of_its_new_ones_is_looked_at(credentials: Credentials) -> None:
    known, new = credentials.create("known", Role.READ), credentials.create("new", Role.READ)
    credentials.by_token(known, "here")
    for _ in range(30):
        with pytest.raises(UnknownSecret):
            credentials.by_token("wrong", "here")
    for secret in ("wrong", new):
        with pytest.raises(TooManyFailures):
            credentials.by_token(secret, "here")
    with pytest.raises(TooManyFailures):
        credentials.by_code("open", "here")
    assert credentials.by_token(known, "here").name == "known"  # nobody is kept out by another's failures
    assert credentials.by_token(new, "elsewhere").name == "new"


def test_failures_are_forgotten_after_a_while_and_remembered_of_so_many_clients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr("hpsearch.service.credentials.time.monotonic", lambda: now)
    failures = Failures(2)
    for client in ("a", "a", *map(str, range(9_999))):
        failures.add(client)
    assert failures.too_many("a")
    failures.add("one more")
    assert not failures.too_many("a")
    for _ in range(2):
        failures.add("b")
    now += 61
    assert not failures.too_many("b")
    failures.add("b")
    assert not failures.too_many("b")


def test_who_is_changed_or_refused_is_in_the_audit_log_without_a_secret(tmp_path: Path) -> None:
    with served.client(tmp_path / "a.db", None) as browser:
        code = str(served.hub(browser).code)
        secret = served.hub(browser).credentials.create("ada", Role.READ)
        browser.post(f"{API}/session", json={"token": secret})
        browser.get("/hp/")
        browser.post(f"{API}/jobs", json={})
        browser.get(f"/hp/enter?code={code}")
        browser.cookies.clear()
        browser.get(f"{API}/searches%0A{{}}", headers={"Authorization": "Bearer wrong"})
    text = (tmp_path / "a-service-audit.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["name"], line["method"], line["path"], line["status"]) for line in lines] == [
        ("ada", "POST", f"{API}/session", 204),
        ("ada", "POST", f"{API}/jobs", 403),
        ("local", "GET", "/hp/enter", 303),
        (None, "GET", f"{API}/searches\n{{}}", 401),
    ]
    assert {line["client"] for line in lines} == {"testclient"}
    assert not any(secret in text for secret in (secret, code, "wrong"))


def test_refusals_of_strangers_do_not_fill_the_disk(tmp_path: Path) -> None:
    with served.client(tmp_path / "a.db", None) as stranger:
        for _ in range(12):
            assert stranger.post(f"{API}/jobs", json={}).status_code == 401
            assert stranger.post(f"{API}/session", json={"token": ""}).status_code == 422
            assert stranger.post("/healthz").status_code == 405
            assert stranger.get("/hp/enter?code=wrong").status_code == 303
    assert len((tmp_path / "a-service-audit.jsonl").read_text().splitlines()) == 30


def test_a_server_that_others_reach_answers_to_its_names_and_addresses(tmp_path: Path) -> None:
    with served.client(tmp_path / "a.db", host="0.0.0.0", url="https://hp.example.org") as client:
        for host, status in {
            "hp.example.org": 200,
            socket.gethostname(): 200,
            "192.0.2.7:8080": 200,
            "[2001:db8::1]": 200,
            "localhost": 200,
            "evil.example": 403,
        }.items():
            assert client.get(f"{API}/session", headers={"Host": host}).status_code == status, host
        origin = {"Host": "hp.example.org", "Origin": "https://hp.example.org"}
        assert client.delete(f"{API}/session", headers=origin).status_code == 204


@pytest.mark.parametrize("address", [{"host": "0.0.0.0"}, {"url": "https://hp.example.org"}])
def test_others_than_this_machine_come_in_only_where_somebody_has_a_token(
    tmp_path: Path, address: dict[str, str]
) -> None:
    settings = Settings(storage=str(tmp_path / "a.db"), port=0, **address)  # type: ignore[arg-type]
    [(name, value)] = address.items()
    with (
        settings.listen() as listening,
        pytest.raises(BadInput, match=rf"{name}={value}: nobody has a token yet; .*token create"),
    ):
        server.serve(settings, listening, on_ready=pytest.fail)
    with served.client(tmp_path / "a.db", None, **address) as browser:
        assert served.hub(browser).code is None  # a link would open it to whoever reads the log


def test_a_certificate_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    for content in (None, "no certificate"):
        file = tmp_path / "certificate.pem"
        if content:
            file.write_text(content)
        settings = Settings(storage=str(tmp_path / "a.db"), port=0, certfile=file)
        with settings.listen() as listening, pytest.raises(BadArgument, match=r"certfile=.*; give PEM files"):
            server.serve(settings, listening, on_ready=pytest.fail)


@pytest.mark.parametrize("url", ["hp.example.org", "ftp://a", "https://", "https://a/?b", "javascript:alert(1)"])
def test_an_address_that_nobody_can_open_is_refused(url: str) -> None:
    with pytest.raises(BadArgument, match="not an address"):
        Settings(url=url)
