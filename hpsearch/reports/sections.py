"""The sections of a report: sentences, tables, and figures with captions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from hpsearch import __version__
from hpsearch.errors import BadInput
from hpsearch.objectives.kinds import curve_bounds, examples, trained_epochs
from hpsearch.records import rank_key
from hpsearch.reports import figures
from hpsearch.reports.figures.saving import narrowed, plain_figure, without_key
from hpsearch.reports.figures.style import cut, least_width, markup
from hpsearch.reports.importance import importance
from hpsearch.reports.page import PageFigure, PageQuestion, Section, Table
from hpsearch.reports.tables import by_column, confirmed_sentences, confirmed_table, used_values
from hpsearch.search.infeasible import reason_pattern
from hpsearch.space import Categorical, delivered, delivered_as, describe, shown
from hpsearch.statistics import Interval, wilson
from hpsearch.text import counted, decimals, is_missing, rounded

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from hpsearch.records import Action, Argument, Stage
    from hpsearch.reports.figures import StageTrials
    from hpsearch.reports.report import Material
    from hpsearch.search.best import Overview
    from hpsearch.search.evaluation import Evaluation
    from hpsearch.search.range_analysis import NarrowedRange


TOP = 20  # rows of the table of the best trials
_SAMPLE = 6  # trials that a cell lists


def between(interval: Interval) -> str:
    """Return an interval in words: ``95 % interval 0.82 to 0.94``."""
    return f"{interval.level * 100:.4g}\N{NO-BREAK SPACE}% interval {ends(interval, 2)}"


def ends(interval: Interval | None, least: int = 3) -> str | None:
    """Return the ends of an interval, with at least so many decimals where it is narrow: ``0.820 to 0.940``."""
    if interval is None:
        return None
    digits = decimals((interval.high - interval.low) / 2, least)
    return f"{rounded(interval.low, digits)} to {rounded(interval.high, digits)}"


MARKS: Mapping[str, tuple[str, str]] = {  # by verdict, with their meanings
    "ok": ("\N{CHECK MARK}", "nothing to do"),
    "act": ("!", "something to do"),
    "unknown": ("?", "not known"),
}


def checklist(material: Material, word: Callable[[Action | Argument], str], *, keys: Collection[str]) -> Section | None:
    """Return the questions of the checklist; ``keys`` are those of the figures on the page."""
    of = material.checklist
    space = material.judged.stage.space
    names = [delivered_as(name, space[name]) for name in _by_evidence(material)]
    above = () if of.recommended is None or of.recommended.by == "best" else of.recommended.outlook
    questions = []
    for question in of.questions:
        if question.key == "test":  # said above
            continue
        answers = (sentence(part.worded(word), material) for part in question.answers if str(part) not in above)
        key = "" if question.figure is None else _key(question.figure, names)
        command = "" if question.action is None else word(question.action)
        mark, meaning = MARKS[question.verdict]
        figure = key if key in keys else ""
        questions.append(PageQuestion(mark, meaning, question.question, tuple(answers), figure, command))
    return Section("checklist", "The checklist", "checklist", questions=tuple(questions)) if questions else None


def _key(figure: Action, names: Sequence[str]) -> str:
    """Return the key on the page of a figure that a question refers to; ``names`` are its parameters, as delivered."""
    kind, parameters = figure.arguments["kind"], figure.arguments.get("parameters") or names[:1]
    if kind == "parameters":
        return next((f"against-{place}" for place, name in enumerate(names, 1) if name in parameters), "")
    return "learning-curves" if kind == "curves" else str(kind)


def sentence(advice: str, material: Material) -> str:
    """Return advice as a sentence; a parameter's name is written as it is."""
    first = advice.split(" ", 1)[0].rstrip(",:")
    of_search = material.stages[0].stage.space.values()
    named = any(first in stage.stage.space or first == stage.stage.name for stage in material.stages)
    named = named or first in material.checklist.ranges  # those of each value have names that no stage has yet
    named = named or any(isinstance(of, Categorical) and first in of.choices for of in of_search)
    begun = advice if named else advice[:1].upper() + advice[1:]
    return begun if begun.endswith((".", "\N{HORIZONTAL ELLIPSIS}")) else f"{begun}."


def scientific(material: Material) -> Section | None:
    """Return the scientific values side by side, each tuned; None where there are none."""
    of = material.checklist.scientific
    if of is None:
        return None
    behind = {other.value.label: other for other in of.others}
    rows = []
    for value in of.compared:
        other = behind.get(value.label)
        row = {
            "value": value.label,
            "with a score": value.complete,
            "failed": value.failed,
            f"best {material.metric}": value.best,
            "of trial": None
            if value.best_stage is None
            else f"{value.best_stage.split('/')[-1]} trial {value.best_trial}",
            "behind the best": "best" if value is of.best else other and rounded(other.difference, 3),
            "95 % interval": other and ends(other.interval),
        }
        rows.append(row)
    caption = (
        "The best trial of each value, and how far the value lies behind the best one when the other parameters are "
        "tuned for each; the intervals hold all at once."
    )
    heading = f"{' and '.join(of.names)}, each value tuned"
    return Section("scientific", heading, "values compared", tables=(Table(caption, by_column(rows)),))


def ranges(material: Material, word: Callable[[Action | Argument], str]) -> Section:
    """Return every parameter's range, stage by stage, and the last trials' evidence about it."""
    said = {name: finding for name, finding in material.checklist.ranges.items() if finding.sentences}
    points = tuple(f"{name}:{_range_words(finding, word)}" for name, finding in said.items())
    few = "There are too few trials with a score to say where the best values lie."
    names = dict.fromkeys(
        [name for stage in material.stages for name in stage.stage.space] + [*material.checklist.ranges]
    )
    rows = [row for name in names for row in _range_rows(material, name)]
    caption = "The range that each parameter was sampled from, and each stage that changed it."
    changed = [row["parameter"] for row in rows if row["stage"] != material.stages[0].label]
    same = [
        name
        for name in material.stages[-1].stage.space
        if not any(of == name or of.startswith(f"{name}[") for of in changed)
    ]
    if same and (len(material.stages) > 1 or points):
        caption += f" Not changed: {', '.join(same)}."
    return Section(
        "ranges",
        "The ranges, stage by stage",
        "ranges",
        sentences=() if points else (few,),
        points=points,
        tables=(Table(caption, by_column(rows)),) if rows else (),
    )


def _range_rows(material: Material, name: str) -> Iterator[dict[str, Any]]:
    """Return a parameter's ranges where they changed: by stage, and the next one of the last that was not narrowed."""
    spaces = {stage.stage.number: stage.stage.space for stage in material.stages}
    for stage in material.stages:
        if (of := stage.stage.space.get(name)) is not None:
            parent = spaces.get(stage.stage.parent or 0, {})
            before = parent.get(name) or parent.get(delivered_as(name, of))
            if before is None or describe(before) != describe(of):
                yield {"parameter": name, "stage": stage.label, "range": describe(of)}
    finding, judged = material.checklist.ranges.get(name), material.checklist.stage
    names = {stage.stage.number: stage.stage.name for stage in material.stages}
    if finding is None or describe(finding.advised) == describe(finding.before):
        return
    if all(names.get(stage.stage.parent or 0) != judged for stage in material.stages):
        label = "next" if material.checklist.next.step in ("narrow", "expand") else "if narrowed"
        label += ", expanded" if finding.widens else ""
        yield {"parameter": name, "stage": label, "range": describe(finding.advised)}


def _range_words(finding: NarrowedRange, word: Callable[[Action | Argument], str]) -> str:
    """Return sentences: whether a parameter matters, and what becomes of its range."""
    first, *others = (sentence.worded(word) for sentence in finding.sentences)
    return f" {first}." + "".join(f" {sentence[0].upper()}{sentence[1:]}." for sentence in others)


def best_trials(material: Material) -> Section | None:
    """Return the best trials of all stages, with an interval each where its noise is known."""
    direction = material.stages[0].stage.direction
    trials = [(of.stage, trial) for of in material.compared for trial in of.complete.head(TOP).to_dict("records")]
    trials.sort(key=lambda of: rank_key(direction, of[1]["score"], of[1]["validation_loss"], of[0].number))
    if not trials:
        return None
    spaces = [stage.stage.space for stage in material.stages]
    names = dict.fromkeys(delivered_as(name, of) for space in spaces for name, of in space.items())
    rows = []
    for rank, (stage, trial) in enumerate(trials[:TOP], start=1):
        values = used_values(stage, {name: trial[f"param:{name}"] for name in stage.space})
        known = delivered(stage.space, {name: value for name, value in values.items() if value is not None})
        parameters = {name: known.get(name) for name in names}
        rows.append({"rank": rank, **_trial_row(material, stage, trial), **parameters})
    columns = by_column(rows)
    if all(value is None for value in columns.get("validation loss", [0])):
        del columns["validation loss"]
    caption = (
        f"Of {counted(sum(of.count('COMPLETE') for of in material.compared), 'trial')} with a score, the best first; "
        "ties by validation loss."
    )
    if "95 % interval" in columns:
        caption += " Each interval is of its trial alone: where they overlap, the order says little."
    if "tied" in columns:
        caption += " Tied: of the best trial's stage, and statistically tied with it."
    heading = "The best trial" if len(rows) == 1 else f"The best {len(rows)} trials"
    short = "best" if len(rows) == 1 else f"best {len(rows)}"
    return Section("best", heading, short, tables=(Table(caption, columns),))


def _trial_row(material: Material, stage: Stage, trial: Mapping[Any, Any]) -> dict[str, Any]:
    cells: dict[str, Any] = {"stage": stage.number, "trial": trial["number"], material.metric: trial["score"]}
    best = material.checklist.best
    if best is not None and best.tied:
        of_stage = stage.name == best.stage
        ties = "yes" if of_stage and trial["number"] in best.tied else None
        cells["tied"] = "best" if of_stage and trial["number"] == best.trial else ties
    count = material.examples
    noise = None if count or best is None else best.noise.get(stage.name)
    if noise is not None and trial["number"] in noise.scores and (interval := noise.interval(trial["number"])):
        cells["95 % interval"] = ends(interval, 2)
    if count and 0 <= trial["score"] <= 1:
        cells["95 % interval"] = ends(wilson(round(trial["score"] * count), count), 2)
    if material.metric != "validation loss":
        loss = trial["validation_loss"]
        cells["validation loss"] = None if is_missing(loss) else loss
    return cells


def failures(material: Material) -> Section | None:
    """Return why trials failed, how often, and which; and how many were pruned."""
    failed, pruned, total = material.total("FAIL"), material.total("PRUNED"), counted(material.total(), "trial")
    if not failed and not pruned:
        return None
    sentences = []
    if failed:
        sentences.append(f"{failed:,} of {total} failed. A failed trial has no score and is not ranked.")
        where = [of for stage in material.stages if (of := stage.infeasible) is not None and of.threshold is not None]
        sentences += [sentence(str(of.sentence), material) for of in where]
    if pruned:
        sentences.append(
            f"{pruned:,} of {total} were pruned because others were better by then; they count as beaten and are not "
            "ranked."
        )
    rows = list(_reasons(material))
    caption = "Failed trials by their reason; numbers in a reason that differ are left out (…)."
    return Section(
        "failures",
        "Failed trials" if failed else "Pruned trials",
        "failures" if failed else "pruned",
        sentences=tuple(sentences),
        tables=(Table(caption, by_column(rows)),) if rows else (),
    )


def _reasons(material: Material) -> Iterator[dict[str, Any]]:
    groups: dict[str, list[tuple[StageTrials, int, str]]] = {}
    for stage in material.stages:
        failed: pd.DataFrame = stage.trials[stage.trials["state"] == "FAIL"]
        for number, value in zip(failed["number"], failed["reason"], strict=True):
            reason = str(value) if isinstance(value, str) and value else reason_pattern(None)
            groups.setdefault(reason_pattern(reason), []).append((stage, int(number), reason))
    for pattern, group in sorted(groups.items(), key=lambda item: -len(item[1])):
        reasons = {reason for _, _, reason in group}
        yield {
            "reason": reasons.pop() if len(reasons) == 1 else pattern,
            "trials": len(group),
            "stage/trial": _some([f"{stage.stage.number}/{number}" for stage, number, _ in group]),
        }


def _some(texts: list[str]) -> str:
    return ", ".join(texts[:_SAMPLE]) + (", ..." if len(texts) > _SAMPLE else "")


def lineage(material: Material) -> Section:
    """Return each stage's origin, and its trials by state."""
    rows = []
    for stage in material.stages:
        scores = stage.complete["score"]
        rows.append(
            {
                "stage": stage.stage.number,
                "from": None if stage.stage.parent is None else f"stage {stage.stage.parent}",
                "by": _rule(stage.stage),
                "epochs": trained_epochs(stage.stage),
                "trials": len(stage.trials),
                "complete": stage.count("COMPLETE"),
                "failed": stage.count("FAIL"),
                "pruned": stage.count("PRUNED"),
                "unfinished": stage.count("RUNNING", "WAITING"),
                "best": float(scores.iloc[0]) if len(scores) else None,
                "median": float(scores.median()) if len(scores) else None,
                "narrowed from trials": _some([str(number) for number in stage.stage.trials_used]) or None,
            }
        )
    columns = by_column(rows)
    for name in ("pruned", "unfinished", "failed"):
        if not any(columns[name]):
            del columns[name]
    if len(set(columns["epochs"])) == 1:
        del columns["epochs"]
    if len(rows) == 1 and rows[0]["from"] is None:
        for name in ("from", "by", "narrowed from trials"):
            del columns[name]
    caption = f"The stages and their trials; best and median are of the {material.metric}."
    return Section("lineage", "How the stages came about", "stages", tables=(Table(caption, columns),))


def _rule(stage: Stage) -> str | None:
    if stage.parent is None:
        return None
    if (refined := stage.refinement) is not None:
        return f"refined by {refined['sampler']}, in batches of {refined['batch']}"
    rule = stage.rule.get("rule", stage.rule)
    top, quantile = rule.get("top"), rule.get("quantile")
    chosen = f"best {top}" if top is not None else f"best {quantile:.0%}" if quantile is not None else "narrowing"
    return f"{chosen}, ends may move out" if rule.get("expand") else chosen


def confirmation_sentence(confirmation: Overview, metric: str) -> str:
    """Return sentences: the values that rank first in a confirmation with scores, and the trials left."""
    first, left = confirmation.ranking[0], confirmation.left
    interval = "" if first.interval is None else f" ({between(first.interval)})"
    on = " on the validation examples that they were chosen by" if examples(confirmation.confirmation) else ""
    still = f" It is not complete: {counted(left, 'trial')} {'is' if left == 1 else 'are'} still to be run."
    return (
        f"Run again {counted(first.repeats, 'time')} with other seeds, the values of trial {first.trial} of stage "
        f"{confirmation.confirmation.number} rank first, with a mean {metric} of {first.mean:.3g}{on}{interval}."
        f"{still if left else ''}"
    )


def confirmation_section(material: Material, word: Callable[[Action | Argument], str]) -> Section | None:
    """Return the tables of the confirmations."""
    scored = [confirmation for confirmation in material.confirmations if confirmation.ranking]
    tables = []
    for confirmation in scored:
        reading = "; ".join(sentence.worded(word) for sentence in confirmed_sentences(confirmation))
        caption = f"The best of stage {confirmation.confirmation.number}, run again with other seeds; {reading}."
        tables.append(Table(caption, confirmed_table(confirmation, to="to")))
    if not tables:
        return None
    sentences = tuple(confirmation_sentence(confirmation, material.metric) for confirmation in scored)
    return Section("confirmation", "Run again with other seeds", "confirmed", sentences=sentences, tables=tuple(tables))


def first_result(material: Material) -> Evaluation | None:
    """Return the first evaluation that came to a score."""
    return next((evaluation for evaluation in material.evaluations if evaluation.score is not None), None)


def test_sentence(material: Material) -> str | None:
    """Return a sentence about the first score on the test set; None where there is none."""
    first = first_result(material)
    if first is None:
        return None
    interval = "" if first.interval is None else f" ({between(first.interval)})"
    which = "" if first is material.evaluations[0] else ", but not at the first evaluation"
    return (
        f"On the test set of {counted(first.examples or 0, 'example')}, unseen by any trial: {first.metric} "
        f"{first.score:.3g}{interval}, with the values of trial {first.trial} of {first.stage}{which}."
    )


def test_section(material: Material) -> Section | None:
    """Return every evaluation on the test set; only the first is unbiased."""
    if not material.evaluations:
        return None
    sentences = [test_sentence(material) or "The evaluation on the test set ended before its result was known."]
    if (number := len(material.evaluations)) > 1:
        sentences.append(
            f"The test set was evaluated {number} times: what is chosen after the first evaluation is no longer judged "
            "without bias."
        )
    first = first_result(material)
    metric = "test score" if first is None else f"test {first.metric}"
    rows = [
        {
            "evaluation": place,
            "when (UTC)": evaluation.when.replace("T", " ").removesuffix("+00:00"),
            "values of": f"{evaluation.stage} trial {evaluation.trial}",
            metric: evaluation.score,
            "95 % interval": ends(evaluation.interval),
            "test examples": evaluation.examples,
            "trained on": evaluation.trained_on,
            "epochs": evaluation.epochs,
            "seed": evaluation.seed,
        }
        for place, evaluation in enumerate(material.evaluations, start=1)
    ]
    caption = "The chosen values, trained on all other examples and scored on the test set."
    table = Table(caption, by_column(rows))
    return Section("evaluation", "On the test set", "test", sentences=tuple(sentences), tables=(table,))


def provenance(material: Material) -> Section:
    """Return the facts that reproduce a search: study file, seed, data, versions, database."""
    first, last = material.stages[0].stage, material.stages[-1].stage
    data = first.study_file.get("data", {})
    versions = dict.fromkeys(
        ", ".join(f"{name} {number}" for name, number in stage.stage.versions.items()) for stage in material.stages
    )
    times = [stage.trials["finished"].max() for stage in material.stages if len(stage.trials)]
    times = [time for time in times if time == time]  # NaT is no time
    facts = {
        "search": first.search,
        "database": material.database,
        "data": data.get("name") or data.get("path"),
        "examples": ", ".join(f"{count:,} {part}" for part, count in last.sizes.items()) or None,
        "sha256 of the data": first.fingerprint or None,
        "seed of the study file": first.study_file.get("trials", {}).get("seed"),
        "seeds of the stages": ", ".join(str(stage.stage.seed) for stage in material.stages),
        "made with": "; ".join(filter(None, versions)) or None,
        "report by": f"hpsearch {__version__}",
        "last trial finished": f"{max(times):%Y-%m-%d %H:%M} UTC" if times else None,
    }
    known = {name: str(value) for name, value in facts.items() if value is not None}
    tables = [Table("Where this report comes from.", {"what": list(known), "value": list(known.values())})]
    if settings := list(_settings(first)):
        caption = "The settings that were not sampled in the first stage."
        tables.append(Table(caption, by_column(settings), folded="The study file's settings"))
    return Section("provenance", "Where it comes from", "provenance", tables=tuple(tables))


def _settings(stage: Stage) -> Iterator[dict[str, Any]]:
    for section, values in stage.study_file.items():
        if isinstance(values, dict) and section != "space":
            for key, value in values.items():
                if value is not None and key not in stage.space:
                    text = str(value) if isinstance(value, list) else shown(value)
                    yield {"setting": f"{section}.{key}", "value": text}


PARAMETERS = 8  # parameters with a figure each, those that matter most first
NUMBERS = "The numbers"  # the summary of a figure's collapsed table

Make = Callable[["Material"], "PageFigure | str | None"]


def figure_sections(material: Material, *, only: str | None = None) -> Iterator[Section]:
    """Return the sections that are figures, or the one of a key; a figure that cannot be made says why."""
    names = _by_evidence(material)[:PARAMETERS] if len(material.judged.trials) else []
    against = [partial(_against, name=name, place=place) for place, name in enumerate(names, start=1)]
    parts: dict[tuple[str, str, str], list[Make]] = {
        ("scores", "Scores over time", "scores"): [_history, _by_stage, _budget],
        ("parameters", "Where the good values lie", "values"): [*against, _isolation, _pair, _importance, _parallel],
        ("narrowing", "How the ranges narrowed", "narrowing"): [_lineage],
        ("curves", "How the best trials learned", "learning curves"): [_curves],
    }
    for (key, heading, short), makes in parts.items():
        if only not in (None, key):
            continue
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


def page_figure(key: str, title: str, caption: str, figure: go.Figure, **more: Any) -> PageFigure:
    """Return a figure with its words; ``more`` are further fields, or other ones than follow from the figure."""
    plain = plain_figure(figure)
    if note := without_key(plain):
        caption += f" {note[:1].upper()}{note[1:]}."
    derived = {"alt": figures.describe(figure), "narrow": narrowed(plain["layout"])}
    return PageFigure(key=key, title=title, caption=caption, figure=plain, **{**derived, **more})


def phone_layout(figure: go.Figure) -> dict[str, Any]:
    """Return a figure's layout for a phone; see `hpsearch.reports.figures.saving.narrowed`."""
    plain = plain_figure(figure)
    without_key(plain)
    return narrowed(plain["layout"])


def _history(material: Material) -> PageFigure | None:
    if not material.total():
        return None
    best = material.checklist.best
    corrected = best is not None and best.corrected_interval is not None
    ends = None if best is None else best.corrected_interval or best.interval
    caption = "No trial has a score; crosses are failed trials."
    if material.total("COMPLETE"):
        caption = "Where the line stays flat, more of the same trials brought nothing better."
        which = "corrected for selection" if corrected else "not corrected for selection"
        caption += f" The band is the 95 % interval of the best trial's score, {which}." if ends else ""
        caption += _lengths(material)
    of = material.checklist.recommended
    marked = None if of is None else (of.of.number, of.trial)
    figure = figures.search_history(material.stages, interval=ends, corrected=corrected, recommended=marked)
    return page_figure("history", "Every trial, and the best so far", caption, figure)


def _lengths(material: Material) -> str:
    """Return a sentence where the stages train for other numbers of epochs; none where they do not."""
    epochs = {stage.label: trained_epochs(stage.stage) for stage in material.stages}
    if len(set(epochs.values())) == 1:
        return ""
    each = ", ".join(f"{label} {count or 'no'}" for label, count in epochs.items())
    return f" The stages train for different numbers of epochs ({each}), so their scores do not compare."


def _by_stage(material: Material) -> PageFigure | None:
    if len(material.stages) < 2 or not material.total("COMPLETE"):
        return None
    table = Table(f"The {material.metric} in each stage.", by_column(list(_quartiles(material))), folded=NUMBERS)
    goes = "rises" if material.stages[0].stage.direction == "maximize" else "falls"
    return page_figure(
        "scores-by-stage",
        "Scores by stage",
        f"A box holds the middle half of a stage's scores, with the median across: narrowing works where it {goes}."
        + _lengths(material),
        figures.scores_by_stage(material.stages),
        table=table,
    )


def _budget(material: Material) -> PageFigure | None:
    stage = material.judged
    if not len(stage.complete) or stage.stage.refinement is not None:
        return None
    figure = figures.best_of_n(stage)
    caption = f"Solid: the best that n of the trials of {stage.label} are expected to have, with the range of 95 % of "
    caption += "draws. Dashed: the forecast, where there are enough different scores for one."
    return page_figure("budget", f"Were there enough trials of {stage.label}?", caption, figure)


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
            "best": scores.iloc[0] if len(scores) else None,
        }


def _by_evidence(material: Material) -> list[str]:
    """Return the judged stage's varied parameters, the clearest effect first, otherwise in the study file's order."""
    ranges = material.checklist.ranges

    def p(name: str) -> float:
        value = ranges[name].evidence if name in ranges else None
        return 1.0 if value is None else value

    return sorted(material.judged.varied, key=p)


def _against(material: Material, *, name: str, place: int) -> PageFigure:
    stage, top, finding = material.judged, material.checklist.top, material.checklist.ranges.get(name)
    parameter = stage.stage.space[name]
    if material.checklist.next.step not in ("narrow", "expand"):
        finding = None  # no next stage is proposed
    elif finding is not None and describe(finding.advised) == describe(finding.before):
        finding = None
    after = {name: finding.advised} if finding else None
    figure = figures.score_by_parameters(stage, {name: parameter}, narrowed=after, best=top)
    figure.update_layout(height=340)
    if isinstance(parameter, Categorical):
        # Long labels, which Plotly turns, would leave no room for the data.
        figure.update_xaxes(ticktext=[markup(cut(choice, 16)) for choice in parameter.choices])
    best = stage.complete.head(top)
    columns = {"trial": best["number"].tolist(), material.metric: best["score"].astype(float).tolist()}
    columns[name] = best[f"param:{name}"].tolist()
    table = Table(f"The best {len(best)} trials of {stage.label} and their {name}.", columns, folded=NUMBERS)
    band = f" The band is the next range{', expanded' if finding.widens else ''}." if finding else ""
    return page_figure(
        f"against-{place}",
        f"{material.metric.capitalize()} by {name}",
        f"{stage.label.capitalize()}: {_where(best, name, stage)}.{band}",
        figure,
        half=True,
        table=table if len(best) else None,
    )


ISOLATED = 6  # parameters of the isolation plot, those that matter most first


def _isolation(material: Material) -> PageFigure | None:
    stage = material.judged
    if not len(stage.complete):
        return None
    of = material.checklist.scientific
    names = sorted(_by_evidence(material), key=lambda name: of is None or name not in of.names)
    space = {name: stage.stage.space[name] for name in names[:ISOLATED]}
    buckets = figures.isolated(stage, space, of)
    rows = [
        {
            "parameter": name,
            "part": figures.part_words(bucket),
            "trials": bucket.trials,
            "best": float(stage.complete["score"].iloc[bucket.best]),
            "expected": bucket.tuned,
            "95 % interval": ends(bucket.interval),
            "at": None if bucket.low == bucket.high or bucket.at is None else f"{bucket.at:.2g}",
        }
        for name, parts in buckets.items()
        for bucket in parts
    ]
    caption = (
        f"{stage.label.capitalize()}. Lines: the score expected in each part of a range with all other parameters "
        "tuned, to values that may be untried (the recommended ones are a trial's, so less may be expected of them), "
        "with its 95 % interval, by a Gaussian process; dots: the best trial there, selected for its noise too. "
        "The best value of a part may be its end, beside better ones (see the numbers). "
    )
    caption += "Where bands overlap, the trials do not tell which part is better; without a band too few have a score."
    if of is not None:
        caption += f" The values of {' and '.join(of.names)} are compared over all stages."
    if len(names) > ISOLATED:
        caption += f" Plotted are {ISOLATED} of {len(names)} parameters, those with the clearest effect."
    return page_figure(
        "isolation",
        "Each parameter with the others tuned",
        caption,
        figures.isolation(stage, space, buckets=buckets, scientific=of),
        narrow=phone_layout(figures.isolation(stage, space, buckets=buckets, scientific=of, columns=1)),
        table=Table("The parts of each range.", by_column(rows), folded=NUMBERS),
    )


def _where(best: pd.DataFrame, name: str, stage: StageTrials) -> str:
    values = best[f"param:{name}"].dropna().tolist()
    if best.empty:
        return "no trial has a score"
    if not values:
        return f"none of the best {len(best)} trials has it"
    if isinstance(stage.stage.space[name], Categorical):
        chosen = ", ".join(shown(value) for value in dict.fromkeys(values))
        return f"the best {len(values)} have {chosen}" if len(values) > 1 else f"the best has {chosen}"
    if len(values) == 1:
        return f"the best has {values[0]:.3g}"
    return f"the best {len(values)} lie from {min(values):.3g} to {max(values):.3g}"


def _pair(material: Material) -> PageFigure | None:
    stages, space = [stage.folded for stage in material.stages], material.judged.stage.space
    names = dict.fromkeys(delivered_as(name, space[name]) for name in _by_evidence(material))
    everywhere = [name for name in names if all(name in stage.stage.space for stage in stages)]
    if not material.total() or len(everywhere) < 2:
        return None
    x, y = everywhere[:2]
    figure = figures.pair(stages, x, y, ranges=[stage.stage for stage in stages])
    several = len(stages) > 1
    boxes = "The rectangles are the ranges of the stages" if several else "The rectangle is the ranges of the stage"
    points = "trials of all stages, the better the bluer"
    caption = f"{boxes}; {points if material.total('COMPLETE') else 'crosses are failed trials'}."
    return page_figure("pair", f"{x} and {y} together", caption, figure)


def _importance(material: Material) -> PageFigure | str | None:
    first = next((stage for stage in material.stages if len(stage.complete)), None)
    if first is None or len(first.stage.space) < 2:
        return None
    result = importance(first)
    if not result.shares:
        return f"The importance of the parameters is not plotted: {'; '.join(result.notes)}."
    rows = [
        {"parameter": name, "share": f"{share:.0%}", "by chance up to": f"{min(result.chance[name], 1):.0%}"}
        for name, share in result.shares.items()
    ]
    wide = ", where the ranges were widest" if len(material.stages) > 1 else ""
    return page_figure(
        "importance",
        "Which parameters mattered",
        f"{first.label.capitalize()}{wide}: what decides which trials are the best. Whether a parameter matters at "
        "all, the checklist tests on the scores of all trials.",
        figures.importances(result),
        table=Table("Shares of the importance.", by_column(rows), folded=NUMBERS),
    )


def _parallel(material: Material) -> PageFigure | None:
    stage = material.judged
    if len(stage.varied) < 3 or not len(stage.complete):
        return None
    figure = figures.parallel(stage, best=material.checklist.top)
    return page_figure(
        "parallel",
        "All parameters at once",
        f"Each line is a trial of {stage.label}; where the best run together, that value matters.",
        figure,
        width=least_width(figure),
    )


def _lineage(material: Material) -> PageFigure | None:
    if len(material.stages) < 2:
        return None
    return page_figure(
        "narrowed",
        "Ranges and best values, stage by stage",
        "Thin lines lead from the ends of a range to those of the ranges narrowed from it.",
        figures.lineage(material.stages),
        narrow=phone_layout(figures.lineage(material.stages, columns=1)),
    )


def _curves(material: Material) -> PageFigure | None:
    quantities = curve_bounds(material.latest.stage)
    asked = [of.figure.arguments for of in material.checklist.questions if of.key == "curves" and of.figure is not None]
    shows = [str(of["quantity"]) for of in asked if of.get("quantity") in quantities]  # where the checklist sees a sign
    quantity = next(iter([*shows, *quantities]), "")
    bounds = quantities.get(quantity)
    names = (f"train_{quantity}", f"validation_{quantity}")
    known = [row for row in material.curves if any(len(row.get(name, ())) for name in names)]
    if not known:
        return None
    # The values stand in the table of the best; in a panel's title there is room for the trial's number.
    rows = [{**row, "param:trial": row["number"]} for row in known]
    grid = partial(figures.curve_grid, rows, quantity=quantity, bounds=bounds, parameter="trial")
    whose = f"the best {len(rows)} trials" if len(rows) > 1 else "the best trial"
    return page_figure(
        "learning-curves",
        f"Learning curves of {whose} of {material.latest.label}",
        f"The {quantity} after each epoch. What the curves show, the checklist says.",
        grid(),
        narrow=phone_layout(grid(columns=2)),
    )
