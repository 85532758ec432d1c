"""What the store through Optuna's public API reads; its writing is `hpsearch.store.fallback`."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpsearch.records import HITS, Direction, Stage, Standing
from hpsearch.store import frozen
from hpsearch.store.base import OWNER, Counts, Owned
from hpsearch.store.database import BUSY_TIMEOUT_S, Database
from hpsearch.store.frames import Arrays, Columns, by_number, to_arrays, to_frame
from hpsearch.store.leases import Owner
from hpsearch.store.servers import engine_settings
from hpsearch.store.stages import in_order, stage_from_attributes
from hpsearch.store.urls import show

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    import pandas as pd


class FallbackReads:
    """The half of `hpsearch.store.fallback.FallbackStore` that writes nothing.

    Raises:
        RuntimeError: Optuna does not know the schema either.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.url = database.url.render_as_string(hide_password=False)
        self.where = show(database.url)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sqlite = {"connect_args": {"timeout": BUSY_TIMEOUT_S}}
        settings = sqlite if database.dialect == "sqlite" else engine_settings(database.url)
        self.storage = optuna.storages.RDBStorage(
            self.url, engine_kwargs=settings, skip_table_creation=True, skip_compatibility_check=True
        )
        # Optuna's own check, made here: after its constructor raised, nobody could close its connections.
        head = self.storage.get_head_version()
        if (current := self.storage.get_current_version()) != head:
            self._close_storage()
            raise RuntimeError(f"Optuna {optuna.__version__} needs the schema {head}, not {current}")

    @property
    def seconds(self) -> float:
        """Time spent in the store so far."""
        return self.database.seconds

    def stages(self, search: str | None = None) -> list[Stage]:
        """The stages of one search, or of all."""
        return in_order(self._all_stages(), search)

    def confirmations(self, search: str | None = None) -> list[Stage]:
        """The confirmations of one search's stages, or of all."""
        return in_order(self._all_stages(), search, confirmations=True)

    def _all_stages(self) -> list[Stage]:
        found = []
        with self.database.timed():
            for study in self.storage.get_all_studies():
                maximize = study.directions[0] == StudyDirection.MAXIMIZE
                direction: Direction = "maximize" if maximize else "minimize"
                stage = stage_from_attributes(study._study_id, direction, study.user_attrs)
                if stage is not None:
                    found.append(stage)
        return found

    def study_attribute(self, stage: Stage, key: str) -> Any | None:
        """A user attribute of a stage's study."""
        with self.database.timed():
            return self.storage.get_study_user_attrs(stage.study_id).get(key)

    def _running(self, stage: Stage) -> list[tuple[FrozenTrial, Owner]]:
        running = self.storage.get_all_trials(stage.study_id, deepcopy=False, states=(TrialState.RUNNING,))
        return _owned(running)

    def counts(self, stage: Stage) -> Counts:
        """How many trials are in which state."""
        with self.database.timed():
            found = self._found(stage)
        running = [trial for trial in found if trial.state == TrialState.RUNNING]
        return frozen.counts(found, running=len(_owned(running)))

    def drawn(self, stage: Stage) -> int:
        """How many trials were drawn so far."""
        with self.database.timed():
            return int(self.storage.get_n_trials(stage.study_id))

    def _found(self, stage: Stage) -> list[FrozenTrial]:
        with self.database.timed():
            trials = self.storage.get_all_trials(stage.study_id, deepcopy=False)
        return sorted(trials, key=lambda trial: trial.number)

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
        wanted = ("COMPLETE",) if top is not None else states
        kept = [trial for trial in self._found(stage) if wanted is None or trial.state.name in wanted]
        kept = kept if numbers is None else [trial for trial in kept if trial.number in numbers]
        if top is not None:
            kept = frozen.best_first(stage, kept)[:top]
        also: Columns = {HITS: [trial.user_attrs.get(HITS) for trial in kept]} if hits else {}
        return frozen.columns(stage, kept) | also

    def trials(self, stage: Stage, *, states: Collection[str] | None = None, top: int | None = None) -> pd.DataFrame:
        """Trials as rows."""
        return to_frame(self.columns(stage, states=states, top=top))

    def scores(self, stage: Stage, *, ranked: Callable[[int], int] | None = None) -> Arrays:
        """The completed trials that have a score, as narrowing needs them."""
        complete = [trial for trial in self._found(stage) if trial.state == TrialState.COMPLETE]
        return to_arrays(frozen.columns(stage, frozen.scored(complete)), stage.space)

    def curves(self, stage: Stage, numbers: Collection[int] | None = None) -> pd.DataFrame:
        """The scores after each epoch."""
        import pandas as pd

        return pd.DataFrame(frozen.points(self._found(stage), numbers), columns=["number", "step", "value"])

    def points(self, stage: Stage, numbers: Collection[int]) -> dict[int, tuple[float, ...]]:
        """The scores after each epoch of some trials."""
        return by_number(frozen.points(self._found(stage), numbers))

    def epochs(self, stage: Stage) -> int:
        """How many points the curves have together."""
        return sum(len(trial.intermediate_values) for trial in self._found(stage))

    def latest(self, stage: Stage, many: int) -> Columns:
        """The trials that finished last."""
        return frozen.columns(stage, frozen.newest(self._found(stage))[:many])

    def runners(self, stage: Stage) -> dict[Owner, int]:
        """Who holds how many running trials."""
        with self.database.timed():
            return dict(Counter(owner for _, owner in self._running(stage)).most_common())

    def finishers(self, stage: Stage, *, among: int | None = None) -> dict[Owner, int]:
        """Who finished how many trials."""
        found = sorted(self._found(stage), key=lambda trial: trial._trial_id)
        return frozen.finishers(found[-(among or 0) :])

    def owned(self, stage: Stage, numbers: Collection[int]) -> dict[int, Owned]:
        """Who runs or finished trials, by number."""
        return frozen.owned(self._found(stage), numbers)

    def standings(self, stage: Stage, numbers: range, step: int) -> list[Standing]:
        """Where trials stand at an epoch."""
        found = self._found(stage)
        with self.database.timed():
            held = {trial.number for trial, _ in self._running(stage)}
        return frozen.standings((trial for trial in found if trial.number in numbers), held, step)

    def attribute(self, stage: Stage, numbers: Collection[int], key: str) -> dict[int, Any]:
        """A user attribute by trial number."""
        return frozen.attribute(self._found(stage), numbers, key)

    def attributes(self, stage: Stage, key: str) -> Iterator[tuple[int, Any]]:
        """A user attribute of every trial."""
        yield from ((trial.number, trial.user_attrs[key]) for trial in self._found(stage) if key in trial.user_attrs)

    def close(self) -> None:
        """Let go of every connection."""
        self._close_storage()
        self.database.close()

    def _close_storage(self) -> None:
        self.storage.remove_session()
        self.storage.engine.dispose()


def _owned(running: Iterable[FrozenTrial]) -> list[tuple[FrozenTrial, Owner]]:
    """Those that hpsearch's runners hold, each with its own."""
    owners = [(trial, Owner.from_json(json.dumps(trial.system_attrs.get(OWNER)))) for trial in running]
    return [(trial, owner) for trial, owner in owners if owner is not None]
