"""A stage's scores against its parameters, one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from hpsearch.errors import BadInput, nearest
from hpsearch.reports.figures.axes import ParameterAxis
from hpsearch.reports.figures.style import FAINT, MUTED, colour, empty_figure, needs, nothing, panels, say, tell, words
from hpsearch.reports.figures.trials import (
    FAILED_MARKER,
    MOST_POINTS,
    STOPPED,
    STOPPED_MARKER,
    best_words,
    check,
    counted,
    failed,
    hover_lines,
    none_complete,
    ranked,
    stopped,
    thinned,
    thinned_note,
)
from hpsearch.space import describe as range_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

    from hpsearch.records import Direction
    from hpsearch.space import Parameter, Space

_NEXT = "rgba(0, 158, 115, 0.18)"


@dataclass(frozen=True)
class _Drawn:
    """The trials as every panel draws them: groups with their markers, and the score axis.

    Args:
        groups: Of each group its name, its trials and its marker, the best drawn last.
        low: The lower end of the score axis.
        high: The upper end.
        at_bottom: Where failed trials stand, below the lowest score.
        note: How many trials are left out, or None.
    """

    groups: tuple[tuple[str, pd.DataFrame, Mapping[str, Any]], ...]
    low: float
    high: float
    at_bottom: float
    note: str | None

    @property
    def line(self) -> float | None:
        """Where the line between scores and failed trials stands, if any failed."""
        return None if self.groups[-1][1].empty else self.at_bottom + (self.at_bottom - self.low) / 2

    def of(self, name: str, x: ParameterAxis, metric: str) -> Iterator[go.Scatter]:
        """Each group against one parameter."""
        for group, trials, marker in self.groups:
            if trials.empty:
                continue
            at_bottom = group == "failed"
            ending = {"failed": "failed", STOPPED: f"{STOPPED} at {words(metric)} %{{y:.4g}}"}
            yield go.Scatter(
                x=x.positions(trials[f"param:{name}"]),
                y=[self.at_bottom] * len(trials) if at_bottom else trials["score"].astype(float),
                name=group,
                mode="markers",
                marker=dict(marker),
                legendgroup=group,
                text=hover_lines(trials, [name]),
                hovertemplate=f"%{{text}}<br>{ending.get(group, f'{words(metric)} %{{y:.4g}}')}<extra></extra>",
            )


def _drawn(frame: pd.DataFrame, *, best: int, direction: Direction, most: int) -> _Drawn:
    order, pruned, lost = ranked(frame, direction), stopped(frame), failed(frame)
    everything = len(order) + len(pruned) + len(lost)
    share = min(1.0, most / max(everything, 1))
    rest = thinned(order.iloc[best:], max(1, round(share * len(order.iloc[best:]))))
    pruned_drawn, lost_drawn = (thinned(part, max(1, round(share * len(part)))) for part in (pruned, lost))
    top = order.iloc[:best]
    dense = {"size": 7, "opacity": 0.55} if len(rest) <= 300 else {"size": 5, "opacity": 0.4}
    groups = (
        (STOPPED, pruned_drawn, STOPPED_MARKER | {"opacity": 0.8 if len(pruned_drawn) <= 300 else 0.5}),
        ("trials", rest, {"color": colour(0), **dense}),
        (f"best {len(top)}", top, {"color": colour(1), "size": 10 if best <= 20 else 7}),
        ("failed", lost_drawn, FAILED_MARKER),
    )
    scores = [*order["score"].astype(float), *pruned["score"].astype(float)]
    lowest, highest = (min(scores), max(scores)) if scores else (0.0, 1.0)
    air = 0.06 * (highest - lowest) or 0.06 * abs(lowest) or 0.06
    at_bottom = lowest - 1.5 * air
    shown = sum(len(trials) for _, trials, _ in groups)
    note = thinned_note(shown, everything, kept=f"the best {len(top)}" if len(top) else "")
    return _Drawn(groups, (lowest if lost.empty else at_bottom) - air, highest + air, at_bottom, note)


def _ranges(
    x: ParameterAxis, parameter: Parameter, narrowed: Parameter | None, *, low: float, high: float
) -> Iterator[go.Scatter]:
    """The next range as a band, and this one as dotted lines at its ends."""
    for place, (left, right) in enumerate(x.spans(narrowed) if narrowed is not None else ()):
        yield go.Scatter(
            x=[left, left, right, right, left],
            y=[low, high, high, low, low],
            name="next range",
            mode="lines",
            line={"width": 0},
            fill="toself",
            fillcolor=_NEXT,
            hoverinfo="skip",
            legendgroup="next",
            showlegend=place == 0,
        )
    ends = [end for span in x.spans(parameter) for end in span]
    yield go.Scatter(
        x=[value for end in ends for value in (end, end, None)],
        y=[low, high, None] * len(ends),
        name="this range",
        mode="lines",
        line={"color": MUTED, "width": 1.5, "dash": "dot"},
        hoverinfo="skip",
        legendgroup="this",
    )


def score_by_parameter(
    frame: pd.DataFrame,
    name: str,
    parameter: Parameter,
    *,
    narrowed: Parameter | None = None,
    best: int = 5,
    metric: str = "score",
    direction: Direction = "maximize",
    title: str | None = None,
) -> go.Figure:
    """The score of every trial against one parameter, on the parameter's own scale.

    Trials that were stopped early stand at their last score, as open triangles. Failed trials stand as crosses below
    the scores, so that a stretch where trials diverge does not look empty.

    Args:
        frame: Rows of `hpsearch.store.Store.trials`: number, state, score, ``param:<name>``.
        name: Of the parameter.
        parameter: The stage's range of it, drawn by dotted lines at its ends.
        narrowed: The range of the next stage, drawn as a band.
        best: How many of the best trials are highlighted.
        metric: What the score is.
        direction: ``maximize`` or ``minimize``.
        title: Above the data.

    Raises:
        BadInput: A column is missing, or ``narrowed`` is of another kind than ``parameter``.
    """
    check(frame, name)
    x = ParameterAxis(name, [parameter, *([narrowed] if narrowed is not None else [])])
    drawn = _drawn(frame, best=best, direction=direction, most=MOST_POINTS)
    figure = empty_figure(title=title, key=drawn.note, legend=True)
    figure.add_traces([*_ranges(x, parameter, narrowed, low=drawn.low, high=drawn.high), *drawn.of(name, x, metric)])
    if drawn.line is not None:
        figure.add_hline(y=drawn.line, line={"color": FAINT, "width": 1})
    figure.update_xaxes(x.layout())
    figure.update_yaxes(title_text=words(metric), range=[drawn.low, drawn.high])
    needs(figure, 400)
    after = "" if narrowed is None else f"; the next range is {range_words(narrowed)}"
    tell(
        figure,
        f"{words(metric).capitalize()} against {name}, drawn from {range_words(parameter)}{after}. "
        f"{counted(frame)}; {best_words(frame, direction, metric)}.",
    )
    return _or_none(figure, frame, direction)


def score_by_parameters(
    frame: pd.DataFrame,
    space: Space,
    *,
    narrowed: Space | None = None,
    best: int = 5,
    metric: str = "score",
    direction: Direction = "maximize",
    title: str | None = None,
) -> go.Figure:
    """The score against every parameter, a panel each, on the parameter's own scale; see `score_by_parameter`.

    Args:
        frame: Rows of `hpsearch.store.Store.trials`: number, state, score, ``param:<name>`` of each parameter.
        space: The ranges, a panel each.
        narrowed: Those of the next stage, as far as known.
        best: How many of the best trials are highlighted.
        metric: What the score is.
        direction: ``maximize`` or ``minimize``.
        title: Above the panels.

    Raises:
        BadInput: A column is missing, or a range is of another kind in the next stage.
    """
    check(frame, *space)
    narrowed = narrowed or {}
    for name in narrowed:
        if name not in space:
            raise BadInput(f"the next stage has a range of {name!r}{nearest(name, space)}")
    if not space:
        return nothing("there is no parameter to draw", title=title)
    # The same trials stand in every panel: fewer of them in many.
    drawn = _drawn(frame, best=best, direction=direction, most=max(300, MOST_POINTS // max(len(space) // 2, 1)))
    columns = min(len(space), 3 if len(space) > 4 or len(space) == 3 else 2)
    figure = panels(
        [""] * len(space),
        columns=columns,
        panel_height=230 if len(space) <= 4 else 190,
        title=title,
        key=drawn.note,
        y_title=words(metric),
        shared=False,
        legend=True,
        gaps=(44.0, 66.0),
    )
    needs(figure, 76 + 190 * columns)
    known: set[str] = set()
    for place, (name, parameter) in enumerate(space.items()):
        row, column = place // columns + 1, place % columns + 1
        after = narrowed.get(name)
        x = ParameterAxis(name, [parameter, *([after] if after is not None else [])])
        traces = [*_ranges(x, parameter, after, low=drawn.low, high=drawn.high), *drawn.of(name, x, metric)]
        for trace in traces:
            trace.showlegend = trace.name not in known
            known.add(trace.name)
            figure.add_trace(trace, row=row, col=column)
        if drawn.line is not None:
            figure.add_hline(y=drawn.line, line={"color": FAINT, "width": 1}, row=row, col=column)
        figure.update_xaxes(x.layout(short=True), row=row, col=column)
    figure.update_yaxes(range=[drawn.low, drawn.high], matches="y")
    for place in range(len(space)):
        if place % columns:
            figure.update_yaxes(showticklabels=False, row=place // columns + 1, col=place % columns + 1)
    tell(
        figure,
        f"{words(metric).capitalize()} against each of {', '.join(space)}. {counted(frame)}; "
        f"{best_words(frame, direction, metric)}.",
    )
    return _or_none(figure, frame, direction)


def _or_none(figure: go.Figure, frame: pd.DataFrame, direction: Direction) -> go.Figure:
    """The figure; where no trial has a score it says so, and its score axis says nothing."""
    if ranked(frame, direction).empty:
        figure.update_yaxes(showticklabels=False, ticks="", showgrid=False)
        return say(figure, none_complete(frame))
    return figure
