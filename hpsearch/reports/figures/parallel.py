"""Parallel coordinates: a line a trial, through its values to its score."""

from __future__ import annotations

import math
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from hpsearch.reports.figures import style
from hpsearch.reports.figures.style import BREAK, INK, LINE, SCALE, ParameterAxis, cut, empty_figure, say, tell, words
from hpsearch.reports.figures.trials import FAILED_MARKER, hover_lines, points
from hpsearch.space import Float

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from hpsearch.reports.figures.trials import StageTrials

MOST_LINES = 300
_LINE = 11  # characters of a line of an axis' name
_CLASSES = len(SCALE)  # lines of so many colours: a trace each, so that a page of hundreds of trials stays quick


def parallel(trials: StageTrials, *, best: int = 5, title: str | None = None) -> go.Figure:
    """Plot a line for each trial, across an axis for each parameter that varies, to its score at the right.

    Lines are coloured by score, those of the best are thick and on top; pruned trials are dotted. Crosses on the axes
    are the values of failed trials. Ranges per value of another parameter share an axis.
    """
    trials = trials.folded
    space, metric, minimize = trials.varied, trials.metric, trials.stage.direction == "minimize"
    axes = [ParameterAxis(name, [parameter]) for name, parameter in space.items()]
    sample, left_out = trials.sample(MOST_LINES, keep=best)
    top, rest, failed = sample.complete.iloc[:best], sample.complete.iloc[best:], sample.failed
    least, most = trials.ends
    beyond = trials.score_axis().words
    far = f"scores {beyond} stand at its end" if beyond else ""
    key = "; ".join(part for part in (style.SCALE_WORDS, far, left_out) if part)
    figure = empty_figure(title=title, key=key, legend=True)
    last = _score_axis(metric, least, most)

    def lines(part: pd.DataFrame, name: str, ink: str, width: float, opacity: float, **more: Any) -> None:
        if part.empty:
            return
        heights = [_heights(axis, part[f"param:{axis.name}"]) for axis in axes]
        heights.append([last.fraction(min(max(score, least), most)) for score in part["score"].astype(float)])
        texts = [
            f"{text}{BREAK}{metric} {score:.4g}"
            for text, score in zip(hover_lines(part, list(space)), part["score"].astype(float), strict=True)
        ]
        figure.add_scatter(
            x=np.tile([*range(len(axes) + 1), math.nan], len(part)),
            y=np.column_stack([*heights, [math.nan] * len(part)]).ravel(),
            name=name,
            mode="lines",
            line={"color": ink, "width": width, "dash": more.pop("dash", "solid")},
            opacity=opacity,
            text=np.repeat(texts, len(axes) + 2),
            hoverinfo="text",
            legendgroup=name,
            showlegend=more.pop("legend", True),
        )

    lines(sample.pruned, "pruned", style.MUTED, 1, 0.6, dash="dot")
    places = _classes(rest["score"].to_numpy(float), least, most, minimize=minimize)
    for place, ink in enumerate(SCALE):
        lines(rest[places == place], "trials", ink, 1.3, 0.35 + 0.4 * place / (_CLASSES - 1), legend=False)
    if not rest.empty:
        # The ends of the scale are faint, one on white and the other on black: its middle stands for all.
        middle = {"color": SCALE[_CLASSES // 2], "width": 2}
        figure.add_scatter(x=[None], y=[None], name="trials", mode="lines", line=middle, legendgroup="trials")
    lines(top.iloc[::-1], f"best {len(top)}", "#D55E00", 2.6, 0.95)
    if not failed.empty:
        x = np.repeat(range(len(axes)), len(failed))
        y = np.concatenate([_heights(axis, failed[f"param:{axis.name}"]) for axis in axes])
        trace = points(failed, x, y, "failed", FAILED_MARKER, "failed", names=list(space))
        figure.add_trace(trace.update(text=[*trace.text] * len(axes)))
    _add_axes(figure, [*axes, last])
    figure.update_layout(legend={"x": 0, "xanchor": "left"})  # in sight where a narrow screen scrolls the figure
    text = f"A line for each trial across {', '.join(space)} to its {metric}. {trials.summary_with_best}."
    if trials.complete.empty:
        say(figure, trials.none_complete)
    return tell(figure, text, least_width=60 + 80 * len(axes))


def _heights(axis: ParameterAxis, values: pd.Series[Any]) -> list[float]:
    return [axis.fraction(place) if math.isfinite(place) else math.nan for place in axis.positions(values)]


def _score_axis(metric: str, low: float, high: float) -> ParameterAxis:
    air = 0.1 * abs(low) or 0.1
    return ParameterAxis(metric, [Float(low, high) if low < high else Float(low - air, high + air)])


def _classes(scores: NDArray[np.float64], least: float, most: float, *, minimize: bool) -> NDArray[np.int64]:
    """Return the place of each score's colour, from 0 for the worst."""
    if least == most:
        return np.full(len(scores), _CLASSES - 1)
    share = ((scores - least) / (most - least)).clip(0, 1)
    places: NDArray[np.int64] = (_CLASSES * (1 - share if minimize else share)).astype(np.int64)
    return places.clip(max=_CLASSES - 1)


def _add_axes(figure: go.Figure, axes: list[ParameterAxis]) -> None:
    """Add the axes as lines with ticks and names. All at once: Plotly looks through all for each that is added."""
    crowded = len(axes) > 8
    longest = 24 if crowded else max(16, 100 // len(axes))
    notes: list[dict[str, Any]] = []
    line = {"color": LINE, "width": 1.2}
    shapes = [{"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "line": line} for at in range(len(axes))]
    for place, axis in enumerate(axes):
        notes += [
            {
                "text": text,
                "x": place,
                "y": height,
                "xanchor": "right",
                "xshift": -5,
                "yanchor": "middle",
                "font": {"size": 10 if crowded else 12, "color": INK},
                "bgcolor": style.PAPER,
                "opacity": 0.85,
                "borderpad": 1,
            }
            for height, text in axis.ticks(4 if crowded else 6)
        ]
        name = f"{cut(words(axis.name), longest)}{' (log)' if axis.log else ''}"
        notes.append(
            {
                "text": style.bold(BREAK.join(wrap(name, longest if crowded else _LINE, break_on_hyphens=False))),
                "x": place,
                "y": -0.02,
                "yanchor": "top",
                "xanchor": "center",
                "textangle": -30 if crowded else 0,
                "font": {"size": 11 if crowded else 13, "color": INK},
            }
        )
    figure.update_layout(annotations=[*figure.layout.annotations, *notes], shapes=shapes)
    air = (0.09 if len(axes) > 2 else 0.06) * len(axes)
    figure.update_xaxes(visible=False, range=[-0.04 * len(axes), len(axes) - 1 + air])
    figure.update_yaxes(visible=False, range=[-0.2 if crowded else -0.12, 1.03])
