"""The best of n trials: what a stage's trials say of smaller budgets, and what larger ones would bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpsearch.reports.figures.style import BREAK, NO_NAME, colour, empty_figure, field, log_axis, nothing, shade, tell
from hpsearch.search.budget import forecast_words, stage_tail
from hpsearch.statistics.budget import best_spread, expected_best
from hpsearch.text import counted

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from numpy.typing import ArrayLike

    from hpsearch.reports.figures.trials import StageTrials

_FURTHER = 3  # the forecast goes up to so many times the trials
_POINTS = 40  # of a line


def best_of_n(trials: StageTrials, *, title: str | None = None) -> go.Figure:
    """Plot the expected best of n trials of a stage, and the forecast of the best if it had more of them.

    Failed and pruned trials count among the n.
    """
    scores, number = trials.complete["score"].to_numpy(float), trials.count("COMPLETE", "PRUNED", "FAIL")
    if not len(scores):
        return tell(nothing(trials.none_complete, title=title), f"The best of n trials: {trials.none_complete}.")
    if trials.stage.refinement is not None:
        why = "trials of a refinement are not sampled independently"
        return tell(nothing(why, title=title), f"The best of n trials: {why}.")
    sign = 1.0 if trials.stage.direction == "maximize" else -1.0
    figure = empty_figure(title=title, legend=True)
    metric, best = trials.metric, float(scores[0])
    sizes = _sizes(1, number)
    spread = [best_spread(sign * scores, size, number) for size in sizes]
    expected = [sign * expected_best(sign * scores, size, number) for size in sizes]
    _band(figure, sizes, [sign * of.low for of in spread], [sign * of.high for of in spread], place=0)
    _line(figure, sizes, expected, place=0, name="expected best of n", metric=metric)
    text = f"{trials.summary_with_best}. The expected best of half as many is "
    text += f"{sign * expected_best(sign * scores, max(number // 2, 1), number):.4g}"
    tail = stage_tail(trials.stage, scores, number)
    last, ends = number, [float(np.clip(expected[0], *trials.ends)), best]
    if tail is not None:
        last = _FURTHER * number
        more = [size - number for size in _sizes(number, last)]
        forecasts = [tail.forecast(count) for count in more]
        steps = [number + count for count in more]
        lower, upper = ([best + sign * getattr(of.interval, end) for of in forecasts] for end in ("low", "high"))
        _band(figure, steps, lower, upper, place=1)
        _line(figure, steps, [best + sign * of.gain for of in forecasts], place=1, name="forecast", metric=metric)
        again = tail.forecast(number)
        text += f"; {counted(number, 'more trial')} would bring {forecast_words(again, trials.stage.direction)}"
        ends += [best + sign * again.interval.high, upper[-1]]
    figure.add_scatter(
        x=[number],
        y=[best],
        name="best so far",
        mode="markers",
        marker={"color": colour(1), "size": 10},
        hovertemplate=f"best of these {counted(number, 'trial')}{BREAK}{metric} {field('y:.4g')}{NO_NAME}",
    )
    figure.update_xaxes(title_text="trials n, log scale", **log_axis(1, max(last, 2)))
    figure.update_xaxes(range=[-0.02 * np.log10(max(last, 2)), 1.02 * np.log10(max(last, 2))])
    low, high = min(ends), max(ends)
    air = 0.08 * (high - low) or 0.06 * abs(low) or 0.06
    figure.update_yaxes(title_text=f"best {metric}", range=[low - air, high + air])
    return tell(figure, f"{text}.", least_width=400)


def _sizes(first: int, last: int) -> list[int]:
    """Return numbers of trials, evenly spaced on a log scale."""
    return [int(size) for size in np.unique(np.geomspace(first, last, _POINTS).round())]


def _line(figure: go.Figure, x: list[int], y: ArrayLike, *, place: int, name: str, metric: str) -> None:
    dash = "dash" if place else "solid"
    figure.add_scatter(
        x=x,
        y=y,
        name=name,
        mode="lines",
        line={"color": colour(place), "width": 2.4, "dash": dash},
        hovertemplate=f"{name}: {field('x')} trials{BREAK}{metric} {field('y:.4g')}{NO_NAME}",
    )


def _band(figure: go.Figure, x: list[int], low: list[float], high: list[float], *, place: int) -> None:
    figure.add_scatter(
        x=[*x, *x[::-1]],
        y=[*high, *low[::-1]],
        name="95 % interval" if place else "95 % of draws",
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=shade(place),
        hoverinfo="skip",
    )
