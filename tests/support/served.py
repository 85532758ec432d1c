"""The service in this process, asked as somebody with a role, and ``hpsearch serve`` in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
import uvicorn
from bounded import LIMIT_S, until
from starlette.testclient import TestClient

from hpsearch.service import server as server_module
from hpsearch.service.app import create_app
from hpsearch.service.auth import Role
from hpsearch.service.events import Feed
from hpsearch.service.hub import Hub
from hpsearch.service.settings import Settings
from hpsearch.store import open_store

ADDRESS = "http://127.0.0.1:8080"


def client(storage: Path | str, role: Role | None = Role.ADMIN, **settings: Any) -> TestClient:
    """A client of a new application over a study database, which is made where it is missing; use it as a context.

    It has a token of the role; with None it has no token.
    """
    open_store(str(storage), create=True, write=True).close()
    server = Settings(storage=str(storage), **settings)
    app = create_app(server)
    headers = {} if role is None else {"Authorization": f"Bearer {token(app, role)}"}
    return TestClient(app, base_url=ADDRESS, headers=headers, root_path=server.prefix, follow_redirects=False)


def hub(client: TestClient) -> Hub:
    """What the routes of a client's application share."""
    app: Any = client.app
    shared: Hub = app.state.hub
    return shared


def token(app: Any, role: Role) -> str:
    """The secret of a token with a role, which is made."""
    credentials = app.state.hub.credentials
    name = f"{role.name.lower()}-{len(credentials.tokens())}"
    secret: str = credentials.create(name, role)
    return secret


@dataclass(frozen=True)
class Served:
    """A server that listens."""

    url: str  # without a slash at its end
    enter: str  # the address that it printed, with the one-time code where it has one


@dataclass(frozen=True)
class Server(Served):
    """A server in a process of its own."""

    process: subprocess.Popen[str]


@contextmanager
def serving(folder: Path, *, port: int = 0, **settings: Any) -> Iterator[Served]:
    """A server over ``studies/hpsearch.db`` of a folder in a thread of this process, which costs seconds less."""
    (folder / "studies").mkdir(exist_ok=True)
    place = Settings(storage=str(folder / "studies" / "hpsearch.db"), studies=folder / "studies", port=port, **settings)
    made, addresses = list[uvicorn.Server](), Queue[str]()

    class Kept(server_module._Server):
        def __init__(self, config: uvicorn.Config, feed: Feed) -> None:
            super().__init__(config, feed)
            made.append(self)

    with place.listen() as listening, pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_module, "_Server", Kept)
        thread = threading.Thread(
            target=server_module.serve, args=(place, listening), kwargs={"on_ready": addresses.put}
        )
        thread.start()
        try:
            enter = addresses.get(timeout=LIMIT_S)
            until(lambda: bool(made) and made[0].started, what="the server")
            yield Served(enter[: enter.index("/hp/")], enter)
        finally:
            for of in made:
                of.should_exit = True
            thread.join(LIMIT_S)


@contextmanager
def server(folder: Path, *options: str) -> Iterator[Server]:
    """A server over ``studies/hpsearch.db`` of a folder, which it makes; SIGTERM ends it with the block.

    What it writes to stderr is in ``server.log`` of the folder, and what it printed too when it has ended.
    """
    log = folder / "server.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HPSEARCH_")}
    with log.open("a") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "hpsearch", "serve", "--port", "0", *options],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C is for the tests, which then stop it
        )
    with process:
        assert process.stdout is not None
        try:
            addresses: list[str] = []
            while not addresses:
                line = process.stdout.readline()
                assert line, f"the server ended: {log.read_text()}"
                addresses = re.findall(r"https?://\S+/hp/[^\s;]*", line)
            enter = addresses[0]
            yield Server(enter[: enter.index("/hp/")], enter, process=process)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                rest, _ = process.communicate(timeout=LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            log.write_text(log.read_text() + rest)
