"""The cells of a page's tables."""

from __future__ import annotations

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


def kind(value: object) -> str:
    """How a cell is set: ``number``, ``short`` text that stays on a line, or ``long`` text."""
    if is_number(value):
        return "number"
    return "short" if len(cell(value)) < _LONG else "long"
