"""Figures as files: pages that need no network, images of the size asked, and one line for what goes wrong."""

from __future__ import annotations

import os
import re
import shutil
import signal
import struct
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from hpsearch.errors import BadInput, MissingExtra, OutputFailure
from hpsearch.reports.figures import ENDINGS, lines, pair, render, save
from hpsearch.reports.figures import browser as browsers
from hpsearch.space import Float

if TYPE_CHECKING:
    from collections.abc import Iterator

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium to draw with")


def figure() -> Any:
    return lines({"a": [1, 2, 3]}, x_title="x", y_title="y", title="A <title> & more")


@pytest.fixture(scope="module", autouse=True)
def _one_browser() -> Iterator[None]:
    yield
    browsers.close_browser()


class Sources(HTMLParser):
    """What a page would load: addresses of scripts, styles, images and frames; and how much script is in it."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.script = 0
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_script = tag == "script"
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.script += len(data) if self._in_script else 0


def test_a_page_loads_nothing_and_has_plotly_in_it(tmp_path: Path) -> None:
    path = tmp_path / "figure.html"
    save(figure(), path)
    page = Sources()
    text = path.read_text("utf-8")
    page.feed(text)
    assert page.addresses == []
    assert page.script > 1_000_000
    assert '"showSendToCloud": false' in text[-1000:]
    assert "MathJax.js" not in text.split("plotly.js v")[0]
    assert "<title>A &lt;title&gt; &amp; more</title>" in text
    assert [file.name for file in tmp_path.iterdir()] == ["figure.html"]


@needs_browser
@pytest.mark.slow
def test_a_page_draws_its_figure_without_a_network(tmp_path: Path) -> None:
    path = tmp_path / "figure.html"
    save(figure(), path)
    command = [
        str(BROWSER),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--proxy-server=127.0.0.1:9",  # nobody is there
        f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=10000",
        "--dump-dom",
        path.as_uri(),
    ]
    drawn = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "scatterlayer" in drawn


@pytest.mark.parametrize("name", ["figure", "figure.jpeg", "figure.html.gz", ".png", "png"])
def test_another_ending_is_refused_with_those_allowed(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput) as caught:
        save(figure(), tmp_path / name)
    assert all(f".{ending}" in str(caught.value) for ending in ENDINGS)
    assert not list(tmp_path.iterdir())


def test_a_path_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="make it first"):
        save(figure(), tmp_path / "no folder" / "figure.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(BadInput, match="it is a folder"):
        save(figure(), tmp_path / "folder.html")


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "figure.html"
    path.write_text("old")

    def full(self: Path, content: bytes) -> int:
        with open(self, "wb") as stream:
            stream.write(content[:1000])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputFailure, match="No space left on device"):
        save(figure(), path)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["figure.html"]


@pytest.mark.parametrize("size", [{"width": -5}, {"height": 20_000}, {"scale": 0}])
def test_a_size_that_is_none_is_refused(size: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="px at scale"):
        render(figure(), **size)


def test_an_image_without_kaleido_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(MissingExtra, match=re.escape("pip install 'hpsearch[images]'")):
        save(figure(), tmp_path / "figure.png")
    save(figure(), tmp_path / "figure.html")


class TestImages:
    """What needs kaleido."""

    @pytest.fixture(autouse=True)
    def _kaleido(self) -> None:
        pytest.importorskip("kaleido")

    @needs_browser
    @pytest.mark.slow
    @pytest.mark.parametrize("scale", [1.0, 2.0])
    def test_a_png_has_the_size_asked(self, tmp_path: Path, scale: float) -> None:
        path = tmp_path / "figure.PNG"
        save(figure(), path, width=640, height=360, scale=scale)
        content = path.read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack(">II", content[16:24]) == (640 * scale, 360 * scale)
        assert len(content) > 5_000

    @needs_browser
    @pytest.mark.slow
    def test_a_figure_has_its_own_size_or_the_house_s(self) -> None:
        own = figure().update_layout(height=700)
        assert [struct.unpack(">II", render(one)[16:24]) for one in (figure(), own)] == [(900, 500), (900, 700)]

    @needs_browser
    @pytest.mark.slow
    @pytest.mark.parametrize(("ending", "begins"), [("svg", b"<svg"), ("pdf", b"%PDF")])
    def test_the_other_images(self, tmp_path: Path, ending: str, begins: bytes) -> None:
        path = tmp_path / f"figure.{ending}"
        save(figure(), path)
        assert path.read_bytes().startswith(begins)

    @needs_browser
    @pytest.mark.slow
    def test_what_is_drawn_comes_from_the_installed_packages(self) -> None:
        render(figure())
        page = Sources()
        kaleido = browsers._open._kaleido  # type: ignore[union-attr]
        page.feed((kaleido._html_tmp_dir.path / "index.html").read_text())
        assert any(address.endswith("plotly.min.js") for address in page.addresses)
        assert all(address.startswith("file://") for address in page.addresses)

    @needs_browser
    @pytest.mark.slow
    def test_rectangles_are_drawn_where_the_log_axes_have_their_ranges(self) -> None:
        space = {"lr": Float(1e-6, 1e-2, log=True), "weight_decay": Float(1e-8, 1e-4, log=True)}
        inner = {"lr": Float(1e-4, 1e-3, log=True), "weight_decay": Float(1e-7, 1e-5, log=True)}
        rows = pd.DataFrame(
            {"number": [0], "state": ["COMPLETE"], "score": [0.5], "param:lr": [1e-5], "param:weight_decay": [1e-6]}
        )
        drawing = pair(rows, "lr", "weight_decay", space=space, rectangles={"stage 2": inner})
        svg = render(drawing, "svg").decode()
        # The outline in px, from the upper left corner of the plotting area, whose size its clip path has.
        [points] = re.findall(r'class="js-line"[^>]*d="M([^"Z]*)Z?"', svg)
        outline = [(float(x), float(y)) for x, y in re.findall(r"([\d.]+),([\d.]+)", _absolute(points))]
        [size] = re.findall(r'xyplot"[^>]*><rect width="([\d.]+)" height="([\d.]+)"', svg)
        width, height = map(float, size)
        low, high = drawing.layout.xaxis.range
        assert min(x for x, _ in outline) == pytest.approx((-4 - low) / (high - low) * width, abs=0.5)
        assert max(x for x, _ in outline) == pytest.approx((-3 - low) / (high - low) * width, abs=0.5)
        low, high = drawing.layout.yaxis.range
        assert min(y for _, y in outline) == pytest.approx((high + 5) / (high - low) * height, abs=0.5)
        assert max(y for _, y in outline) == pytest.approx((high + 7) / (high - low) * height, abs=0.5)

    @needs_browser
    @pytest.mark.slow
    def test_a_browser_that_was_killed_is_replaced(self) -> None:
        render(figure())
        os.killpg(browsers._open._kaleido.subprocess.pid, signal.SIGKILL)  # type: ignore[union-attr]
        assert render(figure()).startswith(b"\x89PNG")

    @needs_browser
    @pytest.mark.slow
    def test_a_program_that_drew_ends_and_says_nothing(self, tmp_path: Path) -> None:
        script = (
            "from hpsearch.reports.figures import lines, save; "
            f"save(lines({{'a': [1, 2]}}, x_title='x', y_title='y'), {str(tmp_path / 'figure.png')!r})"
        )
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=120, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    @pytest.mark.parametrize("path", ["/no/browser/here", "/bin/false"])
    def test_without_a_browser_one_line_says_what_to_do(
        self, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        browsers.close_browser()
        # choreographer would look first for a browser that it downloaded itself.
        monkeypatch.setattr("choreographer.browsers.chromium.get_chrome_download_path", lambda **_: None)
        monkeypatch.setattr("choreographer.browsers.chromium.get_old_chrome_download_path", lambda: None)
        monkeypatch.setenv("BROWSER_PATH", path)
        with pytest.raises(OutputFailure) as caught:
            save(figure(), tmp_path / "figure.png")
        message = str(caught.value)
        assert caught.value.exit_code == 1
        assert len(message.splitlines()) == 1
        assert len(message) < 400
        assert "install Chromium or Chrome" in message
        assert ".html" in message
        assert not list(tmp_path.iterdir())
        assert capfd.readouterr().err == ""

    @pytest.mark.slow
    def test_a_browser_that_says_nothing_is_given_up(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        browsers.close_browser()
        silent = tmp_path / "silent"
        silent.write_text('#!/bin/sh\necho $$ > "$0.pid"\nexec sleep 600\n')
        silent.chmod(0o755)
        monkeypatch.setattr("choreographer.browsers.chromium.get_chrome_download_path", lambda **_: None)
        monkeypatch.setattr("choreographer.browsers.chromium.get_old_chrome_download_path", lambda: None)
        monkeypatch.setenv("BROWSER_PATH", str(silent))
        monkeypatch.setattr(browsers, "START_S", 2.0)
        monkeypatch.setattr(browsers, "CLOSE_S", 0.2)
        with pytest.raises(OutputFailure, match="TimeoutError"):
            render(figure())
        pid = (tmp_path / "silent.pid").read_text().strip()
        state = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True, check=False).stdout
        assert state.strip()[:1] in ("", "Z")  # gone, or ended and not yet buried


def _absolute(path: str) -> str:
    """An SVG path's points after its first M, with H and V written out."""
    points, at = [], [0.0, 0.0]
    for command, numbers in re.findall(r"([A-Za-z]?)([^A-Za-z]+)", path):
        values = [float(value) for value in re.findall(r"[\d.]+", numbers)]
        if command == "H":
            at[0] = values[0]
        elif command == "V":
            at[1] = values[0]
        else:
            at = values[:2]
        points.append(f"{at[0]},{at[1]}")
    return " ".join(points)
