"""The sections of a report that are figures, each with what there is to see in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from hpsearch.errors import BadInput
from hpsearch.objectives.kinds import curve_bounds, used
from hpsearch.reports import figures
from hpsearch.reports.figures.axes import cut
from hpsearch.reports.figures.curves import MOST_PANELS
from hpsearch.reports.figures.trials import ranked
from hpsearch.reports.figures.web import narrowed, plain_figure, stacked
from hpsearch.reports.importance import importance
from hpsearch.reports.page import PageFigure, Section, Table
from hpsearch.reports.rows import varied
from hpsearch.reports.tables import by_column
from hpsearch.space import Categorical, shown

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from hpsearch.reports.report import Material, StageTrials

PARAMETERS = 8
"""Parameters with a figure each, those that matter most first."""
NUMBERS = "The numbers"
"""The summary under which a figure's table is folded away."""
_HALF_HEIGHT = 340
_LABEL = 16
_NARROW_COLUMNS = 2

Make = Callable[["Material"], "PageFigure | str | None"]


def figure_sections(material: Material) -> Iterator[Section]:
    """Return the sections that are figures; a figure that cannot be made says why."""
    names = _by_evidence(material)[:PARAMETERS] if len(material.judged.trials) else []
    against = [partial(_against, name=name, place=place) for place, name in enumerate(names, start=1)]
    parts: dict[tuple[str, str, str], list[Make]] = {
        ("scores", "Scores over time", "scores"): [_history, _by_stage],
        ("parameters", "Where the good values lie", "values"): [*against, _pair, _importance, _parallel],
        ("narrowing", "How the ranges narrowed", "narrowing"): [_lineage],
        ("curves", "How the best trials learned", "learning curves"): [_curves],
    }
    for (key, heading, short), makes in parts.items():
        made = [_made(make, material) for make in makes]
        sentences = tuple(part for part in made if isinstance(part, str))
        made_figures = tuple(part for part in made if isinstance(part, PageFigure))
        if made_figures or sentences:
            yield Section(key, heading, short, sentences=sentences, figures=made_figures)


def _made(make: Make, material: Material) -> PageFigure | str | None:
    try:
        return make(material)
    except BadInput as error:
        return f"One figure could not be made: {error}."


def _figure(key: str, title: str, caption: str, figure: go.Figure, **more: Any) -> PageFigure:
    """Return a figure with its words; ``more`` are further fields, or other ones than follow from the figure."""
    plain = plain_figure(figure)
    derived = {"alt": figures.describe(figure), "narrow": narrowed(plain["layout"])}
    return PageFigure(key=key, title=title, caption=caption, figure=plain, **{**derived, **more})


def _scored(material: Material) -> dict[str, Any]:
    return {"metric": material.metric, "direction": material.direction}


def _history(material: Material) -> PageFigure | None:
    if not material.total():
        return None
    best = material.findings.best
    corrected = best is not None and best.corrected_interval is not None
    ends = None if best is None else best.corrected_interval or best.interval
    figure = figures.search_history(
        {stage.label: stage.trials for stage in material.stages},
        interval=None if ends is None else (ends.low, ends.high),
        corrected=corrected,
        **_scored(material),
    )
    caption = "No trial has a score; crosses are failed trials."
    if material.total("COMPLETE"):
        caption = "Where the line stays flat, more of the same trials brought nothing better."
        which = "corrected for selection" if corrected else "not corrected for selection"
        caption += f" The band is the 95 % interval of the best trial's score, {which}." if ends else ""
    return _figure("history", "Every trial, and the best so far", caption, figure)


def _by_stage(material: Material) -> PageFigure | None:
    if len(material.stages) < 2 or not material.total("COMPLETE"):
        return None
    frames = {stage.label: stage.trials for stage in material.stages}
    table = Table(f"The {material.metric} in each stage.", by_column(list(_quartiles(material))), folded=NUMBERS)
    goes = "rises" if material.direction == "maximize" else "falls"
    return _figure(
        "scores-by-stage",
        "Scores by stage",
        f"A box holds the middle half of a stage's scores, with the median across: narrowing works where it {goes}.",
        figures.scores_by_stage(frames, **_scored(material)),
        table=table,
    )


def _quartiles(material: Material) -> Iterator[dict[str, object]]:
    for stage in material.stages:
        scores = stage.complete["score"].astype(float)
        low, middle, high = scores.quantile([0.25, 0.5, 0.75]).tolist()
        yield {
            "stage": stage.stage.number,
            "with a score": len(scores),
            "lower quartile": low,
            "median": middle,
            "upper quartile": high,
            "best": float(scores.max() if material.direction == "maximize" else scores.min()),
        }


def _by_evidence(material: Material) -> list[str]:
    """Return the judged stage's varied parameters, the clearest effect first, otherwise in the study file's order."""
    findings = material.findings.ranges

    def p(name: str) -> float:
        value = findings[name].evidence if name in findings else None
        return 1.0 if value is None else value

    return sorted(varied(material.judged.trials, material.judged.stage.space), key=p)


def _against(material: Material, *, name: str, place: int) -> PageFigure:
    stage, top, finding = material.judged, material.findings.top, material.findings.ranges.get(name)
    parameter = stage.stage.space[name]
    narrowed = finding.advised if finding else None
    figure = figures.score_by_parameter(stage.trials, name, parameter, narrowed=narrowed, best=top, **_scored(material))
    figure.update_layout(height=_HALF_HEIGHT)
    if isinstance(parameter, Categorical):
        # Long labels, which Plotly turns, would leave no room for the data.
        figure.update_xaxes(ticktext=[cut(choice, _LABEL) for choice in parameter.choices])
    best = ranked(stage.trials, material.direction).head(top)
    columns = {"trial": best["number"].tolist(), material.metric: best["score"].astype(float).tolist()}
    columns[name] = best[f"param:{name}"].tolist()
    table = Table(f"The best {len(best)} trials of {stage.label} and their {name}.", columns, folded=NUMBERS)
    band = f" The band is the next range{', expanded' if finding.widens else ''}." if finding else ""
    return _figure(
        f"against-{place}",
        f"{material.metric.capitalize()} by {name}",
        f"{stage.label.capitalize()}: {_where(best, name, stage)}.{band}",
        figure,
        half=True,
        table=table if len(best) else None,
    )


def _where(best: pd.DataFrame, name: str, stage: StageTrials) -> str:
    values = best[f"param:{name}"].dropna().tolist()
    if not values:
        return "no trial has a score"
    if isinstance(stage.stage.space[name], Categorical):
        chosen = ", ".join(shown(value) for value in dict.fromkeys(values))
        return f"the best {len(values)} have {chosen}" if len(values) > 1 else f"the best has {chosen}"
    if len(values) == 1:
        return f"the best has {values[0]:.3g}"
    return f"the best {len(values)} lie from {min(values):.3g} to {max(values):.3g}"


def _pair(material: Material) -> PageFigure | None:
    frames = [stage.trials for stage in material.stages if len(stage.trials)]
    everywhere = [name for name in _by_evidence(material) if all(name in s.stage.space for s in material.stages)]
    if not frames or len(everywhere) < 2:
        return None
    x, y = everywhere[:2]
    figure = figures.pair(
        # A stage without a score has a column of another type.
        pd.concat([frame.assign(score=frame["score"].astype(float)) for frame in frames], ignore_index=True),
        x,
        y,
        space=material.stages[0].stage.space,
        rectangles={stage.label: stage.stage.space for stage in material.stages},
        **_scored(material),
    )
    several = len(material.stages) > 1
    boxes = "The rectangles are the ranges of the stages" if several else "The rectangle is the ranges of the stage"
    points = "trials of all stages, the better the brighter"
    caption = f"{boxes}; {points if material.total('COMPLETE') else 'crosses are failed trials'}."
    return _figure("pair", f"{x} and {y} together", caption, figure)


def _importance(material: Material) -> PageFigure | str | None:
    first = next((stage for stage in material.stages if len(stage.complete)), None)
    if first is None or len(first.stage.space) < 2:
        return None
    stage = first.stage
    result = importance(
        first.trials, stage.space, direction=material.direction, used=lambda params: used(stage, params)
    )
    if not result.shares:
        return f"Which parameters mattered cannot be said: {'; '.join(result.notes)}."
    rows = [
        {"parameter": name, "share": f"{share:.0%}", "chance reaches": f"{min(result.chance[name], 1):.0%}"}
        for name, share in result.shares.items()
    ]
    wide = ", where the ranges were widest" if len(material.stages) > 1 else ""
    return _figure(
        "importance",
        "Which parameters mattered",
        f"{first.label.capitalize()}{wide}; a bar that does not pass its mark may be chance.",
        figures.importances(result),
        table=Table("Shares of the importance.", by_column(rows), folded=NUMBERS),
    )


def _parallel(material: Material) -> PageFigure | None:
    stage = material.judged
    space = varied(stage.trials, stage.stage.space)
    if len(space) < 3 or not len(stage.complete):
        return None
    figure = figures.parallel(stage.trials, space, best=material.findings.top, **_scored(material))
    return _figure(
        "parallel",
        "All parameters at once",
        f"Each line is a trial of {stage.label}; where the best run together, that value matters.",
        figure,
        width=figures.least_width(figure),
    )


def _lineage(material: Material) -> PageFigure | None:
    if len(material.stages) < 2:
        return None
    figure = figures.lineage(
        [stage.stage for stage in material.stages],
        {stage.stage.number: stage.trials for stage in material.stages if len(stage.trials)},
        metric=material.metric,
    )
    return _figure(
        "narrowed",
        "Ranges and best values, stage by stage",
        "Each bar is a range, the diamond in it the best trial's value.",
        figure,
        narrow=stacked(plain_figure(figure)["layout"], panel=max(90, 34 * len(material.stages) + 20)),
    )


def _curves(material: Material) -> PageFigure | None:
    quantity, bounds = next(iter(curve_bounds(material.latest.stage).items()))
    names = (f"train_{quantity}", f"validation_{quantity}")
    known = [row for row in material.curves[:MOST_PANELS] if any(len(row.get(name, ())) for name in names)]
    if not known:
        return None
    # The values stand in the table of the best; in a panel's title there is room for the trial's number.
    rows = [{**row, "param:trial": row["number"]} for row in known]
    grid = partial(figures.curve_grid, rows, quantity=quantity, bounds=bounds, parameter="trial")
    whose = f"the best {len(rows)} trials" if len(rows) > 1 else "the best trial"
    return _figure(
        "learning-curves",
        f"Learning curves of {whose} of {material.latest.label}",
        "A validation curve that still rises at the end wants more epochs; a wide gap to training is overfitting.",
        grid(),
        narrow=narrowed(plain_figure(grid(columns=_NARROW_COLUMNS))["layout"]),
    )
