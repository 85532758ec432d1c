"""Downloads arrive whole or not at all, and each failure is one line. That pooch downloads is pooch's to test."""

from __future__ import annotations

import gc
import hashlib
import re
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from data_files import write_part

from hpsearch.data import SOURCES, fetch, load
from hpsearch.data.fetch import Source
from hpsearch.errors import BadData, DownloadFailure, MissingExtra

FIRST = "t10k-images-idx3-ubyte.gz"


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder, and remembers what was asked for."""

    def __init__(self, *request: Any, asked: list[str], directory: Path) -> None:
        self._asked = asked
        super().__init__(*request, directory=str(directory))

    def log_message(self, format: str, *args: object) -> None:
        self._asked.append(self.path.lstrip("/"))


@pytest.fixture
def asked() -> list[str]:
    """The names of the files that were downloaded."""
    return []


@pytest.fixture
def served(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A folder with MNIST's four files, small ones, on a server that `SOURCES` then names."""
    folder = tmp_path_factory.mktemp("served")
    write_part(folder, n=40)
    write_part(folder, "t10k", n=8)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, asked=asked, directory=folder))
    sums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}
    monkeypatch.setitem(SOURCES, "mnist", Source(f"http://127.0.0.1:{server.server_address[1]}/", sums))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield folder
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


def test_fetched_data_can_be_loaded_and_are_fetched_once(served: Path, asked: list[str], cache: Path) -> None:
    files = {file.name: file.read_bytes() for file in served.iterdir()}
    news: list[tuple[str, int, int]] = []
    folder = fetch("mnist", progress=lambda *report: news.append(report))
    assert folder == cache / "hpsearch" / "mnist"
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == files
    assert load("mnist").x.shape == (40, 3, 2)
    assert {name: (here, size) for name, here, size in news} == {
        name: (len(content), len(content)) for name, content in files.items()
    }
    assert all(here <= size for _, here, size in news)
    fetch("mnist")
    assert sorted(asked) == sorted(files)
    (folder / FIRST).write_bytes(b"spoiled")
    fetch("mnist")
    assert asked[4:] == [FIRST]
    assert (folder / FIRST).read_bytes() == files[FIRST]


@pytest.mark.usefixtures("served")
def test_a_mirror_and_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, files = SOURCES["mnist"].url, SOURCES["mnist"].files
    monkeypatch.setitem(SOURCES, "mnist", Source("http://127.0.0.1:1/", files))
    for base_url in (url, url.rstrip("/")):
        assert fetch("mnist", data_dir=tmp_path, base_url=base_url) == tmp_path / "mnist"
    assert load("mnist", data_dir=tmp_path).source == str(tmp_path / "mnist")


def test_a_server_without_the_file_or_with_another_leaves_nothing(served: Path, tmp_path: Path) -> None:
    url, expected = SOURCES["mnist"].url, SOURCES["mnist"].files[FIRST]
    (served / FIRST).write_bytes(b"someone else's file")
    failure(tmp_path, f"could not download {url}{FIRST}", expected, f"put the four files into {tmp_path / 'mnist'}")
    (served / FIRST).unlink()
    failure(tmp_path, f"could not download {url}{FIRST}", "404")


def test_nobody_there(tmp_path: Path) -> None:
    with socket.socket() as bound:  # bound and not listening: nobody answers, and nobody else can take it
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        failure(tmp_path, f"could not download {url}/", "refused", base_url=url)


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
