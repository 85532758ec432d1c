"""The figures of a report, each with what there is to see in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from hpsearch.errors import BadInput
from hpsearch.reports import figures
from hpsearch.reports.figures.curves import MOST_PANELS
from hpsearch.reports.figures.frames import ranked
from hpsearch.reports.figures.parameters import cut
from hpsearch.reports.importance import importance
from hpsearch.reports.page.contents import Drawing, Section, Table
from hpsearch.reports.page.drawing import NUMBERS, drawing
from hpsearch.reports.page.drawn import plain_figure
from hpsearch.reports.page.narrow import narrowed, stacked
from hpsearch.reports.rows import varied
from hpsearch.reports.tables import by_column
from hpsearch.space import Categorical, shown

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.reports.page.material import Material, StageTrials

PARAMETERS = 8
"""Parameters that are drawn each for itself, those that matter most first."""
_ACCURACIES = ("train_accuracy", "validation_accuracy")
_HALF_HEIGHT = 340
_LABEL = 16
_NARROW_COLUMNS = 2

Make = Callable[["Material"], Drawing | str | None]


def drawn_sections(material: Material) -> Iterator[Section]:
    """The parts of the report that are figures; a figure that cannot be drawn says why."""
    parts: dict[tuple[str, str, str], list[Make]] = {
        ("scores", "How the scores went", "scores"): [_history, _by_stage],
        ("parameters", "Where the good values lie", "values"): [
            *_against_each(material),
            *(_pair, _importance, _parallel),
        ],
        ("narrowing", "How the ranges narrowed", "narrowing"): [_lineage],
        ("curves", "How the best trials learned", "learning curves"): [_curves],
    }
    for (key, heading, short), makes in parts.items():
        made = [_made(make, material) for make in makes]
        drawings = tuple(one for one in made if isinstance(one, Drawing))
        sentences = tuple(one for one in made if isinstance(one, str))
        if drawings or sentences:
            yield Section(key, heading, short, sentences=sentences, drawings=drawings)


def _made(make: Make, material: Material) -> Drawing | str | None:
    """A figure, or why there is none."""
    try:
        return make(material)
    except BadInput as error:
        return f"One figure could not be drawn: {error}."


def _history(material: Material) -> Drawing | None:
    if not material.total():
        return None
    best = material.findings.best
    ends = None if best is None else best.corrected_interval or best.interval
    corrected = best is not None and best.corrected_interval is not None
    figure = figures.search_history(
        {one.label: one.trials for one in material.stages},
        metric=material.metric,
        direction=material.direction,
        interval=None if ends is None else (ends.low, ends.high),
        corrected=corrected,
    )
    what = "what the best is worth on new images, without the luck of having been chosen"
    if not corrected:
        what = "the best trial's score, not corrected for its having been chosen"
    band = f" The band is the 95 % interval of {what}." if ends else ""
    return drawing(
        "history",
        "Every trial, and the best so far",
        f"Where the line stays flat, more of the same trials found nothing better.{band}"
        if material.total("COMPLETE")
        else "No trial has a score; crosses are failed trials.",
        figure,
    )


def _by_stage(material: Material) -> Drawing | None:
    if len(material.stages) < 2 or not material.total("COMPLETE"):
        return None
    figure = figures.scores_by_stage(
        {one.label: one.trials for one in material.stages}, metric=material.metric, direction=material.direction
    )
    rows = [_summary(one, material) for one in material.stages]
    return drawing(
        "scores-by-stage",
        "Scores by stage",
        "A box holds the middle half of a stage's scores, with the median across: narrowing works where it rises."
        if material.direction == "maximize"
        else "A box holds the middle half of a stage's scores, with the median across: narrowing works where it falls.",
        figure,
        table=Table(f"The {material.metric} in each stage.", by_column(rows), folded=NUMBERS),
    )


def _summary(one: StageTrials, material: Material) -> dict[str, object]:
    scores = one.complete["score"].astype(float)
    low, middle, high = scores.quantile([0.25, 0.5, 0.75]).tolist()
    return {
        "stage": one.stage.number,
        "with a score": len(scores),
        "lower quartile": low,
        "median": middle,
        "upper quartile": high,
        "best": float(scores.max() if material.direction == "maximize" else scores.min()),
    }


def judged(material: Material) -> StageTrials:
    """The stage that the findings are about."""
    return next((one for one in material.stages if one.stage.name == material.findings.stage), material.latest)


def by_evidence(material: Material, one: StageTrials) -> list[str]:
    """A stage's parameters that vary, those with the clearest effect first, otherwise in the study file's order."""
    found = material.findings.ranges

    def evidence(name: str) -> float:
        p = found[name].p if name in found else None
        return 1.0 if p is None else p

    return sorted(varied(one.trials, one.stage.space), key=evidence)


def _against_each(material: Material) -> Iterator[Make]:
    one = judged(material)
    if not len(one.trials):
        return
    for place, name in enumerate(by_evidence(material, one)[:PARAMETERS]):
        yield _against(one, name, place)


def _against(one: StageTrials, name: str, place: int) -> Make:
    def make(material: Material) -> Drawing:
        top, finding = material.findings.top, material.findings.ranges.get(name)
        figure = figures.score_by_parameter(
            one.trials,
            name,
            one.stage.space[name],
            narrowed=finding.advised if finding else None,
            best=top,
            metric=material.metric,
            direction=material.direction,
        )
        figure.update_layout(height=_HALF_HEIGHT)
        parameter = one.stage.space[name]
        if isinstance(parameter, Categorical):
            # Long labels, which Plotly turns, would leave no room for the data.
            figure.update_xaxes(ticktext=[cut(choice, _LABEL) for choice in parameter.choices])
        best = ranked(one.trials, material.direction).head(top)
        values = {"trial": best["number"].tolist(), material.metric: best["score"].astype(float).tolist()}
        values[name] = best[f"param:{name}"].tolist()
        return drawing(
            f"against-{place + 1}",
            f"{material.metric.capitalize()} by {name}",
            f"{one.label.capitalize()}: {_where(best, name, one)}."
            + (f" The band is what `narrow{' --expand' * finding.widens}` would take next." if finding else ""),
            figure,
            half=True,
            table=Table(f"The best {len(best)} trials of {one.label} and their {name}.", values, folded=NUMBERS)
            if len(best)
            else None,
        )

    return make


def _where(best: pd.DataFrame, name: str, one: StageTrials) -> str:
    values = best[f"param:{name}"].dropna().tolist()
    if not values:
        return "no trial has a score"
    if isinstance(one.stage.space[name], Categorical):
        chosen = ", ".join(shown(value) for value in dict.fromkeys(values))
        return f"the best {len(values)} have {chosen}" if len(values) > 1 else f"the best has {chosen}"
    if len(values) == 1:
        return f"the best has {values[0]:.3g}"
    return f"the best {len(values)} lie from {min(values):.3g} to {max(values):.3g}"


def _pair(material: Material) -> Drawing | None:
    import pandas as pd

    there = [one for one in material.stages if len(one.trials)]
    names = [
        name
        for name in by_evidence(material, judged(material))
        if all(name in one.stage.space for one in material.stages)
    ]
    if not there or len(names) < 2:
        return None
    x, y = names[:2]
    figure = figures.pair(
        # A stage without a score has a column of another type; what concatenation makes of it is the same.
        pd.concat([one.trials.assign(score=one.trials["score"].astype(float)) for one in there], ignore_index=True),
        x,
        y,
        space=material.stages[0].stage.space,
        rectangles={one.label: one.stage.space for one in material.stages},
        metric=material.metric,
        direction=material.direction,
    )
    many = len(material.stages) > 1
    boxes = "The rectangles are the ranges of the stages" if many else "The rectangle is the ranges of the stage"
    return drawing(
        "pair",
        f"{x} and {y} together",
        f"{boxes}; trials of all stages, the better the brighter."
        if material.total("COMPLETE")
        else f"{boxes}; crosses are failed trials.",
        figure,
    )


def _importance(material: Material) -> Drawing | str | None:
    one = next((one for one in material.stages if len(one.complete)), None)
    if one is None or len(one.stage.space) < 2:
        return None
    found = importance(one.trials, one.stage.space, direction=material.direction, settings=one.stage.settings or None)
    if not found.shares:
        return f"Which parameters mattered cannot be said: {'; '.join(found.notes)}."
    rows = [
        {"parameter": name, "share": f"{share:.0%}", "chance reaches": f"{min(found.chance[name], 1):.0%}"}
        for name, share in found.shares.items()
    ]
    wide = ", where the ranges were widest" if len(material.stages) > 1 else ""
    return drawing(
        "importance",
        "Which parameters mattered",
        f"{one.label.capitalize()}{wide}; a bar that does not pass its mark may be chance.",
        figures.importances(found),
        table=Table("Shares of the importance.", by_column(rows), folded=NUMBERS),
    )


def _parallel(material: Material) -> Drawing | None:
    one = judged(material)
    space = varied(one.trials, one.stage.space)
    if len(space) < 3 or not len(one.complete):
        return None
    figure = figures.parallel(
        one.trials, space, best=material.findings.top, metric=material.metric, direction=material.direction
    )
    return drawing(
        "parallel",
        "All parameters at once",
        f"Each line is a trial of {one.label}; where the best run together, that value matters.",
        figure,
        width=figures.least_width(figure),
    )


def _lineage(material: Material) -> Drawing | None:
    if len(material.stages) < 2:
        return None
    figure = figures.lineage(
        [one.stage for one in material.stages],
        {one.stage.number: one.trials for one in material.stages if len(one.trials)},
        metric=material.metric,
    )
    return drawing(
        "narrowed",
        "Ranges and best values, stage by stage",
        "Each bar is a range, the diamond in it the best trial's value.",
        figure,
        narrow=stacked(plain_figure(figure)["layout"], panel=max(90, 34 * len(material.stages) + 20)),
    )


def _curves(material: Material) -> Drawing | None:
    # The values stand in the table of the best; in a panel's title there is room for the trial's number.
    there = [row for row in material.curves[:MOST_PANELS] if any(len(row.get(name, ())) for name in _ACCURACIES)]
    rows = [{**row, "param:trial": row["number"]} for row in there]
    if not rows:
        return None
    figure = figures.curve_grid(rows, parameter="trial")
    narrow = plain_figure(figures.curve_grid(rows, parameter="trial", columns=_NARROW_COLUMNS))["layout"]
    many = f"the best {len(rows)} trials" if len(rows) > 1 else "the best trial"
    return drawing(
        "learning-curves",
        f"Learning curves of {many} of {material.latest.label}",
        "A validation curve that still rises at the end wants more epochs; a wide gap to training is overfitting.",
        figure,
        narrow=narrowed(narrow),
    )
