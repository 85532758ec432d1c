from __future__ import annotations

import gzip
import hashlib
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from hpsearch.data import SOURCES, fetch, load
from hpsearch.data.fetch import Source
from hpsearch.errors import BadData, DownloadFailure, MissingExtra

IMAGES = "train-images-idx3-ubyte.gz"


class Server(ThreadingHTTPServer):
    """Serves files from memory, and breaks off, lies or refuses where it is told to."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.ranges = True
        self.shift = 0  # added to where an answered range begins
        self.break_off: dict[str, int] = {}  # how many bytes of a file arrive, once
        self.status: dict[str, int] = {}
        self.requests: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def asked(self, name: str) -> list[str | None]:
        """The Range headers of the requests for a file; None where a request had none."""
        return [given for file, given in self.requests if file == name]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        asked = self.headers.get("Range")
        self.server.requests.append((name, asked))
        content = self.server.files[name]
        begin = 0
        if status := self.server.status.get(name):
            self.send_error(status)
            return
        if asked and self.server.ranges:
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            begin += self.server.shift
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        end = self.server.break_off.pop(name, len(content))
        self.wfile.write(content[begin:end])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(idx_bytes: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    rng = np.random.default_rng(0)
    files = {}
    for part, n in (("train", 400), ("t10k", 8)):
        images = rng.integers(0, 256, (n, 16, 16), dtype=np.uint8)
        files[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(idx_bytes(images))
        labels = (np.arange(n) % 4).astype(np.uint8)
        files[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(idx_bytes(labels))
    server = Server(files)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setitem(SOURCES, "mnist", Source(server.url, sums))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def failure(call: Callable[[], object], *fragments: str) -> None:
    with pytest.raises(DownloadFailure) as caught:
        call()
    assert len(str(caught.value).splitlines()) == 1
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_fetched_is_there_for_load_and_not_fetched_again(server: Server, cache: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    folder = fetch("mnist", progress=lambda *news: seen.append(news))
    assert folder == cache / "hpsearch" / "mnist"
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == server.files
    dataset = load("mnist")
    assert dataset.x.shape == (400, 16, 16)
    assert dataset.labels_test is not None
    for name, content in server.files.items():
        assert [news for news in seen if news[0] == name][-1] == (name, len(content), len(content))
    assert len(server.requests) == 4
    fetch("mnist")
    assert len(server.requests) == 4
    (folder / IMAGES).write_bytes(b"spoiled")
    fetch("mnist")
    assert server.requests[4:] == [(IMAGES, None)]
    assert (folder / IMAGES).read_bytes() == server.files[IMAGES]


def test_pooch_keeps_quiet(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    import pooch

    logger = pooch.get_logger()  # has no parent, so caplog must be told of it
    level = logger.level
    logger.addHandler(caplog.handler)
    try:
        fetch("mnist")
    finally:
        logger.removeHandler(caplog.handler)
    assert caplog.records == []
    assert logger.level == level


def test_data_dir_and_a_mirror(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sums = SOURCES["mnist"].files
    monkeypatch.setitem(SOURCES, "mnist", Source("http://127.0.0.1:1/", sums))
    for base_url in (server.url, server.url.rstrip("/")):
        assert fetch("mnist", data_dir=tmp_path, base_url=base_url) == tmp_path / "mnist"
    assert load("mnist", data_dir=tmp_path).source == str(tmp_path / "mnist")


def test_a_broken_off_transfer_is_continued_where_it_stopped(server: Server, tmp_path: Path) -> None:
    size, half = len(server.files[IMAGES]), 70_000
    assert half < size
    server.break_off[IMAGES] = half
    failure(
        lambda: fetch("mnist", data_dir=tmp_path),
        IMAGES,
        f"broke off at {half} of {size}",
        f"{half} bytes are kept",
    )
    folder = tmp_path / "mnist"
    assert [file.name for file in folder.iterdir()] == [f"{IMAGES}.part"]
    fetch("mnist", data_dir=tmp_path)
    assert server.asked(IMAGES) == [None, f"bytes={half}-"]
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == server.files


def test_without_ranges_it_begins_anew(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.break_off[IMAGES] = 70_000
    failure(lambda: fetch("mnist", data_dir=tmp_path), "broke off")
    fetch("mnist", data_dir=tmp_path)
    assert server.asked(IMAGES) == [None, "bytes=70000-"]
    assert {file.name: file.read_bytes() for file in (tmp_path / "mnist").iterdir()} == server.files


def part_of(tmp_path: Path, content: bytes) -> Path:
    part = tmp_path / "mnist" / f"{IMAGES}.part"
    part.parent.mkdir()
    part.write_bytes(content)
    return part


def test_a_part_that_is_whole_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    content = server.files[IMAGES]
    part_of(tmp_path, content)
    folder = fetch("mnist", data_dir=tmp_path)
    assert server.asked(IMAGES) == [f"bytes={len(content)}-"]
    assert (folder / IMAGES).read_bytes() == content


def test_a_part_that_is_too_long_begins_anew(server: Server, tmp_path: Path) -> None:
    content = server.files[IMAGES]
    part_of(tmp_path, content + b"more")
    folder = fetch("mnist", data_dir=tmp_path)
    assert server.asked(IMAGES) == [f"bytes={len(content) + 4}-", None]
    assert (folder / IMAGES).read_bytes() == content


def test_another_range_than_asked_is_refused(server: Server, tmp_path: Path) -> None:
    part_of(tmp_path, server.files[IMAGES][:1000])
    server.shift = 5
    failure(lambda: fetch("mnist", data_dir=tmp_path), "another part of the file")


def test_a_wrong_hash_names_both_and_leaves_nothing(server: Server, tmp_path: Path) -> None:
    expected = hashlib.sha256(server.files[IMAGES]).hexdigest()
    server.files[IMAGES] = b"someone else's file"
    got = hashlib.sha256(server.files[IMAGES]).hexdigest()
    failure(lambda: fetch("mnist", data_dir=tmp_path), IMAGES, f"expected sha256 {expected}", f"got {got}")
    assert list((tmp_path / "mnist").iterdir()) == []


def test_a_wrong_part_is_deleted_so_that_the_next_try_succeeds(server: Server, tmp_path: Path) -> None:
    part_of(tmp_path, b"x" * 1000)
    failure(lambda: fetch("mnist", data_dir=tmp_path), "expected sha256")
    fetch("mnist", data_dir=tmp_path)
    assert server.asked(IMAGES) == ["bytes=1000-", None]


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_a_server_that_refuses(status: int, server: Server, tmp_path: Path) -> None:
    server.status[IMAGES] = status
    failure(lambda: fetch("mnist", data_dir=tmp_path), f"answered {status}", server.url + IMAGES)
    assert list((tmp_path / "mnist").iterdir()) == []


def test_nobody_there(tmp_path: Path) -> None:
    with socket.socket() as bound:  # bound and not listening: nobody answers, and nobody else can take it
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        failure(
            lambda: fetch("mnist", data_dir=tmp_path, base_url=url),
            f"could not reach {url}/{IMAGES}",
            "refused",
            f"put the four files into {tmp_path / 'mnist'}",
        )
    assert list((tmp_path / "mnist").iterdir()) == []


def test_a_server_that_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpsearch.data.resuming.TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        failure(lambda: fetch("mnist", data_dir=tmp_path, base_url=url), "could not reach", "timed out")


def test_two_at_once_do_not_mix(server: Server, tmp_path: Path) -> None:
    import fcntl

    part = part_of(tmp_path, b"")
    with part.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        failure(lambda: fetch("mnist", data_dir=tmp_path), "another process is downloading it")
    fetch("mnist", data_dir=tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "mnist").write_text("a file where the folder should be")
    failure(lambda: fetch("mnist", data_dir=tmp_path), "cannot write to", str(tmp_path / "mnist"))


@pytest.mark.parametrize(
    ("name", "base_url", "message"),
    [
        ("mnits", None, "did you mean 'mnist'"),
        ("mnist-10k", None, "it comes with hpsearch"),
        ("digits", None, "it comes with scikit-learn"),
        ("mnist", "file:///etc", "http:// or https://"),
    ],
)
def test_what_is_not_fetched(name: str, base_url: str | None, message: str, tmp_path: Path) -> None:
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
