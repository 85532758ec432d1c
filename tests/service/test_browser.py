"""The pages in a browser, over a real server: what a user does, from a study file to the second stage."""

from __future__ import annotations

import json
import os
import re
from contextlib import closing
from pathlib import Path

import pytest
import served
from browser import PHONE, WIDE, Browser, Page
from made_stages import make

from hpsearch.api import Search
from hpsearch.store import open_store

PICTURES = os.environ.get("HPSEARCH_PICTURES")  # a folder for them, to look at
pytestmark = pytest.mark.slow
STUDY = """\
name = "tiny"
[data]
name = "mnist-10k"
train = 500
validation = 100
[network]
hidden = [30]
[training]
epochs = 20
batch_size = 20
[space]
lr = { low = 1e-6, high = 1.0, log = true } # of which only the upper end is any good
weight_decay = { low = 1e-8, high = 1e-4, log = true }
[trials]
count = 50
"""
FETCHED = """[...document.querySelectorAll("[data-part]")].every((part) =>
  part.closest("dialog, details:not([open])") || (part.childElementCount && part.ariaBusy !== "true"))"""


def drawn(part: str) -> str:
    """JavaScript that is true once a figure is plotted in a part of the page."""
    return f"!!document.querySelector('#{part} .main-svg')"


def says(part: str, text: str) -> str:
    """JavaScript that is true while a part of the page has a text."""
    return f"document.getElementById('{part}').innerText.includes({json.dumps(text)})"


def check(page: Page, name: str) -> None:
    """Audit the page that is open, on a desk and, in the dark, on a phone; save pictures if there is a folder."""
    for size, dark in ((PHONE, True), (WIDE, False)):
        page.look(size=size, dark=dark)
        if PICTURES is not None:
            page.shoot(Path(PICTURES) / f"{name}-{size[0]}.png")
        assert page.audit() == [], name
        assert not page.sideways(), name


def test_a_search_from_its_study_file_to_its_second_stage(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "tiny.toml").write_text(STUDY)
    with served.server(tmp_path) as server, browser.page() as page:
        page.open(server.enter)
        page.shows("There is no search yet")
        check(page, "no-search")
        page.click("link", "New search", first=True)
        check(page, "study-files")
        page.click("link", "tiny")
        page.shows("With other values")
        check(page, "study-file")
        page.fill("spinbutton", "Trials", "20")
        page.click("button", "Start tiny")
        page.until("location.pathname.endsWith('/searches/tiny')")
        page.open(f"{server.url}/hp/jobs/1")
        page.shows("hpsearch start tiny --trials 20")
        page.shows("20 trials of 20 epochs")  # the job's log
        check(page, "job")
        page.click("link", "tiny")
        page.until("location.pathname.endsWith('/searches/tiny')")
        page.evaluate("window.loaded = 'once'")  # all that follows comes by itself
        page.until(drawn("part-curves"))
        page.until(says("part-state", "20 of 20 trials"))
        page.until(says("part-curves", "the best"))
        page.until(drawn("part-scatter"))

        page.click("button", "Narrow")
        page.until(drawn("preview"))
        assert Search("tiny", storage=str(tmp_path / "studies" / "hpsearch.db")).status()[-1].stage.number == 1
        check(page, "narrow")
        page.press("Escape")
        page.until("!document.querySelector('dialog[open]')")
        page.click("button", "Narrow")
        page.fill("spinbutton", "Best trials to go by", "4")
        page.until(f"{drawn('preview')} && {says('preview', 'best 4')}")
        page.click("button", "Narrow now")
        page.until(says("part-state", "stage-02"))

        page.click("button", "Start stage")
        page.fill("spinbutton", "Trials", "5000")
        page.click("button", "Start")
        page.until(r"/tiny.stage-02\s+[1-9]\d* of 5,000 trials/.test(document.getElementById('part-state').innerText)")
        page.click("button", "Stop")
        page.until(says("part-state", "nothing runs"))
        assert page.evaluate("window.loaded") == "once"
        page.click("link", "Jobs")
        page.until("document.querySelector('main tbody td:nth-child(4)')?.innerText === 'stopped'")
        check(page, "jobs")
        for name in (
            "searches",
            "searches/tiny",
            "searches/tiny/trials/1/4",
            "compare?a=tiny/stage-01&b=tiny/stage-02",
        ):
            page.open(f"{server.url}/hp/{'' if name == 'searches' else name}")
            page.look(size=(1280, 9000), dark=False)  # parts of the page are fetched when they are seen
            page.until(FETCHED)
            check(page, re.sub(r"\W+", "-", name))

        page.click("link", "Optuna dashboard")
        page.shows("tiny/stage-02")
        assert page.console == []
        assert all(address.startswith((server.url, "data:", "blob:")) for address in page.requests)


def test_a_page_says_that_the_server_is_gone_and_goes_on_when_it_is_back(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    with closing(open_store(str(tmp_path / "studies" / "hpsearch.db"), create=True, write=True)) as store:
        make(store, [0.5, 0.9, 0.7], trials=3)
        with browser.page() as page:
            with served.serving(tmp_path) as server:
                page.open(server.enter)
                page.shows("made")
                page.until("document.getElementById('notice').hidden")
            page.shows("Connection lost: trying again")
            make(store, [0.6, 0.4], trials=2, number=2)
            with served.serving(tmp_path, port=int(server.url.rpartition(":")[2])):
                page.until("document.getElementById('notice').hidden")
                page.until("document.querySelector('main tbody td:nth-child(3)').innerText === '5'")
