"""Output with Rich: tables that fit a terminal, progress bars, and the live view of ``hpsearch status --watch``."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import groupby, zip_longest
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from rich.cells import cell_len as cell_len
from rich.columns import Columns as SideBySide
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn
from rich.progress_bar import ProgressBar
from rich.text import Text

from hpsearch.cli.render import Column, as_texts, least_width, pad, speed, to_json
from hpsearch.errors import BadArgument
from hpsearch.reports.tables import Scale, shows_blocks, status_table, trials_table, with_error
from hpsearch.text import counted, printable_line

if TYPE_CHECKING:
    from hpsearch.api import Search
    from hpsearch.cli.options import Format
    from hpsearch.search.progress import View
    from hpsearch.store.queries import Columns

Show: TypeAlias = Callable[["View"], None]

_EVERY_S, _LEAST_S, _MOST_S = 1.0, 0.1, 3600.0  # seconds between two reads, unless the user gives them; from, to
_STAGES = 6  # number of latest stages that are shown: lines above the screen cannot be updated


def console(*, stderr: bool = False) -> Console:
    """Return a console of standard output or standard error."""
    return Console(file=sys.stderr if stderr else sys.stdout, highlight=False, emoji=False)


def bar(words: str, *, transient: bool = False) -> Progress:
    """Return a bar with a count and these words; ``{task.fields[words]}`` is the text given with each update."""
    return _progress(BarColumn(bar_width=30), MofNCompleteColumn(), TextColumn(words), transient=transient)


def download_bar() -> Progress:
    """Return a bar for downloads."""
    return _progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn())


def _progress(*columns: ProgressColumn, transient: bool = False) -> Progress:
    """Return a bar on standard error, which shows nothing where that is not a terminal."""
    screen = console(stderr=True)
    return Progress(*columns, console=screen, transient=transient, disable=not screen.is_terminal)


def print_table(columns: Columns) -> None:
    """Print rows to standard output; see `table`. Rich's own tables take a millisecond a row."""
    screen = console()
    for heading, lines in groupby(_lines(columns, screen), key=itemgetter(0)):
        if heading:
            screen.print(*(Text(line, style="bold") for _, line in lines), sep="\n")
        else:
            screen.file.writelines(f"{line}\n" for _, line in lines)


def table(columns: Columns, screen: Console) -> RenderableType:
    """Return rows for a terminal.

    Where it is too narrow, headings and texts are broken between words, then the gaps are halved, and then the
    table is cut into several below each other, each of which begins with the first column. Numbers are never broken.
    """
    return Group(*(Text(line, style="bold" if heading else "") for heading, line in _lines(columns, screen)))


def _lines(columns: Columns, screen: Console) -> Iterator[tuple[bool, str]]:
    """Return the lines of a table, and of each whether it is one of the headings."""
    texts = as_texts(columns)
    gap = 2 if least_width(columns) <= screen.width else 1
    for index, part in enumerate(_parts(texts, screen.width, gap=gap)):
        if index:
            yield False, ""
        widths = _fitted(part, screen.width - gap * (len(part) - 1))

        def fill(lines: Sequence[str], part: Sequence[Column] = part, widths: Sequence[int] = widths) -> str:
            parts = zip(lines, widths, part, strict=True)
            return (" " * gap).join(pad(text, width, right=column.numeric) for text, width, column in parts).rstrip()

        headings = [_folded(c.name.replace("_", " "), w, screen)[::-1] for c, w in zip(part, widths, strict=True)]
        yield from ((True, fill(lines)) for lines in reversed([*zip_longest(*headings, fillvalue="")]))
        for row in zip(*(column.cells for column in part), strict=True):
            folded = [_folded(text, w, screen) for text, w in zip(row, widths, strict=True)]
            yield from ((False, fill(lines)) for lines in zip_longest(*folded, fillvalue=""))


def _folded(text: str, width: int, screen: Console) -> list[str]:
    if text.isascii() and len(text) <= width:  # nearly all are
        return [text]
    return [line.plain.rstrip() for line in Text(text).wrap(screen, max(width, 2), overflow="fold")] or [""]


def _parts(columns: Sequence[Column], width: int, *, gap: int) -> list[list[Column]]:
    """Return the columns in tables that fit, each with the first column."""
    first, *others = columns
    parts = [[first]]
    for column in others:
        if len(parts[-1]) > 1 and sum(c.least + gap for c in (*parts[-1], column)) - gap > width:
            parts.append([first])
        parts[-1].append(column)
    return parts


def _fitted(columns: Sequence[Column], room: int) -> list[int]:
    """Return the columns' widths: as they are, or where there is no room narrowed to what their words need."""
    whole, least = [column.whole for column in columns], [column.least for column in columns]
    spare, wish = max(room - sum(least), 0), sum(whole) - sum(least)
    if wish <= spare:
        return whole
    return [low + spare * (high - low) // wish for low, high in zip(least, whole, strict=True)]


def watch(search: Search, output: Format, *, every: float | None, trials: int | None, until_done: bool) -> None:
    """Show a search until it is done or until Ctrl-C or SIGTERM.

    As a table, it is live in a terminal and a line for each change elsewhere; as JSON, an object for each change.
    """
    every = _EVERY_S if every is None else every
    if not _LEAST_S <= every <= _MOST_S:
        raise BadArgument("every", f"{every:g}", f"give {_LEAST_S:g} to {_MOST_S:g} seconds")
    if output == "csv":
        raise BadArgument(
            "format", "csv", "a watched search is no table", "use json, an object a line, or leave it out"
        )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    with suppress(KeyboardInterrupt), search.watch(trials=trials) as look, _showing(output) as show:
        while True:
            view = look()
            show(view)
            if until_done and view.done:
                return
            time.sleep(every)


@contextmanager
def _showing(output: Format) -> Iterator[Show]:
    screen = console()
    if output == "json":
        yield _once_a_change(lambda view: to_json(as_json(view)))
    elif screen.is_terminal and not screen.is_dumb_terminal:
        with Live(console=screen, auto_refresh=False) as live:
            yield lambda view: live.update(_frame(view, screen), refresh=True)
    else:
        yield _once_a_change(lambda view: printable_line(f"{datetime.now():%H:%M:%S} {line(view)}"))


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
    parts += [*_best(view), *_speed(view), *(["done"] if view.done else [])]
    return f"{view.shown.stage.name}: {', '.join(parts)}"


def _speed(view: View) -> list[str]:
    return speed(view.rate, view.seconds_left if view.shown.counts.running else None)


def _best(view: View) -> list[str]:
    """Return words for the best trial, or for the setting that leads; none before there is one."""
    if view.shown.best is None:
        return []
    number, score = view.shown.best
    if view.shown.confirms:
        return [f"first so far: mean {score:.4g} (values of trial {number})"]
    return [f"best {with_error(score, view.shown.error)} (trial {number})"]


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
            "standard_error": view.shown.error,
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
    rows = [(row.stage, row.counts, None if row.confirms else row.best and row.best[1], row.error) for row in shown]
    # The search's name stands below; here it would only make the table wide, as would the stages' parents.
    short = status_table(rows) | {"stage": [row.stage.name.rpartition("/")[2] for row in shown]}
    del short["from"]
    parts: list[RenderableType] = [table(short, screen), Text()]
    done = ", ".join([f"{counts.finished} of {counted(view.until, 'trial')}", *_speed(view)])
    progress = ProgressBar(view.until, min(counts.finished, view.until), width=min(30, screen.width // 3))
    parts += [Text(printable_line(stage.name)), SideBySide([progress, Text(done)])]
    for best in _best(view):
        scale = Scale.of([view.curve], blocks=shows_blocks(screen.encoding))
        curve = f"  {scale.sparkline(view.curve)} {scale.words} over {scale.epochs} epochs"
        parts.append(Text(printable_line(best) + (curve if view.curve else "")))
    runners = ", ".join(f"{who.host} (process {who.pid}) has {count}" for who, count in view.runners)
    parts.append(Text(printable_line(f"running: {runners}" if runners else "done" if view.done else "no runner")))
    if view.latest["number"]:
        parts += [Text(), Text("finished last"), table(trials_table(stage, view.latest), screen)]
    parts += [Text(), Text("Ctrl-C ends the watching, not the search", style="dim")]
    return Group(*parts)
