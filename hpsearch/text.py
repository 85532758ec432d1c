"""Text for a terminal: untrusted text made printable, counts and lists in words."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def printable(text: str) -> str:
    """Return a text with control characters escaped: ``\\x1b`` for an escape. Spaces of any width stay."""
    return text if text.isprintable() else "".join(map(_visible, text))


def counted(number: int, what: str) -> str:
    """Return a count with its noun: ``1 finished trial``, ``1,000 trials``, ``2 processes``, ``3 studies``."""
    if number == 1:
        return f"1 {what}"
    if what.endswith("y"):
        return f"{number:,} {what[:-1]}ies"
    return f"{number:,} {what}{'es' if what.endswith('s') else 's'}"


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


def either(values: Sequence[object]) -> str:
    """Return values in words: ``rmsprop``, ``adam or adamw``."""
    *first, last = map(str, values)
    return f"{', '.join(first)} or {last}" if first else last


def _visible(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode()
