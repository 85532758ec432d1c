"""The bulk store: SQLAlchemy Core on the one schema revision that it knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from hpsearch.errors import HpsearchError, StageConflict
from hpsearch.store import claims, glances, locking, queries, releases, tables, writer
from hpsearch.store.base import Claimed, Counts, Owned
from hpsearch.store.database import Database
from hpsearch.store.frames import Arrays, Columns, by_number, to_frame
from hpsearch.store.leases import GIVEN_BACK, Owner
from hpsearch.store.stages import in_order, taken
from hpsearch.store.urls import show

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    import pandas as pd
    from sqlalchemy.engine import Connection

    from hpsearch.records import NewStage, Outcome, PastTrials, Report, Stage, Standing

P = ParamSpec("P")
T = TypeVar("T")


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

    def while_away(self, note: Callable[[str], object], *, stopping: Callable[[], bool]) -> None:
        """Say who hears of it when the server is away."""
        self.database.patience.tell(note, stopping)

    def stages(self, search: str | None = None) -> list[Stage]:
        """The stages of one search, or of all."""
        return in_order(self._read(queries.stages), search)

    def confirmations(self, search: str | None = None) -> list[Stage]:
        """The confirmations of one search's stages, or of all."""
        return in_order(self._read(queries.stages), search, confirmations=True)

    def create_stage(self, new: NewStage, *, replace: bool = False) -> Stage:
        """Make a stage, or return the one that is there."""
        name = new.name

        def make(connection: Connection, doubted: bool | None) -> bool:
            at_hand = select(tables.studies.c.study_id).where(tables.studies.c.study_name == name)
            if replace:  # locked, so that nobody claims a trial of it between the look and the removal
                at_hand = at_hand.with_for_update()
            found = connection.execute(at_hand).scalar()
            if found is not None and replace and not (doubted and queries.is_stage(connection, found, new)):
                if queries.has_trials(connection, found):
                    raise StageConflict(f"{name} has trials already")
                writer.delete_stage(connection, found)
                found = None
            if found is None:
                writer.insert_stage(connection, new)
            return True

        try:
            self.database.writing(make)
        except HpsearchError as error:
            # Databases without SQLite's single writer let two runners get here; the first one's stage holds.
            if not isinstance(error.__cause__, IntegrityError):
                raise
        return self._stage(name)

    def import_stages(self, stages: Sequence[tuple[NewStage, PastTrials]]) -> list[Stage]:
        """Write stages that were run elsewhere, in one transaction, and once: their attributes come from a stream."""
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
        for stage in self._read(queries.stages):
            if stage.name == name:
                return stage
        raise StageConflict(
            f"the database has a study {name} that hpsearch did not make; rename the search or that study"
        )

    def study_attribute(self, stage: Stage, key: str) -> Any | None:
        """A user attribute of a stage's study."""
        return self._read(queries.study_attribute, stage, key)

    def change_study_attribute(self, stage: Stage, key: str, change: Callable[[Any | None], Any]) -> Any:
        """Read a user attribute of a stage's study and write another value."""

        def work(connection: Connection, doubted: tuple[Any] | None) -> tuple[Any]:
            before = queries.study_attribute(connection, stage, key)
            if doubted is not None and doubted[0] == before:
                return doubted
            after = change(before)
            if after != before:
                writer.write_study_attribute(connection, stage, key, after)
            return (after,)

        return self._holding(stage, work)[0]

    def _keep(self, stage: Stage) -> claims.Kept:
        """What is kept of a stage between calls."""
        kept = self._kept.get(stage.study_id)
        if kept is None or (kept.stage is not stage and kept.stage != stage):
            kept = self._kept[stage.study_id] = claims.Kept(stage)
        return kept

    def _read(self, query: Callable[Concatenate[Connection, P], T], *asked: P.args, **also: P.kwargs) -> T:
        """What a query gives in a transaction of its own."""
        return self.database.reading(lambda connection: query(connection, *asked, **also))

    def _holding(self, stage: Stage, work: Callable[[Connection, T | None], T]) -> T:
        """What comes of some work in a write transaction that holds the stage; see `Database.writing`."""

        def held(connection: Connection, doubted: T | None) -> T:
            locking.lock_stage(connection, stage)
            return work(connection, doubted)

        return self.database.writing(held)

    def claim(self, stage: Stage, *, until: int, most: int, owner: Owner) -> Claimed:
        """Take trials to evaluate."""

        def work(connection: Connection, doubted: Claimed | None) -> Claimed:
            kept = self._keep(stage)
            if doubted is not None:
                mine = claims.held(connection, [trial.trial_id for trial in doubted.trials], owner)
                if mine:  # that claim was carried out: its trials are this owner's, who has not heard of them yet
                    trials = [trial for trial in doubted.trials if trial.trial_id in mine]
                    return Claimed(tuple(trials), kept.count(connection).counts)
            taken, counts = claims.claim(connection, kept, until=until, most=most, owner=owner)
            return Claimed(tuple(taken), counts)

        return self._holding(stage, work)

    def report(self, stage: Stage, reports: Sequence[Report], ids: Mapping[int, int], *, owner: Owner) -> None:
        """Write points of running trials' curves."""

        def work(connection: Connection, _: None) -> None:
            held = claims.held(connection, {ids[report.number] for report in reports}, owner)
            mine = [report for report in reports if ids[report.number] in held]
            writer.write_points(connection, [(ids[r.number], r.step, r.value) for r in mine])

        self._holding(stage, work)

    def record(self, stage: Stage, outcomes: Sequence[Outcome], ids: Mapping[int, int], *, owner: Owner) -> set[int]:
        """Finish trials that ``owner`` still holds."""

        def work(connection: Connection, doubted: set[int] | None) -> set[int]:
            done = claims.finished(connection, [ids[number] for number in doubted], owner) if doubted else set()
            held = claims.held(connection, [ids[outcome.number] for outcome in outcomes], owner)
            mine = [(ids[o.number], o) for o in outcomes if ids[o.number] in held]
            if mine:
                writer.record(connection, mine)
            return {o.number for o in outcomes if ids[o.number] in held | done}

        return self._holding(stage, work)

    def release(self, stage: Stage, *, owner: Owner) -> int:
        """Give back every trial that ``owner`` holds."""

        def work(connection: Connection, doubted: int | None) -> int:
            held = claims.held(connection, self._keep(stage).count(connection).unfinished, owner)
            releases.release(connection, dict.fromkeys(held, GIVEN_BACK), by=owner)
            return len(held) or doubted or 0

        return self._holding(stage, work)

    def release_dead(self, stage: Stage, *, me: Owner) -> int:
        """Give back the trials of runners that are gone."""
        kept = self._keep(stage)
        if not self._read(releases.dead, kept, me=me):
            return 0

        def work(connection: Connection, doubted: int | None) -> int:
            # Asked again while the stage is held: another runner may have released and claimed them meanwhile.
            dead = releases.dead(connection, kept, me=me)
            releases.release(connection, dead, by=me)
            return len(dead) or doubted or 0

        return self._holding(stage, work)

    def beat(self, stage: Stage, trial_ids: Collection[int], *, owner: Owner) -> None:
        """Renew the lease on running trials."""

        def work(connection: Connection, _: None) -> None:
            claims.beat(connection, claims.held(connection, trial_ids, owner))

        self._holding(stage, work)

    def counts(self, stage: Stage) -> Counts:
        """How many trials are in which state."""
        return self._read(self._keep(stage).count).counts

    def drawn(self, stage: Stage) -> int:
        """How many trials were drawn so far."""
        return self._read(queries.drawn, stage)

    def columns(
        self,
        stage: Stage,
        *,
        states: Collection[str] | None = None,
        top: int | None = None,
        numbers: Collection[int] | None = None,
        hits: bool = False,
    ) -> Columns:
        """Trials by column."""
        return self._read(queries.columns, stage, states=states, top=top, numbers=numbers, hits=hits)

    def trials(self, stage: Stage, *, states: Collection[str] | None = None, top: int | None = None) -> pd.DataFrame:
        """Trials as rows."""
        return to_frame(self.columns(stage, states=states, top=top))

    def scores(self, stage: Stage, *, ranked: Callable[[int], int] | None = None) -> Arrays:
        """The completed trials that have a score, as narrowing needs them."""
        from hpsearch.store import arrays  # and with it NumPy, which commands that show a few rows do without

        return self._read(arrays.scores, stage, ranked)

    def curves(self, stage: Stage, numbers: Collection[int] | None = None) -> pd.DataFrame:
        """The scores after each epoch."""
        from hpsearch.store import arrays  # and with it NumPy, which commands that show a few rows do without

        return self._read(arrays.curves, stage, numbers)

    def points(self, stage: Stage, numbers: Collection[int]) -> dict[int, tuple[float, ...]]:
        """The scores after each epoch of some trials."""
        return by_number(self._read(glances.points, stage, numbers))

    def epochs(self, stage: Stage) -> int:
        """How many points the curves have together."""
        return self._read(glances.epochs, stage)

    def latest(self, stage: Stage, many: int) -> Columns:
        """The trials that finished last."""

        def look(connection: Connection) -> Columns:
            return queries.columns_of(connection, stage, glances.latest(connection, stage, many))

        return self._read(look)

    def runners(self, stage: Stage) -> dict[Owner, int]:
        """Who holds how many running trials."""

        def look(connection: Connection) -> dict[Owner, int]:
            return glances.runners(connection, self._keep(stage).count(connection).unfinished)

        return self._read(look)

    def finishers(self, stage: Stage, *, among: int | None = None) -> dict[Owner, int]:
        """Who finished how many trials."""
        return self._read(glances.finishers, stage, among)

    def owned(self, stage: Stage, numbers: Collection[int]) -> dict[int, Owned]:
        """Who runs or finished trials, by number."""
        return self._read(glances.owned, stage, numbers)

    def standings(self, stage: Stage, numbers: range, step: int) -> list[Standing]:
        """Where trials stand at an epoch."""
        return self._read(glances.standings, stage, numbers, step)

    def attribute(self, stage: Stage, numbers: Collection[int], key: str) -> dict[int, Any]:
        """A user attribute by trial number."""
        return self._read(glances.attribute, stage, numbers, key)

    def attributes(self, stage: Stage, key: str) -> Iterator[tuple[int, Any]]:
        """A user attribute of every trial, one after the other."""
        with self.database.read() as connection:
            yield from queries.attributes(connection, stage, key)

    def close(self) -> None:
        """Let go of every connection."""
        self.database.close()
