"""Printing: tables for people, CSV and JSON for programs, notes to standard error."""

from __future__ import annotations

import json
import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

from hpsearch.cli.options import Format

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

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


def emit(frame: pd.DataFrame, form: Format, *, title: str | None = None) -> None:
    """Print rows.

    Args:
        frame: The rows; column names are the headings.
        form: Table, CSV or JSON. The last two keep full precision.
        title: Printed above a table.
    """
    match form:
        case Format.csv:
            sys.stdout.write(frame.to_csv(index=False))
        case Format.json:
            # Not DataFrame.to_json: it rounds floats, to 15 digits at best.
            rows = [{name: _plain(value) for name, value in row.items()} for row in frame.to_dict("records")]
            sys.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
        case Format.table:
            if title:
                say(title)
            _table(frame)


def emit_object(plain: dict[str, Any]) -> None:
    """Print one JSON object."""
    sys.stdout.write(json.dumps(plain, indent=2, ensure_ascii=False) + "\n")


def _plain(value: Any) -> Any:
    """A cell as JSON has it: missing values are null, times are ISO 8601."""
    if value is None or value != value:
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value


def _table(frame: pd.DataFrame) -> None:
    from rich.markup import escape
    from rich.table import Table

    screen = console()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in frame.columns:
        number = frame[name].dtype.kind in "if"
        # In a narrow terminal a heading wraps between its words.
        heading = str(name).replace("_", " ") if screen.is_terminal else str(name)
        table.add_column(escape(heading), justify="right" if number else "left", overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*(escape(_cell(value)) for value in row))
    if screen.is_terminal:
        screen.print(table)
        return
    # Cells are padded to their column's width; blanks at the end of a line are nobody's data.
    with screen.capture() as capture:
        screen.print(table)
    for line in capture.get().splitlines():
        sys.stdout.write(line.rstrip() + "\n")


def _cell(value: object) -> str:
    if value is None or value != value:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
