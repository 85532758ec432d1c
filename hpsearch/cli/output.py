"""Printing: tables for people, CSV and JSON for programs, notes to standard error."""

from __future__ import annotations

import csv
import json
import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

from hpsearch.cli.options import Format

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from hpsearch.store.frames import Columns

_PLAIN_WIDTH = 200
"""Columns where standard output is not a terminal: nothing is cut off there."""


def console(*, stderr: bool = False) -> Console:
    """A console that prints plain text where nobody is looking."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    if stream.isatty():
        return Console(file=stream, highlight=False)
    return Console(file=stream, highlight=False, color_system=None, width=_PLAIN_WIDTH)


def say(text: str = "") -> None:
    """A line of text to standard output."""
    screen = console()
    # Wrapped between words for people; never for programs, which want the line whole.
    screen.print(text, markup=False, soft_wrap=not screen.is_terminal)


def command_line(command: str, search: str | None, storage: str | None, *options: str) -> str:
    """A command to type next, over the same search and database.

    Args:
        command: ``start``, ``narrow`` ...
        search: The search's name, or None where the command means it without being told.
        storage: The storage asked for, or None for the default.
        options: Further words.
    """
    words = ["hpsearch", command, *([search] if search else []), *options]
    if storage is not None and storage != os.environ.get("HPSEARCH_STORAGE"):
        # A URL may hold a password, which does not belong on a screen.
        words += ["--storage", "URL" if "://" in storage else storage]
    return shlex.join(words)


def note(text: str) -> None:
    """Something worth knowing that is not the result: to standard error."""
    screen = console(stderr=True)
    screen.print(f"note: {text}", markup=False, soft_wrap=not screen.is_terminal)


def emit(columns: Columns, form: Format, *, title: str | None = None) -> None:
    """Print rows.

    Args:
        columns: The rows by column; names are the headings.
        form: Table, CSV or JSON. The last two keep full precision.
        title: Printed above a table.
    """
    rows = zip(*columns.values(), strict=True)
    match form:
        case Format.csv:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(["" if _is_missing(value) else value for value in row] for row in rows)
        case Format.json:
            plain = [{name: _plain(value) for name, value in zip(columns, row, strict=True)} for row in rows]
            sys.stdout.write(json.dumps(plain, indent=2, ensure_ascii=False) + "\n")
        case Format.table:
            if title:
                say(title)
            _table(columns)


def emit_object(plain: dict[str, Any]) -> None:
    """Print one JSON object."""
    sys.stdout.write(json.dumps(plain, indent=2, ensure_ascii=False) + "\n")


def _is_missing(value: object) -> bool:
    return value is None or value != value


def _plain(value: Any) -> Any:
    """A cell as JSON has it: missing values are null, times are ISO 8601."""
    if _is_missing(value):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def table(columns: Columns, screen: Console) -> Table:
    """Rows for people, to be printed on a console.

    Args:
        columns: The rows by column; names are the headings.
        screen: The console.
    """
    from rich.markup import escape
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name, cells in columns.items():
        there = [value for value in cells if not _is_missing(value)]
        number = bool(there) and all(map(_is_number, there))
        # In a narrow terminal a heading wraps between its words.
        heading = name.replace("_", " ") if screen.is_terminal else name
        made.add_column(escape(heading), justify="right" if number else "left", overflow="fold")
    for row in zip(*columns.values(), strict=True):
        made.add_row(*(escape(_cell(value)) for value in row))
    return made


def least_width(columns: Columns) -> int:
    """How many characters a row takes, of which headings alone may be broken, between their words."""
    widths = [
        max(*(len(word) for word in name.replace("_", " ").split()), *(len(_cell(value)) for value in cells), 0)
        for name, cells in columns.items()
    ]
    return sum(widths) + 2 * (len(widths) - 1)


def _table(columns: Columns) -> None:
    screen = console()
    made = table(columns, screen)
    if screen.is_terminal:
        screen.print(made)
        return
    # Cells are padded to their column's width; blanks at the end of a line are nobody's data.
    with screen.capture() as capture:
        screen.print(made)
    for line in capture.get().splitlines():
        sys.stdout.write(line.rstrip() + "\n")


def _cell(value: object) -> str:
    if _is_missing(value):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
