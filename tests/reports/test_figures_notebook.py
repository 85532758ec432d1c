"""Figures in a notebook: an image with words for who cannot see it."""

from __future__ import annotations

import base64
import sys
from types import ModuleType
from typing import Any

import pytest

from hpsearch.errors import MissingExtra, OutputFailure
from hpsearch.reports.figures import lines, notebook, show


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What IPython, which need not be installed, is asked to show: data and their metadata."""
    found: list[Any] = []
    stub = ModuleType("IPython.display")
    stub.display = lambda data, *, raw, metadata: found.append((data, metadata, raw))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", stub)
    return found


def test_a_figure_is_shown_as_a_png_with_its_title_as_words(shown: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "render", lambda figure, *, scale: b"an image")
    show(lines({"a": [1, 2]}, x_title="x", y_title="y", title="Loss &amp; <b>its</b> spread"))
    show(lines({"a": [1, 2]}, x_title="x", y_title="y").update_layout(width=400))
    [(data, metadata, raw), (untitled, small, _)] = shown
    assert raw
    assert base64.b64decode(data["image/png"]) == b"an image"
    assert data["text/plain"] == metadata["image/png"]["alt"] == "Loss & its spread"
    assert (metadata["image/png"]["width"], small["image/png"]["width"]) == (900, 400)
    assert untitled["text/plain"] == "y"


def test_without_a_browser_the_clear_error_comes_through(shown: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(figure: Any, *, scale: float) -> bytes:
        raise OutputFailure("drawing a .png needs a browser")

    monkeypatch.setattr(notebook, "render", fail)
    with pytest.raises(OutputFailure, match="needs a browser"):
        show(lines({"a": [1, 2]}, x_title="x", y_title="y"))
    assert not shown


def test_without_ipython_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", None)
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    with pytest.raises(MissingExtra, match=r"hpsearch\[notebooks\]"):
        show(lines({"a": [1, 2]}, x_title="x", y_title="y"))
