"""Connections over which something else comes than requests: too slowly, too much, or no HTTP at all."""

from __future__ import annotations

import asyncio
import select
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path

import pytest
import served
import uvicorn
from bounded import LIMIT_S, until
from starlette.testclient import TestClient

from hpsearch.errors import BadArgument
from hpsearch.service import connections, guard
from hpsearch.service.connections import Connection
from hpsearch.service.settings import Settings

HEAD = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"


class Listening:
    """A server that listens, and its port."""

    def __init__(self, application: object) -> None:
        config = uvicorn.Config(
            application,  # type: ignore[arg-type]
            http=Connection,
            ws="none",
            log_config=None,
            lifespan="off",
            timeout_graceful_shutdown=1,  # a test that fails leaves connections open
        )
        self.server = uvicorn.Server(config)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    @contextmanager
    def running(self) -> Iterator[Listening]:
        thread = threading.Thread(target=lambda: asyncio.run(self.server.serve([self._listener])))
        thread.start()
        try:
            until(lambda: self.server.started, what="the server")
            yield self
        finally:
            self.server.should_exit = True
            thread.join(LIMIT_S)
            self._listener.close()

    def open(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.settimeout(LIMIT_S)
        return connection

    def answer(self, *parts: bytes | str) -> bytes:
        """What comes of some bytes until the server closes the connection."""
        with closing(self.open()) as connection:
            for part in parts:
                connection.sendall(part.encode() if isinstance(part, str) else part)
            return everything(connection)


def asked(connection: socket.socket) -> bytes:
    """Send a request; its answer, after which the connection stays."""
    connection.sendall(f"{HEAD}\r\n".encode())
    answer = b""
    while not answer.endswith(b"}"):
        part = connection.recv(2**16)
        assert part, "the connection was closed"
        answer += part
    return answer


def writes_for_ever(connection: socket.socket) -> bool:
    try:
        for _ in range(10**6):
            connection.sendall(b" " * 100)
    except ConnectionError:
        return False
    return True


def everything(connection: socket.socket) -> bytes:
    received = b""
    try:
        while part := connection.recv(2**16):
            received += part
    except ConnectionResetError:
        pass  # it was aborted
    return received


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with served.client(tmp_path_factory.mktemp("served") / "a.db", None) as client:
        yield client


@pytest.fixture
def listening(application: TestClient) -> Iterator[Listening]:
    with Listening(application.app).running() as server:
        yield server


def test_a_request_is_answered_and_the_connection_stays(listening: Listening) -> None:
    with closing(listening.open()) as connection:
        for _ in range(2):
            assert asked(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(("before", "sent"), [(0, b""), (0, b"GET /hea"), (0, HEAD.encode()), (1, HEAD.encode())])
def test_a_head_that_does_not_come_whole_ends_the_connection(
    before: int, sent: bytes, listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.1)
    with closing(listening.open()) as connection:
        for _ in range(before):
            asked(connection)
        connection.sendall(sent)
        assert everything(connection) == b""


def test_a_head_that_drips_ends_the_connection(listening: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.3)
    with closing(listening.open()) as connection:
        connection.sendall(HEAD.encode())
        while not select.select([connection], [], [], 0.05)[0]:
            connection.sendall(b"X: y\r\n")
        assert everything(connection) == b""


def test_a_body_that_does_not_come_whole_is_refused(listening: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_BODY_S", 0.1)
    head = "POST /hp/api/v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n"
    assert listening.answer(head, "{").startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("length", ["Content-Length: 1000000000", "Transfer-Encoding: chunked"])
def test_an_endless_body_is_refused_before_it_has_come(length: str, listening: Listening) -> None:
    head = f"POST /hp/api/v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\n{length}\r\n\r\n"
    body = (b"100000\r\n" + b" " * 2**20 + b"\r\n") * (2 if "chunked" in length else 0)
    assert listening.answer(head, body).startswith(b"HTTP/1.1 413")


def test_a_body_that_goes_on_after_its_answer_ends_the_connection(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.1)
    head = "POST /hp/api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000000\r\n\r\n"
    with closing(listening.open()) as connection:
        connection.sendall(head.encode())
        assert b"401" in connection.recv(2**16)
        assert not writes_for_ever(connection)


def test_a_client_that_takes_nothing_is_left(listening: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "STALLED_S", 0.1)
    with closing(listening.open()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        head = "GET /hp/static/x/plotly.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        connection.sendall(head.encode() * 8)
        state = listening.server.server_state
        until(lambda: state.total_requests > 0 and not state.connections, what="the end of the connection")


def test_of_more_connections_than_there_may_be_the_last_is_closed(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST", 2)
    with closing(listening.open()) as first, closing(listening.open()):
        until(lambda: len(listening.server.server_state.connections) == 2, what="two connections")
        assert listening.answer("") == b""
        assert asked(first).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("sent", "got"),
    [
        ("\x16\x03\x01\x02\x00\x01\x00", b"400"),  # TLS
        ("GET /healthz\r\n\r\n", b"400"),  # HTTP/0.9
        (f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {'x' * 2**20}\r\n\r\n", b"400"),
        ("GET /healthz HTTP/1.1\r\n\r\n", b"400"),  # no Host
        (f"{HEAD}Host: evil.example\r\n\r\n", b"400"),  # two
        (f"{HEAD}X: a\0b\r\n\r\n", b"400"),
        (f"{HEAD}X : y\r\n\r\n", b"400"),
        ("GET http://evil.example/hp/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", b"401"),
        ("TRACE /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", b"405"),
        ("CONNECT evil.example:80 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", b"401"),
        # A request in the body of another (smuggling): no proxy in front reads it otherwise, and it is nobody's.
        (
            "POST /hp/api/v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n"
            "0\r\n\r\nGET /hp/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
            b"422",
        ),
        ("GET /hp/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close, upgrade\r\nUpgrade: websocket\r\n\r\n", b"401"),
    ],
)
def test_what_is_no_plain_request_is_refused(sent: str, got: bytes, listening: Listening) -> None:
    answer = listening.answer(sent)
    assert answer[:12] == b"HTTP/1.1 " + got
    assert b"200 OK" not in answer
    assert b"hpsearch is" not in answer


def test_a_port_that_is_taken_is_one_short_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings(port=port)
        says = f"^port={port}: cannot be used: Address already in use; use another, or 0 for any$"
        with pytest.raises(BadArgument, match=says):
            settings.listen()


def test_an_address_of_another_machine_is_one_short_line() -> None:
    says = r"^host=192\.0\.2\.1: cannot be used: .*; give an address of this machine$"
    with pytest.raises(BadArgument, match=says):
        Settings(host="192.0.2.1", port=0).listen()


def test_over_tls_the_link_s_session_is_for_tls_alone(tmp_path: Path) -> None:
    openssl = shutil.which("openssl") or pytest.skip("no openssl")
    made = f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1".split()
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made, *names], check=True, capture_output=True)
    with served.serving(tmp_path, certfile=certificate, keyfile=key) as server:
        assert server.url.startswith("https://127.0.0.1:")
        port = int(server.url.rpartition(":")[2])
        trust = ssl.create_default_context(cafile=certificate)
        with closing(HTTPSConnection("127.0.0.1", port, context=trust, timeout=LIMIT_S)) as connection:
            connection.request("GET", server.enter.removeprefix(server.url))
            answer = connection.getresponse()
        assert (answer.status, answer.headers["Location"]) == (303, "/hp/")
        assert "Secure" in answer.headers["Set-Cookie"].split("; ")
        with closing(HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)) as plain:
            plain.request("GET", "/healthz")
            with pytest.raises(ConnectionError):
                plain.getresponse()
