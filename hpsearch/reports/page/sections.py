"""The parts of a report below its answer that are words and tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hpsearch import __version__
from hpsearch.reports.figures.frames import ranked
from hpsearch.reports.page.contents import Section, Table
from hpsearch.reports.page.words import counted
from hpsearch.reports.tables import by_column, drawn_values
from hpsearch.space import describe, shown
from hpsearch.statistics import wilson
from hpsearch.statistics.findings import CLEAR, WEAK

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.records import Stage
    from hpsearch.reports.page.material import Material, StageTrials
    from hpsearch.statistics.findings import RangeFinding

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
        for row in _rows(material, name)
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


def _rows(material: Material, name: str) -> Iterator[dict[str, Any]]:
    """A parameter's ranges: stage by stage, and what narrowing would make of the last that has not been narrowed."""
    for one in material.stages:
        if name in one.stage.space:
            yield {"parameter": name, "stage": one.label, "range": describe(one.stage.space[name])}
    finding, judged = material.findings.ranges.get(name), material.findings.stage
    names = {one.stage.number: one.stage.name for one in material.stages}
    if finding is not None and all(names.get(one.stage.parent or 0) != judged for one in material.stages):
        yield {"parameter": name, "stage": next_label(material, finding), "range": describe(finding.advised)}


def next_label(material: Material, finding: RangeFinding) -> str:
    """How the range that is shown as the next one is come by."""
    if material.findings.step in ("narrow", "expand"):
        return "next, by narrow --expand" if finding.widens else "next, by narrow"
    return "if narrowed, with --expand" if finding.widens else "if narrowed"


def _range_words(finding: RangeFinding) -> str:
    """Whether a parameter matters, and how firm its next range is."""
    if finding.p is None:
        words = "too few of the best trials use it to say anything"
    elif finding.p <= CLEAR:
        words = f"it matters (p = {finding.p:.1g}): the best trials lie far closer together than chance would put them"
    elif finding.p <= WEAK:
        words = f"it may matter (p = {finding.p:.2g}): the best trials lie closer together than chance would put them"
    else:
        words = f"no effect can be seen (p = {finding.p:.2g}): the best trials are spread as if it did not matter"
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
