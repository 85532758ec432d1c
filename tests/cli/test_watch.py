"""`hpsearch status --watch`: what it prints, when it ends, and with which exit code."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from commands import Cli
from rich.console import Console

from hpsearch.cli import terminal
from hpsearch.records import Completed, Failed
from hpsearch.store import Owner, open_store

Meanwhile = Callable[..., None]


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Has things happen between the looks, one a time; then comes Ctrl-C."""

    def set_up(*events: Callable[[], object]) -> None:
        left: Iterator[Callable[[], object]] = iter(events)

        def sleep(seconds: float) -> None:
            event = next(left, None)
            if event is None:
                raise KeyboardInterrupt
            event()

        monkeypatch.setattr(time, "sleep", sleep)

    return set_up


@pytest.fixture
def work(searched: Cli) -> Iterator[dict[str, Callable[[], object]]]:
    """What another process does to the search: two trials more, one of which fails."""
    store = open_store("studies/hpsearch.db", write=True)
    (stage,) = store.stages()
    owner = Owner.current()
    ids: dict[int, int] = {}

    def claim() -> None:
        ids.update((t.number, t.trial_id) for t in store.claim(stage, until=10, most=2, owner=owner).trials)

    def record() -> None:
        store.record(stage, [Completed(8, 1.0, (0.5, 0.75, 1.0)), Failed(9, "diverged")], ids, owner=owner)

    yield {"claim": claim, "record": record}
    store.close()


def test_a_line_a_change_where_nobody_looks(searched: Cli, work: Any, meanwhile: Meanwhile) -> None:
    meanwhile(lambda: None, work["claim"], lambda: None, work["record"])
    ran = searched("status", "--watch", "--trials", "10")
    assert (ran.code, ran.err) == (0, "")  # Ctrl-C is how watching ends
    first, second, third = (line.split(" ", 1)[1] for line in ran.out.splitlines())
    assert first.startswith("tiny/stage-01: 8 of 10 trials finished, best ")
    assert second.startswith("tiny/stage-01: 8 of 10 trials finished, 2 running, best ")
    assert third.startswith("tiny/stage-01: 10 of 10 trials finished, 1 failed, best 1 +- 0.00 (trial 8)")


def test_an_object_a_line_for_programs(searched: Cli, work: Any, meanwhile: Meanwhile) -> None:
    meanwhile(work["claim"], work["record"], lambda: None)
    ran = searched("status", "--watch", "--trials", "10", "--format", "json")
    seen = [json.loads(line) for line in ran.out.splitlines()]
    assert [(one["finished"], one["running"], one["done"]) for one in seen] == [
        (8, 0, False),
        (8, 2, False),
        (10, 0, False),
        (10, 0, True),
    ]
    assert [one["trials"] for one in seen[1]["runners"]] == [2]
    assert (seen[-1]["until"], seen[-1]["stage"], seen[-1]["failed"]) == (10, "tiny/stage-01", 1)
    assert seen[-1]["best"] == {"trial": 8, "score": 1.0, "standard_error": 0.0}
    assert seen[-1]["curve"] == [0.5, 0.75, 1.0]
    assert {one["trial"]: one["state"] for one in seen[-1]["latest"][:2]} == {8: "COMPLETE", 9: "FAIL"}
    assert seen[-1]["trials_per_second"] > 0


def test_until_done(searched: Cli, meanwhile: Meanwhile) -> None:
    meanwhile(*[lambda: None] * 9)
    ran = searched("status", "--watch", "--until-done", "--every", "0.5")
    assert ran.code == 0
    assert ran.out.splitlines()[-1].endswith(", done")


@pytest.mark.parametrize("width", [60, 80])
def test_the_live_view_fits(
    searched: Cli, work: Any, meanwhile: Meanwhile, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    screen = StringIO()
    seen: list[list[str]] = []

    def console(**options: Any) -> Console:
        return Console(file=screen, force_terminal=True, color_system=None, width=width, height=40)

    def look() -> None:
        # One picture is drawn over the other: what moves the cursor ends a line.
        seen.append(re.sub(r"(\x1b\[[?0-9;]*[A-Za-z]|\r)+", "\n", screen.getvalue()).splitlines())
        screen.seek(0)
        screen.truncate()

    monkeypatch.setattr(terminal, "console", console)
    monkeypatch.delenv("TERM", raising=False)
    meanwhile(work["claim"], look, work["record"], look)
    assert searched("status", "--watch", "--trials", "10").code == 0
    running, done = ("\n".join(lines) for lines in seen)
    assert all(len(line) <= width for lines in seen for line in lines)
    assert "8 of 10 trials" in running
    assert "has 2" in running
    assert "10 of 10 trials" in done
    assert "best 1 +- 0.00 (trial 8)" in done
    assert "diverged" in done


def test_it_ends_politely(searched: Cli, meanwhile: Meanwhile) -> None:
    before = signal.getsignal(signal.SIGTERM)
    meanwhile(lambda: signal.raise_signal(signal.SIGTERM))
    assert searched("status", "--watch").code == 0
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_database_that_vanishes_ends_it_with_a_line(searched: Cli, meanwhile: Meanwhile, tmp_path: Path) -> None:
    meanwhile(lambda: (tmp_path / "studies" / "hpsearch.db").unlink())
    ran = searched("status", "--watch")
    assert (ran.code, len(ran.err.splitlines())) == (1, 1)
    assert "was deleted or replaced while in use" in ran.err


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("--watch --every 0", "--every 0: give 0.1 to 3600 seconds"),
        ("--watch --every nan", "--every nan: give 0.1 to 3600 seconds"),
        ("--watch --trials 0", "--trials 0: give a number from 1"),
        ("--watch --format csv", "--format csv: a watched search is no table"),
        ("--watch nosuch", "no search 'nosuch'"),
        ("--every 2", "--every 2: status is shown once; add --watch, or leave it out"),
        ("--until-done", "--until-done: status is shown once"),
        ("--trials 3", "--trials 3: status is shown once"),
        ("--watch --storage nowhere.db", "no database nowhere.db; `hpsearch start --storage nowhere.db` makes one"),
    ],
)
def test_refused_in_one_line(searched: Cli, command: str, says: str) -> None:
    ran = searched("status", *command.split())
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (2, "", 1)
    assert says in ran.err
