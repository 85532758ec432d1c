"""The house style: the template, colours, panels, axes of hyperparameters, texts, dark figures.

Plotly takes tags, entities and ``%{`` in any text for markup, and names come from anywhere. So a figure's own markup is
written with the marks below, and `tell`, which every figure passes last, makes these tags and everything else text.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
from plotly.subplots import make_subplots

from hpsearch.errors import BadInput
from hpsearch.space import Categorical, Float, Int, Parameter, from_scale, to_scale, without_none
from hpsearch.text import no_markup

TEMPLATE = "hpsearch"  # the name under which the template is registered with Plotly
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#595959", "#8C510A")
"""Okabe and Ito's colours, told apart by the colour-blind; without their yellow, which is lost on white."""
INK = "#262626"
MUTED = "#6E6E6E"
GRID = "#E6E6E6"
LINE = "#8C8C8C"  # of axes and of failed trials
FAINT = "#BDBDBD"  # of separating lines
PAPER = "white"
FONT = "Inter, Helvetica, Arial, 'DejaVu Sans', sans-serif"
SCALE = ("#c3b369", "#a59c74", "#8a8678", "#707173", "#575d6d", "#3b496c", "#123570", "#00224e")
"""The colours of scores, the worst first: Cividis without its pale end, which survives colour-blindness and grey print.
The better a score, the more it stands out from the page, in the light as in the dark."""
SCALE_WORDS = "blue: better, ochre: worse"
PANEL_FONT = 12  # of small panels' titles and ticks, in px
LEAST_WIDTH = 320  # the width of any phone, in px
LEGEND = 46  # the top margin of a figure with a line of legend, at least
KEY = "key"  # the name of the annotation that says what the lines mean, and what is left out
# The marks: characters that no font has. With the last one a hover text is without the trace's name beside it.
BREAK, _BOLD, _BOLD_END, _POWER, _POWER_END, _FIELD, NO_NAME = map(chr, range(0xF8F0, 0xF8F7))
_TAGS = ("<br>", "<b>", "</b>", "<sup>", "</sup>", "%{", "<extra></extra>")
_MARKUP = dict(zip((BREAK, _BOLD, _BOLD_END, _POWER, _POWER_END, _FIELD, NO_NAME), _TAGS, strict=True))
_MARKS = re.compile(f"([{''.join(_MARKUP)}])")

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


def shade(place: int) -> str:
    """Return the colour of a band, behind the data: that of a series, see-through."""
    return _see_through(colour(place), 0.18)


def _see_through(ink: str, opacity: float) -> str:
    red, green, blue = bytes.fromhex(ink.removeprefix("#"))
    return f"rgba({red}, {green}, {blue}, {opacity})"


def words(name: str) -> str:
    """Return a column's name in words: ``validation loss``."""
    return name.replace("_", " ")


def value_words(value: object) -> str:
    """Return a hyperparameter's value in a few characters."""
    if value is None or value != value:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def field(name: str) -> str:
    """Return a field of a hover template, such as ``y:.4g``."""
    return f"{_FIELD}{name}}}"


def bold(text: str) -> str:
    """Return a text in bold."""
    return f"{_BOLD}{text}{_BOLD_END}"


def markup(text: str) -> str:
    """Return a text as Plotly has it: marks become tags, anything else shows as itself."""
    return "".join(_MARKUP.get(part) or no_markup(part) for part in _MARKS.split(text))


def unmarked(text: str) -> str:
    """Return the plain text of one that Plotly has."""
    return html.unescape(re.sub(r"<[^>]*>", " ", text))


def empty_figure(*, title: str | None = None, key: str | None = None, legend: bool = False) -> go.Figure:
    """Return a figure with one pair of axes and nothing on it.

    Args:
        key: The meaning of the line styles, in a line above the data.
    """
    figure = go.Figure()
    _decorate(figure, title=title, key=key, above=LEGEND - 16 if legend else 0)
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
        key: The meaning of the line styles, in a line above the panels.
        shared: All panels have the same two axes, with ticks at the outer ones only.
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
            figure.update_xaxes(showticklabels=True, **at(place, columns))
    for place in range(len(titles), rows * columns):
        figure.update_xaxes(visible=False, **at(place, columns))
        figure.update_yaxes(visible=False, **at(place, columns))
    above = _decorate(figure, title=title, key=key, above=LEGEND - 16 if legend else 20)
    below = 58 if x_title else 40
    figure.update_layout(height=above + height + below, margin={"l": 76 if y_title else 56, "b": below})
    return figure


def at(place: int, columns: int) -> dict[str, int]:
    """Return the row and the column of a panel, filled row by row, as Plotly takes them."""
    return {"row": place // columns + 1, "col": place % columns + 1}


def _decorate(figure: go.Figure, *, title: str | None, key: str | None, above: int) -> int:
    """Add template, title and key, in a top margin that has room for them; return that margin in px."""
    margin = 16 + above + (key_height(key.count(BREAK)) if key else 0) + (26 if title else 0)
    figure.update_layout(template=TEMPLATE, margin={"l": 72, "r": 28, "t": margin, "b": 58})
    if title:
        figure.update_layout(title={"text": title, "y": 1, "yref": "container", "yanchor": "top", "pad": {"t": 14}})
    if key:
        figure.add_annotation(
            name=KEY,
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


def key_height(breaks: int) -> int:
    """Return the room for a key with so many line breaks, in px."""
    return 20 + 18 * breaks


def styled(figure: go.Figure) -> go.Figure:
    """Set the template of a figure made elsewhere; return the figure."""
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
    """Return a log axis for Plotly with readable ticks: powers of ten, or plain numbers where it is short."""
    decades = math.log10(high / low)
    axis: dict[str, Any] = {"type": "log", "minor": {"ticks": "outside", "ticklen": 2, "tickcolor": LINE}}
    # Plotly puts ticks at powers of ten where they may be that few, and at 1, 2 and 5 where there may be some more;
    # left alone it would write every digit. It prints powers a quarter larger than asked.
    if decades > 2.4:
        return axis | {"nticks": min(math.ceil(decades), 10), "tickfont": {"size": 12}}
    return axis | {"nticks": max(3, int(decades / 0.31)), "tickformat": "~g" if low > 1e-4 else "~e"}


def tell(figure: go.Figure, text: str, *, least_width: int | None = None) -> go.Figure:
    """Return a figure with its texts as `markup` makes them, its alternative text, and the width that it needs.

    Args:
        least_width: In px; on a narrower screen it is scrolled, not squeezed.
    """
    meta = {"description": text, **({"least_width": least_width} if least_width else {})}
    return _changed(figure, markup).update_layout(template=figure.layout.template, meta=meta)


def describe(figure: go.Figure) -> str:
    """Return a figure's alternative text; without one its title or the title of its y axis."""
    meta = figure.layout.meta
    if isinstance(meta, dict) and meta.get("description"):
        return str(meta["description"])
    # An empty figure has the reason as its only text.
    why = () if figure.data else tuple(note.text for note in figure.layout.annotations)
    parts = (figure.layout.title.text or figure.layout.yaxis.title.text, *why)
    text = ": ".join(part for part in parts if part) or "figure"
    return " ".join(unmarked(text).split())


def least_width(figure: go.Figure) -> int:
    """Return how many px a figure needs to be readable."""
    meta = figure.layout.meta
    return int(meta.get("least_width", LEAST_WIDTH)) if isinstance(meta, dict) else LEAST_WIDTH


_DARK: dict[str, str] = {
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
    **dict(
        zip(
            SCALE, ("#7a6e3c", "#807c58", "#878b74", "#8d9990", "#93a7ab", "#99b5c7", "#a0c4e3", "#a6d2ff"), strict=True
        )
    ),
}
DARK = _DARK | {shade(place): _see_through(_DARK[ink], 0.34) for place, ink in enumerate(PALETTE)}
"""The colour on a dark page of each that would be lost on one; the others stay. The page's script uses it too."""


def dark(figure: go.Figure) -> go.Figure:
    """Return a copy of a figure for a dark page: the colours of `DARK` in it and in its template."""
    return _changed(figure, _recoloured, template=True)


def _recoloured(text: str) -> str:
    return DARK.get(text, text)


def _changed(figure: go.Figure, change: Callable[[str], str], *, template: bool = False) -> go.Figure:
    """Return a copy of a figure with each of its texts changed; its template has colours alone."""

    def changed(part: Any) -> Any:
        match part:
            case str():
                return change(part)
            case Mapping():
                return {name: changed(value) for name, value in part.items()}
            case np.ndarray() if part.dtype.kind not in "OU":
                return part
            case np.ndarray() | list() | tuple():
                return [changed(value) for value in part]
            case _:
                return part

    layout = figure.layout.to_plotly_json()
    kept = {} if template else {name: layout.pop(name, None) for name in ("template", "meta")}
    return go.Figure([changed(trace.to_plotly_json()) for trace in figure.data], {**changed(layout), **kept})


_HALF = 0.42  # half the width of a choice's stretch of the axis; choices stand 1 apart


def _named(parameter: Categorical) -> Categorical:
    """Return choices without None, as frames of trials have them."""
    named = without_none({"": parameter})[""]
    assert isinstance(named, Categorical)
    return named


class ParameterAxis:
    """An axis for the values of one hyperparameter, wide enough for all its ranges.

    Choices stand at 0, 1, ..., in the order of the lists; their trials are spread about them so that they do not hide
    each other.

    Args:
        parameters: Its ranges, stage by stage; at least one. The first says whether the axis is logarithmic.
    """

    def __init__(self, name: str, parameters: Sequence[Parameter]) -> None:
        self.name = name
        lists = [_named(parameter) for parameter in parameters if isinstance(parameter, Categorical)]
        ranges = [parameter for parameter in parameters if not isinstance(parameter, Categorical)]
        if lists and ranges:
            raise BadInput(f"{name} is a list of choices in one stage and a range in another; plot them separately")
        self._choices = list(dict.fromkeys(choice for parameter in lists for choice in parameter.choices))
        self._scale: Float | Int | None = ranges[0] if ranges else None
        self.log = self._scale is not None and self._scale.log
        self._low = min((parameter.low for parameter in ranges), default=0.0)
        self._high = max((parameter.high for parameter in ranges), default=0.0)
        if self.log and self._low <= 0:
            raise BadInput(f"{name} is on a log scale in one stage and reaches {self._low!r} in another")

    def positions(self, values: Iterable[Any], *, step: float = 0.618034) -> list[float]:
        """Return the positions of values; NaN for one that is missing or no choice.

        Args:
            step: How far along its choice's stretch each trial stands from the one before, wrapping around; 0: all at
                the choice.
        """
        if self._scale is not None:
            return [math.nan if value is None else float(value) for value in values]
        # Multiples of the golden section, or the like, spread evenly, whatever their number.
        return [
            self._choices.index(value) + (0.6 * ((place * step) % 1 - 0.5) if step else 0.0)
            if value in self._choices
            else math.nan
            for place, value in enumerate(values)
        ]

    def spans(self, parameter: Parameter) -> list[tuple[float, float]]:
        """Return the stretches of the axis that a range covers: one, or one for each run of neighbouring choices."""
        if not isinstance(parameter, Categorical):
            return [(float(parameter.low), float(parameter.high))]
        spans: list[tuple[float, float]] = []
        for place in sorted(self._choices.index(choice) for choice in _named(parameter).choices):
            if spans and place - spans[-1][1] < 1:
                spans[-1] = (spans[-1][0], place + _HALF)
            else:
                spans.append((place - _HALF, place + _HALF))
        return spans

    def fraction(self, position: float) -> float:
        """Return how far along the axis a position stands, from 0 to 1."""
        low, high = self.range
        on_scale = position if self._scale is None else to_scale(self._scale, position)
        return (on_scale - low) / (high - low)

    def at(self, fraction: float) -> float:
        """Return the position at a fraction of the axis."""
        low, high = self.range
        on_scale = low + fraction * (high - low)
        return on_scale if self._scale is None else from_scale(self._scale, on_scale)

    @property
    def range(self) -> tuple[float, float]:
        """The ends of the axis, with some air; ``log10`` of the values on a log axis."""
        if self._scale is None:
            return -0.6, len(self._choices) - 0.4
        low, high = to_scale(self._scale, self._low), to_scale(self._scale, self._high)
        air = 0.03 * (high - low)
        return low - air, high + air

    def layout(self, *, room: int | None = None) -> dict[str, Any]:
        """Return the axis as Plotly's properties.

        Args:
            room: In characters, of a small panel: few ticks, and long choices are cut.
        """
        title = f"{cut(words(self.name), room or 80)}{', log scale' if self.log else ''}"
        axis: dict[str, Any] = {"title": {"text": title}, "range": list(self.range)}
        if self._scale is None:
            longest = max(4, (room or 80) // len(self._choices))
            texts = [cut(choice, longest) for choice in self._choices]
            return axis | {"tickvals": list(range(len(texts))), "ticktext": texts, "showgrid": False}
        if self.log:
            log = log_axis(self.at(0), self.at(1))
            if room and "tickfont" in log:  # powers, which Plotly prints a quarter larger
                log["tickfont"] = {"size": 0.8 * PANEL_FONT}
            return axis | log | ({"nticks": min(log["nticks"], 5)} if room else {})
        whole = isinstance(self._scale, Int) and self._high - self._low <= 8
        return axis | ({"tick0": self._low, "dtick": 1} if whole else {"nticks": 5} if room else {})

    def ticks(self, most: int = 6) -> list[tuple[float, str]]:
        """Return at most so many round values on the axis, or all its choices, as fractions of it with their texts."""
        if self._scale is None:
            return [(self.fraction(place), cut(choice, 12)) for place, choice in enumerate(self._choices)]
        powers = _decades(self._low, self._high, most) if self.log else []
        if len(powers) > 1:
            return [(self.fraction(10.0**power), f"10{_POWER}{power}{_POWER_END}") for power in powers]
        values = _round_values(self._low, self._high, most, whole=isinstance(self._scale, Int))
        return [(self.fraction(value), f"{value:.4g}") for value in values]


def cut(choice: object, longest: int) -> str:
    """Return a choice in words, cut to a length."""
    text = str(choice)
    return value_words(choice if len(text) <= longest else f"{text[: longest - 1]}\N{HORIZONTAL ELLIPSIS}")


def _decades(low: float, high: float, most: int) -> list[int]:
    """Return the exponents of the powers of ten from low to high, every so many of them."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    return list(range(first, last + 1, max(1, math.ceil((last - first + 1) / most))))


def _round_values(low: float, high: float, most: int, *, whole: bool) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten from low to high."""
    if high <= low:
        return [low]
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step *= next(factor for factor in (1, 2, 5, 10, 20) if (high - low) / (step * factor) <= most)
    step = max(step, 1.0) if whole else step
    return [step * place for place in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
