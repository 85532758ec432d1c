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
    ran = searched("status --watch --trials 10")
    assert (ran.code, ran.err) == (0, "")  # Ctrl-C is how watching ends
    first, second, third = (line.split(" ", 1)[1] for line in ran.out.splitlines())
    assert first.startswith("tiny/stage-01: 8 of 10 trials finished, best ")
    assert second.startswith("tiny/stage-01: 8 of 10 trials finished, 2 running, best ")
    assert third.startswith("tiny/stage-01: 10 of 10 trials finished, 1 failed, best 1 +- 0.03 (trial 8)")


def test_an_object_a_line_for_programs(searched: Cli, work: Any, meanwhile: Meanwhile) -> None:
    meanwhile(work["claim"], work["record"], lambda: None)
    seen = [json.loads(line) for line in searched.ok("status --watch --trials 10 --format json").splitlines()]
    looks = [(look["finished"], look["running"], look["done"]) for look in seen]
    assert looks == [(8, 0, False), (8, 2, False), (10, 0, False), (10, 0, True)]
    assert [runner["trials"] for runner in seen[1]["runners"]] == [2]
    last = seen[-1]
    assert (last["until"], last["stage"], last["failed"]) == (10, "tiny/stage-01", 1)
    assert last["best"] == {"trial": 8, "score": 1.0, "standard_error": pytest.approx(0.0314, abs=1e-4)}
    assert last["curve"] == [0.5, 0.75, 1.0]
    assert {trial["trial"]: trial["state"] for trial in last["latest"][:2]} == {8: "COMPLETE", 9: "FAIL"}
    assert last["trials_per_second"] > 0


def test_the_target_is_that_of_the_run(searched: Cli, meanwhile: Meanwhile) -> None:
    store = open_store("studies/hpsearch.db", write=True)
    (stage,) = store.stages()
    ids: dict[int, int] = {}

    def claim() -> None:
        owner = Owner.current(until=11)
        ids.update((t.number, t.trial_id) for t in store.claim(stage, until=11, most=3, owner=owner).trials)
        for number in ids:
            store.record(stage, [Completed(number, 1.0, (0.5, 0.75, 1.0))], ids, owner=owner) if number > 8 else None

    meanwhile(claim)
    assert re.findall(r"\d+ of \d+", searched.ok("status --watch")) == ["8 of 8", "10 of 11"]
    store.close()


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
    searched.ok("status --watch --trials 10")
    running, done = ("\n".join(lines) for lines in seen)
    assert all(len(line) <= width for lines in seen for line in lines)
    assert "8 of 10 trials" in running
    assert "has 2" in running
    for words in ("10 of 10 trials", "best 1 +- 0.03 (trial 8)", "diverged"):
        assert words in done


def test_how_it_ends(searched: Cli, meanwhile: Meanwhile, tmp_path: Path) -> None:
    meanwhile(*[lambda: None] * 9)
    assert searched.ok("status --watch --until-done --every 0.5").splitlines()[-1].endswith(", done")
    meanwhile(lambda: signal.raise_signal(signal.SIGTERM))
    searched.ok("status --watch")
    meanwhile(lambda: (tmp_path / "studies" / "hpsearch.db").unlink())
    ran = searched("status --watch")
    assert (ran.code, len(ran.err.splitlines())) == (1, 1)
    assert "was deleted or replaced while in use" in ran.err
