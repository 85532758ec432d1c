"""Which stage came from which, how its ranges narrowed, and what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from hpsearch.reports.figures.axes import ParameterAxis
from hpsearch.reports.figures.style import LINE, MUTED, colour, needs, nothing, panels, tell, words
from hpsearch.reports.figures.trials import check, failed, ranked, stopped
from hpsearch.space import describe as range_words
from hpsearch.text import counted

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.records import NewStage


def lineage(
    stages: Sequence[NewStage],
    frames: Mapping[int, pd.DataFrame],
    *,
    metric: str = "score",
    title: str | None = None,
) -> go.Figure:
    """The stages from top to bottom: of each parameter its range as a bar, and at the end the best score.

    Thin lines lead from the ends of the range that a stage was narrowed from to the ends of its own. A diamond is the
    best trial's value.

    Args:
        stages: In the order of their numbers.
        frames: Of each stage, by its number, rows of `hpsearch.store.Store.trials`; one without trials may be absent.
        metric: What the score is.
        title: Above the panels.

    Raises:
        BadInput: A column is missing, or a parameter is of another kind in another stage.
    """
    if not stages:
        return nothing("there is no stage yet", title=title)
    for frame in frames.values():
        check(frame)
    names = list(dict.fromkeys(name for stage in stages for name in stage.space))
    places = {stage.number: place for place, stage in enumerate(stages)}
    tops = {number: ranked(frame, stages[0].direction).head(1) for number, frame in frames.items()}
    columns = min(3, len(names) + 1)
    figure = panels(
        [""] * (len(names) + 1),
        columns=columns,
        panel_height=max(120, 34 * len(stages) + 50),
        title=title,
        key=f"bars: ranges, diamonds: the best trial; last panel: the best {words(metric)}",
        shared=False,
        gaps=(44.0, 66.0),
    )
    needs(figure, 76 + 190 * columns)
    for index, name in enumerate(names):
        row, column = index // columns + 1, index % columns + 1
        x = ParameterAxis(name, [stage.space[name] for stage in stages if name in stage.space])
        for trace in _ranges(stages, places, name, x, tops):
            figure.add_trace(trace, row=row, col=column)
        figure.update_xaxes(x.layout(short=True), row=row, col=column)
    _scores(
        figure, stages, places, frames, tops, metric, row=len(names) // columns + 1, column=len(names) % columns + 1
    )
    texts = [_label(stage) for stage in stages]
    figure.update_yaxes(
        tickvals=list(places.values()), ticktext=texts, range=[len(stages) - 0.4, -0.6], showgrid=False, ticks=""
    )
    for index in range(len(names) + 1):
        if index % columns:
            figure.update_yaxes(showticklabels=False, row=index // columns + 1, col=index % columns + 1)
    return tell(figure, " ".join(_sentence(stage, tops.get(stage.number), metric) for stage in stages))


def _label(stage: NewStage) -> str:
    return f"stage {stage.number}" + (f"<br>from {stage.parent}" if stage.parent is not None else "")


def _sentence(stage: NewStage, top: pd.DataFrame | None, metric: str) -> str:
    ranges = ", ".join(f"{name} {range_words(parameter)}" for name, parameter in stage.space.items())
    parent = "" if stage.parent is None else f", from stage {stage.parent}"
    found = "no score yet" if top is None or top.empty else f"best {words(metric)} {top['score'].iloc[0]:.4g}"
    return f"Stage {stage.number}{parent}: {ranges}; {found}."


def _ranges(
    stages: Sequence[NewStage],
    places: Mapping[int, int],
    name: str,
    x: ParameterAxis,
    tops: Mapping[int, pd.DataFrame],
) -> list[go.Scatter]:
    traces = []
    for stage in stages:
        if name not in stage.space:
            continue
        place, spans = places[stage.number], x.spans(stage.space[name])
        parent = next((other for other in stages if other.number == stage.parent and name in other.space), None)
        if parent is not None:
            before = x.spans(parent.space[name])
            above = places[parent.number]
            ends = ((before[0][0], spans[0][0]), (before[-1][1], spans[-1][1]))
            traces.append(
                go.Scatter(
                    x=[value for old, new in ends for value in (old, new, None)],
                    y=[above, place, None] * 2,
                    name=f"stage {stage.number} from {stage.parent}",
                    mode="lines",
                    line={"color": LINE, "width": 1, "dash": "dot"},
                    hoverinfo="skip",
                    showlegend=False,
                )
            )
        traces.append(
            go.Scatter(
                x=[value for left, right in spans for value in (left, right, None)],
                y=[place, place, None] * len(spans),
                name=f"stage {stage.number}",
                mode="lines",
                line={"color": colour(0), "width": 9},
                opacity=0.75,
                text=[f"stage {stage.number}: {name} {range_words(stage.space[name])}"] * 3 * len(spans),
                hovertemplate="%{text}<extra></extra>",
                showlegend=False,
            )
        )
        top = tops.get(stage.number)
        if top is not None and not top.empty and f"param:{name}" in top:
            value = top[f"param:{name}"].iloc[0]
            traces.append(
                go.Scatter(
                    x=x.standing([value]),
                    y=[place],
                    name=f"best of stage {stage.number}",
                    mode="markers",
                    marker={
                        "symbol": "diamond",
                        "size": 10,
                        "color": colour(1),
                        "line": {"color": "white", "width": 1},
                    },
                    text=[f"best of stage {stage.number}: trial {top['number'].iloc[0]}, {name} {value}"],
                    hovertemplate="%{text}<extra></extra>",
                    showlegend=False,
                )
            )
    return traces


def _scores(
    figure: go.Figure,
    stages: Sequence[NewStage],
    places: Mapping[int, int],
    frames: Mapping[int, pd.DataFrame],
    tops: Mapping[int, pd.DataFrame],
    metric: str,
    *,
    row: int,
    column: int,
) -> None:
    """The best score of each stage, written beside its mark."""
    found = {number: float(top["score"].iloc[0]) for number, top in tops.items() if not top.empty}
    low, high = (min(found.values()), max(found.values())) if found else (0.0, 1.0)
    air = 0.25 * (high - low) or 0.1 * abs(low) or 0.1
    ends = (low - air, high + 3 * air)
    scored = [stage.number for stage in stages if stage.number in found]
    figure.add_trace(
        go.Scatter(
            x=[found[number] for number in scored],
            y=[places[number] for number in scored],
            name="best score",
            mode="markers+text",
            marker={"symbol": "diamond", "size": 11, "color": colour(1), "line": {"color": "white", "width": 1}},
            text=[f"  {found[number]:.4g}" for number in scored],
            textposition="middle right",
            hovertext=[f"stage {number}: {_ends(frames[number])}" for number in scored],
            hovertemplate=f"%{{hovertext}}<br>best {words(metric)} %{{x:.4g}}<extra></extra>",
            showlegend=False,
        ),
        row=row,
        col=column,
    )
    figure.add_trace(
        go.Scatter(
            x=[low - 0.5 * air] * (len(stages) - len(scored)),
            y=[places[stage.number] for stage in stages if stage.number not in found],
            name="no score yet",
            mode="text",
            text=["no score yet"] * (len(stages) - len(scored)),
            textposition="middle right",
            textfont={"color": MUTED},
            hoverinfo="skip",
            showlegend=False,
        ),
        row=row,
        col=column,
    )
    figure.update_xaxes(title_text=f"best {words(metric)}", range=ends, nticks=4, row=row, col=column)


def _ends(frame: pd.DataFrame) -> str:
    lost, pruned = len(failed(frame)), len(stopped(frame))
    parts = [
        counted(len(frame), "trial"),
        *([f"{pruned} stopped early"] if pruned else []),
        *([f"{lost} failed"] if lost else []),
    ]
    return ", ".join(parts)
