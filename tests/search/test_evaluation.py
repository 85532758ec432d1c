"""Evaluation on the test set: the values, the examples, and how often."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

import made_stages
import numpy as np
import pytest
import tiny

from hpsearch import data
from hpsearch.data import splits
from hpsearch.errors import BadData, BadInput, EvaluatedAlready, NotEnoughTrials, StageConflict, UnknownSearch
from hpsearch.objectives.network import runtime
from hpsearch.records import HITS, Completed
from hpsearch.search.confirmation import best_settings, planned
from hpsearch.search.evaluation import Evaluated, evaluate, evaluations, prepare
from hpsearch.search.narrowing import narrow_stage
from hpsearch.search.next_step import next_step
from hpsearch.search.recommendation import choose, recommend
from hpsearch.search.results import Results
from hpsearch.search.workflow import Job, run
from hpsearch.statistics import Interval, wilson
from hpsearch.statistics.hits import unpack
from hpsearch.store import Owner, Store, open_store
from hpsearch.store.schema import EVALUATIONS

TEST = 50


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    sections = {"data": {"test": TEST}, "trials": {"count": 12}, "training": {"epochs": 6}}
    return made_stages.searched(tmp_path_factory.mktemp("searched"), **sections)


@pytest.fixture
def store(tmp_path: Any, searched: bytes) -> Iterator[Store]:
    (tmp_path / "studies.db").write_bytes(searched)
    with closing(open_store(str(tmp_path / "studies.db"), write=True)) as opened:
        yield opened


def evaluated(store: Store, **options: Any) -> Evaluated:
    prepared = prepare(store, store.stages(), **options)
    return evaluate(store, prepared, prepared.fit())


def test_the_test_set_scores_what_all_other_examples_train_and_all_of_it_is_kept(store: Store) -> None:
    prepared = prepare(store, store.stages())
    fitted: Any = prepared.fit()
    found = evaluate(store, prepared, fitted, now=lambda: datetime(2026, 3, 4, 5, 6, tzinfo=UTC))
    score, result = found.result.score, found.result
    section = prepared.study.sections.data
    x, labels = splits.test_part(
        data.load(section.name), train=section.train, validation=section.validation, test=TEST, seed=section.seed
    )
    # By another way: one example at a time.
    predictions = [int(fitted.network.infer(example[None, None]).argmax()) for example in x]
    hits = int(np.sum(labels == predictions))
    assert (score.hits, score.examples, score.score) == (hits, TEST, hits / TEST)
    interval = Interval(score.low or 0.0, score.high or 0.0, score.level or 0.0)
    assert interval == wilson(hits, TEST)
    assert np.trace(np.array(result.facts["confusion"])) == hits
    assert len(result.facts["mistakes"]) == TEST - hits
    # The entry is what databases of 0.2 have.
    (entry,) = store.study_attribute(store.stages()[0], EVALUATIONS) or []
    assert entry == found.entry
    chosen = choose(store, store.stages())
    assert (entry["stage"], entry["trial"], entry["params"]) == ("tiny/stage-01", chosen.trial, chosen.params)
    assert (entry["accuracy"], entry["images"], entry["hits"]) == (hits / TEST, TEST, hits)
    assert entry["interval"] == [score.low, score.high]
    assert (entry["epochs"], entry["trained_on"], entry["chosen"]) == (6, 60, "trials")
    assert set(entry["versions"]) == {"hpsearch", "numpy", "optuna"}
    (kept,) = evaluations(store, store.stages())
    assert (kept.score, kept.interval, kept.examples, kept.trained_on) == (hits / TEST, interval, TEST, 60)
    assert kept.when == "2026-03-04T05:06:00+00:00"
    # A second one is refused before anything is trained, and marked if it is wanted all the same.
    says = rf"tiny was evaluated on 2026-03-04 05:06 UTC: test accuracy {score.score:.4g}, 95 %.*; again evaluates"
    with pytest.raises(EvaluatedAlready, match=says):
        prepare(store, store.stages())
    again = evaluated(store, again=True)
    assert (found.count, again.count) == (1, 2)
    assert again.result.facts == result.facts  # the same bits
    with pytest.raises(EvaluatedAlready, match=r"2026-03-04 05:06 UTC \(the first of 2 times\): test accuracy"):
        prepare(store, store.stages())
    assert evaluated(store, again=True, seed=1).result.facts["mistakes"] != result.facts["mistakes"]


def test_of_a_chosen_trial_its_own_network_is_scored(store: Store) -> None:
    (stage,) = store.stages()
    best = store.columns(stage, top=1, hits=True)
    prepared = prepare(store, [stage], by="best")
    fitted: Any = prepared.fit()
    data: Any = prepared.data
    hits = fitted.network.infer(data.x_validation[None]).argmax(-1)[0] == data.y_validation
    assert hits.tolist() == [*map(bool, unpack(str(best[HITS][0]), len(hits)))]
    entry = evaluate(store, prepared, fitted).entry
    assert (entry["trial"], entry["trained_on"], entry["seed"]) == (best["number"][0], 40, stage.seed)
    for values in ({}, {"by": "best", "epochs": 2}, {"number": 1, "trial": 3, "seed": 5}):
        assert not prepare(store, [stage], again=True, **values).own
    assert prepare(store, [stage], again=True, number=1, trial=3).own


@pytest.mark.parametrize("options", [{}, {"by": "best"}, {"seed": 5}, {"number": 1, "trial": 3, "epochs": 2}])
def test_the_step_after_an_evaluation_fits_the_same_model_again(store: Store, options: dict[str, Any]) -> None:
    first = prepare(store, store.stages(), **options)
    evaluate(store, first, first.fit())
    (action,) = next_step(Results(store, store.stages())).actions
    given = {name: value for name, value in action.arguments.items() if name not in ("search", "storage")}
    again = prepare(store, store.stages(), number=given.pop("stage"), **given)
    assert (again.own, again.seed, again.study) == (first.own, first.seed, first.study)
    assert again.choice.trial == first.choice.trial


def test_of_two_at_once_only_one_gets_in(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    load = Mock(wraps=runtime.load_test)
    monkeypatch.setattr(runtime, "load_test", load)
    prepared = prepare(store, store.stages(), epochs=1)
    fitted = prepared.fit()
    together = threading.Barrier(2, timeout=60)

    def one() -> Evaluated | EvaluatedAlready:
        with closing(open_store(store.url, write=True)) as mine:
            together.wait()
            try:
                return evaluate(mine, prepared, fitted)
            except EvaluatedAlready as refused:
                return refused

    with ThreadPoolExecutor(2) as both:
        results = [future.result() for future in [both.submit(one), both.submit(one)]]
    assert sorted(type(result).__name__ for result in results) == ["Evaluated", "EvaluatedAlready"]
    assert len(evaluations(store, store.stages())) == 1
    load.assert_called_once()  # the other one never saw the test set


def test_an_evaluation_that_breaks_off_counts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepare(store, store.stages(), epochs=1)
    fitted = prepared.fit()

    def breaks(*_: object, **__: object) -> None:
        assert len(evaluations(store, store.stages())) == 1  # claimed before the test set is read
        raise KeyboardInterrupt

    monkeypatch.setattr(runtime, "load_test", breaks)
    with pytest.raises(KeyboardInterrupt):
        evaluate(store, prepared, fitted)
    with pytest.raises(EvaluatedAlready, match="that evaluation did not end, and the test set may have been read"):
        prepare(store, store.stages())


def test_without_a_test_set_or_with_other_data_nothing_is_trained(
    store: Store, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tiny.write(tmp_path, "bare", data={"test": 0}, trials={"count": 2}, training={"epochs": 1})
    run(Job(storage=store.url, study=str(study), engine="inline"))
    with pytest.raises(BadData, match=r"there is no test set: \[data\] says test = 0"):
        prepare(store, store.stages("bare"))
    elsewhere = tiny.study(data={"seed": 1, "test": TEST}).load()
    monkeypatch.setattr(runtime, "load", lambda sections, data_dir: elsewhere)
    with pytest.raises(StageConflict, match="the data of tiny/stage-01 have changed"):
        prepare(store, store.stages("tiny"))


def test_the_recommended_values_are_chosen_and_those_of_a_confirmation_before_them(store: Store) -> None:
    stages = store.stages()
    best = store.columns(stages[0], top=1)["number"][0]
    choice = choose(store, stages)
    recommended = recommend(store, stages)
    assert recommended is not None
    assert (choice.trial, choice.by, choice.score) == (recommended.trial, recommended.by, recommended.expected)
    assert choice.why == recommended.why
    # The third setting comes out first.
    made_stages.confirm(store, stages[0], [0.5, 0.5, 0.6, 0.5], repeats=3)
    third = store.columns(stages[0], top=4)
    choice = choose(store, stages)
    assert (choice.trial, choice.by) == (third["number"][2], "confirmed")
    assert choice.params == {name: third[f"param:{name}"][2] for name in stages[0].space}
    assert choose(store, stages, by="best").trial == best
    assert choose(store, stages, by="confirmed") == choice
    given = choose(store, stages, number=1, trial=choice.trial)
    assert (given.trial, given.by, given.params) == (choice.trial, "asked", choice.params)
    # The confirmation of an earlier stage says nothing of better trials of a later one.
    second = narrow_stage(store, stages, top=4, expand=True).stage
    assert second is not None
    made_stages.finish(store, second, 10, lambda trial: Completed(trial.number, 1.0))
    stages = store.stages()
    choice = choose(store, stages)
    assert (choice.stage.number, choice.by) == (2, "trials")
    assert choose(store, stages, by="confirmed").stage.number == 1
    assert choose(store, stages, number=1).by == "confirmed"


def test_what_cannot_be_chosen_is_refused(store: Store) -> None:
    stages = store.stages()
    with pytest.raises(UnknownSearch, match="tiny/stage-01 has not been confirmed"):
        choose(store, stages, by="confirmed")
    with pytest.raises(BadInput, match="trial=3: every stage has its own numbers"):
        choose(store, stages, trial=3)
    confirmation = planned(store, stages[0], best_settings(store, stages[0], 2), 3)
    store.claim(confirmation, until=6, most=2, owner=Owner.current())
    for by in (None, "confirmed"):
        with pytest.raises(BadInput, match="tiny/confirm-01 is not complete: 0 of 6 trials have finished"):
            choose(store, stages, by=by)
    assert choose(store, stages, by="best").by == "best"
    narrow_stage(store, stages, top=4)
    with pytest.raises(NotEnoughTrials, match="tiny/stage-02 has no trial with a score"):
        choose(store, store.stages(), number=2)
