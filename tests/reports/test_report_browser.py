"""The report as a browser shows it: plotted without a network or an error, and accessible; one Chromium for all."""

from __future__ import annotations

from itertools import product
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
Seen = tuple[dict[str, dict[str, Any]], int]
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


def visited(browser: Browser, path: Path, size: tuple[int, int], dark: bool) -> dict[str, Any]:
    """Open a page without a network, and all that is folded in it; what stands there, and what the console says."""
    with browser.page(size=size, dark=dark) as page:
        page.offline()
        page.open(path.as_uri())
        page.until(READY)
        page.evaluate("document.querySelectorAll('details').forEach((d) => d.open = true)")
        audit = page.audit("serious", "critical") if path.stem == "whole" else []  # axe takes 3 s a page
        there: dict[str, Any] = page.evaluate(CHECK)
        return there | {"violations": audit, "sideways": page.sideways(), "console": page.console}


@pytest.fixture(scope="module")
def seen(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """What a browser shows of each page, and how many figures the whole report has."""
    folder = tmp_path_factory.mktemp("pages")
    # Everything is in it: a number on a log scale, a choice, and one that goes with a choice.
    space = {name: MIXED[name] for name in ("lr", "optimizer", "momentum")}
    one = stage(space=space), trials(60, space=space, failed=4, pruned=6)
    two = stage(2, space=space), trials(50, space=space, seed=1, running=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importance, "SHUFFLES", 19)  # importance has its own tests
        page = report(material([one, two]))
        hostile = material(HOSTILE)
        texts = {"whole": to_html(page), "hostile": to_html(report(hostile))}
    texts["figure"] = figure_page(score_by_parameters(hostile.stages[0], title=HOSTILE_NAME))
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, "utf-8")
    pages = {
        "wide": (folder / "whole.html", WIDE, False),
        "phone, dark": (folder / "whole.html", PHONE, True),
        "hostile": (folder / "hostile.html", WIDE, False),
        "figure": (folder / "figure.html", WIDE, False),
    }
    figures = sum(len(section.figures) for section in page.sections)
    return {name: visited(browser, *where) for name, where in pages.items()}, figures


@pytest.mark.parametrize("name", ["wide", "phone, dark"])
def test_everything_is_plotted_and_nothing_serious_keeps_anybody_from_reading_it(seen: Seen, name: str) -> None:
    page, figures = seen[0][name], seen[1]
    assert page["console"] == []  # which would say what the page's own policy forbids
    assert figures > 8
    assert page["plotted"] == figures
    assert page["drawings"] >= figures
    assert page["dark"] == ("dark" in name)
    assert page["violations"] == []
    assert not page["sideways"]


def test_nothing_in_the_database_becomes_part_of_the_page(seen: Seen) -> None:
    page = seen[0]["hostile"]
    assert page["plotted"] > 0
    assert page["console"] == []
    assert page["title"].startswith("Hyperparameter search <img src=x")
    assert page["images"] == 0
    assert not page["sideways"]


@pytest.mark.parametrize(("name", "text"), [*product(["hostile", "figure"], [SHOWN, METRIC, "\\u202eLLL"])])
def test_names_in_a_figure_show_as_themselves(seen: Seen, name: str, text: str) -> None:
    page = seen[0][name]
    assert page["links"] == 0
    assert any(text in shown for shown in page["texts"])
    assert not any("&amp;" in shown for shown in page["texts"])


def test_a_figure_s_page_is_plotted(seen: Seen) -> None:
    page = seen[0]["figure"]
    assert page["drawings"] > 0
    assert page["console"] == []
    assert page["title"] == SHOWN
