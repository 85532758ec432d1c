"""Output in a terminal, with Rich: consoles, tables that fit, progress bars."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from hpsearch.cli.render import cell, is_numeric, least_width, least_widths

if TYPE_CHECKING:
    from hpsearch.store.queries import Columns


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
    return [few + max(spare, 0) * (many - few) // wish for few, many in zip(least, whole, strict=True)]
