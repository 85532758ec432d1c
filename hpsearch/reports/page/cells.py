"""The cells of a page's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LONG = 28
"""From so many characters on a text may be broken into lines."""


def is_number(value: object) -> bool:
    """Whether a cell is a number, which stands at the right."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def cell(value: object) -> str:
    """A cell for people: four digits of a number, a dash for what is missing."""
    if value is None or value != value:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def kinds(columns: Mapping[str, Sequence[object]]) -> list[str]:
    """How each column is set: ``number``, ``short`` text that stays on a line, or ``long`` text."""
    return [_kind(cells) for cells in columns.values()]


def all_numbers(cells: Sequence[object]) -> bool:
    """Whether a column is of numbers, as far as it has anything."""
    there = [value for value in cells if value is not None]
    return bool(there) and all(map(is_number, there))


def _kind(cells: Sequence[object]) -> str:
    if all_numbers(cells):
        return "number"
    return "short" if max((len(cell(value)) for value in cells), default=0) < _LONG else "long"
