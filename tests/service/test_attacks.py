"""Attacks on the service, what each gets, and that nothing has changed after it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import made_stages
import pytest
import served
from starlette.testclient import TestClient

from hpsearch.api import summaries
from hpsearch.service.roles import Role
from hpsearch.store import open_store

API = "/hp/api/v1"
JOBS, STUDIES, COMMANDS, SESSION = f"{API}/jobs", f"{API}/study-files", f"{API}/commands", f"{API}/session"
OUTSIDE = 'name = "outside"\n'
KEPT = 'name = "kept"\n[space]\nlr = { low = 0.1, high = 0.2 }\n'
STUDY = {  # one that the server takes
    "data": {"name": "mnist-10k", "train": 60, "validation": 40},
    "network": {"hidden": [8]},
    "training": {"epochs": 3},
    "space": {"lr": {"low": 0.001, "high": 0.1, "log": True}},
    "trials": {"count": 8},
}


def job(kind: str = "start", **arguments: Any) -> dict[str, Any]:
    return {"actions": [{"kind": kind, "arguments": {"search": "made", **arguments}}]}


def study(name: str = "sent", **sections: Any) -> dict[str, Any]:
    return {"name": name, "study": {**STUDY, **sections}}


def named(section: str, content: Any) -> dict[str, Any]:
    return {"name": "sent", "study": {**STUDY, section: content}}


def command(of: str, **arguments: Any) -> dict[str, Any]:
    return {"kind": of, "arguments": arguments}


@dataclass(frozen=True)
class Attack:
    """A request, and what it gets."""

    name: str
    by: Role | str | None  # of whom it has a token; "cookie": an administrator's session
    request: str  # method and path
    got: int
    says: str = ""  # what stands in the answer
    json: Any = None
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


READ, RUN, ADMIN, COOKIE = Role.READ, Role.RUN, Role.ADMIN, "cookie"
TEXT, AS_JSON = {"Content-Type": "text/plain"}, {"Content-Type": "application/json"}
DELETE = command("delete", study="made", yes=True)
HTML = {"Accept": "text/html"}
ATTACKS = [
    # Who asks is not who it says, or comes from elsewhere.
    Attack("rebinding", ADMIN, f"GET {API}/searches", 403, "not the name", headers={"Host": "evil.example:8080"}),
    Attack("a name that begins as ours", ADMIN, "GET /hp/", 403, headers={"Host": "127.0.0.1.evil.example"}),
    Attack("a name that ends as ours", ADMIN, "GET /hp/", 403, headers={"Host": "evil@127.0.0.1:8080"}),
    Attack("no name", ADMIN, "GET /hp/", 403, headers={"Host": ""}),
    Attack("rebinding of what is open", None, "GET /hp/login", 403, headers={"Host": "evil.example"}),
    Attack("cross-site POST", COOKIE, f"POST {JOBS}", 403, "another site", job(), headers={"Origin": "http://evil"}),
    Attack("POST from a sandbox", COOKIE, f"POST {JOBS}", 403, "", job(), headers={"Origin": "null"}),
    Attack(
        "POST from our other port", COOKIE, f"POST {JOBS}", 403, "", job(), headers={"Origin": "http://127.0.0.1:1"}
    ),
    Attack("cross-site form", COOKIE, f"POST {JOBS}", 403, "", job(), headers={"Sec-Fetch-Site": "cross-site"}),
    Attack("same-site form", COOKIE, f"POST {JOBS}", 403, "", job(), headers={"Sec-Fetch-Site": "same-site"}),
    Attack("form of plain text", COOKIE, f"POST {JOBS}", 422, "", None, json.dumps(job()).encode(), TEXT),
    Attack("cross-site login", None, f"POST {SESSION}", 403, "", {"token": "x"}, headers={"Origin": "http://evil"}),
    Attack("cross-site deletion", COOKIE, f"DELETE {SESSION}", 403, headers={"Origin": "http://evil"}),
    # Without the right.
    Attack("no token", None, f"POST {JOBS}", 401, "log in", job()),
    Attack("wrong token", None, f"POST {JOBS}", 401, "unknown token", job(), headers={"Authorization": "Bearer hps_x"}),
    Attack("token in the address", None, f"GET {API}/searches?token={{token}}", 401),
    Attack("token as a cookie", None, f"GET {API}/searches", 401, headers={"Cookie": "hpsearch-8080={token}"}),
    Attack("token as a password", None, f"GET {API}/searches", 401, headers={"Authorization": "Basic {token}"}),
    Attack("invented session", None, f"GET {API}/searches", 401, headers={"Cookie": "hpsearch-8080=x"}),
    Attack("invented code", None, "GET /hp/enter?code=x", 303),
    Attack("a read token that starts", READ, f"POST {JOBS}", 403, "needs the role run", job()),
    Attack("a read token that narrows", READ, f"POST {API}/searches/made/narrow", 403, "", {"top": 2}),
    Attack("a read token that stops", READ, f"POST {API}/searches/made/stop", 403),
    Attack("a read token that sends a study", READ, f"POST {STUDIES}", 403, "", study()),
    Attack("a read command that deletes", READ, f"POST {COMMANDS}", 403, "", DELETE),
    Attack(
        "a run token that deletes", RUN, f"POST {COMMANDS}", 403, "admin", command("delete", study="made", yes=True)
    ),
    Attack("a method in a header", READ, f"GET {SESSION}", 200, "read", headers={"X-HTTP-Method-Override": "DELETE"}),
    # Through the dashboard.
    Attack("the dashboard deletes a study", ADMIN, "DELETE /api/studies/1", 405, "read-only"),
    Attack("the dashboard tells a trial", ADMIN, "POST /api/trials/1/tell", 405, "", {"state": "Fail"}),
    Attack("the dashboard writes a note", ADMIN, "PUT /api/studies/1/note", 405, "", {"body": "x", "version": 1}),
    Attack("the dashboard changes the schema", ADMIN, "POST /incompatible-rdb-schema", 405),
    Attack("the dashboard reads a file", ADMIN, "GET /static/..%2f..%2f_app.py", 403),
    # Names that are paths, files, code, other databases.
    Attack("traversal to a file of pages", None, "GET /hp/static/x/..%2f..%2fapp.py", 404),
    Attack("traversal by a search", ADMIN, f"GET {API}/searches/..%2Foutside", 404),
    Attack("a search that is a file", ADMIN, f"GET {API}/searches/outside.toml", 422, "it is a file"),
    Attack("a trial of a file on the page", READ, "GET /hp/searches/outside.toml/trials/1/0", 422, "it is a file"),
    Attack("a comparison with a file", ADMIN, f"GET {API}/compare?a=outside.toml", 422, "it is a file"),
    Attack("a comparison with a file on the page", READ, "GET /hp/parts/compare?a=outside.toml", 200, "not a search"),
    Attack("a command about a file", READ, f"POST {COMMANDS}", 422, "it is a file", command("compare", a="a.toml")),
    Attack("a start of a file", ADMIN, f"POST {JOBS}", 422, "", job(search="../outside.toml")),
    Attack("a start of a package's file", ADMIN, f"POST {JOBS}", 422, "it is a file", job(search="outside.toml")),
    Attack("a study file elsewhere", ADMIN, f"POST {STUDIES}", 422, "", study("../outside")),
    Attack("a study file over another", ADMIN, f"POST {STUDIES}", 422, "another study file kept", study("kept")),
    Attack("another database", ADMIN, f"POST {JOBS}", 422, "storage", job(storage="other.db")),
    Attack("another scheduler", ADMIN, f"POST {JOBS}", 422, "scheduler", job(scheduler="tcp://evil:1")),
    Attack("other data", ADMIN, f"POST {JOBS}", 422, "extra inputs", job(data_dir="/etc")),
    Attack(
        "an option as a value",
        READ,
        f"POST {COMMANDS}",
        200,
        '"exit_code":2',
        command("plot", kind="pair", search="made", parameters=["--storage=other.db", "x"]),
    ),
    Attack("a file elsewhere", READ, f"POST {COMMANDS}", 422, "out", command("export", search="made", out="../x.csv")),
    Attack("a command of the machine", ADMIN, f"POST {COMMANDS}", 422, "", command("token create", name="x")),
    Attack(
        "a study that names a command",
        ADMIN,
        f"POST {STUDIES}",
        422,
        "of your own",
        study(objective={"command": "touch x"}),
    ),
    Attack(
        "a study that names a function",
        ADMIN,
        f"POST {STUDIES}",
        422,
        "of your own",
        study(objective={"function": "os:abort"}),
    ),
    Attack(
        "a study that names an estimator",
        ADMIN,
        f"POST {STUDIES}",
        422,
        "of your own",
        study(objective={"estimator": "os.abort"}),
    ),
    Attack("a study that names a file", ADMIN, f"POST {STUDIES}", 422, "", study(data={"name": "/etc/passwd"})),
    Attack("a study with an expression", ADMIN, f"POST {STUDIES}", 422, "constraints", study(constraints=["lr < 1"])),
    Attack(
        "a study with a key as text",
        ADMIN,
        f"POST {STUDIES}",
        422,
        "",
        named("x]\n[objective", {"command": "x"}),
    ),
    # Bombs.
    Attack("2 MB", ADMIN, f"POST {JOBS}", 413, "at most 1,048,576 bytes", content=b" " * 2**21),
    Attack("2 MB before anybody is known", None, f"POST {SESSION}", 413, content=b" " * 2**21),
    Attack(
        "a gzip bomb",
        ADMIN,
        f"POST {JOBS}",
        400,
        content=gzip.compress(b" " * 2**24),
        headers={**AS_JSON, "Content-Encoding": "gzip"},
    ),
    Attack(
        "nested brackets",
        ADMIN,
        f"POST {JOBS}",
        400,
        content=b"[" * 500_000,
        headers=AS_JSON,
    ),
    Attack(
        "a nested study",
        ADMIN,
        f"POST {STUDIES}",
        400,
        content=b'{"name":"n","study":{"a":' + b"[" * 400_000,
        headers=AS_JSON,
    ),
    Attack(
        "a number of a million digits",
        ADMIN,
        f"POST {JOBS}",
        400,
        content=b"1" * 10**6,
        headers=AS_JSON,
    ),
    Attack(
        "a study of a million keys",
        ADMIN,
        f"POST {STUDIES}",
        422,
        "",
        study(training={f"k{i}": i for i in range(50_000)}),
    ),
    Attack("a study of endless trials", ADMIN, f"POST {STUDIES}", 422, "", study(trials={"count": 10**9})),
    Attack("a study of many layers", ADMIN, f"POST {STUDIES}", 422, "layers", study(network={"hidden": [8] * 1000})),
    Attack("a study of wide layers", ADMIN, f"POST {STUDIES}", 422, "", study(network={"hidden": [1_000_000] * 2})),
    Attack("a study of huge layers", ADMIN, f"POST {STUDIES}", 422, "", study(network={"hidden": [10**9]})),
    Attack("all rows at once", ADMIN, f"GET {API}/searches/made/stages/1/trials?limit=1000000000", 422),
    Attack("a thousand actions", ADMIN, f"POST {JOBS}", 422, "", {"actions": job()["actions"] * 1000}),
    Attack(
        "half a character",
        ADMIN,
        f"POST {JOBS}",
        422,
        "",
        content=b'{"actions":[{"kind":"\\ud800","arguments":{}}]}',
        headers=AS_JSON,
    ),
    # Into what is stored, shown or logged.
    Attack("SQL in a column", ADMIN, f"GET {API}/searches/made/stages/1/trials?sort=number;drop table trials", 422),
    Attack("SQL in a parameter", ADMIN, f"GET {API}/searches/made/stages/1/trials?sort=param:x' OR 1=1--", 422),
    Attack("a script in an error", ADMIN, f"GET {API}/compare?a=<script>", 422),
    Attack("a script in a page", ADMIN, "GET /hp/compare?a=<script>alert(1)</script>", 200, headers=HTML),
    Attack("a header in a redirection", None, "GET /hp/%0d%0aSet-Cookie:%20x=1", 303, headers=HTML),
    Attack("a header in a key", RUN, f"POST {JOBS}", 422, "", job(kind="x"), headers={"Idempotency-Key": "a\tb"}),
    Attack("a line in the log", None, "GET /hp/%0a%7B%22name%22:%22admin%22%7D", 401),
    Attack("a NUL in a name", ADMIN, f"GET {API}/searches/a%00b", 422),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the file ``outside.toml``, and a server's folder with a database and a study file."""
    folder = tmp_path_factory.mktemp("attacked")
    (folder / "outside.toml").write_text(OUTSIDE)
    (folder / "studies").mkdir()
    (folder / "studies" / "kept.toml").write_text(KEPT)
    with closing(open_store(str(folder / "studies" / "made.db"), create=True, write=True)) as store:
        made_stages.make(store, [0.5, 0.9, 0.7], trials=3)
    return folder


@pytest.fixture(scope="module")
def victim(folder: Path) -> Iterator[TestClient]:
    """The server, asked by nobody."""
    with served.client(folder / "studies" / "made.db", None, studies=folder / "studies") as client:
        yield client


@pytest.fixture(scope="module")
def tokens(victim: TestClient) -> dict[Role, str]:
    """A token of each role."""
    return {role: served.token(victim.app, role) for role in Role}


def state(folder: Path, victim: TestClient) -> object:
    """All that an attack could change."""
    files = {path: path.read_text() for path in folder.rglob("*.toml")}
    stages = summaries(str(folder / "studies" / "made.db"))
    hub = served.hub(victim)
    names = sorted(path.name for path in folder.rglob("*") if "-wal" not in path.name and "-shm" not in path.name)
    return files, names, stages, hub.queue.jobs(), hub.credentials.tokens()


def test_what_the_attacks_begin_from_is_accepted(tmp_path: Path) -> None:
    with served.client(tmp_path / "a.db", studies=tmp_path) as client:
        assert client.post(STUDIES, json=study()).status_code == 201
        assert client.post(JOBS, json=job(search="sent")).status_code == 202
    assert (tmp_path / "sent.toml").is_file()


@pytest.mark.parametrize("attack", ATTACKS, ids=[attack.name.replace(" ", "-") for attack in ATTACKS])
def test_an_attack_is_refused_and_changes_nothing(
    attack: Attack, victim: TestClient, tokens: dict[Role, str], folder: Path
) -> None:
    before = state(folder, victim)
    client = TestClient(victim.app, base_url=served.ADDRESS, client=(attack.name, 1), follow_redirects=False)
    headers = {name: value.replace("{token}", tokens[ADMIN]) for name, value in attack.headers.items()}
    if isinstance(attack.by, Role):
        headers["Authorization"] = f"Bearer {tokens[attack.by]}"
    elif attack.by == COOKIE:
        assert client.post(SESSION, json={"token": tokens[ADMIN]}).status_code == 204
    method, path = attack.request.split(" ", 1)
    body = {"content": attack.content} if attack.content is not None else {"json": attack.json} if attack.json else {}
    answer = client.request(method, path.replace("{token}", tokens[ADMIN]), headers=headers, **body)
    assert answer.status_code == attack.got, answer.text[:500]
    assert attack.says in answer.text
    assert "<script>" not in answer.text.replace("<script>\n", "")
    assert "set-cookie" not in answer.headers or "Max-Age=0" in answer.headers["set-cookie"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert state(folder, victim) == before
