"""Deleting studies on purpose: what would go, what hangs on it, and then all of it in one transaction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text

from hpsearch.errors import StageConflict, UnknownSearch, nearest
from hpsearch.store import writer
from hpsearch.store.care import stage_rules
from hpsearch.store.care.checking import care_database
from hpsearch.store.care.repairing import refuse_live
from hpsearch.store.care.rows import TRIAL_TABLES
from hpsearch.store.locking import lock_studies
from hpsearch.store.opening import open_store
from hpsearch.store.stages import EVALUATIONS
from hpsearch.store.urls import parse_url, show, sqlite_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection

    from hpsearch.records import Stage


@dataclass(frozen=True, slots=True)
class Doomed:
    """A study that would go.

    Args:
        study_id: Its key in the database.
        name: Its name.
        states: How many trials it has in each state.
        newest: The key of its newest trial; None for no trials.
        why: Why it goes along; empty for what was asked for.
    """

    study_id: int
    name: str
    states: tuple[tuple[str, int], ...] = ()
    newest: int | None = None
    why: str = ""

    @property
    def trials(self) -> int:
        """How many trials it has."""
        return sum(many for _, many in self.states)


@dataclass(frozen=True, slots=True)
class Deletion:
    """What would go, and what would be lost with it.

    Args:
        asked: What was asked for.
        studies: The studies, the one asked for first.
        looks: How many looks at the test images nobody would know of any more.
        heir: The study that the list of looks moves to, as the one that keeps it goes; None where it need not.
    """

    asked: str
    studies: Sequence[Doomed]
    looks: int = 0
    heir: int | None = None

    @property
    def trials(self) -> int:
        """How many trials would go."""
        return sum(study.trials for study in self.studies)


def plan(storage: str, asked: str, *, descendants: bool = False) -> Deletion:
    """Say what a deletion would remove; nothing is changed.

    Args:
        storage: A SQLAlchemy URL, or the path of a SQLite file.
        asked: The name of a study, such as ``mnist/stage-02``, or of a search.
        descendants: Whether stages that were narrowed from it go along.

    Raises:
        BadStorage: There is no such database, it is read-only, or a runner works on one of the studies.
        UnknownSearch: There is no such study.
        StageConflict: Other stages were narrowed from it, and are not to go.
    """
    open_store(storage, write=True).close()  # says what is wrong where it cannot be read, or written
    with care_database(parse_url(storage)) as database, database.read() as connection:
        planned = _plan(connection, show(database.url), asked, descendants=descendants)
        for study in planned.studies:  # said before it is copied, and looked at again when they are held
            refuse_live(connection, study.name, study.study_id)
        return planned


def delete(storage: str, planned: Deletion) -> None:
    """Remove what was planned, in one transaction, if it is still what was planned and, it may be, copied.

    Raises:
        BadStorage: It is read-only, or a runner works on one of the studies.
        StageConflict: It is no longer what was planned.
    """
    open_store(storage, write=True).close()
    with care_database(parse_url(storage), write=True) as database, database.write() as connection:
        if sqlite_file(database.url) is not None:
            # What is removed must not come back when the file is damaged one day and salvaged.
            connection.exec_driver_sql("PRAGMA secure_delete=ON")
        # From here on nobody claims a trial of theirs, or ends one.
        lock_studies(connection, [study.study_id for study in planned.studies])
        now = _plan(connection, show(database.url), planned.asked, descendants=True)
        if now != planned:
            raise StageConflict(
                f"what belongs to {planned.asked} has changed meanwhile, so nothing was deleted; look again"
            )
        for study in now.studies:
            refuse_live(connection, study.name, study.study_id)
        if now.heir is not None:
            _move_looks(connection, now)
        for study in now.studies:
            _delete(connection, study.study_id)


def _plan(connection: Connection, where: str, asked: str, *, descendants: bool) -> Deletion:
    names = dict(map(tuple, connection.execute(text("SELECT study_id, study_name FROM studies"))))
    stages, _ = stage_rules.read_stages(connection, names)
    of_name = {stage.name: stage for stage in stages}
    of_search = [stage for stage in stages if stage.search == asked]
    chosen: dict[int, tuple[str, str]] = {}
    if asked in names.values():
        (study,) = [key for key, name in names.items() if name == asked]
        chosen[study] = asked, ""
        if (stage := of_name.get(asked)) is not None:
            _add_hanging(stage, stages, chosen, asked, descendants=descendants)
    elif of_search:
        chosen = {stage.study_id: (stage.name, "") for stage in of_search}
    else:
        searches = {stage.search for stage in stages}
        raise UnknownSearch(f"no study or search {asked!r} in {where}{nearest(asked, {*names.values(), *searches})}")
    states: dict[int, dict[str, int]] = {}
    newest: dict[int, int] = {}
    counted = "SELECT study_id, state, count(*), max(trial_id) FROM trials GROUP BY study_id, state"
    for study, state, many, last in connection.execute(text(counted)):
        states.setdefault(study, {})[str(state)] = many
        newest[study] = max(last, newest.get(study, last))
    doomed = [
        Doomed(study, name, tuple(sorted(states.get(study, {}).items())), newest.get(study), why)
        for study, (name, why) in chosen.items()
    ]
    return _with_looks(connection, Deletion(asked, doomed), stages)


def _add_hanging(
    stage: Stage, stages: Sequence[Stage], chosen: dict[int, tuple[str, str]], asked: str, *, descendants: bool
) -> None:
    if stage.plan is not None:
        return
    line = {stage.number}
    later = []
    for other in sorted(stages, key=lambda one: one.number):
        mine = other.search == stage.search and other.parent in line and other.number not in line
        if other.plan is None and mine:
            line.add(other.number)
            later.append(other)
    if later and not descendants:
        known = ", ".join(other.name for other in later)
        raise StageConflict(
            f"{known} came of {asked}, and would say nothing without it; --with-descendants deletes both"
        )
    for other in later:
        chosen[other.study_id] = other.name, "came of it"
    for other in stages:
        if other.plan is not None and other.search == stage.search and other.parent in line:
            chosen[other.study_id] = other.name, "confirms it" if other.parent == stage.number else "confirms that"


def _with_looks(connection: Connection, planned: Deletion, stages: Sequence[Stage]) -> Deletion:
    """The same with what becomes of the looks at the test images, which the search's first study keeps."""
    going = {study.study_id for study in planned.studies}
    looks, heir = 0, None
    for search in {stage.search for stage in stages if stage.study_id in going}:
        line = sorted((one for one in stages if one.search == search and one.plan is None), key=lambda one: one.number)
        if not line or line[0].study_id not in going:
            continue
        kept = _looks(connection, line[0].study_id)
        left = [stage for stage in line if stage.study_id not in going]
        if kept and left:
            heir = left[0].study_id
        else:
            looks += len(json.loads(kept)) if kept else 0
    return Deletion(planned.asked, planned.studies, looks, heir)


def _looks(connection: Connection, study: int) -> str | None:
    asked = text("SELECT value_json FROM study_user_attributes WHERE study_id = :study AND key = :key")
    said: str | None = connection.execute(asked, {"study": study, "key": EVALUATIONS}).scalar()
    return said


def _move_looks(connection: Connection, planned: Deletion) -> None:
    for study in planned.studies:
        if (kept := _looks(connection, study.study_id)) is not None:
            connection.execute(
                text("INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (:study, :key, :said)"),
                {"study": planned.heir, "key": EVALUATIONS, "said": kept},
            )


def _delete(connection: Connection, study: int) -> None:
    of_study = {"study": study}
    for table in TRIAL_TABLES:
        trials = "SELECT trial_id FROM trials WHERE study_id = :study"
        connection.execute(text(f"DELETE FROM {table} WHERE trial_id IN ({trials})"), of_study)
    connection.execute(text("DELETE FROM trials WHERE study_id = :study"), of_study)
    writer.delete_stage(connection, study)
