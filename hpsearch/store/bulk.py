"""The bulk store: SQLAlchemy Core on the one schema revision that it knows."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from hpsearch.errors import HpsearchError, StageConflict
from hpsearch.store import claims, glances, locking, queries, releases, tables, writer
from hpsearch.store.base import Claimed, Counts, Owned
from hpsearch.store.database import Database, show
from hpsearch.store.frames import Arrays, Columns, by_number, to_frame
from hpsearch.store.leases import GIVEN_BACK, Owner
from hpsearch.store.stages import in_order, taken

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    import pandas as pd
    from sqlalchemy.engine import Connection

    from hpsearch.past_trials import PastTrials
    from hpsearch.records import NewStage, Outcome, Report, Stage, Standing


class BulkStore:
    """`hpsearch.store.base.Store` over Optuna's tables, a few statements for a whole batch."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.url = database.url.render_as_string(hide_password=False)
        self.where = show(database.url)
        self._kept: dict[int, claims.Kept] = {}

    @property
    def seconds(self) -> float:
        """Time spent in the store so far."""
        return self.database.seconds

    def stages(self, search: str | None = None) -> list[Stage]:
        """The stages of one search, or of all."""
        with self.database.read() as connection:
            return in_order(queries.stages(connection), search)

    def confirmations(self, search: str | None = None) -> list[Stage]:
        """The confirmations of one search's stages, or of all."""
        with self.database.read() as connection:
            return in_order(queries.stages(connection), search, confirmations=True)

    def create_stage(self, new: NewStage, *, replace: bool = False) -> Stage:
        """Make a stage, or return the one that is there."""
        name = new.name
        try:
            with self.database.write() as connection:
                at_hand = select(tables.studies.c.study_id).where(tables.studies.c.study_name == name)
                if replace:  # locked, so that nobody claims a trial of it between the look and the removal
                    at_hand = at_hand.with_for_update()
                found = connection.execute(at_hand).scalar()
                if found is not None and replace:
                    if queries.has_trials(connection, found):
                        raise StageConflict(f"{name} has trials already")
                    writer.delete_stage(connection, found)
                    found = None
                if found is None:
                    writer.insert_stage(connection, new)
        except HpsearchError as error:
            # Databases without SQLite's single writer let two runners get here; the first one's stage holds.
            if not isinstance(error.__cause__, IntegrityError):
                raise
        return self._stage(name)

    def import_stages(self, stages: Sequence[tuple[NewStage, PastTrials]]) -> list[Stage]:
        """Write stages that were run elsewhere, in one transaction."""
        from hpsearch.store import importing  # and with it NumPy, which commands that show a few rows do without

        names = [new.name for new, _ in stages]
        try:
            with self.database.write() as connection:
                there = select(tables.studies.c.study_name).where(tables.studies.c.study_name.in_(names))
                for name in connection.execute(there).scalars():
                    raise taken(name, self.where)
                for new, past in stages:
                    importing.insert(connection, new, past)
        except HpsearchError as error:
            # Databases without SQLite's single writer let another maker in after the look.
            if isinstance(error.__cause__, IntegrityError):
                raise taken(names[0], self.where) from error
            raise
        return [self._stage(name) for name in names]

    def _stage(self, name: str) -> Stage:
        with self.database.read() as connection:
            for stage in queries.stages(connection):
                if stage.name == name:
                    return stage
        raise StageConflict(
            f"the database has a study {name} that hpsearch did not make; rename the search or that study"
        )

    def study_attribute(self, stage: Stage, key: str) -> Any | None:
        """A user attribute of a stage's study."""
        with self.database.read() as connection:
            return queries.study_attribute(connection, stage, key)

    def change_study_attribute(self, stage: Stage, key: str, change: Callable[[Any | None], Any]) -> Any:
        """Read a user attribute of a stage's study and write another value."""
        with self._holding(stage) as connection:
            before = queries.study_attribute(connection, stage, key)
            after = change(before)
            if after != before:
                writer.write_study_attribute(connection, stage, key, after)
        return after

    def _keep(self, stage: Stage) -> claims.Kept:
        """What is kept of a stage between calls."""
        kept = self._kept.get(stage.study_id)
        if kept is None or (kept.stage is not stage and kept.stage != stage):
            kept = self._kept[stage.study_id] = claims.Kept(stage)
        return kept

    @contextlib.contextmanager
    def _holding(self, stage: Stage) -> Iterator[Connection]:
        """A write transaction that holds the stage."""
        with self.database.write() as connection:
            locking.lock_stage(connection, stage)
            yield connection

    def claim(self, stage: Stage, *, until: int, most: int, owner: Owner) -> Claimed:
        """Take trials to evaluate."""
        with self._holding(stage) as connection:
            trials, counts = claims.claim(connection, self._keep(stage), until=until, most=most, owner=owner)
        return Claimed(tuple(trials), counts)

    def report(self, stage: Stage, reports: Sequence[Report], ids: Mapping[int, int], *, owner: Owner) -> None:
        """Write points of running trials' curves."""
        with self._holding(stage) as connection:
            held = claims.held(connection, {ids[report.number] for report in reports}, owner)
            mine = [report for report in reports if ids[report.number] in held]
            writer.write_points(connection, [(ids[r.number], r.step, r.value) for r in mine])

    def record(self, stage: Stage, outcomes: Sequence[Outcome], ids: Mapping[int, int], *, owner: Owner) -> set[int]:
        """Finish trials that ``owner`` still holds."""
        with self._holding(stage) as connection:
            held = claims.held(connection, [ids[outcome.number] for outcome in outcomes], owner)
            mine = [(ids[o.number], o) for o in outcomes if ids[o.number] in held]
            if mine:
                writer.record(connection, mine)
        return {outcome.number for _, outcome in mine}

    def release(self, stage: Stage, *, owner: Owner) -> int:
        """Give back every trial that ``owner`` holds."""
        with self._holding(stage) as connection:
            held = claims.held(connection, self._keep(stage).count(connection).unfinished, owner)
            releases.release(connection, dict.fromkeys(held, GIVEN_BACK), by=owner)
        return len(held)

    def release_dead(self, stage: Stage, *, me: Owner) -> int:
        """Give back the trials of runners that are gone."""
        watch = self._keep(stage).watch
        with self.database.read() as connection:
            if not queries.dead_trials(connection, stage.study_id, watch, me=me):
                return 0
        with self._holding(stage) as connection:
            # Asked again while the stage is held: another runner may have released and claimed them meanwhile.
            dead = queries.dead_trials(connection, stage.study_id, watch, me=me)
            releases.release(connection, dead, by=me)
        return len(dead)

    def beat(self, stage: Stage, trial_ids: Collection[int], *, owner: Owner) -> None:
        """Renew the lease on running trials."""
        with self._holding(stage) as connection:
            claims.beat(connection, claims.held(connection, trial_ids, owner))

    def counts(self, stage: Stage) -> Counts:
        """How many trials are in which state."""
        with self.database.read() as connection:
            return self._keep(stage).count(connection).counts

    def drawn(self, stage: Stage) -> int:
        """How many trials were drawn so far."""
        with self.database.read() as connection:
            return queries.drawn(connection, stage)

    def columns(
        self, stage: Stage, *, states: Collection[str] | None = None, top: int | None = None, hits: bool = False
    ) -> Columns:
        """Trials by column."""
        with self.database.read() as connection:
            return queries.columns(connection, stage, states=states, top=top, hits=hits)

    def trials(self, stage: Stage, *, states: Collection[str] | None = None, top: int | None = None) -> pd.DataFrame:
        """Trials as rows."""
        return to_frame(self.columns(stage, states=states, top=top))

    def scores(self, stage: Stage, *, ranked: Callable[[int], int] | None = None) -> Arrays:
        """The completed trials that have a score, as narrowing needs them."""
        from hpsearch.store import arrays  # and with it NumPy, which commands that show a few rows do without

        with self.database.read() as connection:
            return arrays.scores(connection, stage, ranked)

    def curves(self, stage: Stage, numbers: Collection[int] | None = None) -> pd.DataFrame:
        """The scores after each epoch."""
        from hpsearch.store import arrays  # and with it NumPy, which commands that show a few rows do without

        with self.database.read() as connection:
            return arrays.curves(connection, stage, numbers)

    def points(self, stage: Stage, numbers: Collection[int]) -> dict[int, tuple[float, ...]]:
        """The scores after each epoch of some trials."""
        with self.database.read() as connection:
            return by_number(glances.points(connection, stage, numbers))

    def latest(self, stage: Stage, many: int) -> Columns:
        """The trials that finished last."""
        with self.database.read() as connection:
            return queries.columns_of(connection, stage, glances.latest(connection, stage, many))

    def runners(self, stage: Stage) -> dict[Owner, int]:
        """Who holds how many running trials."""
        with self.database.read() as connection:
            return glances.runners(connection, self._keep(stage).count(connection).unfinished)

    def finishers(self, stage: Stage) -> dict[Owner, int]:
        """Who finished how many trials."""
        with self.database.read() as connection:
            return glances.finishers(connection, stage)

    def owned(self, stage: Stage, numbers: Collection[int]) -> dict[int, Owned]:
        """Who runs or finished trials, by number."""
        with self.database.read() as connection:
            return glances.owned(connection, stage, numbers)

    def standings(self, stage: Stage, numbers: range, step: int) -> list[Standing]:
        """Where trials stand at an epoch."""
        with self.database.read() as connection:
            return glances.standings(connection, stage, numbers, step)

    def attribute(self, stage: Stage, numbers: Collection[int], key: str) -> dict[int, Any]:
        """A user attribute by trial number."""
        with self.database.read() as connection:
            return glances.attribute(connection, stage, numbers, key)

    def attributes(self, stage: Stage, key: str) -> Iterator[tuple[int, Any]]:
        """A user attribute of every trial, one after the other."""
        with self.database.read() as connection:
            yield from queries.attributes(connection, stage, key)

    def close(self) -> None:
        """Let go of every connection."""
        self.database.close()
