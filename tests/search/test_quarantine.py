"""A worker that fails where others succeed is given no more trials, and a healthy one goes on."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from stub_objectives import Items, Kinds

from hpsearch.errors import BadInput, EvaluationFailure
from hpsearch.executors.base import Batch, Done, Evaluates, Event, InlineExecutor, Lost, drive
from hpsearch.records import Completed, Failed, Paused, Sentence, Stage, Trial
from hpsearch.search.quarantine import Quarantine
from hpsearch.search.runner import Runner, Summary
from hpsearch.store import Counts, Store


@dataclass(frozen=True)
class Fails(Kinds):
    """Fails these trials, or all."""

    which: Iterable[int] | None = None

    def evaluate(self, trials: Sequence[Trial], **_: Any) -> Items:
        for number in (trial.number for trial in trials):
            bad = self.which is None or number in self.which
            yield [Failed(number, "no memory") if bad else Completed(number, 1.0)]


@dataclass
class Turns:
    """Two workers that take turns, until one is suspected; one of them has another objective, which fails."""

    bad: Evaluates = field(default_factory=lambda: Fails())
    workers: list[str] = field(default_factory=lambda: ["good", "bad"])
    done: list[Event] = field(default_factory=list)

    @property
    def slots(self) -> int:
        return len(self.workers)

    @property
    def free(self) -> int:
        return len(self.workers) - len(self.done)

    def load(self, objective: Evaluates) -> None:
        self.objective = objective

    def expect(self, batches: int) -> None:
        pass

    def submit(self, batch: Batch) -> None:
        worker = self.workers[len(self.done)]
        events = drive(self.bad if worker == "bad" else self.objective, batch)
        self.done += [replace(event, worker=worker) for event in events if isinstance(event, Done | Lost)]

    def wait(self, timeout: float) -> list[Event]:
        events, self.done = self.done, []
        return [*events]

    def quarantine(self, worker: str) -> bool:
        if len(self.workers) > 1:
            self.workers.remove(worker)
            return True
        return False

    def close(self, *, kill: bool = False) -> None:
        pass


def run(store: Store, stage: Stage, objective: Any, executor: Any = None, **options: Any) -> Summary:
    return Runner(store, stage, objective, executor or InlineExecutor(), lanes=1, **options).run()


def test_a_bad_worker_costs_a_few_trials_which_can_be_given_back(store: Store, stage: Stage) -> None:
    notes: list[Sentence] = []
    summary = run(store, stage, Fails(()), Turns(), until=100, note=notes.append)
    assert summary.ended_by == "trials"
    assert 3 < summary.counts.failed < 15
    (note,) = notes
    assert str(note).startswith(
        "bad is given no more trials: the last 9 trials failed (no memory), while 9 of stub/stage-01 succeeded; once"
    )
    (action,) = note.mentions
    assert str(action) == "retry()"
    store.retry(stage)
    assert run(store, stage, Fails(()), until=100).counts == Counts(complete=100)


def test_a_run_in_which_all_fails_ends_where_others_succeeded(store: Store, stage: Stage) -> None:
    run(store, stage, Fails(()), until=20)
    summary = run(store, stage, Fails(), until=100)
    assert summary.ended_by == "failures"
    assert summary.recorded == 6
    words = "this run ends: the last 6 trials failed (no memory), while 20 of stub/stage-01 succeeded; once"
    assert str(summary.reason).startswith(words)
    # Given back, they are no evidence: it may be they that fail.
    store.retry(stage)
    until = store.counts(stage).rows
    assert run(store, stage, Fails(), until=until).ended_by == "trials"


def test_where_nothing_has_succeeded_nobody_is_suspected(store: Store, stage: Stage) -> None:
    assert run(store, stage, Fails(), Turns(), until=30).counts == Counts(failed=30)


@pytest.mark.parametrize(("good", "failed", "most"), [(20, 0, 6), (5, 0, 10), (400, 100, 12), (40, 60, 37)])
def test_the_more_of_the_others_fail_the_more_failures_it_takes(good: int, failed: int, most: int) -> None:
    quarantine, counts, taken = Quarantine(0), Counts(complete=good, failed=failed), 0
    while not quarantine.suspicious("bad", counts):
        quarantine.add("bad", [Failed(taken, "bad")])
        taken += 1
        counts = replace(counts, failed=failed + taken)
    assert 2 < taken <= most
    assert not quarantine.suspicious("bad", counts)  # said once


def test_a_trial_that_paused_breaks_a_row() -> None:
    quarantine, counts = Quarantine(0), Counts(complete=1000)
    quarantine.add("worker", [Failed(0, "bad"), Failed(1, "bad"), Paused(2, (0.5,)), Failed(3, "bad")])
    assert not quarantine.suspicious("worker", counts)
    quarantine.add("worker", [Failed(4, "bad"), Failed(5, "bad")])
    assert len(quarantine.suspicious("worker", counts)) == 3


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7])
def test_a_healthy_worker_is_not_suspected(share: float) -> None:
    """In 20,000 trials of four workers, whose failures are chance."""
    rng, quarantine, counts = random.Random(0), Quarantine(0), Counts()
    for number in range(20_000):
        worker, bad = str(rng.randrange(4)), rng.random() < share
        quarantine.add(worker, [Failed(number, "chance") if bad else Completed(number, 1.0)])
        counts = replace(counts, failed=counts.failed + bad, complete=counts.complete + (not bad))
        assert not quarantine.suspicious(worker, counts)


@dataclass(frozen=True)
class Gone(Kinds):
    """Cannot be had from some trial on."""

    first: int = 0

    def evaluate(self, trials: Sequence[Trial], **_: Any) -> Items:
        if trials[0].number >= self.first:
            raise BadInput("there is no file train.py")
        yield [Completed(trials[0].number, 1.0)]


def test_a_worker_that_cannot_have_the_objective_costs_no_trial(store: Store, stage: Stage) -> None:
    """One machine of several lacks the file: its trials go to the others, and soon it is given no more."""
    notes: list[Sentence] = []
    summary = run(store, stage, Fails(()), Turns(bad=Gone()), until=100, note=notes.append)
    assert summary.counts == Counts(complete=100)
    assert [*map(str, notes)] == ["bad is given no more trials: there is no file train.py"]


def test_it_ends_no_run_where_it_is_the_first_to_come_back(store: Store, stage: Stage) -> None:
    notes: list[Sentence] = []
    turns = Turns(bad=Gone(), workers=["bad", "good"])
    assert run(store, stage, Fails(()), turns, until=1, note=notes.append).counts == Counts(complete=1)
    assert len(notes) == 1
    with pytest.raises(EvaluationFailure, match=r"there is no file train.py; 1 trial recorded"):
        run(store, stage, Gone(), Turns(bad=Gone()), until=9, note=notes.append)
    assert len(notes) == 1  # the error says it


@pytest.mark.parametrize("first", [0, 4])
def test_a_run_whose_objective_is_gone_ends_and_keeps_what_was_recorded(store: Store, stage: Stage, first: int) -> None:
    says = f"stub/stage-01 cannot go on: there is no file train.py; {first} trials recorded; fix the cause"
    with pytest.raises(EvaluationFailure, match=says):
        run(store, stage, Gone(first), until=9)
    assert store.counts(stage) == Counts(complete=first, waiting=1)
