"""What the commands that train trials may be asked to do, and whom they tell what happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from hpsearch.records import Stage
    from hpsearch.search.next_stage import Narrowed
    from hpsearch.search.running.told import Summary, Tick
    from hpsearch.store import Store


@dataclass(frozen=True, slots=True)
class Job:
    """What `hpsearch start` was asked to do.

    Args:
        storage: SQLAlchemy URL or SQLite file.
        make_folder: Whether to make the SQLite file's folder; for the default storage, which nobody chose.
        study: Study file or name; None for the default.
        trials: Finished trials that each stage is to have; None for the study file's count.
        stage: Number of the stage to run; None for the latest.
        stages: How many stages the search is to have in the end; None to run one stage only.
        top: Best trials that narrowing between stages uses; None for 5.
        expand: Whether narrowing between stages may widen towards a bound.
        seed: Seed for a new search; None for the study file's.
        engine: ``pool`` (processes), ``dask``, or ``inline`` (this process, for debugging).
        jobs: Processes; None for one a core.
        scheduler: Address of a Dask scheduler, or its scheduler file; None for processes on this machine.
        lanes: Trials to a batch; None for what suits the network's size.
        pruner: Rule by which hopeless trials of a stage that begins stop early; None for the study file's.
        data_dir: Where data sets are looked for first.
    """

    storage: str
    make_folder: bool = False
    study: str | None = None
    trials: int | None = None
    stage: int | None = None
    stages: int | None = None
    top: int | None = None
    expand: bool = False
    seed: int | None = None
    engine: str = "pool"
    jobs: int | None = None
    scheduler: str | None = None
    lanes: int | None = None
    pruner: str | None = None
    data_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class ConfirmJob:
    """What `hpsearch confirm` was asked to do.

    Args:
        storage: SQLAlchemy URL or SQLite file.
        search: Name of the search, or its study file; None for the only one in the database.
        stage: Number of the stage to confirm; None for the latest that has trials.
        top: How many of its best trials.
        repeats: How often each is to have been trained.
        engine: ``pool`` (processes), ``dask``, or ``inline`` (this process, for debugging).
        jobs: Processes; None for one a core.
        scheduler: Address of a Dask scheduler, or its scheduler file; None for processes on this machine.
        lanes: Trials to a batch; None for what suits the network's size.
        data_dir: Where data sets are looked for first.
    """

    storage: str
    search: str | None = None
    stage: int | None = None
    top: int = 5
    repeats: int = 10
    engine: str = "pool"
    jobs: int | None = None
    scheduler: str | None = None
    lanes: int | None = None
    data_dir: Path | None = None


class Watcher(Protocol):
    """Told what happens, for a display."""

    def note(self, text: str) -> None:
        """Something worth saying that is no error."""

    def began(self, stage: Stage, *, until: int, jobs: int, best: tuple[int, float] | None, finished: int = 0) -> None:
        """A stage or confirmation begins, or goes on; ``best`` is its best trial so far, number and score."""

    def tick(self, tick: Tick) -> None:
        """Trials have finished."""


class Listener(Watcher, Protocol):
    """The same of a workflow of stages."""

    def ended(self, stage: Stage, summary: Summary, store: Store) -> None:
        """A stage has all its trials, or the run was stopped."""

    def narrowed(self, narrowed: Narrowed) -> None:
        """The next stage's ranges are made."""


class Quiet:
    """A `Listener` that says nothing, for programs and notebooks."""

    def note(self, text: str) -> None:
        """Nothing."""

    def began(self, stage: Stage, *, until: int, jobs: int, best: tuple[int, float] | None, finished: int = 0) -> None:
        """Nothing."""

    def tick(self, tick: Tick) -> None:
        """Nothing."""

    def ended(self, stage: Stage, summary: Summary, store: Store) -> None:
        """Nothing."""

    def narrowed(self, narrowed: Narrowed) -> None:
        """Nothing."""
