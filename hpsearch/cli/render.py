"""Rendering of what commands print: tables, CSV and JSON, notes, and errors in one line."""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from hpsearch.cli.options import Format
from hpsearch.errors import BadInput, HpsearchError
from hpsearch.records import Sentence
from hpsearch.representations import by_row, one_row, write_csv
from hpsearch.serialization import to_plain
from hpsearch.text import CELL, duration, is_numeric, printable, printable_line
from hpsearch.text import cell as plain_cell
from hpsearch.wording import word, worded

if TYPE_CHECKING:
    from types import ModuleType

    from hpsearch.store.queries import Columns

_LONGEST_WORD = 30  # longer ones, such as paths, are broken where a table has no room
# What `json.dumps` leaves raw: controls, marks that turn the direction of writing, halves of characters.
_RAW = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def explained(error: Exception) -> tuple[str, int]:
    """Return one line for an error that ends a command, and the exit code."""
    match error:
        case click.NoSuchOption() if error.possibilities:
            name = error.option_name.lstrip("-")  # dashes make any two alike
            near = get_close_matches(name, [other.lstrip("-") for other in error.possibilities])
            nearer = click.NoSuchOption(error.option_name, possibilities=[f"--{other}" for other in near])
            return explained(click.UsageError(nearer.format_message(), error.ctx))
        case click.UsageError():
            see = "" if error.ctx is None else f" - see `{error.ctx.command_path} --help`"
            return error.format_message().rstrip(".") + see, 2
        case HpsearchError():
            return error.worded(word), error.exit_code
        case click.Abort():  # Click's word for Ctrl-C
            return str(error.__cause__ or "") or "stopped", 130
        case MemoryError():
            return "out of memory; use fewer --jobs or --lanes", 1
        case OSError():
            return f"the system refused: {error}", 1
    return f"internal error, please report it: {type(error).__name__}: {error} (--debug shows where)", 1


def ask(question: str, wanted: str, *, yes: bool) -> None:
    """Continue only where the user types the expected answer, or has said ``yes`` before; otherwise raise BadInput."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadInput("not a terminal: pass --yes")
    # Standard output is for the command's results.
    print(printable_line(question), end=" ", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != wanted:
        raise BadInput(f"nothing was changed: the answer was not {wanted}")


def screen_width() -> int:
    """Return the columns of the terminal; where there is none, nothing is cut off."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000


def terminal() -> ModuleType:
    """Return `hpsearch.cli.terminal`."""
    from hpsearch.cli import terminal  # loads Rich, 0.1 s, which pipes and JSON do without

    return terminal


def speed(rate: float | None, left: float | None) -> list[str]:
    """Return in words how many trials finish in a second, and the seconds that are left; nothing of what is None."""
    words = [f"{rate:.1f} trials/s" if rate >= 1 else f"{1 / rate:.1f} s a trial"] if rate else []
    return words + ([] if left is None else [f"{duration(round(left))} left"])


def say(text: str = "", *, hanging: int = 0, stderr: bool = False) -> None:
    """Print a line; on a terminal it is wrapped, later lines ``hanging`` characters to the right."""
    text = printable_line(text)
    stream = sys.stderr if stderr else sys.stdout
    if not stream.isatty():
        stream.write(f"{text}\n")
        return
    screen = terminal().console(stderr=stderr)
    if hanging:
        text = textwrap.fill(text, screen.width, subsequent_indent=" " * hanging, break_on_hyphens=False)
    screen.print(text, markup=False)


def note(text: str | Sentence) -> None:
    """Print to standard error what is worth knowing and is not the result."""
    say(f"note: {worded(text)}", stderr=True)


def emit(columns: Columns, form: Format, *, title: str | None = None) -> None:
    """Print rows, given by column, with every digit as CSV or JSON; a title stands above a table only."""
    if form == "csv":
        write_csv(columns, sys.stdout, most=CELL if sys.stdout.isatty() else None)
    elif form == "json":
        emit_object(by_row(columns))
    else:
        if title:
            say(title)
        _print_table(columns)


def emit_object(record: Any) -> None:
    """Print a record as JSON."""
    sys.stdout.write(to_json(to_plain(record, word=word), indent=2) + "\n")


def to_json(plain: Any, *, indent: int | None = None) -> str:
    """Return plain data as JSON in which nothing steers a terminal."""
    text = json.dumps(plain, indent=indent, ensure_ascii=not str(sys.stdout.encoding).lower().startswith("utf"))
    return _RAW.sub(lambda raw: f"\\u{ord(raw[0]):04x}", text)


def emit_record(record: Any, form: Format) -> None:
    """Print one record for programs: a JSON object, or CSV of one row in which nested data are JSON."""
    if form == "json":
        emit_object(record)
        return
    emit(one_row(record), form)


def cell(value: object) -> str:
    """Return a cell of a table for a terminal."""
    return printable(plain_cell(value), CELL)


def width(text: str) -> int:
    """Return the columns that a text takes on a terminal: of Chinese and Korean ones two a character."""
    if text.isascii():
        return len(text)
    columns: int = terminal().cell_len(text)
    return columns


def pad(text: str, columns: int, *, right: bool) -> str:
    """Return a text filled up with blanks, those on the left where it is to stand on the ``right``."""
    blanks = " " * (columns - width(text))
    return blanks + text if right else text + blanks


class Column(NamedTuple):
    """A column of a table as texts."""

    name: str
    cells: list[str]
    numeric: bool

    @property
    def whole(self) -> int:
        """The characters that it takes with every cell in one line."""
        return max(width(self.name), *map(width, self.cells), 0)

    @property
    def least(self) -> int:
        """Those of its longest word."""
        words = (word for text in (self.name.replace("_", " "), *self.cells) for word in text.split())
        return min(max(map(width, words), default=0), _LONGEST_WORD)


def as_texts(columns: Columns) -> list[Column]:
    """Return the columns of a table as a terminal shows them."""
    return [Column(printable(name, CELL), list(map(cell, cells)), is_numeric(cells)) for name, cells in columns.items()]


def _print_table(columns: Columns) -> None:
    if sys.stdout.isatty():
        terminal().print_table(columns)
        return
    aligned = []
    for column in as_texts(columns):
        whole = column.whole
        aligned.append([pad(text, whole, right=column.numeric) for text in (column.name, *column.cells)])
    sys.stdout.writelines("  ".join(row).rstrip() + "\n" for row in zip(*aligned, strict=True))


def least_width(columns: Columns, *, gap: int = 2) -> int:
    """Return the characters that a table takes at least: texts may be broken between their words, numbers may not."""
    return sum(column.least + gap for column in as_texts(columns)) - gap
