"""The report as a browser shows it: drawn without a network or an error, and usable by who cannot see it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from html import unescape
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from bounded import LIMIT_S
from made_search import MIXED, material, stage, trials

from hpsearch.reports import importance
from hpsearch.reports.page import Page, to_html
from hpsearch.reports.report import report
from hpsearch.space import Categorical, Float, Parameter

pytest.importorskip("axe_core_python")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium to open the report in"),
]
# A browser that keeps to itself, and reaches nobody.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--enable-logging=stderr",
]
DARK = "--blink-settings=preferredColorScheme=0"
HOSTILE: dict[str, Parameter] = {
    "<script>document.title='script'</script>": Float(0.0, 1.0),
    "x": Categorical(("</script><script>document.title='choice'</script>", '<img src=x onerror="document.title=1">')),
}


@pytest.fixture(scope="module", autouse=True)
def _few_shuffles() -> Iterator[None]:
    """What importance is worth has its own tests; here it is enough that it is there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importance, "SHUFFLES", 19)
        yield


@cache
def whole() -> Page:
    """A report with everything in it."""
    # A number on a log scale, a choice, and one that goes with a choice: more would be more figures of the same kinds.
    space = {name: MIXED[name] for name in ("lr", "optimizer", "momentum")}
    one = stage(space=space), trials(60, space=space, failed=4, pruned=6)
    return report(material([one, (stage(2, space=space), trials(50, space=space, seed=1, running=3))]))


def opened(page: str, folder: Path, *flags: str) -> tuple[str, list[str]]:
    """The document as it stands after the page's scripts have run, and what the browser's console says."""
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    done = subprocess.run(
        [
            str(BROWSER),
            *FLAGS,
            *flags,
            f"--user-data-dir={folder / 'profile'}",
            "--virtual-time-budget=30000",
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def with_script(page: str, *scripts: str) -> str:
    """A copy of the page in which further scripts run, which its policy allows by their hashes."""
    for script in scripts:
        found = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        page = page.replace("script-src ", f"script-src &#39;sha256-{found}&#39; ", 1)
        page = page.replace("</body>", f"<script>{script}</script>\n</body>")
    return page


LOOK = """
(async () => {
  while (!document.documentElement.hasAttribute("data-plotted")) await new Promise((done) => setTimeout(done, 50));
  document.querySelectorAll("details").forEach((part) => { part.open = true; });
  const found = await axe.run(document, { resultTypes: ["violations"] });
  const sideways = document.documentElement.scrollWidth > document.documentElement.clientWidth;
  const place = document.createElement("pre");
  place.id = "found";
  place.textContent = JSON.stringify({
    sideways,
    checked: found.passes.length,
    violations: found.violations.map((v) => [v.id, v.impact, v.nodes.map((node) => node.html.slice(0, 200))]),
  });
  document.body.append(place);
})();
"""


@pytest.mark.parametrize("flags", [("--window-size=1280,900",), ("--window-size=500,900", DARK)], ids=["wide", "dark"])
def test_everything_is_drawn_and_nothing_serious_keeps_anybody_from_reading_it(
    flags: tuple[str, ...], tmp_path: Path
) -> None:
    page = whole()
    axe = (files("axe_core_python") / "axe.min.js").read_text("utf-8")
    document, said = opened(with_script(to_html(page), axe, LOOK), tmp_path, *flags)
    # What the page's own policy forbids would be said here.
    assert said == []
    figures = sum(len(section.drawings) for section in page.sections)
    assert figures > 8
    assert f'data-plotted="{figures}"' in document
    assert document.count('class="main-svg"') >= figures
    found = re.search(r'<pre id="found">(.*?)</pre>', document, re.DOTALL)
    assert found is not None, "axe-core did not come to its end"
    plain: dict[str, Any] = json.loads(unescape(found[1]))
    assert plain["checked"] > 10
    assert [one for one in plain["violations"] if one[1] in ("serious", "critical")] == []
    assert not plain["sideways"]


def test_nothing_in_the_database_becomes_part_of_the_page(tmp_path: Path) -> None:
    search = "<img src=x onerror=\"document.title='search'\">"
    reason = "<script>document.title='reason'</script>{}"
    page = report(material([(stage(space=HOSTILE, search=search), trials(40, space=HOSTILE, failed=5, reason=reason))]))
    document, said = opened(to_html(page), tmp_path)
    assert "data-plotted=" in document
    assert said == []
    assert re.search(r"<title>Hyperparameter search &lt;img", document)
    assert not re.search(r"<(img|a) [^>]*(onerror|src=x)", document)
