"""Downloads arrive whole or not at all, and each failure is one line. That pooch downloads is pooch's to test."""

from __future__ import annotations

import gc
import gzip
import hashlib
import re
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_files import idx_bytes

from hpsearch.data import SOURCES, fetch, load
from hpsearch.data.fetch import Source
from hpsearch.errors import BadData, DownloadFailure, MissingExtra

IMAGES = "train-images-idx3-ubyte.gz"


class Server(ThreadingHTTPServer):
    """Serves files from memory; ``status`` and ``cut`` make it refuse one, or break off in the middle."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.status: dict[str, int] = {}
        self.cut: dict[str, int] = {}
        self.requests: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        self.server.requests.append(name)
        if status := self.server.status.get(name):
            self.send_error(status)
            return
        content = self.server.files[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: self.server.cut.get(name)])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serves MNIST's four files, small ones, which `SOURCES` then names."""
    files = {}
    for part, n in (("train", 40), ("t10k", 8)):
        files[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(idx_bytes(np.ones((n, 4, 4), dtype=np.uint8)))
        files[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(idx_bytes((np.arange(n) % 4).astype(np.uint8)))
    server = Server(files)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setitem(SOURCES, "mnist", Source(server.url, sums))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def failure(folder: Path, *fragments: str, **options: Any) -> None:
    """Assert that a download fails with one line, and leaves nothing."""
    with warnings.catch_warnings():
        # pooch leaves the connection of a failed download to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(DownloadFailure) as caught:
            fetch("mnist", data_dir=folder, **options)
        message = str(caught.value)
        del caught
        gc.collect()
    assert len(message.splitlines()) == 1
    for fragment in fragments:
        assert fragment in message
    assert list((folder / "mnist").iterdir()) == []


def test_fetched_data_can_be_loaded_and_are_fetched_once(server: Server, cache: Path) -> None:
    news: list[tuple[str, int, int]] = []
    folder = fetch("mnist", progress=lambda *report: news.append(report))
    assert folder == cache / "hpsearch" / "mnist"
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == server.files
    assert load("mnist").x.shape == (40, 4, 4)
    assert {name: (here, size) for name, here, size in news} == {
        name: (len(content), len(content)) for name, content in server.files.items()
    }
    fetch("mnist")
    assert len(server.requests) == 4
    (folder / IMAGES).write_bytes(b"spoiled")
    fetch("mnist")
    assert server.requests[4:] == [IMAGES]
    assert (folder / IMAGES).read_bytes() == server.files[IMAGES]


def test_a_mirror_and_a_folder(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "mnist", Source("http://127.0.0.1:1/", SOURCES["mnist"].files))
    for base_url in (server.url, server.url.rstrip("/")):
        assert fetch("mnist", data_dir=tmp_path, base_url=base_url) == tmp_path / "mnist"
    assert load("mnist", data_dir=tmp_path).source == str(tmp_path / "mnist")


def test_a_transfer_that_breaks_off_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.cut[IMAGES] = 20
    failure(tmp_path, f"could not download {server.url}{IMAGES}", f"put the four files into {tmp_path / 'mnist'}")
    server.cut.clear()
    assert fetch("mnist", data_dir=tmp_path)


@pytest.mark.parametrize("status", [404, 503])
def test_a_server_that_refuses_or_has_another_file_leaves_nothing(status: int, server: Server, tmp_path: Path) -> None:
    server.status[IMAGES] = status
    failure(tmp_path, f"could not download {server.url}{IMAGES}", str(status))
    server.status.clear()
    server.files[IMAGES] = b"someone else's file"
    got = hashlib.sha256(server.files[IMAGES]).hexdigest()
    failure(tmp_path, f"could not download {server.url}{IMAGES}", SOURCES["mnist"].files[IMAGES], got)


def test_nobody_there(tmp_path: Path) -> None:
    with socket.socket() as bound:  # bound and not listening: nobody answers, and nobody else can take it
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        failure(tmp_path, f"could not download {url}/{IMAGES}", "refused", base_url=url)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "mnist").write_text("a file where the folder should be")
    with pytest.raises(DownloadFailure, match=f"Not a directory: '{tmp_path / 'mnist'}"):
        fetch("mnist", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("name", "base_url", "message"),
    [
        ("mnits", None, "did you mean 'mnist'"),
        ("mnist-10k", None, "it is shipped with hpsearch"),
        ("digits", None, "it is shipped with scikit-learn"),
        ("mnist", "file:///etc", "http:// or https://"),
    ],
)
def test_names_and_addresses_that_are_refused(name: str, base_url: str | None, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=re.escape(message)):
        fetch(name, data_dir=tmp_path, base_url=base_url)


def test_without_pooch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtra, match=r'pip install "hpsearch\[data\]"'):
        fetch("mnist", data_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_sources_are_complete(name: str) -> None:
    files = SOURCES[name].files
    assert len(files) == len(set(files.values())) == 4
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in files.values())
