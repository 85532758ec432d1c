"""Printing: tables for people, CSV and JSON for programs, notes to standard error."""

from __future__ import annotations

import csv
import json
import sys
import textwrap
from typing import TYPE_CHECKING, Any

from hpsearch.cli.options import Format
from hpsearch.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console, RenderableType
    from rich.table import Table

    from hpsearch.store.queries import Columns

_PLAIN_WIDTH = 200
"""Columns where standard output is not a terminal: nothing is cut off there."""
_LONGEST_WORD = 30
"""Longer ones, such as paths, are broken where a table has no room."""


def console(*, stderr: bool = False) -> Console:
    """A console that prints plain text where nobody is looking."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    if stream.isatty():
        return Console(file=stream, highlight=False)
    return Console(file=stream, highlight=False, color_system=None, width=_PLAIN_WIDTH)


def say(text: str = "", *, hanging: int = 0) -> None:
    """A line of text to standard output.

    Args:
        text: Wrapped between words for people; never for programs, which want the line whole.
        hanging: How far the lines after the first are set in where it is wrapped.
    """
    screen = console()
    if hanging and screen.is_terminal:
        text = textwrap.fill(text, screen.width, subsequent_indent=" " * hanging, break_on_hyphens=False)
    screen.print(text, markup=False, soft_wrap=not screen.is_terminal)


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


def emit_record(plain: Mapping[str, Any], form: Format) -> None:
    """Print what is one of its kind, for programs: a JSON object, or CSV of one row in which nested data are JSON."""
    if form is Format.json:
        emit_object(dict(plain))
        return
    nested = {name: json.dumps(value) if isinstance(value, list | dict) else value for name, value in plain.items()}
    emit({name: [value] for name, value in nested.items()}, form)


def _is_missing(value: object) -> bool:
    return value is None or value != value


def _plain(value: Any) -> Any:
    """A cell as JSON has it: missing values are null, times are ISO 8601."""
    if _is_missing(value):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def table(columns: Columns, screen: Console) -> RenderableType:
    """Rows for people, to be printed on a console.

    Where a terminal is too narrow, headings and texts are broken between words, then the gaps are halved, and then the
    table is cut into several below each other, each of which begins with the first column. Numbers are never broken.

    Args:
        columns: The rows by column; names are the headings.
        screen: The console.
    """
    from rich.console import Group

    gap = 2 if least_width(columns) <= screen.width else 1
    made: list[RenderableType] = []
    for part in _parts(columns, screen.width, gap=gap):
        made += [""] * bool(made) + [_one_table(part, screen, gap=gap)]
    return Group(*made)


def least_width(columns: Columns, *, gap: int = 2) -> int:
    """How many characters a table's rows take at least: texts may be broken between their words, numbers may not."""
    # Rich keeps a gap behind the last column too.
    return sum(width + gap for width in _least_widths(columns))


def _least_widths(columns: Columns) -> list[int]:
    return [_least(name.replace("_", " "), cells) for name, cells in columns.items()]


def _least(heading: str, cells: list[Any]) -> int:
    texts = [_cell(value) for value in cells]
    words = [word for text in [heading, *texts] for word in text.split()]
    return min(max(map(len, words), default=0), _LONGEST_WORD)


def _parts(columns: Columns, width: int, *, gap: int) -> list[Columns]:
    """The columns in tables that fit, each with the first column."""
    first, *others = columns
    widths = dict(zip(columns, _least_widths(columns), strict=True))
    parts: list[list[str]] = [[first]]
    taken = widths[first] + gap
    for name in others:
        if len(parts[-1]) > 1 and taken + widths[name] + gap > width:
            parts.append([first])
            taken = widths[first] + gap
        parts[-1].append(name)
        taken += widths[name] + gap
    return [{name: columns[name] for name in part} for part in parts]


def _fitted(columns: Columns, room: int) -> list[int]:
    """The columns' widths: as they are, or where there is no room narrowed to what their words need, and no further.

    Rich narrows the widest ones, numbers too, and breaks these.
    """
    whole = [max(len(name), *(len(_cell(value)) for value in cells), 0) for name, cells in columns.items()]
    least = _least_widths(columns)
    spare, wish = room - sum(least), sum(whole) - sum(least)
    if wish <= spare:
        return whole
    return [few + max(spare, 0) * (many - few) // wish for few, many in zip(least, whole, strict=True)]


def _one_table(columns: Columns, screen: Console, *, gap: int) -> Table:
    from rich.markup import escape
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    widths = _fitted(columns, screen.width - gap * len(columns))
    for (name, cells), width in zip(columns.items(), widths, strict=True):
        there = [value for value in cells if not _is_missing(value)]
        number = bool(there) and all(map(_is_number, there))
        # In a narrow terminal a heading wraps between its words.
        heading = name.replace("_", " ") if screen.is_terminal else name
        made.add_column(escape(heading), justify="right" if number else "left", overflow="fold", width=width)
    for row in zip(*columns.values(), strict=True):
        made.add_row(*(escape(_cell(value)) for value in row))
    return made


def _table(columns: Columns) -> None:
    screen = console()
    if screen.is_terminal:
        screen.print(table(columns, screen))
        return
    # Cells are padded to their column's width; blanks at the end of a line are nobody's data.
    with screen.capture() as capture:
        screen.print(_one_table(columns, screen, gap=2))
    for line in capture.get().splitlines():
        sys.stdout.write(line.rstrip() + "\n")


def _cell(value: object) -> str:
    if _is_missing(value):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return printable(str(value))
