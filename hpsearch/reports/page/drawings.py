"""The figures of a report, each with what there is to see in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pandas as pd

from hpsearch.errors import BadInput
from hpsearch.reports import figures
from hpsearch.reports.figures.frames import ranked
from hpsearch.reports.page.contents import Drawing, Section, Table
from hpsearch.reports.page.drawn import plain_figure
from hpsearch.reports.page.thinning import MOST, said, thinned
from hpsearch.reports.tables import by_column
from hpsearch.space import Categorical, shown

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from hpsearch.reports.page.material import Material, StageTrials

PARAMETERS = 8
"""Parameters that are drawn each for itself, those that matter most first."""


def drawn_sections(material: Material) -> Iterator[Section]:
    """The parts of the report that are figures; a part whose figures cannot be drawn says why."""
    for key, heading, make in (
        ("scores", "How the scores went", _scores),
        ("parameters", "Where the good values lie", _parameters),
        ("curves", "How the best trials learned", _curves),
    ):
        drawings, refused = [], []
        for one in make(material):
            try:
                drawings.append(one())
            except BadInput as error:
                refused.append(f"One figure could not be drawn: {error}.")
        if drawings or refused:
            yield Section(key, heading, sentences=tuple(refused), drawings=tuple(drawings))


Make = Callable[[], Drawing]


def _scores(material: Material) -> Iterator[Make]:
    def by_stage() -> Drawing:
        share = MOST // len(material.stages)
        frames = {one.label: thinned(one.trials, material.direction, most=share) for one in material.stages}
        figure = figures.scores_by_stage(frames, metric=material.metric, direction=material.direction)
        rows = [_summary(one, material) for one in material.stages]
        shown_there = sum(map(len, frames.values())), material.total()
        return Drawing(
            "scores-by-stage",
            "Scores by stage",
            "Every trial with a score is a point; the box holds the middle half." + said(*shown_there),
            f"Box plot of the {material.metric} of every trial, stage by stage. " + " ".join(map(_in_words, rows)),
            plain_figure(figure),
            table=Table(f"The {material.metric} in each stage.", by_column(rows)),
        )

    if material.total("COMPLETE"):
        yield by_stage


def _summary(one: StageTrials, material: Material) -> dict[str, object]:
    scores = one.complete["score"].astype(float)
    best = scores.max() if material.direction == "maximize" else scores.min()
    return {
        "stage": one.stage.number,
        "trials with a score": len(scores),
        "median": float(scores.median()),
        "upper quartile": float(scores.quantile(0.75)),
        "best": float(best),
    }


def _in_words(row: dict[str, object]) -> str:
    if not row["trials with a score"]:
        return f"Stage {row['stage']} has none."
    return f"Stage {row['stage']}: median {row['median']:.3g}, best {row['best']:.3g}."


def _parameters(material: Material) -> Iterator[Make]:
    if not material.total("COMPLETE", "FAIL"):
        return
    one = next((s for s in material.stages if s.stage.name == material.findings.stage), material.latest)
    for name in by_evidence(material, one)[:PARAMETERS]:
        yield _against(material, one, name)
    names = [name for name in by_evidence(material, one) if all(name in s.stage.space for s in material.stages)]
    if len(names) > 1:
        yield _pair(material, *names[:2])


def by_evidence(material: Material, one: StageTrials) -> list[str]:
    """A stage's parameters, those with the clearest effect first, otherwise in the study file's order."""
    found = material.findings.ranges

    def evidence(name: str) -> float:
        p = found[name].p if name in found else None
        return 1.0 if p is None else p

    return sorted(one.stage.space, key=evidence)


def _against(material: Material, one: StageTrials, name: str) -> Make:
    def make() -> Drawing:
        top, finding = material.findings.top, material.findings.ranges.get(name)
        trials = thinned(one.trials, material.direction)
        figure: go.Figure = figures.score_by_parameter(
            trials,
            name,
            one.stage.space[name],
            narrowed=finding.after if finding else None,
            best=top,
            metric=material.metric,
            direction=material.direction,
        )
        best = ranked(one.trials, material.direction).head(top)
        where = _where(best, name, one)
        band = " The band is the range that narrowing would take next." if finding else ""
        return Drawing(
            f"score-by-{len(name)}-{one.stage.number}-{list(one.stage.space).index(name)}",
            f"{material.metric} by {name}",
            f"Trials of {one.label}; {where}.{band}" + said(len(trials), len(one.trials)),
            f"Scatter plot of the {material.metric} against {name} for the trials of {one.label}: {where}.",
            plain_figure(figure),
            table=Table(
                f"The best {len(best)} trials of {one.label}.",
                {
                    "trial": best["number"].tolist(),
                    material.metric: best["score"].astype(float).tolist(),
                    name: best[f"param:{name}"].tolist(),
                },
            )
            if len(best)
            else None,
        )

    return make


def _where(best: pd.DataFrame, name: str, one: StageTrials) -> str:
    values = best[f"param:{name}"].dropna().tolist()
    if not values:
        return "none has a score"
    if isinstance(one.stage.space[name], Categorical):
        chosen = ", ".join(shown(value) for value in dict.fromkeys(values))
        return f"the best {len(values)} have {chosen}"
    if len(values) == 1:
        return f"the best has {values[0]:.3g}"
    return f"the best {len(values)} lie from {min(values):.3g} to {max(values):.3g}"


def _pair(material: Material, x: str, y: str) -> Make:
    def make() -> Drawing:
        share = MOST // len(material.stages)
        every = [thinned(one.trials, material.direction, most=share) for one in material.stages]
        there = [trials for trials in every if len(trials)]
        figure = figures.pair(
            pd.concat(there, ignore_index=True),
            x,
            y,
            space=material.stages[0].stage.space,
            rectangles={one.label: one.stage.space for one in material.stages},
            metric=material.metric,
            direction=material.direction,
        )
        boxes = "each stage's ranges are a rectangle" if len(material.stages) > 1 else "the rectangle is the ranges"
        return Drawing(
            "pair",
            f"{x} and {y} together",
            f"Every trial of every stage, the better the brighter; {boxes}." + said(sum(map(len, there)), material.total()),
            f"Scatter plot of {y} against {x} for all trials, coloured by their {material.metric}; {boxes}.",
            plain_figure(figure),
        )

    return make


def _curves(material: Material) -> Iterator[Make]:
    rows = material.curves

    def grid() -> Drawing:
        figure = figures.curve_grid(rows, parameter=by_evidence(material, material.latest)[0])
        many = len(rows[: figures.curves.MOST_PANELS])
        return Drawing(
            "learning-curves",
            f"Learning curves of the best {many} trials of {material.latest.label}",
            "A curve that still rises at the end wants more epochs; a gap between the two is overfitting.",
            f"Small panels, one for each of the best {many} trials: accuracy over epochs in training and in validation.",
            plain_figure(figure),
        )

    if rows:
        yield grid
