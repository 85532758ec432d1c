"""Stages and their lineage: attributes that make no stage, parents that are not there, gaps in the numbers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from hpsearch.records import stage_name
from hpsearch.store import held
from hpsearch.store.care.findings import Finding, Place
from hpsearch.store.care.rows import by_study
from hpsearch.store.leases import is_abandoned
from hpsearch.store.locking import database_now
from hpsearch.store.stages import KIND, RANGES, stage_from_attributes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from sqlalchemy.engine import Connection

    from hpsearch.records import Direction, Stage

_WAIT = "they wait, to be run with the values that their numbers give"
_OTHER_STAGE = "take the other stage from a backup, or delete this one with `hpsearch delete`"


def read_stages(connection: Connection, names: Mapping[int, str]) -> tuple[list[Stage], list[Finding]]:
    """The stages that can be read, and the studies that ought to be stages and cannot."""
    attributes: dict[int, dict[str, Any]] = {}
    unreadable: set[int] = set()
    asked = text("SELECT study_id, key, value_json FROM study_user_attributes WHERE key LIKE 'hpsearch:%'")
    for study, key, kept in connection.execute(asked):
        try:
            attributes.setdefault(study, {})[key] = json.loads(kept)
        except (TypeError, ValueError):
            unreadable.add(study)  # which is a finding already
    directions = dict(map(tuple, connection.execute(text("SELECT study_id, direction FROM study_directions"))))
    stages, found = [], []
    for study, of_study in attributes.items():
        if study in unreadable or study not in names:
            continue
        stage, why = _stage(study, of_study, directions, names[study])
        if stage is not None:
            stages.append(stage)
        elif why:
            advice = "take the study from a backup, or delete it with `hpsearch delete`"
            found.append(Finding("stage", why, [Place(study, None)], study=names[study], advice=advice))
    for study, name in names.items():
        direction = directions.get(study)
        if direction not in ("MAXIMIZE", "MINIMIZE", "NOT_SET"):
            what = f"the study has no direction that Optuna knows ({direction})"
            found.append(Finding("direction", what, [Place(study, None)], study=name, advice="take it from a backup"))
    return stages, found


def _stage(study: int, of_study: dict[str, Any], directions: dict[Any, Any], name: str) -> tuple[Stage | None, str]:
    direction: Direction = "minimize" if directions.get(study) == "MINIMIZE" else "maximize"
    try:
        stage = stage_from_attributes(study, direction, of_study)
        if stage is None:
            ours = RANGES in of_study or KIND in of_study
            return None, "its attributes hpsearch:... do not make a stage" if ours else ""
        if stage.name != name:
            return None, f"its attributes are those of {stage.name}"
        _ = stage.settings, stage.metric, stage.images, stage.pruning_rule
    except Exception as error:  # whatever reads a half dictionary raises
        return None, f"its attributes do not make a stage ({type(error).__name__}: {error})"
    return stage, ""


def lineage_findings(connection: Connection, stages: Sequence[Stage], names: Mapping[int, str]) -> list[Finding]:
    """Parents that are not there, lines that bite their tails, trials used that are none."""
    of_name = {stage.name: stage for stage in stages}
    found = []
    for stage in stages:
        parent = None if stage.parent is None else of_name.get(stage_name(stage.search, stage.parent))
        if parent is not None and (lost := _lost(connection, stage, parent)):
            found.append(lost)
        for what in _lineage(stage, of_name, names.values()):
            place = Place(stage.study_id, None)
            found.append(Finding("lineage", what, [place], study=stage.name, advice=_OTHER_STAGE))
    return found


def _lost(connection: Connection, stage: Stage, parent: Stage) -> Finding | None:
    """Trials that a stage was narrowed from, or confirms, and that are not there."""
    if not stage.trials_used:
        return None
    used = ", ".join(str(int(number)) for number in stage.trials_used)
    asked = text(f"SELECT number FROM trials WHERE study_id = :study AND number IN ({used})")
    there = {row[0] for row in connection.execute(asked, {"study": parent.study_id})}
    lost = sorted({int(number) for number in stage.trials_used} - there)
    if not lost:
        return None
    # What was used was there once, if it is a number that the stage was to reach; else the list itself is damaged.
    count = parent.study_file.get("trials", {}).get("count", 0)
    if parent.trainable and not parent.imported and lost[0] >= 0 and lost[-1] < count:
        what = f"a number that no trial has, and {stage.name} came of it"
        places = [Place(parent.study_id, number) for number in lost]
        return Finding("lineage", what, places, _WAIT, parent.name)
    what = f"it was narrowed from trials of {parent.name} that are not there"
    return Finding("lineage", what, [Place(stage.study_id, None)], study=stage.name, advice=_OTHER_STAGE)


def _lineage(stage: Stage, of_name: Mapping[str, Stage], known: Collection[str]) -> Iterator[str]:
    if stage.parent is None:
        return
    parent = of_name.get(stage_name(stage.search, stage.parent))
    if parent is None:
        if stage_name(stage.search, stage.parent) in known:
            return  # it is there and cannot be read, which is a finding already
        verb = "confirms" if stage.plan is not None else "was narrowed from"
        yield f"it {verb} stage {stage.parent}, which is not there"
        return
    seen, at = {stage.name}, parent
    while stage.plan is None and at.parent is not None:
        if at.name in seen:
            yield "its line of parents bites its tail"
            return
        seen.add(at.name)
        before = of_name.get(stage_name(stage.search, at.parent))
        if before is None:
            break
        at = before


def number_findings(connection: Connection, names: Mapping[int, str]) -> list[Finding]:
    """Numbers that two trials of a study share, or that none has."""
    places = []
    doubled = (
        "SELECT t.study_id, t.number, t.trial_id FROM trials t JOIN (SELECT study_id, number, min(trial_id) AS first"
        " FROM trials WHERE number IS NOT NULL GROUP BY study_id, number HAVING count(*) > 1) d"
        " ON d.study_id = t.study_id AND d.number = t.number WHERE t.trial_id <> d.first"
    )
    places = [Place(*row) for row in connection.execute(text(doubled))]
    mend = "one is removed that has no result, the same values, or not those of its number; otherwise both stay"
    found = by_study("doubled", "a number that an earlier trial has already", places, names, mend=mend)
    gaps = (
        "SELECT study_id, max(number) FROM trials WHERE number >= 0 GROUP BY study_id"
        " HAVING max(number) + 1 <> count(DISTINCT number)"
    )
    missing: list[Place] = []
    for study, highest in list(connection.execute(text(gaps))):
        asked = text("SELECT DISTINCT number FROM trials WHERE study_id = :study AND number >= 0")
        there = {row[0] for row in connection.execute(asked, {"study": study})}
        if highest > 10 * len(there) + 1000:  # a number that was damaged itself
            found.append(
                Finding(
                    "gap",
                    f"numbers up to {highest}, and {len(there)} trials",
                    study=names.get(study),
                    many=1,
                    advice="take the study from a backup",
                )
            )
            continue
        missing += [Place(study, number) for number in range(highest + 1) if number not in there]
    return found + by_study("gap", "a number that no trial has", missing, names, mend=_WAIT)


def stuck_findings(connection: Connection, names: Mapping[int, str]) -> list[Finding]:
    """Running trials that nobody will finish."""
    now = database_now(connection)
    stuck = [
        Place(trial.study_id, trial.number, trial.trial_id)
        for trial in held.running(connection)
        if is_abandoned(trial.owner, trial.beat, trial.began, now=now)
    ]
    what = "running, but whoever ran it is gone"
    return by_study("stuck", what, stuck, names, mend="given back: they run again with the same values")
