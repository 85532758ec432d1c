"""The sections of a report below its answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from hpsearch import __version__
from hpsearch.errors import BadInput
from hpsearch.objectives import kinds
from hpsearch.reports import figures
from hpsearch.reports.figures.axes import cut
from hpsearch.reports.figures.curves import MOST_PANELS
from hpsearch.reports.figures.trials import ranked
from hpsearch.reports.figures.web import narrowed, plain_figure, stacked
from hpsearch.reports.importance import importance
from hpsearch.reports.page import Drawing, Section, Table
from hpsearch.reports.rows import varied
from hpsearch.reports.tables import by_column, drawn_values
from hpsearch.search.evidence import CLEAR, WEAK
from hpsearch.space import Categorical, describe, shown
from hpsearch.statistics import wilson
from hpsearch.text import counted as counted

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from hpsearch.records import Stage
    from hpsearch.reports.report import Material, StageTrials
    from hpsearch.search.range_analysis import NarrowedRange
    from hpsearch.statistics import Interval


def between(interval: Interval) -> str:
    """An interval in words: ``95 % interval 0.82 to 0.94``."""
    return f"{interval.level * 100:.4g}\N{NO-BREAK SPACE}% interval {interval.low:.2f} to {interval.high:.2f}"


TOP = 20
"""Rows of the table of the best trials."""
_EXAMPLES = 6


def ranges(material: Material) -> Section:
    """Every parameter's range, stage by stage, and what the last trials say about it."""
    found = material.findings.ranges
    points = tuple(f"{name}: {_range_words(finding)}" for name, finding in found.items())
    few = "There are too few trials with a score to say where the best values lie."
    rows = [
        row
        for name in dict.fromkeys(n for one in material.stages for n in one.stage.space)
        for row in _range_rows(material, name)
    ]
    caption = "The range that each parameter was drawn from in each stage."
    return Section(
        "ranges",
        "The ranges, stage by stage",
        "ranges",
        sentences=() if points else (few,),
        points=points,
        tables=(Table(caption, by_column(rows)),) if rows else (),
    )


def _range_rows(material: Material, name: str) -> Iterator[dict[str, Any]]:
    """A parameter's ranges: stage by stage, and what narrowing would make of the last that has not been narrowed."""
    for one in material.stages:
        if name in one.stage.space:
            yield {"parameter": name, "stage": one.label, "range": describe(one.stage.space[name])}
    finding, judged = material.findings.ranges.get(name), material.findings.stage
    names = {one.stage.number: one.stage.name for one in material.stages}
    if finding is not None and all(names.get(one.stage.parent or 0) != judged for one in material.stages):
        yield {"parameter": name, "stage": next_label(material, finding), "range": describe(finding.advised)}


def next_label(material: Material, finding: NarrowedRange) -> str:
    """How the range that is shown as the next one is come by."""
    if material.findings.step in ("narrow", "expand"):
        return "next, by narrow --expand" if finding.widens else "next, by narrow"
    return "if narrowed, with --expand" if finding.widens else "if narrowed"


def _range_words(finding: NarrowedRange) -> str:
    """Whether a parameter matters, and how firm its next range is."""
    p = finding.evidence
    if p is None:
        words = "too few of the best trials use it to say anything"
    elif p <= CLEAR:
        words = f"it matters (p = {p:.1g}): the best trials lie far closer together than chance would put them"
    elif p <= WEAK:
        words = f"it may matter (p = {p:.2g}): the best trials lie closer together than chance would put them"
    else:
        words = f"no effect can be seen (p = {p:.2g}): the best trials are spread as if it did not matter"
    if finding.at_edge is not None:
        words += f"; the score still gets better towards the {'upper' if finding.at_edge == 'high' else 'lower'} bound"
    if (movement := finding.movement) is not None:
        said = movement.sentence(finding.before)
        words += f". {said[0].upper()}{said[1:]}"
    return f"{words}."


def best_trials(material: Material) -> Section | None:
    """The best trials of all stages, with an interval each where the score is a share of images."""
    rows: list[tuple[tuple[float, float, int, int], dict[str, Any]]] = []
    sign = -1 if material.direction == "maximize" else 1
    names = dict.fromkeys(name for one in material.stages for name in one.stage.space)
    for one in material.stages:
        for place, row in enumerate(ranked(one.trials, material.direction).head(TOP).to_dict("records")):
            key = (sign * row["score"], place, one.stage.number, row["number"])
            cells = {str(name): value for name, value in row.items()}
            rows.append((key, _trial_row(material, one.stage, cells, list(names))))
    if not rows:
        return None
    rows.sort(key=lambda keyed: (keyed[0][0], _loss(keyed[1]), *keyed[0][2:]))
    table = [{"rank": rank, **row} for rank, (_, row) in enumerate(rows[:TOP], start=1)]
    columns = by_column(table)
    if all(value is None for value in columns["validation loss"]):
        del columns["validation loss"]
    heading = "The best trial" if len(table) == 1 else f"The best {len(table)} trials"
    complete = material.total("COMPLETE")
    caption = f"Of {counted(complete, 'trial')} with a score, the best first; ties by validation loss."
    if "95 % interval" in columns:
        caption += " Each interval is of its trial alone: where they overlap, the order says little."
    if "tied" in columns:
        caption += " Tied: of the best trial's stage, and not to be told from it on the same images."
    return Section(
        "best", heading, f"best {len(table)}" if len(table) > 1 else "best", tables=(Table(caption, columns),)
    )


def _loss(row: dict[str, Any]) -> float:
    loss = row["validation loss"]
    return float("inf") if loss is None else loss


def _trial_row(material: Material, stage: Stage, row: dict[str, Any], names: list[str]) -> dict[str, Any]:
    cells: dict[str, Any] = {"stage": stage.number, "trial": row["number"], material.metric: row["score"]}
    best = material.findings.best
    if material.findings.tied and best is not None:
        of_stage = stage.name == best.stage
        ties = "yes" if of_stage and row["number"] in material.findings.tied else None
        cells["tied"] = "best" if of_stage and row["number"] == best.trial else ties
    images = material.images
    if images and 0 <= row["score"] <= 1:
        interval = wilson(round(row["score"] * images), images)
        cells["95 % interval"] = f"{interval.low:.2f} to {interval.high:.2f}"
    if material.metric != "validation loss":
        loss = row.get("validation_loss")
        cells["validation loss"] = None if loss is None or loss != loss else loss
    drawn = drawn_values(stage, {name: row[f"param:{name}"] for name in stage.space})
    return cells | {name: drawn.get(name) for name in names}


def failures(material: Material) -> Section | None:
    """Why trials failed, how often, and which; and how many were stopped early."""
    failed, pruned = material.total("FAIL"), material.total("PRUNED")
    if not failed and not pruned:
        return None
    total = material.total()
    sentences = []
    if failed:
        sentences.append(
            f"{failed:,} of {counted(total, 'trial')} failed. A failed trial has no score and is not ranked."
        )
    if pruned:
        sentences.append(
            f"{pruned:,} of {counted(total, 'trial')} were stopped early because others were better by then; "
            "they count as beaten and are not ranked."
        )
    table = (
        Table("Failed trials by their reason; numbers in a reason that differ are left out (…).", by_column(rows))
        if (rows := list(_reasons(material)))
        else None
    )
    return Section(
        "failures",
        "Trials that failed" if failed else "Trials that were stopped early",
        "failures" if failed else "stopped",
        sentences=tuple(sentences),
        tables=(table,) if table else (),
    )


def _reasons(material: Material) -> Iterator[dict[str, Any]]:
    groups: dict[str, list[tuple[StageTrials, int, str]]] = {}
    for one in material.stages:
        lost: pd.DataFrame = one.trials[one.trials["state"] == "FAIL"]
        for number, reason in zip(lost["number"], lost["reason"], strict=True):
            said = str(reason) if isinstance(reason, str) and reason else "no reason was recorded"
            groups.setdefault(re.sub(r"\d+", "…", said), []).append((one, int(number), said))
    for pattern, group in sorted(groups.items(), key=lambda item: -len(item[1])):
        reasons = {said for _, _, said in group}
        examples = ", ".join(f"{one.stage.number}/{number}" for one, number, _ in group[:_EXAMPLES])
        yield {
            "reason": reasons.pop() if len(reasons) == 1 else pattern,
            "trials": len(group),
            "stage/trial": examples + (", ..." if len(group) > _EXAMPLES else ""),
        }


def lineage(material: Material) -> Section:
    """How each stage came about, and what became of its trials."""
    rows = []
    for one in material.stages:
        order = ranked(one.trials, material.direction)
        used = one.stage.trials_used
        row: dict[str, Any] = {
            "stage": one.stage.number,
            "from": None if one.stage.parent is None else f"stage {one.stage.parent}",
            "by": _rule(one.stage),
            "trials": len(one.trials),
            "complete": one.count("COMPLETE"),
            "failed": one.count("FAIL"),
            "stopped early": one.count("PRUNED"),
            "unfinished": one.count("RUNNING", "WAITING"),
            "best": float(order["score"].iloc[0]) if len(order) else None,
            "median": float(order["score"].median()) if len(order) else None,
            "narrowed from trials": ", ".join(map(str, used[:_EXAMPLES])) + (", ..." if len(used) > _EXAMPLES else "")
            or None,
        }
        rows.append(row)
    columns = by_column(rows)
    for name in ("stopped early", "unfinished", "failed"):
        if not any(columns[name]):
            del columns[name]
    if len(rows) == 1 and rows[0]["from"] is None:
        for name in ("from", "by", "narrowed from trials"):
            del columns[name]
    caption = f"The stages and their trials; best and median are of the {material.metric}."
    return Section("lineage", "How the stages came about", "stages", tables=(Table(caption, columns),))


def _rule(stage: Stage) -> str | None:
    if stage.parent is None:
        return None
    rule = stage.rule.get("rule", stage.rule)
    top, quantile = rule.get("top"), rule.get("quantile")
    chosen = f"best {top}" if top is not None else f"best {quantile:.0%}" if quantile is not None else "narrowing"
    return f"{chosen}, ends may move out" if rule.get("expand") else chosen


def provenance(material: Material) -> Section:
    """What it takes to get the same again: study file, seed, data, versions, database."""
    first, last = material.stages[0].stage, material.stages[-1].stage
    data = first.study_file.get("data", {})
    versions = dict.fromkeys(
        ", ".join(f"{name} {number}" for name, number in one.stage.versions.items()) for one in material.stages
    )
    seed = first.study_file.get("trials", {}).get("seed")
    facts = {
        "search": first.search,
        "database": material.database,
        "data": data.get("name") or data.get("path"),
        "images": ", ".join(f"{count:,} {part}" for part, count in last.sizes.items()) or None,
        "sha256 of the data": first.fingerprint or None,
        "seed of the study file": seed,
        "seeds of the stages": ", ".join(str(one.stage.seed) for one in material.stages),
        "made with": "; ".join(filter(None, versions)) or None,
        "report by": f"hpsearch {__version__}",
        "last trial finished": _last(material),
    }
    known = {name: value for name, value in facts.items() if value is not None}
    tables = [Table("Where this report comes from.", {"what": list(known), "value": [str(v) for v in known.values()]})]
    settings = list(_settings(first))
    if settings:
        caption = "What was not drawn in the first stage."
        tables.append(Table(caption, by_column(settings), folded="The study file's settings"))
    return Section("provenance", "Where it comes from", "provenance", tables=tuple(tables))


def _last(material: Material) -> str | None:
    times = [one.trials["finished"].max() for one in material.stages if len(one.trials)]
    known = [time for time in times if time == time]  # NaT is no time
    return f"{max(known):%Y-%m-%d %H:%M} UTC" if known else None


def _settings(stage: Stage) -> Iterator[dict[str, Any]]:
    for section, values in stage.study_file.items():
        if isinstance(values, dict) and section != "space":
            for key, value in values.items():
                if value is not None and key not in stage.space:
                    yield {
                        "setting": f"{section}.{key}",
                        "value": str(value) if isinstance(value, list) else shown(value),
                    }


NUMBERS = "The numbers"
"""Under which a figure's table is folded away."""


def drawing(key: str, title: str, caption: str, figure: go.Figure, **more: Any) -> Drawing:
    """A figure with its words.

    Args:
        key: A name for links.
        title: What it shows, in a few words.
        caption: What there is to see, in a sentence.
        figure: The figure; what it says of itself becomes its alternative text.
        more: Further fields, or other ones than follow from the figure.
    """
    drawn = plain_figure(figure)
    defaults = {
        "alt": figures.describe(figure),
        "narrow": narrowed(drawn["layout"]),
    }
    return Drawing(key=key, title=title, caption=caption, figure=drawn, **{**defaults, **more})


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
        p = found[name].evidence if name in found else None
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
    found = importance(
        one.trials, one.stage.space, direction=material.direction, settings=kinds.settings(one.stage) or None
    )
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
