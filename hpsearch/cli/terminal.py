"""Output with Rich: tables that fit a terminal, progress bars, and the live view of ``hpsearch status --watch``."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from rich.columns import Columns as SideBySide
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpsearch.cli.render import cell, least_width, least_widths
from hpsearch.errors import BadArgument
from hpsearch.reports.tables import Scale, shows_blocks, standard_error, status_table, trials_table
from hpsearch.text import counted, is_numeric

if TYPE_CHECKING:
    from hpsearch.api import Search
    from hpsearch.cli.options import Format
    from hpsearch.search.progress import View
    from hpsearch.store.queries import Columns

Show: TypeAlias = Callable[["View"], None]

EVERY_S = 1.0
"""Seconds between two reads, unless the user gives them."""
_LEAST_S, _MOST_S = 0.1, 3600.0
_STAGES = 6
"""The number of latest stages that are shown: lines above the screen cannot be updated."""


def console(*, stderr: bool = False) -> Console:
    """Return a console of standard output or standard error."""
    return Console(file=sys.stderr if stderr else sys.stdout, highlight=False)


def bar(words: str, *, transient: bool = False) -> Progress:
    """Return a bar with a count on standard error, which shows nothing where that is not a terminal.

    Args:
        words: What stands behind the count; ``{task.fields[words]}`` is the text given with each update.
        transient: Remove it at the end.
    """
    screen = console(stderr=True)
    columns = (BarColumn(bar_width=30), MofNCompleteColumn(), TextColumn(words))
    return Progress(*columns, console=screen, transient=transient, disable=not screen.is_terminal)


def download_bar() -> Progress:
    """Return a bar for downloads on standard error, which shows nothing where that is not a terminal."""
    screen = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    return Progress(*columns, console=screen, disable=not screen.is_terminal)


def table(columns: Columns, screen: Console) -> RenderableType:
    """Return rows for a terminal.

    Where it is too narrow, headings and texts are broken between words, then the gaps are halved, and then the
    table is cut into several below each other, each of which begins with the first column. Numbers are never broken.

    Args:
        columns: The rows by column; names are the headings.
        screen: The terminal's console.
    """
    gap = 2 if least_width(columns) <= screen.width else 1
    tables: list[RenderableType] = []
    for part in _parts(columns, screen.width, gap=gap):
        made = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
        widths = _fitted(part, screen.width - gap * len(part))
        for (name, cells), width in zip(part.items(), widths, strict=True):
            justify: Literal["left", "right"] = "right" if is_numeric(cells) else "left"
            made.add_column(escape(name.replace("_", " ")), justify=justify, overflow="fold", width=width)
        for row in zip(*part.values(), strict=True):
            made.add_row(*(escape(cell(value)) for value in row))
        tables += [""] * bool(tables) + [made]
    return Group(*tables)


def _parts(columns: Columns, width: int, *, gap: int) -> list[Columns]:
    """Return the columns in tables that fit, each with the first column."""
    first, *others = columns
    widths = least_widths(columns)
    parts: list[list[str]] = [[first]]
    for name in others:
        if len(parts[-1]) > 1 and sum(widths[n] + gap for n in (*parts[-1], name)) > width:
            parts.append([first])
        parts[-1].append(name)
    return [{name: columns[name] for name in part} for part in parts]


def _fitted(columns: Columns, room: int) -> list[int]:
    """Return the columns' widths: as they are, or where there is no room narrowed to what their words need.

    Rich would narrow the widest ones, numbers too, and break these.
    """
    whole = [max(len(name), *(len(cell(value)) for value in cells), 0) for name, cells in columns.items()]
    least = list(least_widths(columns).values())
    spare, wish = room - sum(least), sum(whole) - sum(least)
    if wish <= spare:
        return whole
    return [low + max(spare, 0) * (high - low) // wish for low, high in zip(least, whole, strict=True)]


def watch(search: Search, output: Format, *, every: float | None, trials: int | None, until_done: bool) -> None:
    """Show a search until it is done or until Ctrl-C.

    Args:
        search: The search.
        output: Table: live in a terminal, a line for each change elsewhere. JSON: an object on a line for each change.
        every: Seconds between two reads, or None for one.
        trials: How many finished trials the stage is to have, or None for the study file's count.
        until_done: End when nothing is left to wait for.

    Raises:
        BadInput: An option out of its range, or CSV.
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
        # SIGTERM ends the watching as Ctrl-C does: no failure.
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
            sys.stdout.flush()  # a log shows it at once

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
    progress = ProgressBar(
        total=view.until, completed=min(counts.finished, view.until), width=min(30, screen.width // 3)
    )
    parts += [Text(stage.name), SideBySide([progress, Text(done)])]
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
