"""``hpsearch status --watch``: a search while others run it, live in a terminal and line by line elsewhere."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from hpsearch.cli.terminal import console, table
from hpsearch.errors import BadArgument
from hpsearch.reports.tables import Scale, shows_blocks, standard_error, status_table, trials_table
from hpsearch.text import counted

if TYPE_CHECKING:
    from hpsearch.api import Search
    from hpsearch.cli.options import Format
    from hpsearch.search.progress import View

Show: TypeAlias = Callable[["View"], None]

EVERY_S = 1.0
"""Seconds between two reads, unless the user gives them."""
_LEAST_S, _MOST_S = 0.1, 3600.0
_STAGES = 6
"""So many stages are shown, the last ones: what is above the screen cannot be updated."""


def watch(search: Search, output: Format, *, every: float | None, trials: int | None, until_done: bool) -> None:
    """Show a search until it is done or until Ctrl-C.

    Args:
        search: The search.
        output: Table: live in a terminal, a line for each change elsewhere. JSON: an object on a line for each change.
        every: Seconds between two reads, or None for one.
        trials: How many finished trials the stage is to have, or None for the study file's count.
        until_done: End when nothing is left to wait for.

    Raises:
        BadInput: An option that makes no sense.
        StorageFailure: The database is gone.
    """
    every = EVERY_S if every is None else every
    if not _LEAST_S <= every <= _MOST_S:
        raise BadArgument("every", f"{every:g}", f"give {_LEAST_S:g} to {_MOST_S:g} seconds")
    if output == "csv":
        raise BadArgument(
            "format", "csv", "a watched search is no table", "use json, an object a line, or leave it out"
        )
    try:
        # SIGTERM means the same as Ctrl-C, which is how watching ends: no failure.
        with search.watch(trials=trials) as look, _terminable(), _showing(output) as show:
            while True:
                view = look()
                show(view)
                if until_done and view.done:
                    return
                time.sleep(every)
    except KeyboardInterrupt:
        return


@contextmanager
def _terminable() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _showing(output: Format) -> Iterator[Show]:
    screen = console()
    if output == "json":
        yield _once_a_change(lambda view: json.dumps(as_json(view), ensure_ascii=False))
    elif screen.is_terminal and not screen.is_dumb_terminal:
        with Live(console=screen, auto_refresh=False) as live:
            yield lambda view: live.update(_frame(view, screen), refresh=True)
    else:
        yield _once_a_change(lambda view: f"{datetime.now():%H:%M:%S} {line(view)}")


def _once_a_change(text: Callable[[View], str]) -> Show:
    last: tuple[object, ...] = ()

    def show(view: View) -> None:
        nonlocal last
        if view.changes != last:
            last = view.changes
            sys.stdout.write(f"{text(view)}\n")
            sys.stdout.flush()  # whoever reads a log reads it now

    return show


def line(view: View) -> str:
    """Return a view as a line of a log: ``mnist/stage-01: 40 of 100 trials finished, 20 running, best 0.74 ...``."""
    counts = view.shown.counts
    parts = [f"{counts.finished} of {counted(view.until, 'trial')} finished"]
    states = {"failed": counts.failed, "pruned": counts.pruned, "running": counts.running, "waiting": counts.waiting}
    parts += [f"{count} {state}" for state, count in states.items() if count]
    best = _best(view)
    parts += (
        ([f"{'first so far: ' if view.shown.confirms else 'best '}{best}"] if best else [])
        + _speed(view)
        + (["done"] if view.done else [])
    )
    return f"{view.shown.stage.name}: {', '.join(parts)}"


def _speed(view: View) -> list[str]:
    if view.rate is None:
        return []
    words = [f"{view.rate:.1f} trials/s" if view.rate >= 1 else f"{1 / view.rate:.1f} s a trial"]
    left = view.seconds_left
    if left is not None and view.shown.counts.running:
        words.append(f"{left:.0f} s left" if left < 120 else f"{left / 60:.0f} min left")
    return words


def _best(view: View) -> str | None:
    if view.shown.best is None:
        return None
    number, score = view.shown.best
    if view.shown.confirms:
        return f"mean {score:.4g} (values of trial {number})"
    error = standard_error(view.shown.stage, score)
    return f"{score:.4g}{'' if error is None else f' +- {error:.2f}'} (trial {number})"


def as_json(view: View) -> dict[str, Any]:
    """Return a view for programs; times are UTC, speeds and scores have every digit."""
    stage, counts, best = view.shown.stage, view.shown.counts, view.shown.best
    latest = view.latest
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "stage": stage.name,
        "until": view.until,
        "finished": counts.finished,
        "failed": counts.failed,
        "pruned": counts.pruned,
        "running": counts.running,
        "waiting": counts.waiting,
        "confirms": stage.number if view.shown.confirms else None,
        "best": best
        and {
            "trial": best[0],
            "score": best[1],
            "standard_error": None if view.shown.confirms else standard_error(stage, best[1]),
        },
        "curve": list(view.curve),
        "trials_per_second": view.rate,
        "seconds_left": view.seconds_left,
        "runners": [{"host": who.host, "process": who.pid, "trials": count} for who, count in view.runners],
        "latest": [
            {"trial": number, "state": state, "score": score}
            for number, state, score in zip(latest["number"], latest["state"], latest["score"], strict=True)
        ],
        "done": view.done,
    }


def _frame(view: View, screen: Console) -> RenderableType:
    """Return a frame of the live view."""
    stage, counts = view.shown.stage, view.shown.counts
    shown = [*view.stages[-_STAGES:], *view.confirmations]
    rows = [(row.stage, row.counts, None if row.confirms else row.best and row.best[1]) for row in shown]
    # The search's name stands below; here it would only make the table wide, as would the stages' parents.
    short = status_table(rows) | {"stage": [row.stage.name.rpartition("/")[2] for row in shown]}
    del short["from"]
    parts: list[RenderableType] = [table(short, screen), Text()]
    done = ", ".join([f"{counts.finished} of {counted(view.until, 'trial')}", *_speed(view)])
    bar = ProgressBar(total=view.until, completed=min(counts.finished, view.until), width=min(30, screen.width // 3))
    parts += [Text(stage.name), Columns([bar, Text(done)])]
    best = _best(view)
    if best and view.shown.confirms:
        parts.append(Text(f"first so far: {best}"))
    elif best:
        scale = Scale.of([view.curve], blocks=shows_blocks(screen.encoding))
        parts.append(Text(f"best {best}  {scale.sparkline(view.curve)} {scale.words} over {scale.epochs} epochs"))
    parts.append(Text(_who(view)))
    if view.latest["number"]:
        parts += [Text(), Text("finished last"), table(trials_table(stage, view.latest), screen)]
    parts += [Text(), Text("Ctrl-C ends the watching, not the search", style="dim")]
    return Group(*parts)


def _who(view: View) -> str:
    if view.runners:
        words = [f"{who.host} (process {who.pid}) has {count}" for who, count in view.runners]
        return f"running: {', '.join(words)}"
    return "done" if view.done else "no runner"
