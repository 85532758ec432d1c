"""Trials as rows, through either store; and the same rows through both."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from hpsearch.records import Completed, Direction, Failed, Outcome, Pruned, Stage
from hpsearch.search.evidence import Scored
from hpsearch.search.range_analysis import Finished
from hpsearch.space import Float
from hpsearch.store import NewStage, Owner, Store, arrays, open_store
from hpsearch.store.bulk import BulkStore

Opener = Callable[..., Store]


def scored(number: int, score: float, loss: float | None) -> Completed:
    return Completed(number, score, (score,), {} if loss is None else {"validation_loss": loss})


def fill(store: Store, stage: Stage, outcomes: list[Outcome], owner: Owner, *, by: str = "bulk") -> None:
    """Have trials end as is said. What is looked at here is how they are read: the bulk store writes them, it is fast.

    Args:
        by: ``bulk``, or ``itself`` for the store that reads them too.
    """
    if by == "bulk" and not isinstance(store, BulkStore):
        with closing(open_store(store.url, write=True)) as writer:
            fill(writer, stage, outcomes, owner)
        return
    most = max(outcome.number for outcome in outcomes) + 1
    ids = {t.number: t.trial_id for t in store.claim(stage, until=most, most=most, owner=owner).trials}
    store.record(stage, outcomes, ids, owner=owner)


@pytest.mark.parametrize(("direction", "order"), [("maximize", [4, 1, 0, 5, 6, 2]), ("minimize", [2, 4, 1, 0, 5, 6])])
def test_the_best_by_score_then_loss_then_number(
    store: Store, new_stage: NewStage, me: Owner, direction: Direction, order: list[int]
) -> None:
    stage = store.create_stage(replace(new_stage, direction=direction))
    outcomes: list[Outcome] = [
        scored(0, 0.8, 0.5),
        scored(1, 0.8, 0.25),
        scored(2, 0.7, 10.0),
        Failed(3, "diverged"),
        scored(4, 0.8, 0.125),
        scored(5, 0.8, 0.5),
        scored(6, 0.8, None),  # no loss known: behind those of which it is
    ]
    fill(store, stage, outcomes, me)
    for top in (0, 1, 3, 6, 99):
        assert store.trials(stage, top=top)["number"].tolist() == order[:top]


def test_numbers_are_compared_as_numbers(store: Store, stage: Stage, me: Owner) -> None:
    fill(store, stage, [scored(0, 0.5, 10.0), scored(1, 0.5, 9.0), scored(2, 0.5, 1e-7)], me)
    assert store.trials(stage, top=3)["number"].tolist() == [2, 1, 0]


def test_a_loss_that_is_not_finite_is_the_worst(store: Store, stage: Stage, me: Owner) -> None:
    fill(store, stage, [scored(0, 0.5, math.nan), scored(1, 0.5, math.inf), scored(2, 0.5, 3.0)], me)
    frame = store.trials(stage, top=3)
    assert frame["number"].tolist() == [2, 0, 1]
    assert frame["validation_loss"].isna().tolist() == [False, True, True]


def test_a_score_that_is_not_finite_is_never_the_best(
    store: Store, stage: Stage, study: optuna.Study, me: Owner
) -> None:
    """hpsearch records none; somebody's own `tell` may."""
    study.tell(study.ask(), math.inf)
    study.tell(study.ask(), -math.inf)
    fill(store, stage, [scored(2, 0.5, None)], me)
    assert store.trials(stage, top=9)["number"].tolist() == [2]
    assert store.trials(stage)["score"].tolist() == [math.inf, -math.inf, 0.5]


def test_columns(store: Store, stage: Stage, study: optuna.Study, me: Owner) -> None:
    fill(store, stage, [Completed(1, 0.5, (), {"validation_loss": 0.25, "seconds": 1.5}), Failed(2, "a reason")], me)
    frame = store.trials(stage)
    fixed = ["number", "state", "score", "validation_loss", "seconds", "reason", "started", "finished"]
    assert list(frame.columns) == [*fixed, "param:lr", "param:batch_size", "param:activation"]
    assert frame["number"].tolist() == [0, 1, 2]
    assert frame["state"].tolist() == ["RUNNING", "COMPLETE", "FAIL"]
    assert frame["score"].tolist()[1] == 0.5
    assert frame["score"].isna().tolist() == [True, False, True]
    assert frame["validation_loss"].tolist()[1] == 0.25
    assert frame["seconds"].tolist()[1] == 1.5
    assert frame["reason"].isna().tolist() == [True, True, False]
    assert frame["reason"].tolist()[2] == "a reason"
    assert frame["started"].tolist() == [trial.datetime_start for trial in study.trials]
    assert frame["finished"].isna().tolist() == [True, False, False]
    assert frame["finished"].tolist()[1:] == [trial.datetime_complete for trial in study.trials[1:]]
    for name in stage.space:
        assert frame[f"param:{name}"].tolist() == [trial.params[name] for trial in study.trials]
    assert pd.api.types.is_integer_dtype(frame["param:batch_size"])


def test_states(store: Store, stage: Stage, study: optuna.Study, me: Owner) -> None:
    fill(store, stage, [Completed(1, 0.5), Failed(2, "no")], me)
    study.tell(study.ask(), state=TrialState.PRUNED)
    study.enqueue_trial({"lr": 0.005})
    asked: list[tuple[Any, list[int]]] = [
        (None, [0, 1, 2, 3, 4]),
        (("COMPLETE",), [1]),
        (("FAIL", "PRUNED"), [2, 3]),
        (("WAITING",), [4]),
        ({"RUNNING"}, [0]),
        ((), []),
    ]
    for states, numbers in asked:
        assert store.trials(stage, states=states)["number"].tolist() == numbers, states
    assert store.trials(stage, states=("WAITING",))["param:lr"].isna().all()  # enqueued, not drawn yet


def test_a_pruned_trial_says_when_it_was_stopped(store: Store, stage: Stage, study: optuna.Study, me: Owner) -> None:
    outcomes: list[Outcome] = [
        Completed(0, 0.5, (0.1, 0.5)),
        Pruned(1, 3, (0.1, 0.2, 0.3)),
        Failed(2, "no", (0.1,)),
        Pruned(3, 12, ()),
    ]
    fill(store, stage, outcomes, me)
    theirs = study.ask()
    theirs.report(0.5, 7)
    study.tell(theirs, state=TrialState.PRUNED)
    assert store.columns(stage)["reason"] == [None, "stopped after epoch 3", "no", None, "stopped after epoch 7"]


def test_curves_of_the_trials_asked_for(store: Store, stage: Stage, me: Owner) -> None:
    fill(store, stage, [Completed(n, 0.5, tuple(n + step / 8 for step in range(3))) for n in range(4)], me)
    frame = store.curves(stage, [3, 1, 77])
    assert frame["number"].tolist() == [1, 1, 1, 3, 3, 3]
    assert frame["value"].tolist() == [1.0, 1.125, 1.25, 3.0, 3.125, 3.25]
    assert list(store.curves(stage, []).columns) == ["number", "step", "value"]
    assert store.curves(stage, []).empty
    pd.testing.assert_frame_equal(store.curves(stage, list(np.array([3, 1, 77]))), frame)


def test_an_attribute_of_the_trials_asked_for(store: Store, stage: Stage, me: Owner) -> None:
    fill(
        store,
        stage,
        [Completed(n, 0.5, (), {"curves": {"train_loss": [n / 8]}} if n < 3 else {}) for n in range(4)],
        me,
    )
    curves = store.attribute(stage, [3, 2, 0, 77], "curves")
    assert curves == {0: {"train_loss": [0.0]}, 2: {"train_loss": [0.25]}}
    assert store.attribute(stage, list(np.array([3, 2, 0, 77])), "curves") == curves
    assert store.attribute(stage, [0], "other") == store.attribute(stage, [], "curves") == {}


LOSSES = st.sampled_from([None, math.nan, math.inf, 0.0, 1e-9, 9.0, 10.0]) | st.floats(0, 20)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    direction=st.sampled_from(["maximize", "minimize"]),
    results=st.lists(st.tuples(st.sampled_from([-0.5, 0.0, 0.25, 1.0]), LOSSES), min_size=1, max_size=9),
    top=st.integers(0, 10),
)
def test_the_best_are_those_of_a_ranking_of_all(
    another_url: Callable[[], str],
    open_kind: Opener,
    kind: str,
    new_stage: NewStage,
    direction: Direction,
    results: list[tuple[float, float | None]],
    top: int,
) -> None:
    store = open_kind(another_url(), kind)
    stage = store.create_stage(replace(new_stage, direction=direction))
    fill(store, stage, [scored(n, score, loss) for n, (score, loss) in enumerate(results)], Owner.current())
    known = [None if loss is None or not math.isfinite(loss) else loss for _, loss in results]
    every = Finished.of([Scored(n, results[n][0], known[n], {}) for n in range(len(results))], {})
    assert store.trials(stage, top=top)["number"].tolist() == every.best_first(direction).number.tolist()[:top]
    store.close()


def test_scores_are_the_completed_trials_that_have_one(
    store: Store, stage: Stage, study: optuna.Study, me: Owner
) -> None:
    study.tell(study.ask(), math.inf)
    study.tell(study.ask(), 0.125)  # somebody's own, with none of our parameters
    many: list[Outcome] = [scored(2, 0.5, 0.1), scored(3, 0.5, None), Failed(4, "no", (), {"validation_loss": 0.5})]
    fill(store, stage, [*many, scored(5, 0.25, math.nan)], me)
    store.claim(stage, until=7, most=1, owner=me)
    frame = pd.DataFrame(store.scores(stage))
    assert frame["number"].tolist() == [1, 2, 3, 5]
    assert frame["validation_loss"].isna().tolist() == [True, False, True, True]
    of_trials = store.trials(stage, states=("COMPLETE",)).drop(index=0).reset_index(drop=True)
    of_trials = of_trials.drop(columns=["state", "seconds", "reason", "started", "finished"])
    pd.testing.assert_frame_equal(frame, of_trials, check_exact=True)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_losses_of_the_best_are_read_whoever_else_is_asked_about(
    store: Store, new_stage: NewStage, me: Owner, direction: Direction
) -> None:
    stage = store.create_stage(replace(new_stage, direction=direction))
    scores = [0.1, 0.4, 0.2, 0.4, 0.9, 0.3, 0.4, 0.8, 0.5, 0.2, 0.7, 0.6]
    fill(store, stage, [scored(n, score, n / 16) for n, score in enumerate(scores)], me)
    every = pd.DataFrame(store.scores(stage))
    order = np.argsort([-score if direction == "maximize" else score for score in scores], kind="stable")
    for wanted in (0, 1, 3, 5, 12):
        some = pd.DataFrame(store.scores(stage, ranked=lambda n: wanted))  # noqa: B023
        pd.testing.assert_frame_equal(every.drop(columns="validation_loss"), some.drop(columns="validation_loss"))
        last = scores[order[wanted - 1]] if wanted else None
        for number in order[:wanted].tolist() + [n for n, score in enumerate(scores) if score == last]:
            assert some["validation_loss"][number] == every["validation_loss"][number] == number / 16, wanted


def test_a_space_of_many_parameters_is_read_whole(store: Store, new_stage: NewStage, me: Owner) -> None:
    """More than one statement joins, and more than SQLite joins at all."""
    space = {f"p{n}": Float(0.0, 1.0) for n in range(70)}
    stage = store.create_stage(replace(new_stage, space=space))
    fill(store, stage, [scored(n, 0.5, 0.1) for n in range(4)], me)
    frame = pd.DataFrame(store.scores(stage))
    of_trials = store.trials(stage)
    assert len(frame) == 4
    for name in space:
        assert frame[f"param:{name}"].tolist() == of_trials[f"param:{name}"].tolist()


def test_a_failed_trial_s_loss_is_nobody_else_s(store: Store, stage: Stage, me: Owner) -> None:
    """That of a trial without a score is read too, and must not become its neighbour's, who has none."""
    failed = Failed(1, "no", (), {"validation_loss": 0.5})
    fill(store, stage, [scored(0, 0.5, 0.25), failed, scored(2, 0.5, None), scored(3, 0.5, None)], me)
    losses = pd.DataFrame(store.scores(stage))["validation_loss"]
    assert losses.isna().tolist() == [False, True, True]


def test_whole_stages_and_some_trials_have_the_same_curves(
    store: Store, stage: Stage, me: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = (0.1, math.nan, math.inf, -math.inf, 5e-324, 0.3)
    fill(store, stage, [Completed(n, 0.5, tuple(value * (n + 1) for value in odd[n:])) for n in range(5)], me)
    some, whole = store.curves(stage, range(5)), store.curves(stage)
    monkeypatch.setattr(arrays, "CHUNK", 1)
    pd.testing.assert_frame_equal(some, whole, check_exact=True)
    pd.testing.assert_frame_equal(
        store.curves(stage, [3, 1, 77]), whole[whole["number"].isin([1, 3])].reset_index(drop=True)
    )
    study = optuna.load_study(study_name=stage.name, storage=store.url)
    for trial in study.trials:
        assert repr(list(trial.intermediate_values.values())) == repr(
            whole["value"][whole["number"] == trial.number].tolist()
        )


@given(numbers=st.lists(st.floats(0, 1e9, allow_subnormal=True), min_size=3, max_size=3))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numbers_come_back_to_the_bit(
    tmp_path: Path, empty_database: bytes, open_kind: Opener, new_stage: NewStage, numbers: list[float]
) -> None:
    """SQLite's own reading of decimal digits may be off by a bit."""
    file = tmp_path / "bits.db"
    for old in tmp_path.glob("bits.db*"):
        old.unlink()
    file.write_bytes(empty_database)
    store = open_kind(file)
    stage = store.create_stage(new_stage)
    seconds, loss, score = numbers
    fill(store, stage, [Completed(0, score, (score,), {"seconds": seconds, "validation_loss": loss})], Owner.current())
    for frame in (store.trials(stage), store.trials(stage, top=1)):
        assert frame[["seconds", "validation_loss", "score"]].iloc[0].tolist() == numbers
    assert pd.DataFrame(store.scores(stage))[["validation_loss", "score"]].iloc[0].tolist() == [loss, score]
    assert store.curves(stage)["value"].tolist() == [score]
    store.close()


def test_both_stores_read_the_same(file: Path, open_kind: Opener, new_stage: NewStage, me: Owner) -> None:
    bulk, fallback = open_kind(file), open_kind(file, "fallback")
    stage = bulk.create_stage(new_stage)
    study = optuna.load_study(study_name=stage.name, storage=bulk.url)

    def same(**asked: Any) -> None:
        pd.testing.assert_frame_equal(bulk.trials(stage, **asked), fallback.trials(stage, **asked))

    asks: list[dict[str, Any]] = [{}, {"top": 3}, {"states": ("COMPLETE",)}, {"states": ("FAIL", "RUNNING")}]
    for ask in asks:
        same(**ask)  # no trials at all
    study.enqueue_trial({"batch_size": 40})
    fill(bulk, stage, [scored(0, 0.5, 0.1), scored(1, 0.5, None), Failed(2, "no", (0.1, math.nan, math.inf))], me)
    own: list[Outcome] = [scored(4, 0.75, math.nan), Completed(5, 1.0, (0.1,), {"seconds": 2})]
    fill(fallback, stage, own, me, by="itself")
    study.tell(study.ask(), -math.inf)
    study.enqueue_trial({"lr": 0.005})
    for ask in asks:
        same(**ask)
    assert bulk.stages() == fallback.stages() == [stage]
    assert bulk.counts(stage) == fallback.counts(stage)
    pd.testing.assert_frame_equal(pd.DataFrame(bulk.scores(stage)), pd.DataFrame(fallback.scores(stage)))
    for numbers in ([], [0], range(9), None):
        pd.testing.assert_frame_equal(bulk.curves(stage, numbers), fallback.curves(stage, numbers))
