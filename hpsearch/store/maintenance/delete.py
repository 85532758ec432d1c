"""Deletion of studies: first a plan of what is removed, then its removal in one transaction."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text

from hpsearch.errors import StageConflict, UnknownSearch, nearest
from hpsearch.records import Argument
from hpsearch.store import queries, writer
from hpsearch.store.claims import lock_studies
from hpsearch.store.engine import parse_url, show
from hpsearch.store.maintenance.check import tolerant_database
from hpsearch.store.maintenance.repair import refuse_live
from hpsearch.store.maintenance.rules import TRIAL_TABLES, read_stages
from hpsearch.store.schema import EVALUATIONS
from hpsearch.store.store import open_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection

    from hpsearch.records import Stage


@dataclass(frozen=True, slots=True)
class PlannedDeletion:
    """A study to be deleted."""

    study_id: int
    name: str
    states: tuple[tuple[str, int, int], ...]  # of its trials, each with their number and the newest one's key
    why: str  # it is deleted with the named one; empty for that one

    @property
    def trials(self) -> int:
        """The number of its trials."""
        return sum(count for _, count, _ in self.states)


@dataclass(frozen=True, slots=True)
class Deletion:
    """The studies to be deleted, the named one first, and the evaluations that are lost with them."""

    name: str
    studies: Sequence[PlannedDeletion]
    evaluations: int = 0  # number of evaluations on the test set whose record is lost
    evaluations_to: int | None = None  # the study that the list of the others moves to; None where it stays


def plan(storage: str, name: str, *, descendants: bool = False) -> Deletion:
    """Return what the deletion of a study or search would remove; nothing is changed.

    A stage that others were narrowed from goes with these ``descendants`` or not at all.
    """
    open_store(storage, write=True).close()  # its errors say what is wrong where it cannot be read, or written
    with tolerant_database(parse_url(storage)) as database, database.read() as connection:
        planned = _plan(connection, show(database.url), name, descendants=descendants)
        for study in planned.studies:  # once before the copy, once more under the lock
            refuse_live(connection, study.name, study.study_id)
        return planned


def delete(storage: str, planned: Deletion) -> None:
    """Remove what was planned, in one transaction, if nothing has changed since and no runner works on it."""
    with tolerant_database(parse_url(storage), write=True) as database, database.write() as connection:
        if database.dialect == "sqlite":
            # Otherwise a later recovery of a damaged file could restore what was deleted.
            connection.exec_driver_sql("PRAGMA secure_delete=ON")
        # From here on no runner claims or finishes a trial of theirs.
        lock_studies(connection, [study.study_id for study in planned.studies])
        now = _plan(connection, show(database.url), planned.name, descendants=True)
        if now != planned:
            raise StageConflict(
                f"{planned.name} changed after the deletion was planned, so nothing was deleted; run the command again"
            )
        for study in now.studies:
            refuse_live(connection, study.name, study.study_id)
        for study in now.studies:
            of_study = {"study": study.study_id}
            if now.evaluations_to is not None:
                move = "UPDATE study_user_attributes SET study_id = :to WHERE study_id = :study AND key = :key"
                connection.execute(text(move), {**of_study, "to": now.evaluations_to, "key": EVALUATIONS})
            for table in TRIAL_TABLES:
                trials = "SELECT trial_id FROM trials WHERE study_id = :study"
                connection.execute(text(f"DELETE FROM {table} WHERE trial_id IN ({trials})"), of_study)
            connection.execute(text("DELETE FROM trials WHERE study_id = :study"), of_study)
            writer.delete_study(connection, study.study_id)


def _plan(connection: Connection, where: str, name: str, *, descendants: bool) -> Deletion:
    names = dict(map(tuple, connection.execute(text("SELECT study_id, study_name FROM studies"))))
    stages, _ = read_stages(connection, names)
    why = {study: "" for study, of in names.items() if of == name}
    for stage in stages:
        if stage.name == name and stage.plan is None:
            why |= _dependent(stage, stages, descendants=descendants)
    why = why or {stage.study_id: "" for stage in stages if stage.search == name}
    if not why:
        known = {*names.values(), *(stage.search for stage in stages)}
        raise UnknownSearch(f"no study or search {name!r} in {where}{nearest(name, known)}")
    states: dict[int, list[tuple[str, int, int]]] = defaultdict(list)
    query = "SELECT study_id, state, count(*), max(trial_id) FROM trials GROUP BY study_id, state ORDER BY state"
    for study, state, count, newest in connection.execute(text(query)):
        states[study].append((str(state), count, newest))
    doomed = [PlannedDeletion(study, names[study], tuple(states[study]), reason) for study, reason in why.items()]
    # A search's first study has its evaluations: they are moved or lost.
    searches = {stage.search for stage in stages if stage.study_id in why}
    line = sorted((s for s in stages if s.search in searches and s.plan is None), key=lambda s: s.number)
    if not line or line[0].study_id not in why:
        return Deletion(name, doomed)
    evaluations = queries.study_attribute(connection, line[0], EVALUATIONS) or []
    left = [stage.study_id for stage in line if stage.study_id not in why]
    return Deletion(name, doomed, evaluations_to=left[0]) if left else Deletion(name, doomed, len(evaluations))


def _dependent(stage: Stage, stages: Sequence[Stage], *, descendants: bool) -> dict[int, str]:
    """Return why studies are deleted with a stage, by key: those narrowed from it, and confirmations."""
    line, later = {stage.number}, []
    for other in sorted(stages, key=lambda other: other.number):
        child = other.search == stage.search and other.parent in line and other.number not in line
        if other.plan is None and child:
            line.add(other.number)
            later.append(other)
    if later and not descendants:
        known = ", ".join(other.name for other in later)
        raise StageConflict(
            f"{known} was narrowed from {stage.name}; add {{}} to delete both", Argument("with_descendants")
        )
    why = {other.study_id: "narrowed from it" for other in later}
    for other in stages:
        if other.plan is not None and other.search == stage.search and other.parent in line:
            own = other.parent == stage.number
            why[other.study_id] = "its confirmation" if own else "the confirmation of that"
    return why
