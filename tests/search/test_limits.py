"""Limits and requests to stop: what ends a run early, what it leaves, and that the next run goes on from there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import tiny
from stub_objectives import Items, Kinds, Stub

from hpsearch import Search
from hpsearch.errors import BadArgument, EvaluationFailure
from hpsearch.executors.base import InlineExecutor
from hpsearch.records import Completed, Failed, Stage, Trial
from hpsearch.search.limits import Goal, Limits, StopRequests, limits_of, request_stop
from hpsearch.search.runner import Runner, Summary, Tick
from hpsearch.store import Counts, Owner, Store, open_store

DIVERGING: dict[str, Any] = {"space": {"lr": {"low": 1e30, "high": 1e32, "log": True}}}


def run(store: Store, stage: Stage, objective: Any, **options: Any) -> Summary:
    return Runner(store, stage, objective, InlineExecutor(), lanes=1, **options).run()


@dataclass(frozen=True)
class Said(Kinds):
    """Completes a trial whose letter is ``c`` with its number as the score, and fails the others."""

    letters: str

    def evaluate(self, trials: Sequence[Trial], **_: Any) -> Items:
        for number in (trial.number for trial in trials):
            good = self.letters[number] == "c"
            yield [Completed(number, float(number)) if good else Failed(number, f"trial {number} is bad")]


@dataclass(frozen=True)
class Turning(Kinds):
    """Evaluates a trial's first attempt by one objective and its second by another."""

    objectives: tuple[Said, Said]
    begun: list[int] = field(default_factory=list)

    def evaluate(self, trials: Sequence[Trial], **_: Any) -> Items:
        for trial in trials:
            yield from self.objectives[trial.number in self.begun].evaluate([trial])
            self.begun.append(trial.number)


@pytest.mark.parametrize(
    ("given", "limits"),
    [
        ((None, None, None), Limits()),
        (("10m", None, 3), Limits(600.0, None, 3)),
        ((2.5, "score >= 0.9", None), Limits(2.5, Goal("score", ">=", 0.9))),
        (("1h30m", "val. loss<1e-3", None), Limits(5400.0, Goal("val. loss", "<", 1e-3))),
    ],
)
def test_limits_are_read_as_people_write_them(given: tuple[Any, Any, Any], limits: Limits) -> None:
    assert limits_of(*given) == limits


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("ten", None, None), "timeout=ten: not a span of time above 0; write 90, 90s, 10m, 1.5h or 1h30m"),
        ((None, "score", None), 'until=score: write a comparison with a number, such as "score >= 0.9"'),
        ((None, 0.9, None), "until=0.9: write a comparison with a number"),
        ((None, "score >= high", None), "until=score >= high: write a comparison with a number"),
        ((None, "score >= nan", None), "write a comparison with a number"),
        ((None, " >= 1", None), "write a comparison with a number"),
        ((None, None, 0), "max_failures=0: give a number from 1"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(given: tuple[Any, Any, Any], says: str) -> None:
    with pytest.raises(BadArgument) as refused:
        limits_of(*given)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("goal", "direction", "says"),
    [
        (Goal("loss", ">=", 0.5), "maximize", "the metric is accuracy; write score or accuracy"),
        (Goal("accuracy", "<", 0.5), "maximize", "the search maximizes its score; compare with >= or >"),
        (Goal("score", ">=", 0.5), "minimize", "the search minimizes its score; compare with <= or <"),
    ],
)
def test_a_goal_is_about_the_metric_and_asks_for_a_better_score(goal: Goal, direction: Any, says: str) -> None:
    with pytest.raises(BadArgument, match=says):
        goal.check("accuracy", direction)
    right = goal._replace(metric="accuracy", sense="<=" if direction == "minimize" else ">=")
    right.check("accuracy", direction)
    assert right.reached(0.5)
    assert not right.reached(0.6 if direction == "minimize" else 0.4)


@pytest.mark.parametrize(("letters", "recorded"), [("fffff", 3), ("ffcffcfffcc", 9), ("ffcff", 5), ("fff", 3)])
def test_failures_in_a_row_end_a_run(store: Store, stage: Stage, letters: str, recorded: int) -> None:
    until, limits = len(letters), Limits(max_failures=3)
    summary = run(store, stage, Said(letters), until=until, limits=limits)
    assert (summary.recorded, summary.counts.running) == (recorded, 0)
    assert summary.ended_by == ("max_failures" if "fff" in letters else "trials")
    if "fff" in letters:
        assert f"3 trials in a row failed; the last: trial {recorded - 1} is bad; stub/stage-01 has" in str(
            summary.reason
        )
        # The next run counts anew, and goes on from there.
        assert run(store, stage, Said("c" * until), until=until, limits=limits).ended_by == "trials"
    assert store.counts(stage).finished == until


def test_failures_in_a_row_end_a_run_whatever_came_with_them(store: Store, stage: Stage) -> None:
    runner = Runner(store, stage, Said("cfffc"), InlineExecutor(), until=9, lanes=5, limits=Limits(max_failures=3))
    summary = runner.run()
    assert (summary.ended_by, summary.counts) == ("max_failures", Counts(complete=2, failed=3, waiting=4))
    assert "the last: trial 3 is bad" in str(summary.reason)


def test_a_score_that_is_good_enough_ends_a_run_whoever_reached_it(store: Store, stage: Stage) -> None:
    limits = Limits(until=Goal("score", ">=", 3.0))
    first = run(store, stage, Said("c" * 9), until=9, limits=limits)
    assert (first.ended_by, first.recorded) == ("until", 4)
    assert str(first.reason).startswith("until=score >= 3 reached: stub/stage-01 has 4 of 9 trials, all recorded")
    assert run(store, stage, Said("c" * 9), until=9, limits=limits).recorded == 0
    assert run(store, stage, Said("c" * 9), until=9).ended_by == "trials"


def test_another_run_s_score_ends_a_run(store: Store, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpsearch.search.limits._LOOK_S", 0.0)
    other = Owner.current()
    (theirs,) = store.claim(stage, until=9, most=1, owner=other).trials

    def finishes(tick: Tick) -> None:
        if tick.recorded:
            store.record(stage, [Completed(0, 99.0)], {0: theirs.trial_id}, owner=other)

    summary = run(store, stage, Said("c" * 9), until=9, limits=Limits(until=Goal("score", ">", 50)), on_tick=finishes)
    assert (summary.ended_by, summary.recorded) == ("until", 1)


def test_time_that_is_over_ends_a_run_and_gives_back_what_is_under_way(
    store: Store, stage: Stage, tmp_path: Path
) -> None:
    before = time.monotonic()
    none = run(store, stage, Stub(tmp_path), until=6, limits=Limits(5.0), began=before - 5.0)
    assert (none.ended_by, none.recorded, none.given_back) == ("timeout", 0, 0)
    # Trial 3 is never let go.
    summary = run(store, stage, Stub(tmp_path, waits={3}), until=6, limits=Limits(0.5))
    assert (summary.ended_by, summary.recorded) == ("timeout", 3)
    assert summary.given_back > 0
    assert store.counts(stage) == Counts(complete=3, waiting=summary.given_back)
    given_back = f"3 of 6 trials, all recorded; {summary.given_back} that had begun were given back"
    assert str(summary.reason) == f"timeout=0.5 s reached: stub/stage-01 has {given_back}"
    assert run(store, stage, Stub(tmp_path), until=6).counts == Counts(complete=6)


def test_a_request_ends_the_runs_that_are_under_way_and_no_later_one(
    store: Store, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpsearch.search.limits._LOOK_S", 0.0)
    asked: list[Any] = []

    def ask(tick: Tick) -> None:
        if tick.recorded and not asked:
            asked.extend(request_stop(store, stage))

    second = store.create_stage(replace(stage, number=2))  # stages of a search hear of it through the first
    for expected in (("stop", 1), ("trials", 8)):
        requested = StopRequests(store, "stub")
        summary = run(store, second, Said("c" * 9), until=9, on_tick=ask, stop_requested=requested)
        assert (summary.ended_by, summary.recorded) == expected
    ((name, owner, trials),) = asked
    assert (name, owner.pid, trials > 0) == (second.name, Owner.current().pid, True)


def test_a_limit_ends_the_whole_workflow(tmp_path: Path) -> None:
    file, storage = tiny.write(tmp_path), str(tmp_path / "s.db")
    search = Search(str(file), storage=storage)
    ((stage, summary),) = search.start(stages=2, top=2, engine="inline", until="score >= 0")
    assert (stage.number, summary.ended_by) == (1, "until")
    _, (stage, summary) = search.start(stages=3, top=2, engine="inline", timeout=1e-9)  # of the whole job
    assert (stage.number, summary.ended_by, summary.given_back) == (2, "timeout", 0)
    assert [run.ended_by for _, run in search.start(stages=3, top=2, engine="inline")] == ["trials", "trials"]
    with pytest.raises(BadArgument, match="the metric is validation_accuracy"):
        Search(str(file), storage=str(tmp_path / "none.db")).start(until="loss < 1")
    assert not (tmp_path / "none.db").exists()


def test_failures_in_a_row_are_a_failure_with_a_summary_and_can_be_retried(tmp_path: Path) -> None:
    search = Search(str(tiny.write(tmp_path, **DIVERGING)), storage=str(tmp_path / "s.db"))
    with pytest.raises(EvaluationFailure) as failed:
        search.start(engine="inline", lanes=1, max_failures=2)
    assert "max_failures=2: 2 trials in a row failed; the last: training loss became" in str(failed.value)
    assert "tiny/stage-01 has 2 of 6 trials, all recorded" in str(failed.value)
    again = search.retry(numbers=[1])
    assert (again.numbers, [str(action) for action in again.following]) == ((1,), ["start(stage=1, trials=3)"])
    assert search.retry().numbers == (0,)
    assert search.retry().numbers == ()
    assert search.status()[0].counts == Counts(waiting=3)
    ((_, summary),) = search.start(engine="inline")
    assert summary.counts == Counts(failed=6)


def test_a_run_takes_trials_that_are_given_back_meanwhile(store: Store, stage: Stage, tmp_path: Path) -> None:
    with closing(open_store(str(tmp_path / "studies.db"), write=True)) as elsewhere:

        def give_back(tick: Tick) -> None:
            if any(isinstance(outcome, Failed) for outcome in tick.recorded):
                elsewhere.retry(stage)

        said = Said("cfccc")
        again = replace(said, letters="ccccc")
        summary = run(store, stage, Turning((said, again)), until=5, on_tick=give_back)
    assert (summary.counts, summary.recorded) == (Counts(complete=5), 6)
