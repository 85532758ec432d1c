"""What comes back together is written together, and comes to the same as one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import final

from stub_objectives import STEPS, Stub, value

from hpsearch.executors.base import Batch, Done, Evaluates, Event, Lost, Progress, drive
from hpsearch.records import Report, Stage
from hpsearch.search.runner import Runner, Tick
from hpsearch.store import Counts, Store


@final
class AllAtOnce:
    """Says nothing until every slot has a batch, and then everything at once, each point of a curve twice.

    Args:
        loses: Trials whose first batch is lost.
    """

    slots = 3

    def __init__(self, *, loses: tuple[int, ...] = ()) -> None:
        self._batches: list[Batch] = []
        self._loses = set(loses)

    @property
    def free(self) -> int:
        return self.slots - len(self._batches)

    def load(self, objective: Evaluates) -> None:
        self._objective = objective

    def expect(self, batches: int) -> None:
        pass

    def submit(self, batch: Batch) -> None:
        self._batches.append(batch)

    def wait(self, timeout: float) -> list[Event]:
        batches, self._batches = self._batches, []
        return [event for batch in batches for event in self._events(batch)]

    def _events(self, batch: Batch) -> list[Event]:
        if lost := self._loses & {trial.number for trial in batch.trials}:
            self._loses -= lost
            return [Lost(batch, "its worker died")]
        points = tuple(Report(trial.number, 1, value(trial.number, 1)) for trial in batch.trials)
        (done,) = [event for event in drive(self._objective, batch) if isinstance(event, Done)]
        return [Progress(points), Progress(points), done]

    def close(self, *, kill: bool = False) -> None:
        self._batches = []


def test_batches_that_come_back_together_are_recorded_together(store: Store, stage: Stage, tmp_path: Path) -> None:
    ticks: list[Tick] = []
    runner = Runner(store, stage, Stub(tmp_path), AllAtOnce(), until=14, lanes=2, on_tick=ticks.append)
    summary = runner.run()
    assert (summary.counts, summary.recorded, summary.stopped) == (Counts(complete=14), 14, False)
    assert [len(tick.recorded) for tick in ticks if tick.recorded] == [6, 6, 2]
    points = [(n, s, value(n, s)) for n in range(14) for s in range(1, STEPS + 1)]
    assert list(store.curves(stage, range(14)).itertuples(index=False, name=None)) == points


def test_a_batch_that_is_lost_among_others_runs_again(store: Store, stage: Stage, tmp_path: Path) -> None:
    summary = Runner(store, stage, Stub(tmp_path), AllAtOnce(loses=(2, 9)), until=14, lanes=2).run()
    assert (summary.counts, summary.recorded, summary.given_back) == (Counts(complete=14), 14, 0)
