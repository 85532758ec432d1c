"""The house style: the template, colours, panels, and the words and dark colours of every figure."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import plotly.io as pio
from plotly.colors import sequential
from plotly.subplots import make_subplots

TEMPLATE = "hpsearch"
"""The name under which the template is registered with Plotly."""
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#595959", "#8C510A")
"""Okabe and Ito's colours, told apart by the colour-blind; without their yellow, which is lost on white."""
INK = "#262626"
MUTED = "#6E6E6E"
GRID = "#E6E6E6"
LINE = "#8C8C8C"
"""Of axes and of failed trials."""
FAINT = "#BDBDBD"
"""Of separating lines."""
PAPER = "white"
FONT = "Inter, Helvetica, Arial, 'DejaVu Sans', sans-serif"
SCORES = "Cividis"
"""The colour scale of scores, even in lightness: it survives colour-blindness and grey print."""
SCALE: tuple[str, ...] = tuple(sequential.Cividis)
"""Its colours, the worst score's first."""
TRAIN, VALIDATION = "dash", "solid"
KEY = "solid: validation, dashed: train"
PANEL_FONT = 12
"""Of small panels' titles and ticks, in px."""
LEAST_WIDTH = 320
"""The width of any phone, in px."""

_AXIS = {
    "showgrid": True,
    "gridcolor": GRID,
    "gridwidth": 1,
    "zeroline": False,
    "showline": True,
    "linecolor": LINE,
    "ticks": "outside",
    "ticklen": 4,
    "tickcolor": LINE,
    "automargin": True,
    "title": {"standoff": 8, "font": {"size": 14}},
    "exponentformat": "power",
}

pio.templates[TEMPLATE] = go.layout.Template(
    layout={
        "font": {"family": FONT, "size": 14, "color": INK},
        "title": {"font": {"size": 17}, "x": 0, "xref": "paper", "xanchor": "left"},
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "colorway": PALETTE,
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "hovermode": "closest",
        "hoverlabel": {"font": {"family": FONT, "size": 13}},
        # Above the data, never over it.
        "legend": {
            "orientation": "h",
            "x": 1,
            "xanchor": "right",
            "y": 1.01,
            "yanchor": "bottom",
            "font": {"size": 13},
            "bgcolor": "rgba(0,0,0,0)",
        },
        "annotationdefaults": {"showarrow": False},
    }
)


def colour(place: int) -> str:
    """Return the colour of the series at a place, counted from 0."""
    return PALETTE[place % len(PALETTE)]


def words(name: str) -> str:
    """Return a column's name in words: ``validation loss``."""
    return name.replace("_", " ")


def empty_figure(*, title: str | None = None, key: str | None = None, legend: bool = False) -> go.Figure:
    """Return a figure with one pair of axes and nothing on it.

    Args:
        key: The meaning of the line styles, in a line above the data.
        legend: Leave room for a legend above the data.
    """
    figure = go.Figure()
    _decorate(figure, title=title, key=key, above=30 if legend else 0)
    return figure


def panels(
    titles: Sequence[str],
    *,
    columns: int,
    panel_height: int,
    title: str | None = None,
    key: str | None = None,
    x_title: str | None = None,
    y_title: str | None = None,
    shared: bool = True,
    legend: bool = False,
    gaps: tuple[float, float] = (14.0, 34.0),
) -> go.Figure:
    """Return a figure of small panels, filled row by row.

    Args:
        titles: One of each panel.
        columns: Panels side by side.
        panel_height: Of one panel, in px.
        key: The meaning of the line styles, in a line above the panels.
        x_title: Once, for all panels.
        y_title: Once, for all panels.
        shared: All panels have the same two axes, with ticks at the outer ones only.
        legend: Leave room for a legend above the panels, which have no titles then.
        gaps: Between panels, horizontally and vertically, in px of a figure 900 px wide.
    """
    columns = min(columns, len(titles))
    rows = math.ceil(len(titles) / columns)
    height = rows * (panel_height + gaps[1])
    figure = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=list(titles),
        shared_xaxes="all" if shared else False,
        shared_yaxes="all" if shared else False,
        horizontal_spacing=gaps[0] / 820 if columns > 1 else 0,
        vertical_spacing=gaps[1] / height if rows > 1 else 0,
        x_title=x_title,
        y_title=y_title,
    )
    figure.update_annotations(font={"size": 13, "color": INK})
    # The axis titles of all panels come last. An empty panel title is no annotation.
    for annotation in figure.layout.annotations[sum(map(bool, titles)) :]:
        annotation.font.size = 14
    figure.update_xaxes(tickfont_size=PANEL_FONT)
    figure.update_yaxes(tickfont_size=PANEL_FONT)
    if shared:
        # A last row that is not full leaves panels above it without ticks of their own.
        for place in range(len(titles) - columns, len(titles)):
            figure.update_xaxes(showticklabels=True, row=place // columns + 1, col=place % columns + 1)
    for place in range(len(titles), rows * columns):
        figure.update_xaxes(visible=False, row=place // columns + 1, col=place % columns + 1)
        figure.update_yaxes(visible=False, row=place // columns + 1, col=place % columns + 1)
    above = _decorate(figure, title=title, key=key, above=30 if legend else 20)
    below = 58 if x_title else 40
    figure.update_layout(height=above + height + below, margin={"l": 76 if y_title else 56, "b": below})
    return figure


def _decorate(figure: go.Figure, *, title: str | None, key: str | None, above: int) -> int:
    """Add template, title and key, in a top margin that has room for them; return that margin in px."""
    margin = 16 + above + (20 + 18 * key.count("<br>") if key else 0) + (26 if title else 0)
    figure.update_layout(template=TEMPLATE, margin={"l": 72, "r": 28, "t": margin, "b": 58})
    if title:
        figure.update_layout(title={"text": title, "y": 1, "yref": "container", "yanchor": "top", "pad": {"t": 14}})
    if key:
        figure.add_annotation(
            text=key,
            xref="paper",
            yref="paper",
            x=0,
            y=1,
            xanchor="left",
            yanchor="bottom",
            yshift=above,
            align="left",
            font={"size": 13, "color": MUTED},
        )
    return margin


def styled(figure: go.Figure) -> go.Figure:
    """Give a figure made elsewhere the house's template; return the figure."""
    return figure.update_layout(template=TEMPLATE)


def say(figure: go.Figure, text: str) -> go.Figure:
    """Write in the middle of a figure why it is empty; return the figure."""
    if not figure.data:
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
    return figure.add_annotation(
        text=text,
        xref="paper",
        yref="paper",
        x=0.5,
        y=0.5,
        xanchor="center",
        yanchor="middle",
        font={"size": 16, "color": MUTED},
        bgcolor=PAPER,
    )


def nothing(text: str, *, title: str | None = None) -> go.Figure:
    """Return a figure that only says why there is nothing to plot."""
    return say(empty_figure(title=title), text)


def log_axis(low: float, high: float) -> dict[str, Any]:
    """Return a log axis with readable ticks: powers of ten, or plain numbers where it is short.

    Args:
        low: Its lower end, above 0.
        high: Its upper end.

    Returns:
        Properties of a Plotly axis, without its range.
    """
    decades = math.log10(high / low)
    axis: dict[str, Any] = {"type": "log", "minor": {"ticks": "outside", "ticklen": 2, "tickcolor": LINE}}
    # Plotly puts ticks at powers of ten where they may be that few, and at 1, 2 and 5 where there may be some more;
    # left alone it would write every digit. It prints powers a quarter larger than asked.
    if decades > 2.4:
        return axis | {"nticks": min(math.ceil(decades), 10), "tickfont": {"size": 12}}
    return axis | {"nticks": max(3, int(decades / 0.31)), "tickformat": "~g" if low > 1e-4 else "~e"}


def tell(figure: go.Figure, text: str, *, least_width: int | None = None) -> go.Figure:
    """Store with a figure its alternative text, and the width that it needs; return the figure.

    Args:
        figure: The figure.
        text: What it shows, in a sentence or two.
        least_width: In px; on a narrower screen it is scrolled, not squeezed.
    """
    return figure.update_layout(meta={"description": text, **({"least_width": least_width} if least_width else {})})


def describe(figure: go.Figure) -> str:
    """Return a figure's alternative text; without one its title or the title of its y axis."""
    meta = figure.layout.meta
    if isinstance(meta, dict) and meta.get("description"):
        return str(meta["description"])
    # An empty figure has the reason as its only text.
    why = () if figure.data else tuple(note.text for note in figure.layout.annotations)
    parts = (figure.layout.title.text or figure.layout.yaxis.title.text, *why)
    text = ": ".join(part for part in parts if part) or "figure"
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def least_width(figure: go.Figure) -> int:
    """Return how many px a figure needs to be readable."""
    meta = figure.layout.meta
    return int(meta.get("least_width", LEAST_WIDTH)) if isinstance(meta, dict) else LEAST_WIDTH


def _lifted(colour: str, share: float) -> str:
    """Return a colour part of the way to white."""
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
    # The scale's dark end would be lost on a dark page; lifted, it still rises evenly in lightness.
    **{colour: _lifted(colour, 0.42 * (1 - place / (len(SCALE) - 1))) for place, colour in enumerate(SCALE)},
}
"""The colour on a dark page of each that would be lost on one; the others stay. The page's script uses it too."""


def dark(figure: go.Figure) -> go.Figure:
    """Return a copy of a figure for a dark page: the colours of `DARK` in it and in its template."""
    return go.Figure(
        [_recoloured(trace.to_plotly_json()) for trace in figure.data], _recoloured(figure.layout.to_plotly_json())
    )


def _recoloured(part: Any) -> Any:
    match part:
        case str():
            # A text's rim is a list of shadows, each with its colour.
            return DARK.get(part) or (re.sub(rf"\b{PAPER}\b", DARK[PAPER], part) if "px " in part else part)
        case Mapping():
            return {name: _recoloured(value) for name, value in part.items()}
        case Sequence() if not isinstance(part, bytes):
            return [_recoloured(value) for value in part]
        case _:
            return part
