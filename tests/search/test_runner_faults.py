"""What a runner does when the world around it changes: it sleeps, is asked to stop, or cannot evaluate anything."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import bounded
import pytest
from stub_objectives import Stub

from hpsearch.errors import EvaluationFailure, StageConflict, StorageFailure
from hpsearch.executors.base import Batch, Done, Evaluates, Event
from hpsearch.executors.inline import InlineExecutor
from hpsearch.records import Completed, Outcome, Paused, Report, Stage, Trial
from hpsearch.search.runner import Runner
from hpsearch.space import Float
from hpsearch.store import Counts, NewStage, Owner, Store


class AllAtOnce:
    """An executor of several slots whose batches all come back together; `before` happens first, once."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.batches: list[Batch] = []
        self.submitted: list[int] = []

    @property
    def free(self) -> int:
        return self.slots - len(self.batches)

    def load(self, objective: Evaluates) -> None:
        pass

    def expect(self, batches: int) -> None:
        pass

    def submit(self, batch: Batch) -> None:
        self.batches.append(batch)
        self.submitted += [trial.number for trial in batch.trials]

    def before(self) -> None:
        pass

    def wait(self, timeout: float) -> list[Event]:
        self.before()
        batches, self.batches = self.batches, []
        return [Done(batch, tuple(Completed(trial.number, 1.0) for trial in batch.trials)) for batch in batches]

    def close(self, *, kill: bool = False) -> None:
        pass


def test_what_has_come_back_before_a_stop_is_recorded(store: Store, stage: Stage, tmp_path: Path) -> None:
    executor = AllAtOnce(3)
    asked: list[bool] = []
    executor.before = lambda: asked.append(True)  # type: ignore[method-assign]
    runner = Runner(store, stage, Stub(tmp_path), executor, until=12, lanes=2, stopping=lambda: bool(asked))
    summary = runner.run()
    assert summary.stopped
    assert (summary.recorded, summary.given_back) == (6, 0)
    assert store.counts(stage) == Counts(complete=6)


def test_a_runner_that_slept_past_its_lease_counts_its_trials_once(store: Store, stage: Stage, tmp_path: Path) -> None:
    """Its trials were given back by another runner, which took none of them; it claims them again itself."""

    class Slept(AllAtOnce):
        woken = False

        def before(self) -> None:
            if not self.woken:
                self.woken = True
                held = runner._owner
                assert store.release(stage, owner=held) == 4

    executor = Slept(2)
    runner = Runner(store, stage, Stub(tmp_path), executor, until=8, lanes=2)
    summary = runner.run()
    frame = store.trials(stage)
    assert frame["number"].tolist() == list(range(8))
    assert set(frame["state"]) == {"COMPLETE"}
    assert summary.counts == Counts(complete=8)


@dataclass(frozen=True)
class Hopeless(Stub):
    """Cannot evaluate anything here."""

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome]]:
        raise MemoryError("no memory for this network")
        yield []


@pytest.mark.parametrize("until", [1, 2, 20])
def test_where_nothing_can_be_evaluated_nothing_is_used_up(
    store: Store, stage: Stage, tmp_path: Path, until: int
) -> None:
    with pytest.raises(EvaluationFailure, match="MemoryError: no memory for this network; nothing was recorded"):
        Runner(store, stage, Hopeless(tmp_path), InlineExecutor(), until=until).run()
    counts = store.counts(stage)
    assert (counts.finished, counts.running) == (0, 0)
    assert Runner(store, stage, Stub(tmp_path), InlineExecutor(), until=until).run().counts == Counts(complete=until)


def test_a_stage_that_was_narrowed_anew_is_not_run_with_its_old_ranges(
    store: Store, stage: Stage, tmp_path: Path
) -> None:
    other = NewStage("stub", 1, "maximize", 7, {"lr": Float(0.5, 0.6)}, {"name": "stub"})
    store.create_stage(other, replace=True)
    with pytest.raises(StageConflict, match="stub/stage-01 was narrowed or begun anew meanwhile; start again"):
        Runner(store, stage, Stub(tmp_path), InlineExecutor(), until=4).run()
    assert store.counts(stage) == Counts()
    with pytest.raises(StageConflict, match="begun anew"):
        store.claim(replace(stage, study_id=99), until=4, most=4, owner=Owner.current())


def test_a_database_that_is_deleted_meanwhile_ends_the_run(store: Store, stage: Stage, tmp_path: Path) -> None:
    executor = AllAtOnce(1)
    executor.before = lambda: (tmp_path / "studies.db").unlink(missing_ok=True)  # type: ignore[method-assign]
    with pytest.raises(StorageFailure, match="was deleted or replaced while in use"):
        Runner(store, stage, Stub(tmp_path), executor, until=4, lanes=2).run()


class Slow(Stub):
    """Shows nothing of a trial until the lease on it was renewed twice."""

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome]]:
        seen: set[str] = set()

        def beaten() -> bool:
            with contextlib.closing(sqlite3.connect(self.folder / "studies.db")) as connection:
                asked = "SELECT heartbeat FROM trial_heartbeats WHERE trial_id = ?"
                seen.update(beat for (beat,) in connection.execute(asked, [trials[0].trial_id]))
            return len(seen) > 2

        bounded.until(beaten, what="a third heartbeat")
        yield from super().evaluate(trials, until=until, paused=paused)


def test_a_lease_is_renewed_while_the_loop_stands_still(
    store: Store, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpsearch.search.runner.BEAT_EVERY_S", 0.01)
    assert Runner(store, stage, Slow(tmp_path), InlineExecutor(), until=2, lanes=1).run().counts == Counts(complete=2)
    assert not [one.name for one in threading.enumerate() if "pulse" in one.name]
