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

from hpsearch.cli.options import Format, storage_url
from hpsearch.text import counted

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from hpsearch.search.progress import View

Show: TypeAlias = Callable[["View"], None]

EVERY_S = 1.0
"""Seconds between two looks, unless told otherwise."""
_LEAST_S, _MOST_S = 0.1, 3600.0
_STAGES = 6
"""So many stages are shown, the last ones: what is above the screen cannot be drawn again."""


def watch(
    search: str | None,
    storage: str | None,
    output: Format,
    *,
    every: float | None,
    trials: int | None,
    until_done: bool,
) -> None:
    """Look at a search again and again, until it is done or until Ctrl-C.

    Args:
        search: Its name, or None for the only one there is.
        storage: The storage asked for, or None for the default.
        output: Table: live in a terminal, a line for each change elsewhere. JSON: an object on a line for each change.
        every: Seconds between two looks, or None for one.
        trials: How many finished trials the stage is to have, or None for the study file's count.
        until_done: Whether to end when nothing is left to wait for.

    Raises:
        BadInput: An option that makes no sense.
        StorageFailure: The database is gone.
    """
    from hpsearch.errors import BadInput
    from hpsearch.search.progress import Watcher
    from hpsearch.search.workflow import check_counts
    from hpsearch.store import open_store

    every = EVERY_S if every is None else every
    if not _LEAST_S <= every <= _MOST_S:
        raise BadInput(f"--every {every:g}: give {_LEAST_S:g} to {_MOST_S:g} seconds")
    if output is Format.csv:
        raise BadInput("--format csv with --watch: changes are no table; give json, an object a line, or leave it out")
    check_counts(trials=trials)
    store = open_store(storage_url(storage))
    try:
        # Whoever stops it politely means the same as Ctrl-C, which is how watching ends: no failure.
        with _polite(), _showing(output) as show:
            watcher = Watcher(store, search, until=trials)
            while True:
                view = watcher.look()
                show(view)
                if until_done and view.done:
                    return
                time.sleep(every)
    except KeyboardInterrupt:
        return
    finally:
        store.close()


def check_unused(**options: float | bool | None) -> None:
    """Check that nothing was asked of a watching that was not asked for.

    Raises:
        BadInput: Something was.
    """
    from hpsearch.errors import BadInput

    for name, value in options.items():
        if value is not None and value is not False:
            said = f"--{name.replace('_', '-')}"
            raise BadInput(f"{said} without --watch: status is shown once; add --watch, or leave {said} out")


@contextmanager
def _polite() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _showing(output: Format) -> Iterator[Show]:
    from hpsearch.cli.output import console

    screen = console()
    if output is Format.json:
        yield _once_a_change(lambda view: json.dumps(as_json(view), ensure_ascii=False))
    elif screen.is_terminal and not screen.is_dumb_terminal:
        from rich.live import Live

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
    """What is to see, in a line of a log: ``mnist/stage-01: 40 of 100 trials finished, 20 running, best 0.74 ...``."""
    counts = view.shown.counts
    parts = [f"{counts.finished} of {counted(view.until, 'trial')} finished"]
    several = {"failed": counts.failed, "pruned": counts.pruned, "running": counts.running, "waiting": counts.waiting}
    parts += [f"{many} {state}" for state, many in several.items() if many]
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
    from hpsearch.reports.tables import standard_error

    if view.shown.best is None:
        return None
    number, score = view.shown.best
    if view.shown.confirms:
        return f"mean {score:.4g} (values of trial {number})"
    error = standard_error(view.shown.stage, score)
    return f"{score:.4g}{'' if error is None else f' +- {error:.2f}'} (trial {number})"


def as_json(view: View) -> dict[str, Any]:
    """What is to see, for programs; times are UTC, speeds and scores have every digit."""
    from hpsearch.reports.tables import standard_error

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
        "runners": [{"host": who.host, "process": who.pid, "trials": many} for who, many in view.runners],
        "latest": [
            {"trial": number, "state": state, "score": score}
            for number, state, score in zip(latest["number"], latest["state"], latest["score"], strict=True)
        ],
        "done": view.done,
    }


def _frame(view: View, screen: Console) -> RenderableType:
    """One picture of the live view."""
    from rich.columns import Columns
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    from hpsearch.cli.output import table
    from hpsearch.reports.tables import status_table, trials_table
    from hpsearch.reports.terminal import Scale, shows_blocks

    stage, counts = view.shown.stage, view.shown.counts
    seen = [*view.stages[-_STAGES:], *view.confirmations]
    rows = [(one.stage, one.counts, None if one.confirms else one.best and one.best[1]) for one in seen]
    # The search's name stands below; here it would only make the table wide, as would the stages' parents.
    short = status_table(rows) | {"stage": [one.stage.name.rpartition("/")[2] for one in seen]}
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
        words = [f"{who.host} (process {who.pid}) has {many}" for who, many in view.runners]
        return f"running: {', '.join(words)}"
    return "done" if view.done else "nobody runs it now"
