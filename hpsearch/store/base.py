"""The seam between the search and its database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    import pandas as pd

    from hpsearch.records import NewStage, Outcome, PastTrials, Report, Stage, Standing, Trial
    from hpsearch.store.frames import Arrays, Columns
    from hpsearch.store.leases import Owner

ATTRIBUTE_PREFIX = "hpsearch:"
"""Study and trial attributes of ours begin with this, so that they never meet a user's."""
OWNER = f"{ATTRIBUTE_PREFIX}owner"
"""The trial system attribute that says which runner claimed the trial."""
RELEASED = f"{ATTRIBUTE_PREFIX}released"
"""The trial system attribute that says how often it was begun in vain, and of the last time who, why and when."""
NOBODY = "null"
"""The owner of a released trial, as JSON."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many trials of a stage are in which state. ``running`` counts those that hpsearch's runners hold."""

    complete: int = 0
    pruned: int = 0
    failed: int = 0
    running: int = 0
    waiting: int = 0

    @property
    def finished(self) -> int:
        """Trials that will not be run again."""
        return self.complete + self.pruned + self.failed

    @property
    def rows(self) -> int:
        """All trials there are."""
        return self.finished + self.running + self.waiting


@dataclass(frozen=True, slots=True)
class Owned:
    """Who has run a trial.

    Args:
        owner: Who runs it, or finished it; None while it waits.
        begun: How often it was begun, the last time included.
    """

    owner: Owner | None
    begun: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim gave: the trials, and the stage's counts after it."""

    trials: tuple[Trial, ...]
    counts: Counts


class Store(Protocol):
    """A study database. Every method is one transaction, or several that may be repeated without harm.

    Raises (all methods): StorageFailure, when the database stops working.
    """

    @property
    def url(self) -> str:
        """The SQLAlchemy URL, as Optuna takes it."""

    @property
    def where(self) -> str:
        """The database for people: the file, or the URL without its password."""

    @property
    def seconds(self) -> float:
        """Time spent in the store so far."""

    def while_away(self, note: Callable[[str], object], *, stopping: Callable[[], bool]) -> None:
        """Say who hears of it when the database's server is away, and who may say that nobody waits any longer.

        Args:
            note: Given one line, once for each time that it is away.
            stopping: Asked often meanwhile.
        """

    def stages(self, search: str | None = None) -> list[Stage]:
        """The stages of one search, or of all, by search and number; without confirmations."""

    def confirmations(self, search: str | None = None) -> list[Stage]:
        """The confirmations of one search's stages, or of all, by search and number."""

    def create_stage(self, new: NewStage, *, replace: bool = False) -> Stage:
        """Make a stage, or return the one that another process made first under that name.

        With ``replace``, a stage of that name without trials is removed first.

        Raises:
            StageConflict: With ``replace``: the stage of that name has trials.
        """

    def study_attribute(self, stage: Stage, key: str) -> Any | None:
        """A user attribute of a stage's study; None where it has none of that key."""

    def change_study_attribute(self, stage: Stage, key: str, change: Callable[[Any | None], Any]) -> Any:
        """Read a user attribute of a stage's study and write another value, while nobody else can.

        Args:
            stage: The stage.
            key: The attribute's key.
            change: Given what there is, or None, it returns what is to be there, as JSON-able data. What it raises
                comes out, and nothing is written.

        Returns:
            What is there now.
        """

    def import_stages(self, stages: Sequence[tuple[NewStage, PastTrials]]) -> list[Stage]:
        """Write stages that were run elsewhere, with their trials: all of them or none.

        Raises:
            StageConflict: One of these stages is there already, or a study of its name.
        """

    def claim(self, stage: Stage, *, until: int, most: int, owner: Owner) -> Claimed:
        """Take up to ``most`` trials to evaluate, such that the stage comes to have ``until`` finished ones.

        Trials that were released come first, then new numbers. Atomic: two runners never get the same one.
        """

    def report(self, stage: Stage, reports: Sequence[Report], ids: Mapping[int, int], *, owner: Owner) -> None:
        """Write points of the curves of trials that ``owner`` still holds; a point that is there is overwritten.

        Args:
            stage: The stage.
            reports: The points.
            ids: Trial ids by trial number.
            owner: Who writes.
        """

    def record(self, stage: Stage, outcomes: Sequence[Outcome], ids: Mapping[int, int], *, owner: Owner) -> set[int]:
        """Finish trials. One that is finished already, or that another runner holds by now, is left alone.

        Returns:
            The numbers that were recorded.
        """

    def release(self, stage: Stage, *, owner: Owner) -> int:
        """Give back every trial that ``owner`` holds and has not finished; returns how many."""

    def release_dead(self, stage: Stage, *, me: Owner) -> int:
        """Give back the trials of runners that are gone; returns how many."""

    def beat(self, stage: Stage, trial_ids: Collection[int], *, owner: Owner) -> None:
        """Renew ``owner``'s lease on those of the trials that it still holds."""

    def counts(self, stage: Stage) -> Counts:
        """How many trials are in which state."""

    def drawn(self, stage: Stage) -> int:
        """How many trials were drawn so far, whatever became of them: the highest number and 1."""

    def columns(
        self,
        stage: Stage,
        *,
        states: Collection[str] | None = None,
        top: int | None = None,
        numbers: Collection[int] | None = None,
        hits: bool = False,
    ) -> Columns:
        """Trials by column.

        Columns: number, state, score, validation_loss, seconds, reason, started, finished (UTC), then one column per
        parameter, ``param:NAME``; None where a trial has no value. The reason is why a trial failed, or when it was
        stopped early. With ``top``, the best completed ones, best first: by score, then validation loss, then number.
        Otherwise by number, and of ``numbers`` alone where these are given. With ``hits``, a column more, ``hits``:
        which validation images the trial got right, as `hpsearch.statistics.hits` packs them.
        """

    def trials(self, stage: Stage, *, states: Collection[str] | None = None, top: int | None = None) -> pd.DataFrame:
        """The same as a DataFrame of one row a trial."""

    def scores(self, stage: Stage, *, ranked: Callable[[int], int] | None = None) -> Arrays:
        """The completed trials with a finite score: number, score, validation_loss and ``param:NAME``, by number.

        What narrowing looks at, and no more: it reads all trials of a stage, however many there are. A loss or a
        number that is missing is NaN, a choice None.

        Args:
            stage: The stage.
            ranked: Of n trials, how many of the best are to be told apart; None for all. The losses of the others,
                which would only break ties among them, may be missing.
        """

    def curves(self, stage: Stage, numbers: Collection[int] | None = None) -> pd.DataFrame:
        """The scores after each epoch, as rows with columns number, step, value; of all trials without ``numbers``."""

    def points(self, stage: Stage, numbers: Collection[int]) -> dict[int, tuple[float, ...]]:
        """The scores after each epoch of some trials by number; none of a trial without any. Quick for a few."""

    def epochs(self, stage: Stage) -> int:
        """How many points the curves of its trials have together, counted where they are."""

    def latest(self, stage: Stage, many: int) -> Columns:
        """The trials that finished last, newest first, as `columns` has them.

        For people who watch: they are looked for among the last few hundred that began.
        """

    def runners(self, stage: Stage) -> dict[Owner, int]:
        """Who holds how many of the stage's running trials; the one with the most first."""

    def finishers(self, stage: Stage, *, among: int | None = None) -> dict[Owner, int]:
        """Who finished how many of the stage's trials; the one with the most first. Imported ones are nobody's.

        Args:
            stage: The stage.
            among: Look only at so many of the trials that were begun last; all of a million take their time.
        """

    def owned(self, stage: Stage, numbers: Collection[int]) -> dict[int, Owned]:
        """Of trials that a runner has begun: who runs or finished each, and how often it was begun, by number."""

    def standings(self, stage: Stage, numbers: range, step: int) -> list[Standing]:
        """Where the trials there are among these numbers stand at an epoch, by number."""

    def attribute(self, stage: Stage, numbers: Collection[int], key: str) -> dict[int, Any]:
        """A user attribute of the trials that have it, by number; `hpsearch.records.CURVES`, say."""

    def attributes(self, stage: Stage, key: str) -> Iterator[tuple[int, Any]]:
        """A user attribute of every trial that has it, as (number, value), one after the other, in any order.

        For whole stages, whose attributes may be more than memory holds. Read it to its end, or close it.
        """

    def close(self) -> None:
        """Let go of every connection."""
