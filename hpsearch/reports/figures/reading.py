"""What a figure says to who cannot see it, and how it looks on a dark page."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from hpsearch.reports.figures.style import FAINT, GRID, INK, LINE, MUTED, PALETTE, PAPER, SCALE


def _lifted(colour: str, share: float) -> str:
    """A colour part of the way to white: the scale's dark end would be lost on a dark page."""
    parts = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return "#" + "".join(f"{round(part + share * (255 - part)):02x}" for part in parts)


DARK: Mapping[str, str] = {
    PAPER: "#16191d",
    INK: "#e8e8e8",
    MUTED: "#adb3b9",
    GRID: "#30363d",
    LINE: "#7d858d",
    FAINT: "#4a525a",
    **dict(
        zip(
            PALETTE,
            ("#4ba9e6", "#ff8c42", "#2fc49a", "#e394c3", "#f0b83e", "#8bcdf5", "#b0b0b0", "#cf955a"),
            strict=True,
        )
    ),
    **{colour: _lifted(colour, 0.42 * (1 - place / (len(SCALE) - 1))) for place, colour in enumerate(SCALE)},
}
"""The colour on a dark page of each that would be lost on one; the others stay. A page's script may use it too."""

LEAST_WIDTH = 320
"""What any phone has, in px."""


def tell(figure: go.Figure, text: str) -> go.Figure:
    """Keep with a figure what it shows, in a sentence or two, for who cannot see it; returns the figure."""
    meta = figure.layout.meta if isinstance(figure.layout.meta, dict) else {}
    return figure.update_layout(meta={**meta, "description": text})


def describe(figure: go.Figure) -> str:
    """What a figure shows, in plain words: its alternative text.

    Args:
        figure: Any figure; one that was told nothing is described by its title, or by its y axis.
    """
    meta = figure.layout.meta
    if isinstance(meta, dict) and meta.get("description"):
        return str(meta["description"])
    # One with nothing on it says why in its only text.
    why = () if figure.data else tuple(note.text for note in figure.layout.annotations)
    parts = (figure.layout.title.text or figure.layout.yaxis.title.text, *why)
    return plain(": ".join(part for part in parts if part) or "figure")


def least_width(figure: go.Figure) -> int:
    """How many px a figure needs to be read; on a narrower screen it is better scrolled than squeezed."""
    meta = figure.layout.meta
    return int(meta.get("least_width", LEAST_WIDTH)) if isinstance(meta, dict) else LEAST_WIDTH


def needs(figure: go.Figure, width: int) -> go.Figure:
    """Keep with a figure how many px it needs; returns the figure."""
    meta = figure.layout.meta if isinstance(figure.layout.meta, dict) else {}
    return figure.update_layout(meta={**meta, "least_width": width})


def plain(text: str) -> str:
    """A text of a figure without its markup."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def dark(figure: go.Figure) -> go.Figure:
    """The same figure for a dark page: a copy, with the colours of `DARK` in it and in its template."""
    return go.Figure(
        [_recoloured(trace.to_plotly_json()) for trace in figure.data], _recoloured(figure.layout.to_plotly_json())
    )


def _recoloured(part: Any) -> Any:
    match part:
        case str():
            # A rim is a list of shadows, each with its colour.
            found = DARK.get(part)
            return found or (re.sub(rf"\b{PAPER}\b", DARK[PAPER], part) if "px " in part else part)
        case Mapping():
            return {name: _recoloured(value) for name, value in part.items()}
        case Sequence() if not isinstance(part, bytes):
            return [_recoloured(value) for value in part]
        case _:
            return part
