"""The report as a browser shows it: plotted without a network or an error, and accessible; one Chromium for all."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from browser import PHONE, WIDE, Browser
from made_search import HOSTILE, HOSTILE_NAME, MIXED, material, stage, trials

from hpsearch.reports import importance
from hpsearch.reports.figures import page as figure_page
from hpsearch.reports.figures import score_by_parameters
from hpsearch.reports.page import to_html
from hpsearch.reports.report import report

pytestmark = pytest.mark.slow
SHOWN, METRIC = HOSTILE_NAME.replace("\x1b", "\\x1b"), "<a href='javascript:x()'>s</a> %{x}"
READY = """!!document.querySelector(".main-svg") &&
  (!document.getElementById("settings") || "plotted" in document.documentElement.dataset)"""
CHECK = """({
  title: document.title,
  plotted: +document.documentElement.dataset.plotted,
  drawings: document.querySelectorAll(".main-svg").length,
  images: document.querySelectorAll("img, a[onerror]").length,
  links: document.querySelectorAll("svg a").length,
  texts: [...document.querySelectorAll("svg text")].map((text) => text.textContent),
  dark: matchMedia("(prefers-color-scheme: dark)").matches,
})"""


def visited(browser: Browser, path: Path, text: str, *, size: tuple[int, int] = WIDE, dark: bool = False) -> Any:
    """Open a page without a network, and all that is folded in it; what stands there, and what is wrong with it."""
    path.write_text(text, "utf-8")
    with browser.page(size=size, dark=dark) as page:
        page.offline()
        page.open(path.as_uri())
        page.until(READY)
        page.evaluate("document.querySelectorAll('details').forEach((d) => d.open = true)")
        assert page.console == []  # which would say what the page's own policy forbids
        assert not page.sideways()
        audit = page.audit("serious", "critical") if path.stem == "whole" else []  # it takes 2 s a page
        return page.evaluate(CHECK) | {"violations": audit}


@cache
def whole() -> tuple[str, int]:
    """A report with everything in it, and how many figures it has."""
    # A number on a log scale, a choice, and one that goes with a choice.
    space = {name: MIXED[name] for name in ("lr", "optimizer", "momentum")}
    one = stage(space=space), trials(60, space=space, failed=4, pruned=6)
    two = stage(2, space=space), trials(50, space=space, seed=1, running=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importance, "SHUFFLES", 19)  # importance has its own tests
        page = report(material([one, two]))
    return to_html(page), sum(len(section.figures) for section in page.sections)


@pytest.mark.parametrize(("size", "dark"), [(WIDE, False), (PHONE, True)], ids=["wide", "phone, dark"])
def test_everything_is_plotted_and_nothing_serious_keeps_anybody_from_reading_it(
    browser: Browser, tmp_path: Path, size: tuple[int, int], dark: bool
) -> None:
    text, figures = whole()
    page = visited(browser, tmp_path / "whole.html", text, size=size, dark=dark)
    assert figures > 8
    assert page["plotted"] == figures
    assert page["drawings"] >= figures
    assert page["dark"] is dark
    assert page["violations"] == []


def check_names(page: Any) -> None:
    """Check that names in figures show as themselves."""
    assert page["links"] == 0
    for text in (SHOWN, METRIC, "\\u202eLLL"):
        assert any(text in shown for shown in page["texts"]), text
    assert not any("&amp;" in shown for shown in page["texts"])


def test_nothing_in_the_database_becomes_part_of_the_page(browser: Browser, tmp_path: Path) -> None:
    page = visited(browser, tmp_path / "hostile.html", to_html(report(material(HOSTILE))))
    assert page["plotted"] > 0
    assert page["title"].startswith("Hyperparameter search <img src=x")
    assert page["images"] == 0
    check_names(page)


def test_a_figure_s_page_is_plotted(browser: Browser, tmp_path: Path) -> None:
    text = figure_page(score_by_parameters(material(HOSTILE).stages[0], title=HOSTILE_NAME))
    page = visited(browser, tmp_path / "figure.html", text)
    assert page["drawings"] > 0
    assert page["title"] == SHOWN
    check_names(page)
