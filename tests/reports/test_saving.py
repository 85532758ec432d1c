"""Figures as files: pages that need no network, images, and one line for what goes wrong."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from made_trials import made_stage

from hpsearch.errors import BadInput, MissingExtra, OutputFailure
from hpsearch.reports.figures import parallel, render, save, saving, training_curves

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium to render with")


def figure() -> Any:
    return training_curves({"train_loss": [1, 2, 3]}, title="A <title> & more")


def test_a_page_loads_nothing_and_has_plotly_in_it(tmp_path: Path) -> None:
    path = tmp_path / "figure.html"
    save(figure(), path)
    text = path.read_text("utf-8")
    page = re.sub(r"(<script[^>]*>).*?</script>", r"\1", text, flags=re.DOTALL)
    assert not re.search(r"\b(src|href)\s*=", page)
    assert len(text) - len(page) > 1_000_000
    assert '"showSendToCloud": false' in text[-1000:]
    assert "MathJax.js" not in text.split("plotly.js v")[0]
    assert "<title>A &lt;title&gt; &amp; more</title>" in text
    assert [file.name for file in tmp_path.iterdir()] == ["figure.html"]


ALLOWED = ", ".join(f".{ending}" for ending in saving.ENDINGS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        *((name, ALLOWED) for name in ("figure", "figure.jpeg", "figure.html.gz", ".png", "png")),
        ("no folder/figure.html", "make it first"),
        ("folder.html", "it is a folder"),
    ],
)
def test_a_path_that_cannot_be_written_is_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(BadInput, match=re.escape(message)):
        save(figure(), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.html"]


def test_an_image_without_kaleido_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(MissingExtra, match=re.escape("pip install 'hpsearch[images]'")):
        save(figure(), tmp_path / "figure.png")


@needs_browser
@pytest.mark.slow
def test_images_have_their_own_size_or_the_house_s() -> None:
    pytest.importorskip("kaleido")
    own = figure().update_layout(height=700)
    sizes = [struct.unpack(">II", image[16:24]) for image in render([own, parallel(made_stage(5))], scale=2.0)]
    assert sizes == [(1800, 1400), (1800, 1000)]


@needs_browser
@pytest.mark.slow
def test_a_program_that_saves_an_image_ends_and_says_nothing(tmp_path: Path) -> None:
    pytest.importorskip("kaleido")
    path = tmp_path / "figure.pdf"
    script = (
        "from hpsearch.reports.figures import save, training_curves; "
        f"save(training_curves({{'train_loss': [1, 2]}}), {str(path)!r})"
    )
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert path.read_bytes().startswith(b"%PDF")


class TestWithoutABrowser:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        pytest.importorskip("kaleido")
        # choreographer would look first for a browser that it downloaded into the home folder.
        monkeypatch.setenv("HOME", str(tmp_path))
        return tmp_path

    @pytest.mark.parametrize("path", ["/no/browser/here", "/bin/false"])
    def test_one_line_says_what_to_do(
        self, path: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("BROWSER_PATH", path)
        with pytest.raises(OutputFailure) as caught:
            save(figure(), folder / "figure.png")
        message = str(caught.value)
        assert caught.value.exit_code == 1
        assert len(message.splitlines()) == 1
        assert len(message) < 400
        assert "install Chromium or Chrome" in message
        assert ".html" in message
        assert not (folder / "figure.png").exists()
        assert capfd.readouterr().err == ""

    @pytest.mark.slow
    def test_one_that_hangs_is_given_up_and_ended(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        silent = folder / "silent"
        silent.write_text('#!/bin/sh\necho $$ > "$0.pid"\nexec sleep 600\n')
        silent.chmod(0o755)
        monkeypatch.setenv("BROWSER_PATH", str(silent))
        monkeypatch.setattr(saving, "LIMIT_S", 1.0)
        monkeypatch.setattr(saving, "_CLOSE_S", 0.2)
        began = time.monotonic()
        with pytest.raises(OutputFailure, match="TimeoutError"):
            render([figure()])
        assert time.monotonic() - began < 30
        pid = (folder / "silent.pid").read_text().strip()
        state = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True, check=False).stdout
        assert state.strip()[:1] in ("", "Z")  # gone, or ended and not yet reaped
