"""The store: stages, trials and curves in Optuna's own tables, a few statements for a whole batch."""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy
from sqlalchemy import select
from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError

from hpsearch.errors import BadArgument, BadInput, BadStorage, HpsearchError, StageConflict
from hpsearch.files import first_line
from hpsearch.store import claims, engine, queries, writer
from hpsearch.store import schema as t
from hpsearch.store.claims import Claimed, StageCache
from hpsearch.store.leases import GIVEN_BACK, Owned, Owner
from hpsearch.store.maintenance import rules
from hpsearch.store.maintenance.check import check

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    import pandas as pd
    from sqlalchemy.engine import Connection

    from hpsearch.records import NewStage, Outcome, PastTrials, Report, Stage, Standing
    from hpsearch.samplers import Sampler
    from hpsearch.store.changes import Changes, ChangeTracker
    from hpsearch.store.claims import Counts
    from hpsearch.store.queries import Arrays, Columns

P = ParamSpec("P")
T = TypeVar("T")


def open_store(
    storage: str,
    *,
    create: bool = False,
    write: bool = False,
    sampler: Sampler | None = None,
    search: str | None = None,
) -> Store:
    """Open a study database.

    Args:
        storage: A SQLAlchemy URL, or the path of a SQLite file.
        create: Make the database and its schema where they are missing. Safe when several processes do so at once.
        write: Whether the caller will write; a read-only database is refused here then, not later.
        sampler: Gives the values of new trials; None for the random one.
        search: The search that is wanted, for the message where there is no database.

    Raises:
        BadStorage: It cannot be opened, is not Optuna's, or has a schema of another revision.
        MissingExtra: The database's driver is not installed.
    """
    url = engine.parse_url(storage)
    try:
        with warnings.catch_warnings():
            # SQLAlchemy only warns of options of a URL that it does not know.
            warnings.simplefilter("error", sqlalchemy.exc.SAWarning)
            if url.get_backend_name() == "sqlite" and url.query:  # before a file is made
                sqlalchemy.create_engine(url.set(database=":memory:")).connect().close()
            if (file := engine.sqlite_file(url)) is not None:
                _check_file(file, create=create, search=search)
            database = engine.Database(engine.as_permitted(url, write=write), shared=True)
            try:
                database.retry(lambda: _check(database, create=create, write=write))
            except BaseException:
                database.close()
                raise
    except (sqlalchemy.exc.SAWarning, ValueError, TypeError) as error:
        raise BadStorage(f"the options of the storage {engine.show(url)} cannot be used: {error}") from error
    database.opened()
    return Store(database, sampler)


def _check(database: engine.Database, *, create: bool, write: bool) -> None:
    with database.translated():
        t.check_revision(database, create=create)
    if write:
        database.check_writable()


def _check_file(file: Path, *, create: bool, search: str | None) -> None:
    start = engine.check_there(file, create=create, search=search)
    if start and start != engine.MAGIC:
        raise BadStorage(f"{file} is not a SQLite database; give another storage")
    if not start:
        with engine.translated(URL.create("sqlite", database=str(file)), door=True), t.created_file(file):
            pass
        engine.check_there(file, create=True)  # before anybody has it open


@contextlib.contextmanager
def store_for_import(storage: str) -> Iterator[Store]:
    """Yield a store to write an import to; a database that is made for it is there if the block ends without an error.

    Raises:
        BadStorage: As `open_store`.
    """
    url = engine.parse_url(storage)
    file = engine.sqlite_file(url)
    with contextlib.ExitStack() as stack:
        # A URL's options may say how the very file is opened: such a one is made in place.
        if file is not None and not url.query and not engine.check_there(file, create=True):
            with engine.translated(url, door=True):
                made = stack.enter_context(t.created_file(file))
                # Relative to a folder whose name is no UTF-8, as SQLAlchemy cannot name that.
                url = url.set(database=str(made) if file.is_absolute() else os.path.relpath(made))
        text = url.render_as_string(hide_password=False)
        yield stack.enter_context(contextlib.closing(open_store(text, create=True, write=True)))


class Store:
    """A study database. Every method is one transaction, or several that may be repeated without harm.

    Raises (all methods): StorageFailure, when the database stops working.
    """

    def __init__(self, database: engine.Database, sampler: Sampler | None = None) -> None:
        self.database = database
        self.url = database.url.render_as_string(hide_password=False)  # the SQLAlchemy URL, as Optuna takes it
        self.where = engine.show(database.url)  # the database for people: the file, or the URL without its password
        self._sampler = sampler
        self._samplers: dict[int, Sampler] = {}
        self._caches: dict[int, StageCache] = {}

    def on_disconnect(self, note: Callable[[str], object], *, stopping: Callable[[], bool]) -> None:
        """Set what to call when the server's connection is lost: ``note``, and ``stopping``, which may end the wait."""
        self.database.on_disconnect(note, stopping)

    def stages(self, search: str | None = None) -> list[Stage]:
        """Return the stages of one search, or of all, by search and number; without confirmations."""
        return [stage for stage in self._of(search) if stage.plan is None]

    def searches(self) -> list[str]:
        """Return the names of all searches, in alphabetical order."""
        return self._read(queries.searches)

    def has_study(self, name: str) -> bool:
        """Return whether there is an Optuna study of that name, whoever made it."""
        return bool(self._read(queries.has_study, name))

    def confirmations(self, search: str | None = None) -> list[Stage]:
        """Return the confirmations of one search's stages, or of all, by search and number."""
        return [stage for stage in self._of(search) if stage.plan is not None]

    def _of(self, search: str | None) -> list[Stage]:
        return sorted(self._read(queries.stages, search), key=lambda stage: (stage.search, stage.number))

    def create_stage(self, new: NewStage, *, replace: bool = False) -> Stage:
        """Make a stage, or return the one that another process made first under that name.

        With ``replace``, a stage of that name is removed first; one with trials is a `StageConflict`.
        """

        def make(connection: Connection, _: None) -> None:
            if replace:  # locked, so that nobody claims a trial of it between the look and the removal
                query = select(t.studies.c.study_id).where(t.studies.c.study_name == new.name).with_for_update()
                if (there := connection.execute(query).scalar()) is not None:
                    if queries.has_trials(connection, there):
                        raise StageConflict(f"{new.name} has trials already")
                    writer.delete_study(connection, there)
            writer.insert_stage(connection, new)

        try:
            self.database.writing(make)
        except HpsearchError as error:
            # Another process has made the stage, perhaps just now: that one is kept.
            if not isinstance(error.__cause__, IntegrityError):
                raise
        return self._named(new)

    def import_stages(self, stages: Sequence[tuple[NewStage, PastTrials]]) -> list[Stage]:
        """Write stages that were run elsewhere, with their trials; none if results of an export do not fit together.

        Their attributes come from a stream, so that this is not tried again where a server is away.
        """
        name = ""
        try:
            with self.database.write() as connection:
                for new, past in stages:
                    name = new.name
                    writer.import_stage(connection, new, past)
                names = {new.name for new, _ in stages}
                for stage in (stage for stage in queries.stages(connection) if stage.name in names):
                    for finding in rules.result_findings(connection, stage, self._sampler):
                        source = stage.imported.get("from", "the import")
                        raise BadInput(f"{source} is damaged: {finding.where}: {finding.what}; export it again")
        except HpsearchError as error:
            if not isinstance(error.__cause__, IntegrityError):
                raise
            raise StageConflict(
                f"{name} is in {self.where} already, and an import changes nothing that is there; give another name"
            ) from error
        return [self._named(new) for new, _ in stages]

    def others(self, stage: Stage) -> list[int] | None:
        """Return the trials that no runner of hpsearch's held, or with values of somebody's; None: not known."""
        return self._read(rules.others, stage)

    def _named(self, new: NewStage) -> Stage:
        for stage in self._read(queries.stages, new.search):
            if stage.name == new.name:
                return stage
        raise StageConflict(
            f"the database has a study {new.name} that hpsearch did not make; rename the search or that study"
        )

    def reread(self, stage: Stage) -> Stage:
        """Return a stage as it is now, with the parameters that its trials have declared since it was read."""
        return self._named(stage)

    def study_attribute(self, stage: Stage, key: str) -> Any | None:
        """Return a user attribute of a stage's study; None where it has none of that key."""
        return self._read(queries.study_attribute, stage, key)

    def change_study_attribute(self, stage: Stage, key: str, change: Callable[[Any | None], Any]) -> Any:
        """Read a user attribute of a stage's study, None for none, and write what ``change`` makes of it.

        Nobody else can change it meanwhile. What ``change`` raises comes out, and nothing is written.

        Returns:
            The value that is there now.
        """

        def work(connection: Connection, doubted: tuple[Any] | None) -> tuple[Any]:
            before = queries.study_attribute(connection, stage, key)
            if doubted is not None and doubted[0] == before:
                return doubted
            after = change(before)
            if after != before:
                writer.write_study_attribute(connection, stage, key, after)
            return (after,)

        return self._holding(stage, work)[0]

    def _cache(self, stage: Stage) -> StageCache:
        cache = self._caches.get(stage.study_id)
        if cache is None or (cache.stage is not stage and cache.stage != stage):
            cache = self._caches[stage.study_id] = StageCache(
                stage, self._samplers.get(stage.study_id, self._sampler), self.database.snapshots
            )
        return cache

    def _read(self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a query gives in a transaction of its own."""
        try:
            return self.database.reading(lambda connection: query(connection, *args, **kwargs))
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            if check(self.url, self._sampler).sound:
                raise  # a defect of ours
            raise engine.damaged(self.where, first_line(error)) from error

    def _holding(self, stage: Stage, work: Callable[[Connection, T | None], T]) -> T:
        """Return what comes of some work in a write transaction that holds the stage; see `Database.writing`."""

        def holding(connection: Connection, doubted: T | None) -> T:
            claims.lock_studies(connection, [stage.study_id])
            return work(connection, doubted)

        return self.database.writing(holding)

    def sample_by(self, stage: Stage, sampler: Sampler) -> None:
        """Give the new trials of one stage the values of a sampler."""
        self._samplers[stage.study_id] = sampler
        self._caches.pop(stage.study_id, None)

    def claim(self, stage: Stage, *, until: int, most: int, owner: Owner) -> Claimed:
        """Take up to ``most`` trials to evaluate, such that the stage comes to have ``until`` finished ones.

        Trials that were released come first, then new numbers. Atomic: two runners never get the same one.
        """

        def work(connection: Connection, doubted: Claimed | None) -> Claimed:
            cache = self._cache(stage)
            if doubted is not None:
                mine = claims.owned_by(owner, connection, [trial.trial_id for trial in doubted.trials])
                if mine:  # that claim was carried out: its trials are this owner's, who has not heard of them yet
                    trials = tuple(trial for trial in doubted.trials if trial.trial_id in mine)
                    return Claimed(trials, cache.count(connection).counts)
            return claims.claim(connection, cache, until=until, most=most, owner=owner)

        while True:
            try:
                return self._holding(stage, work)
            except claims.Unsampled as missing:  # again where another runner takes these numbers meanwhile
                self._cache(stage).sample(missing.numbers)

    def report(self, stage: Stage, reports: Sequence[Report], ids: Mapping[int, int], *, owner: Owner) -> None:
        """Write points of the curves of trials that ``owner`` still holds, ``ids`` by number, over those there are."""

        def work(connection: Connection, _: None) -> None:
            mine = claims.owned_by(owner, connection, {ids[report.number] for report in reports})
            points = [(ids[report.number], report.step, report.value) for report in reports]
            writer.write_points(connection, [point for point in points if point[0] in mine])

        self._holding(stage, work)

    def record(
        self, stage: Stage, outcomes: Sequence[Outcome], ids: Mapping[int, int], *, owner: Owner
    ) -> list[Outcome]:
        """Finish trials that ``owner`` still holds; return their outcomes as they were written."""

        def work(connection: Connection, doubted: list[Outcome] | None) -> list[Outcome]:
            before = {ids[outcome.number]: outcome for outcome in doubted or ()}
            done = claims.owned_by(owner, connection, [*before], finished=True) if before else set()
            mine = claims.owned_by(owner, connection, [ids[outcome.number] for outcome in outcomes])
            held = [(ids[outcome.number], outcome) for outcome in outcomes if ids[outcome.number] in mine]
            written = writer.record(connection, stage, held) if held else []
            return [before[trial_id] for trial_id in before if trial_id in done] + written

        return self._holding(stage, work)

    def release(self, stage: Stage, *, owner: Owner) -> int:
        """Give back every trial that ``owner`` holds and has not finished; return how many."""

        def work(connection: Connection, doubted: int | None) -> int:
            mine = claims.owned_by(owner, connection, self._cache(stage).count(connection).unfinished)
            claims.release(connection, dict.fromkeys(mine, GIVEN_BACK), by=owner)
            return len(mine) or doubted or 0

        return self._holding(stage, work)

    def release_dead(self, stage: Stage, *, me: Owner) -> int:
        """Give back the trials of runners that are gone; return how many."""
        cache = self._cache(stage)
        if not self._read(claims.dead, cache, me=me):
            return 0

        def work(connection: Connection, doubted: int | None) -> int:
            # Once more while the stage is held: another runner may have released and claimed them meanwhile.
            dead = claims.dead(connection, cache, me=me)
            claims.release(connection, dead, by=me)
            return len(dead) or doubted or 0

        return self._holding(stage, work)

    def retry(self, stage: Stage, numbers: Collection[int] = ()) -> list[int]:
        """Give back a stage's failed trials, all or those of these numbers; return the numbers.

        They keep their values, wait to be claimed again, and no longer count as finished.

        Raises:
            BadArgument: A trial of these has not failed.
        """

        def work(connection: Connection, doubted: list[int] | None) -> list[int]:
            id_of = claims.failed(connection, stage)
            if doubted is not None and not id_of.keys() & set(doubted):
                return doubted
            for number in sorted(set(numbers) - id_of.keys()):
                raise BadArgument("numbers", number, f"{stage.name} has no failed trial of this number")
            chosen = sorted(numbers or id_of)
            if chosen:
                claims.retry(connection, stage, [id_of[number] for number in chosen], by=Owner.current())
            return chosen

        return self._holding(stage, work)

    def beat(self, stage: Stage, trial_ids: Collection[int], *, owner: Owner) -> None:
        """Renew ``owner``'s lease on those of the trials that it still holds."""

        def work(connection: Connection, _: None) -> None:
            claims.beat(connection, claims.owned_by(owner, connection, trial_ids))

        self._holding(stage, work)

    def counts(self, stage: Stage) -> Counts:
        """Return the numbers of trials by state."""
        return self._read(self._cache(stage).count).counts

    def totals(self) -> dict[int, claims.Totals]:
        """Return the trials in sum of every study that has any, by its key."""
        return self._read(claims.totals)

    def changes(self, tracker: ChangeTracker) -> Changes:
        """Return what has changed in a stage since the last look."""
        return self._read(tracker.changes, self._cache(tracker.stage))

    def sampled(self, stage: Stage) -> int:
        """Return how many trials were sampled so far, whatever became of them."""
        # Not the newest key's number: a trial that a repair has put in again is newer than those after it.
        ((highest,),) = self._read(queries.HIGHEST.rows, stage.study_id)
        return 0 if highest is None else int(highest) + 1

    def columns(
        self,
        stage: Stage,
        *,
        states: Collection[str] | None = None,
        top: int | None = None,
        numbers: Collection[int] | None = None,
        hits: bool = False,
    ) -> Columns:
        """Return trials by column.

        Columns: number, state, score, validation_loss, seconds, reason, started, finished (UTC), then one column per
        parameter, ``param:NAME``; None where a trial has no value. The reason is why a trial failed, or when it was
        pruned. With ``top``, the best completed ones, best first: by score, then validation loss, then number.
        Otherwise by number, and of ``numbers`` alone where these are given. With ``hits``, a column more, ``hits``:
        the examples that the trial got right, as `hpsearch.statistics.hits` packs them.
        """
        return self._read(queries.columns, stage, states=states, top=top, numbers=numbers, hits=hits)

    def trials(self, stage: Stage, *, states: Collection[str] | None = None, top: int | None = None) -> pd.DataFrame:
        """Return the same as a DataFrame of one row a trial."""
        return queries.trials_frame(self.columns(stage, states=states, top=top))

    def scores(self, stage: Stage, *, ranked: Callable[[int], int] | None = None) -> Arrays:
        """Return the completed trials with a finite score: number, score, validation_loss, ``param:NAME``, by number.

        What narrowing looks at, and no more: it reads all trials of a stage, however many there are. A loss or a
        number that is missing is NaN, a choice None.

        Args:
            stage: The stage.
            ranked: Of n trials, how many of the best are to be told apart; None for all. The losses of the others,
                which would only break ties among them, may be missing.
        """
        return self._read(_arrays().scores, stage, ranked)

    def curves(self, stage: Stage, numbers: Collection[int] | None = None) -> pd.DataFrame:
        """Return the scores after each epoch, as rows of number, step, value; of all trials without ``numbers``."""
        curves: pd.DataFrame = self._read(_arrays().curves, stage, numbers)
        return curves

    def points(self, stage: Stage, numbers: Collection[int]) -> dict[int, tuple[float, ...]]:
        """Return the scores after each epoch of some trials by number; none of a trial without any. Quick for a few."""
        return self._read(queries.curves, stage, numbers)

    def epochs(self, stage: Stage) -> int:
        """Return how many points the curves of its trials have together, counted where they are."""
        ((count,),) = self._read(queries.EPOCHS.rows, stage.study_id)
        return int(count)

    def page(
        self,
        stage: Stage,
        *,
        states: Collection[str] | None = None,
        sort: str = "number",
        descending: bool = False,
        offset: int = 0,
        limit: int,
    ) -> Columns:
        """Return a part of the trials, as `columns` has them.

        Args:
            stage: The stage.
            states: Those in these states. None: all.
            sort: ``number``, ``score``, ``started``, ``finished`` or ``param:NAME``; what has no value comes last, and
                among equals the lower number first.
            descending: Highest first.
            offset: So many are left out.
            limit: At most so many.
        """

        def read(connection: Connection) -> Columns:
            options: dict[str, Any] = {"states": states, "sort": sort, "descending": descending}
            ids = queries.page(connection, stage, **options, offset=offset, limit=limit)
            return queries.columns_of(connection, stage, ids)

        return self._read(read)

    def latest(self, stage: Stage, count: int) -> Columns:
        """Return the trials that finished last, newest first, as `columns` has them.

        For people who watch: they are looked for among the last few hundred that began.
        """
        return self._read(lambda c: queries.columns_of(c, stage, queries.latest(c, stage, count)))

    def runners(self, stage: Stage) -> dict[Owner, int]:
        """Return who holds how many of the stage's running trials; the one with the most first."""
        return self._read(lambda c: queries.runners(c, self._cache(stage).count(c).unfinished))

    def finishers(self, stage: Stage, *, among: int | None = None) -> dict[Owner, int]:
        """Return who finished how many trials, of all or of so many that began last; the one with the most first."""
        return self._read(queries.finishers, stage, among)

    def owned(self, stage: Stage, numbers: Collection[int]) -> dict[int, Owned]:
        """Return who runs or finished each of some trials that were begun, and how often it was begun, by number."""
        return self._read(queries.owned, stage, numbers)

    def standings(self, stage: Stage, numbers: range, step: int) -> list[Standing]:
        """Return where the trials there are among these numbers stand at an epoch, by number."""
        return self._read(queries.standings, stage, numbers, step)

    def attribute(self, stage: Stage, numbers: Collection[int], key: str) -> dict[int, Any]:
        """Return a user attribute of the trials that have it, by number; `hpsearch.records.CURVES`, say."""
        wanted = sorted(map(int, numbers))  # SQLite finds no NumPy integer
        rows = self._read(queries.ATTRIBUTE.rows, stage.study_id, key, wanted)
        return {number: json.loads(text) for number, text in rows}

    def attributes_of(self, stage: Stage, numbers: Collection[int]) -> dict[int, dict[str, Any]]:
        """Return all user attributes of the trials that have any, by number and key."""
        return self._read(queries.attributes_of, stage, numbers)

    def attributes(self, stage: Stage, key: str) -> Iterator[tuple[int, Any]]:
        """Yield a user attribute of every trial that has it, as (number, value), in any order.

        For whole stages, whose attributes may be more than memory holds. Read it to its end, or close it.
        """
        with self.database.read() as connection:
            yield from queries.attributes(connection, stage, key)

    def close(self) -> None:
        """Let go of every connection."""
        self.database.close()


def _arrays() -> ModuleType:
    from hpsearch.store import arrays  # loads NumPy, which commands that show a few rows do without

    return arrays
