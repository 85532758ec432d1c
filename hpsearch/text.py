"""Text for a terminal: untrusted text made printable, counts and lists in words."""

from __future__ import annotations

import contextlib
import html
import math
import re
import unicodedata
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


_WORD, _LINE = 300, 3000  # most characters of a word (a name, a path) and of a line on a terminal
CELL = 200  # of a table's cell
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}  # seconds
_PART = r"(\d+(?:\.\d*)?|\.\d+)\s*(s|min|m|h|d)"


def printable(text: str, most: int | None = None) -> str:
    """Return a text with control characters escaped: ``\\x1b`` for an escape. Spaces of any width stay.

    Of more than ``most`` characters the middle is left out.
    """
    if most is not None and len(text) > most:
        left_out = f" ... ({len(text):,} characters) ... "
        text = text[: most // 2] + left_out + text[len(left_out) - most // 2 :]
    return text if text.isprintable() else "".join(map(_visible, text))


def no_markup(text: str, most: int = CELL) -> str:
    """Return a text of at most so many characters for a figure: Plotly takes tags, entities and ``%{`` for markup."""
    short = text if len(text) <= most else f"{text[: most - 1]}\N{HORIZONTAL ELLIPSIS}"
    return html.escape(printable(short), quote=False).replace("%{", "%&#123;")


def printable_line(text: str) -> str:
    """Return a line for a terminal, whatever names, values and notes stand in it."""
    return printable(" ".join(printable(word, _WORD) for word in text[: 10 * _LINE].split(" ")), _LINE)


def rounded(value: float, places: int) -> str:
    """Return a number as people round it: 0.815 to two places is 0.82, although its double lies below."""
    if not abs(value) < 1e15:
        return f"{value:.{places}f}"  # also infinity and NaN, which `Decimal` does not round
    return str(Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))


def decimals(value: float, least: int = 3) -> int:
    """Return how many decimals show a value: at least so many of one below 1, none of one from 100 on."""
    if value >= 1:
        return 2 if value < 100 else 0
    return max(least, -math.floor(math.log10(value))) if value > 0 else least


def duration(seconds: float) -> str:
    """Return a span of time, two or three digits of it: ``0.034 s``, ``12 s``, ``130 s``, ``12 min``, ``3.5 h``."""
    if seconds < 180:
        return f"{seconds:.2g} s" if seconds < 9.95 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def span(value: object) -> float:
    """Return a span of time in seconds: of ``90``, ``"90s"``, ``"10m"``, ``"1.5h"``, ``"1h30m"`` or ``"2d"``.

    Raises:
        ValueError: It is none of these, or not above 0.
    """
    seconds = math.nan
    if isinstance(value, str) and re.fullmatch(rf"\s*(?:{_PART}\s*)+", value):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in re.findall(_PART, value))
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            seconds = float(value)
    if not 0 < seconds < math.inf:
        raise ValueError("not a span of time above 0; write 90, 90s, 10m, 1.5h or 1h30m")
    return seconds


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return the first names and the number of the others: ``a, b and 3 more``."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def counted(number: int, what: str) -> str:
    """Return a count with its noun: ``1 finished trial``, ``1,000 trials``, ``2 processes``, ``3 studies``."""
    if number == 1:
        return f"1 {what}"
    if what.endswith("y"):
        return f"{number:,} {what[:-1]}ies"
    return f"{number:,} {what}{'es' if what.endswith(('s', 'search')) else 's'}"


def is_missing(value: object) -> bool:
    """Return whether a cell of a table has no value."""
    return value is None or value != value


def is_numeric(cells: Sequence[object]) -> bool:
    """Return whether all values of a column are numbers; missing ones are ignored."""
    known = [value for value in cells if not is_missing(value)]
    return bool(known) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)


def cell(value: object) -> str:
    """Return a cell for people: four digits of a number, a dash for a missing value."""
    if is_missing(value):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def reason(error: BaseException) -> str:
    """Return an error of the user's code in one line: ``KeyError: 'lr'``."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:500] if text else type(error).__name__


def either(values: Iterable[object]) -> str:
    """Return values in words: ``rmsprop``, ``adam or adamw``."""
    *first, last = map(str, values)
    return f"{', '.join(first)} or {last}" if first else last


def _visible(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode()
