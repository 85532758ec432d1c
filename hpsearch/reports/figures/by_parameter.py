"""Scores against the parameters, one by one, and the importance of each."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from hpsearch.reports.figures import style
from hpsearch.reports.figures.style import ParameterAxis, colour, cut, nothing, tell, words
from hpsearch.reports.figures.trials import (
    FAILED_MARKER,
    MOST_POINTS,
    PRUNED_MARKER,
    band,
    left_out,
    panel_columns,
    parameter_panels,
    points,
    without_scores,
)
from hpsearch.space import Categorical, delivered_as
from hpsearch.space import describe as range_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from hpsearch.reports.figures.trials import StageTrials
    from hpsearch.reports.importance import Importance
    from hpsearch.space import Parameter, Space


class _Panel:
    """The trials as every panel shows them."""

    def __init__(self, every: StageTrials, *, best: int, most: int) -> None:
        self._metric, self.axis = every.metric, every.score_axis()
        self.low, self.high = self.axis.low, self.axis.high
        trials, self.sampled = every.sample(most, keep=best)
        self.unstable = every.infeasible
        # Failed trials stand below this line.
        self.line = None if trials.failed.empty else self.axis.bottom + (self.axis.bottom - self.low) / 2
        top, rest = trials.complete.iloc[:best], trials.complete.iloc[best:]
        dense = {"size": 7, "opacity": 0.55} if len(rest) <= 300 else {"size": 5, "opacity": 0.4}
        value = f"{every.metric} {style.field('y:.4g')}"
        pruned_marker = PRUNED_MARKER | {"opacity": 0.8 if len(trials.pruned) <= 300 else 0.5}
        # The best are plotted over the others.
        self._groups: tuple[tuple[str, pd.DataFrame, dict[str, Any], str], ...] = (
            ("pruned", trials.pruned, pruned_marker, f"pruned at {value}"),
            ("trials", rest, {"color": colour(0), **dense}, value),
            (f"best {len(top)}", top, {"color": colour(1), "size": 10 if best <= 20 else 7}, value),
            ("failed", trials.failed, FAILED_MARKER, "failed"),
        )

    def traces(self, x: ParameterAxis, parameter: Parameter, narrowed: Parameter | None) -> Iterator[go.Scatter]:
        """Plot the next range as a band, this one as dotted lines at its ends, and each group of trials."""
        for place, (left, right) in enumerate(x.spans(narrowed) if narrowed is not None else ()):
            more = {"name": "next range", "legendgroup": "next", "showlegend": place == 0}
            yield band((left, right), (self.low, self.high), fillcolor=style.shade(2), **more)
        own = (x.name, delivered_as(x.name, parameter))
        if (of := self.unstable) is not None and of.threshold is not None and of.threshold.name in own:
            [(low, high)] = x.spans(Categorical((of.value,)) if isinstance(parameter, Categorical) else parameter)
            if of.threshold.where != "at":
                value = min(max(x.positions([of.value])[0], low), high)
                low, high = (value, high) if of.threshold.where == "above" else (low, value)
            failed, there = of.threshold.inside
            more = {"name": f"{failed} of {there} fail", "legendgroup": "unstable"}
            yield band((low, high), (self.low, self.high), fillcolor=style.shade(6), **more)
        ends = [end for span in x.spans(parameter) for end in span]
        yield go.Scatter(
            x=[value for end in ends for value in (end, end, None)],
            y=[self.low, self.high, None] * len(ends),
            name="this range",
            mode="lines",
            line={"color": style.MUTED, "width": 1.5, "dash": "dot"},
            hoverinfo="skip",
            legendgroup="this",
        )
        for group, trials, marker, ending in self._groups:
            positions, far = np.array(x.positions(trials[f"param:{x.name}"])), self.axis.beyond(trials)
            if not far.all():
                near, across = trials[~far], positions[~far]
                y = [self.axis.bottom] * len(near) if group == "failed" else near["score"].astype(float)
                yield points(near, across, y, group, marker, ending, names=[x.name], legendgroup=group)
            if far.any():
                more = {"names": [x.name], "legendgroup": self.axis.words}
                yield left_out(trials[far], positions[far], self.axis, self._metric, **more)


def score_by_parameters(
    trials: StageTrials,
    space: Space | None = None,
    *,
    narrowed: Space | None = None,
    best: int = 5,
    columns: int | None = None,
    title: str | None = None,
) -> go.Figure:
    """Plot the score of every trial against each parameter, on the parameter's scale, a panel each.

    Pruned trials stand at their last score, as open triangles. Failed trials stand as crosses below the scores, so
    that a stretch where trials diverge does not look empty.

    Args:
        space: Those of the stage's ranges that are plotted, with dotted lines at their ends. None: those that vary.
        narrowed: Those of the next stage, as far as known, as bands.
        columns: Panels side by side; None: as many as read well.
    """
    space, narrowed = space or trials.varied, narrowed or {}
    if not space:
        return tell(nothing("there is no parameter to plot", title=title), "There is no parameter to plot.")
    # The same trials stand in every panel: fewer of them in many.
    panel = _Panel(trials, best=best, most=max(300, MOST_POINTS // max(len(space) // 2, 1)))
    alone, columns = len(space) == 1, columns or panel_columns(space)
    after = {name: [narrowed[name]] if name in narrowed else [] for name in space}
    figure = parameter_panels(
        [ParameterAxis(name, [parameter, *after[name]]) for name, parameter in space.items()],
        lambda x: panel.traces(x, space[x.name], narrowed.get(x.name)),
        columns=columns,
        ends=(panel.low, panel.high),
        metric=trials.metric,
        title=title,
        key=panel.sampled,
    )
    if panel.line is not None:
        figure.add_hline(y=panel.line, line={"color": style.FAINT, "width": 1})
    text = f"{trials.metric.capitalize()} against {'' if alone else 'each of '}{', '.join(space)}"
    for name, parameter in space.items() if alone else ():
        text += f", sampled from {range_words(parameter)}"
        text += f"; the next range is {range_words(narrowed[name])}" if name in narrowed else ""
    if panel.unstable is not None and panel.unstable.threshold is not None and panel.unstable.threshold.name in space:
        text += f"; of the trials {panel.unstable.place_words} failed"
    if trials.complete.empty:
        without_scores(figure, trials)
    return tell(figure, f"{text}. {trials.summary_with_best}.", least_width=400 if alone else 76 + 190 * columns)


def importances(importance: Importance, *, title: str | None = None) -> go.Figure:
    """Plot each hyperparameter's share of the importance as a bar, with a mark at what chance alone would give."""
    if not importance.shares:
        text = "; ".join(importance.notes) or "there is nothing to compare"
        return tell(nothing(text, title=title), f"Importance of the hyperparameters: {text}.")
    shares, names = importance.shares, list(importance.shares)[::-1]
    marks = {name: min(importance.chance[name], 1.0) for name in names}
    left = "; ".join(f"{words(name)}: {reason}" for name, reason in importance.left_out.items())
    notes = [*importance.notes, *([f"not judged: {left}"] if left else [])]
    lines = wrap("; ".join(notes), 100)
    figure = style.empty_figure(title=title, key=style.BREAK.join(lines) or None, legend=True)
    figure.add_bar(
        x=[shares[name] for name in names],
        y=[words(name) for name in names],
        name="share of the importance",
        orientation="h",
        width=0.6,
        marker={"color": colour(0)},
        hovertemplate=f"{style.field('y')}: {style.field('x:.1%')}{style.NO_NAME}",
    )
    figure.add_scatter(
        x=list(marks.values()),
        y=[words(name) for name in names],
        name="chance, in 1 of 20 searches",
        mode="markers",
        marker={"symbol": "line-ns", "size": 22, "line": {"width": 2.5, "color": colour(1)}},
        hovertemplate=f"{style.field('y')}: by chance any reaches its mark in 1 of 20 searches{style.NO_NAME}",
    )
    figure.add_scatter(
        # At the end of the bar, or behind its mark where they would meet.
        x=[marks[name] if shares[name] <= marks[name] <= shares[name] + 0.1 else shares[name] for name in names],
        y=[words(name) for name in names],
        name="share",
        mode="text",
        text=[f"\N{NO-BREAK SPACE}\N{NO-BREAK SPACE}{shares[name]:.0%}" for name in names],
        textposition="middle right",
        cliponaxis=False,
        hoverinfo="skip",
        showlegend=False,
    )
    among = f"the best {importance.best} of {importance.trials:,} trials"
    figure.update_xaxes(
        title_text=f"share in what decides whether a trial is among {among}",
        tickformat=".0%",
        range=[0, 1.12],  # with room for the text of a whole bar
        tickvals=[0, 0.25, 0.5, 0.75, 1],
    )
    lines = [words(name) for name in names]
    figure.update_yaxes(showgrid=False, ticks="", categoryorder="array", categoryarray=lines)
    figure.update_yaxes(tickvals=lines, ticktext=[cut(line, 24) for line in lines])
    figure.update_layout(height=figure.layout.margin.t + figure.layout.margin.b + max(120, 44 * len(names)))
    first = ", ".join(f"{words(name)} {share:.0%}" for name, share in shares.items())
    rest = "".join(f" {note[:1].upper()}{note[1:]}." for note in notes)
    text = f"Importance of the hyperparameters: {first}.{rest}"
    return tell(figure, text, least_width=600)
