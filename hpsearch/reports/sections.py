"""The sections of a report that are words and tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hpsearch import __version__
from hpsearch.reports.figures.trials import ranked
from hpsearch.reports.page import Section, Table
from hpsearch.reports.tables import by_column, used_values
from hpsearch.search.evidence import CLEAR, WEAK
from hpsearch.space import describe, shown
from hpsearch.statistics import Interval, wilson
from hpsearch.text import counted

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.records import Stage
    from hpsearch.reports.report import Material, StageConfirmation, StageTrials
    from hpsearch.search.evaluation import Evaluation
    from hpsearch.search.range_analysis import NarrowedRange

TOP = 20
"""Rows of the table of the best trials."""
_SAMPLE = 6
"""Trials that a cell lists."""


def between(interval: Interval) -> str:
    """Return an interval in words: ``95 % interval 0.82 to 0.94``."""
    return f"{interval.level * 100:.4g}\N{NO-BREAK SPACE}% interval {interval.low:.2f} to {interval.high:.2f}"


def ranges(material: Material) -> Section:
    """Return every parameter's range, stage by stage, and what the last trials say about it."""
    points = tuple(f"{name}: {_range_words(finding)}" for name, finding in material.findings.ranges.items())
    few = "There are too few trials with a score to say where the best values lie."
    names = dict.fromkeys(name for stage in material.stages for name in stage.stage.space)
    rows = [row for name in names for row in _range_rows(material, name)]
    caption = "The range that each parameter was sampled from in each stage."
    return Section(
        "ranges",
        "The ranges, stage by stage",
        "ranges",
        sentences=() if points else (few,),
        points=points,
        tables=(Table(caption, by_column(rows)),) if rows else (),
    )


def _range_rows(material: Material, name: str) -> Iterator[dict[str, Any]]:
    """Return a parameter's ranges: stage by stage, and the next one of the last that has not been narrowed."""
    for stage in material.stages:
        if name in stage.stage.space:
            yield {"parameter": name, "stage": stage.label, "range": describe(stage.stage.space[name])}
    finding, judged = material.findings.ranges.get(name), material.findings.stage
    names = {stage.stage.number: stage.stage.name for stage in material.stages}
    if finding is not None and all(names.get(stage.stage.parent or 0) != judged for stage in material.stages):
        label = "next" if material.findings.step in ("narrow", "expand") else "if narrowed"
        label += ", expanded" if finding.widens else ""
        yield {"parameter": name, "stage": label, "range": describe(finding.advised)}


def _range_words(finding: NarrowedRange) -> str:
    """Say whether a parameter matters, and how firm its next range is."""
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
    if finding.movement is not None:
        movement = finding.movement.sentence(finding.before)
        words += f". {movement[0].upper()}{movement[1:]}"
    return f"{words}."


def best_trials(material: Material) -> Section | None:
    """Return the best trials of all stages, with an interval each where the score is a share of examples."""
    sign = -1 if material.direction == "maximize" else 1
    names = dict.fromkeys(name for stage in material.stages for name in stage.stage.space)
    keyed: list[tuple[tuple[float, ...], dict[str, Any]]] = []
    for stage in material.stages:
        for trial in ranked(stage.trials, material.direction).head(TOP).to_dict("records"):
            row = _trial_row(material, stage.stage, trial)
            loss = row.get("validation loss")
            key = (sign * trial["score"], float("inf") if loss is None else loss, stage.stage.number, trial["number"])
            values = used_values(stage.stage, {name: trial[f"param:{name}"] for name in stage.stage.space})
            keyed.append((key, row | {name: values.get(name) for name in names}))
    if not keyed:
        return None
    keyed.sort(key=lambda row: row[0])
    columns = by_column([{"rank": rank, **row} for rank, (_, row) in enumerate(keyed[:TOP], start=1)])
    if all(value is None for value in columns.get("validation loss", [0])):
        del columns["validation loss"]
    number = len(columns["rank"])
    caption = (
        f"Of {counted(material.total('COMPLETE'), 'trial')} with a score, the best first; ties by validation loss."
    )
    if "95 % interval" in columns:
        caption += " Each interval is of its trial alone: where they overlap, the order says little."
    if "tied" in columns:
        caption += " Tied: of the best trial's stage, and statistically tied with it."
    heading = "The best trial" if number == 1 else f"The best {number} trials"
    return Section("best", heading, f"best {number}" if number > 1 else "best", tables=(Table(caption, columns),))


def _trial_row(material: Material, stage: Stage, trial: Mapping[Any, Any]) -> dict[str, Any]:
    cells: dict[str, Any] = {"stage": stage.number, "trial": trial["number"], material.metric: trial["score"]}
    best = material.findings.best
    if material.findings.tied and best is not None:
        of_stage = stage.name == best.stage
        ties = "yes" if of_stage and trial["number"] in material.findings.tied else None
        cells["tied"] = "best" if of_stage and trial["number"] == best.trial else ties
    count = material.examples
    if count and 0 <= trial["score"] <= 1:
        interval = wilson(round(trial["score"] * count), count)
        cells["95 % interval"] = f"{interval.low:.2f} to {interval.high:.2f}"
    if material.metric != "validation loss":
        loss = trial.get("validation_loss")
        cells["validation loss"] = None if loss is None or loss != loss else loss
    return cells


def failures(material: Material) -> Section | None:
    """Return why trials failed, how often, and which; and how many were pruned."""
    failed, pruned, total = material.total("FAIL"), material.total("PRUNED"), counted(material.total(), "trial")
    if not failed and not pruned:
        return None
    sentences = []
    if failed:
        sentences.append(f"{failed:,} of {total} failed. A failed trial has no score and is not ranked.")
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
            reason = str(value) if isinstance(value, str) and value else "no reason was recorded"
            groups.setdefault(re.sub(r"\d+", "…", reason), []).append((stage, int(number), reason))
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
    """Return how each stage came about, and what became of its trials."""
    rows = []
    for stage in material.stages:
        scores = ranked(stage.trials, material.direction)["score"]
        rows.append(
            {
                "stage": stage.stage.number,
                "from": None if stage.stage.parent is None else f"stage {stage.stage.parent}",
                "by": _rule(stage.stage),
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


def confirmation_sentence(confirmation: StageConfirmation, metric: str) -> str:
    """Say which values rank first in a confirmation with some score, and how far it is."""
    first, left = confirmation.ranking[0], confirmation.left
    held = "" if first.interval is None else f" ({between(first.interval)})"
    return (
        f"Run again {counted(first.repeats, 'time')} with other seeds, the values of trial {first.setting.trial} of "
        f"stage {confirmation.stage.number} rank first, with a mean {metric} of {first.mean:.3g}{held}."
        + (
            f" It is not complete: {counted(left, 'trial')} {'is' if left == 1 else 'are'} still to be run."
            if left
            else ""
        )
    )


def confirmation_section(material: Material) -> Section | None:
    """Return the tables of the confirmations."""
    scored = [confirmation for confirmation in material.confirmations if confirmation.ranking]
    tables = []
    for confirmation in scored:
        other = "" if any(one.covers == "seeds" for one in confirmation.ranking) else " and other examples"
        alone = any(one.p is not None and one.compared == "seeds" for one in confirmation.ranking)
        caption = (
            f"The best of stage {confirmation.stage.number}, run again with other seeds, best mean first. Intervals "
            f"hold for other seeds{other}; p: two-sided, Bonferroni-adjusted, against the first"
            f"{', for these validation examples alone' if alone else ''}."
        )
        columns = by_column(list(_confirmed_rows(confirmation)))
        for name, empty in (("failed", 0), ("p", None)):
            if all(value == empty for value in columns[name]):
                del columns[name]
        tables.append(Table(caption, columns))
    if not tables:
        return None
    sentences = tuple(confirmation_sentence(confirmation, material.metric) for confirmation in scored)
    return Section("confirmation", "Run again with other seeds", "confirmed", sentences=sentences, tables=tuple(tables))


def _confirmed_rows(confirmation: StageConfirmation) -> Iterator[dict[str, Any]]:
    for one in confirmation.ranking:
        yield {
            "trial": one.setting.trial,
            "mean": one.mean,
            "95 % interval": None if one.interval is None else f"{one.interval.low:.3f} to {one.interval.high:.3f}",
            "score before": one.setting.score,
            "repeats": one.repeats,
            "failed": one.failed,
            "p": one.p if one.p is None else float(f"{one.p:.2g}"),
            **used_values(confirmation.stage, one.setting.params),
        }


def first_result(material: Material) -> Evaluation | None:
    """Return the first evaluation that came to a score."""
    return next((evaluation for evaluation in material.evaluations if evaluation.score is not None), None)


def test_sentence(material: Material) -> str | None:
    """Say what the first evaluation on the test set came to; None where there is none."""
    first = first_result(material)
    if first is None:
        return None
    held = "" if first.interval is None else f" ({between(first.interval)})"
    which = "" if first is material.evaluations[0] else ", but not at the first evaluation"
    return (
        f"On the test set of {counted(first.examples or 0, 'example')}, unseen by any trial: {first.metric} "
        f"{first.score:.3g}{held}, with the values of trial {first.trial} of {first.stage}{which}."
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
            "when (UTC)": one.when.replace("T", " ").removesuffix("+00:00"),
            "values of": f"{one.stage} trial {one.trial}",
            metric: one.score,
            "95 % interval": one.interval and f"{one.interval.low:.3f} to {one.interval.high:.3f}",
            "test examples": one.examples,
            "trained on": one.trained_on,
            "epochs": one.epochs,
            "seed": one.seed,
        }
        for place, one in enumerate(material.evaluations, start=1)
    ]
    caption = "The chosen values, trained on all other examples and scored on the test set."
    table = Table(caption, by_column(rows))
    return Section("evaluation", "On the test set", "test", sentences=tuple(sentences), tables=(table,))


def provenance(material: Material) -> Section:
    """Return what it takes to get the same again: study file, seed, data, versions, database."""
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
