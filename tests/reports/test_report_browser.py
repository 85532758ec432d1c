"""The report as a browser shows it: plotted without a network or an error, and accessible; one Chromium for all."""

from __future__ import annotations

import asyncio
import shutil
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from made_search import HOSTILE, HOSTILE_NAME, MIXED, material, stage, trials

from hpsearch.reports import importance
from hpsearch.reports.figures import page as figure_page
from hpsearch.reports.figures import score_by_parameters
from hpsearch.reports.page import to_html
from hpsearch.reports.report import report

pytest.importorskip("axe_core_python")
choreographer = pytest.importorskip("choreographer")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no Chromium to open the report in")]
SHOWN, METRIC = HOSTILE_NAME.replace("\x1b", "\\x1b"), "<a href='javascript:x()'>s</a> %{x}"
Seen = tuple[dict[str, dict[str, Any]], int]
AXE = 'axe.run(document, {resultTypes: ["violations"]})'
CHECK = """.then((done) => ({
  title: document.title,
  plotted: +document.documentElement.dataset.plotted,
  drawings: document.querySelectorAll(".main-svg").length,
  images: document.querySelectorAll("img, a[onerror]").length,
  links: document.querySelectorAll("svg a").length,
  texts: [...document.querySelectorAll("svg text")].map((text) => text.textContent),
  dark: matchMedia("(prefers-color-scheme: dark)").matches,
  sideways: document.documentElement.scrollWidth > document.documentElement.clientWidth,
  checked: done.passes.length,
  violations: done.violations.filter((v) => ["serious", "critical"].includes(v.impact))
    .map((v) => [v.id, v.nodes.map((node) => node.html.slice(0, 200))]),
}))"""
NO_AUDIT = "Promise.resolve({passes: [], violations: []})"  # axe takes 3 s a page


async def visited(pages: dict[str, tuple[Path, int, bool]]) -> dict[str, dict[str, Any]]:
    """Open pages, each at a width and in light or dark; what stands there, and what the console says."""
    axe = (files("axe_core_python") / "axe.min.js").read_text("utf-8")
    results = {}
    async with choreographer.Browser(path=BROWSER, headless=True) as browser:
        for name, (path, width, dark) in pages.items():
            tab = await browser.create_tab("about:blank")
            console: list[Any] = []

            async def entry(message: Any, console: list[Any] = console) -> None:
                console.append(message["params"])

            for event in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
                tab.subscribe(event, entry)

            async def send(command: str, tab: Any = tab, **params: Any) -> Any:
                return (await asyncio.wait_for(tab.send_command(command, params), 60))["result"]

            for domain in ("Log", "Runtime", "Page", "Network"):
                await send(f"{domain}.enable")
            await send(
                "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0
            )
            scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
            await send("Emulation.setEmulatedMedia", features=[scheme])
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
            await send("Emulation.setDeviceMetricsOverride", **size)
            await send("Page.navigate", url=path.as_uri())
            ready = "document.readyState == 'complete' && !!document.querySelector('.main-svg') && " + (
                "(!document.getElementById('settings') || 'plotted' in document.documentElement.dataset)"
            )
            while not (await send("Runtime.evaluate", expression=ready))["result"]["value"]:
                await asyncio.sleep(0.1)
            await send(
                "Runtime.evaluate", expression="document.querySelectorAll('details').forEach((d) => d.open = true)"
            )
            audit = AXE if path.stem == "whole" else NO_AUDIT
            await send("Runtime.evaluate", expression=axe)
            done = await send("Runtime.evaluate", expression=audit + CHECK, awaitPromise=True, returnByValue=True)
            results[name] = done["result"]["value"] | {"console": console}
    return results


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
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
        "wide": (folder / "whole.html", 1280, False),
        "phone, dark": (folder / "whole.html", 390, True),
        "hostile": (folder / "hostile.html", 1280, False),
        "figure": (folder / "figure.html", 1280, False),
    }
    return asyncio.run(visited(pages)), sum(len(section.figures) for section in page.sections)


@pytest.mark.parametrize("name", ["wide", "phone, dark"])
def test_everything_is_plotted_and_nothing_serious_keeps_anybody_from_reading_it(seen: Seen, name: str) -> None:
    page, figures = seen[0][name], seen[1]
    assert page["console"] == []  # which would say what the page's own policy forbids
    assert figures > 8
    assert page["plotted"] == figures
    assert page["drawings"] >= figures
    assert page["dark"] == ("dark" in name)
    assert page["checked"] > 10
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
