"""The final judgement: which values, on which images, and how often."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import tiny

from hpsearch import data
from hpsearch.data import Split, splits
from hpsearch.errors import BadData, BadInput, EvaluatedAlready, NotEnoughTrials, StageConflict, UnknownSearch
from hpsearch.objectives.network import runtime
from hpsearch.objectives.network.train_once import Trained, train_once, with_values
from hpsearch.records import Completed
from hpsearch.search import evaluation
from hpsearch.search.best import choose
from hpsearch.search.confirmation import best_settings, grown
from hpsearch.search.evaluation import (
    Evaluated,
    Prepared,
    confusion,
    look,
    looks,
    mistakes,
    prepare,
)
from hpsearch.search.narrowing import narrow_stage
from hpsearch.search.workflow import ConfirmJob, Job, confirm, run
from hpsearch.statistics import wilson
from hpsearch.store import Owner, Store, open_store

TEST = 50


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database in which a stage has run; its study keeps 50 test images."""
    folder = tmp_path_factory.mktemp("searched")
    study = tiny.write(folder, data={"test": TEST}, trials={"count": 12}, training={"epochs": 6})
    run(Job(storage=str(folder / "made.db"), study=str(study), engine="inline"))
    return (folder / "made.db").read_bytes()


@pytest.fixture
def storage(tmp_path: Path, searched: bytes) -> str:
    path = tmp_path / "studies.db"
    path.write_bytes(searched)
    return str(path)


@pytest.fixture
def store(storage: str) -> Iterator[Store]:
    opened = open_store(storage, write=True)
    yield opened
    opened.close()


def trained(prepared: Prepared) -> Trained:
    return train_once(prepared.study.sections, prepared.split, seed=prepared.seed)


def evaluated(store: Store, **options: Any) -> Evaluated:
    prepared = prepare(store, store.stages(), **options)
    return look(store, prepared, trained(prepared))


def test_training_and_validation_images_train_and_the_test_images_score(store: Store) -> None:
    prepared = prepare(store, store.stages())
    plain = cast("Split", prepared.study.load())
    assert prepared.parts == (40, 20)
    assert np.array_equal(prepared.split.x_train, np.concatenate((plain.x_train, plain.x_validation)))
    assert np.array_equal(prepared.split.y_train, np.concatenate((plain.y_train, plain.y_validation)))
    network = trained(prepared)
    found = look(store, prepared, network)
    section = prepared.study.sections.data
    x, labels = splits.test_part(
        data.load(section.name), train=section.train, validation=section.validation, test=TEST, seed=section.seed
    )
    # By another way: one image at a time.
    predictions = [int(network.network.infer(image[None, None]).argmax()) for image in x]
    assert found.hits == int(np.sum(labels == predictions))
    assert (found.images, found.accuracy) == (TEST, found.hits / TEST)
    assert found.interval == wilson(found.hits, TEST)
    assert found.confusion.sum() == TEST
    assert np.trace(found.confusion) == found.hits
    assert len(found.mistakes) == TEST - found.hits
    assert np.array_equal(found.inputs, x)


def test_the_look_is_kept_with_all_that_it_rests_on(store: Store) -> None:
    found = evaluated(store)
    (entry,) = looks(store, store.stages())
    assert entry == found.entry
    best = store.columns(store.stages()[0], top=1)
    assert entry["stage"] == "tiny/stage-01"
    assert entry["trial"] == best["number"][0]
    assert entry["params"] == {name: best[f"param:{name}"][0] for name in store.stages()[0].space}
    assert (entry["accuracy"], entry["images"], entry["hits"]) == (found.accuracy, TEST, found.hits)
    assert entry["interval"] == [found.interval.low, found.interval.high]
    assert (entry["epochs"], entry["trained_on"], entry["chosen"]) == (6, 60, "best")
    assert set(entry["versions"]) == {"hpsearch", "numpy", "optuna"}
    assert datetime.fromisoformat(entry["when"]).tzinfo is not None


def test_the_same_look_gives_the_same_bits(store: Store) -> None:
    first, second = evaluated(store), evaluated(store, again=True)
    assert first.mistakes == second.mistakes
    assert np.array_equal(first.confusion, second.confusion)
    other = evaluated(store, again=True, seed=1)
    assert [one.probability for one in other.mistakes] != [one.probability for one in first.mistakes]


def test_a_second_look_is_refused_before_anything_is_trained(store: Store) -> None:
    prepared = prepare(store, store.stages())
    found = look(store, prepared, trained(prepared), now=lambda: datetime(2026, 3, 4, 5, 6, tzinfo=UTC))
    with pytest.raises(
        EvaluatedAlready, match=rf"tiny was evaluated on 2026-03-04 05:06 UTC: test accuracy {found.accuracy:.4g}, 95 %"
    ):
        prepare(store, store.stages())
    again = evaluated(store, again=True)
    assert (found.look, again.look) == (1, 2)
    with pytest.raises(EvaluatedAlready, match=r"2026-03-04 05:06 UTC \(the first of 2 looks\): test accuracy"):
        prepare(store, store.stages())
    assert len(looks(store, store.stages())) == 2


def test_of_two_at_once_only_one_gets_in(store: Store, storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    load = runtime.load_test

    def counted(sections: Any, *, data_dir: Path | None) -> tuple[Any, Any]:
        reads.append(1)
        return load(sections, data_dir=data_dir)

    monkeypatch.setattr(evaluation, "load_test", counted)
    prepared = prepare(store, store.stages())
    network = trained(prepared)
    together = threading.Barrier(2, timeout=60)

    def one() -> Evaluated | EvaluatedAlready:
        mine = open_store(storage, write=True)
        together.wait()
        try:
            return look(mine, prepared, network)
        except EvaluatedAlready as refused:
            return refused
        finally:
            mine.close()

    with ThreadPoolExecutor(2) as both:
        found = [future.result() for future in [both.submit(one), both.submit(one)]]
    assert sorted(type(result).__name__ for result in found) == ["Evaluated", "EvaluatedAlready"]
    assert len(looks(store, store.stages())) == 1
    assert len(reads) == 1  # the other one never saw the test images


def test_a_look_that_breaks_off_counts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepare(store, store.stages())
    network = trained(prepared)

    def breaks(*_: object, **__: object) -> None:
        assert len(looks(store, store.stages())) == 1  # claimed before the images are read
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "load_test", breaks)
    with pytest.raises(KeyboardInterrupt):
        look(store, prepared, network)
    with pytest.raises(EvaluatedAlready, match="that look did not end, and the test images may have been seen"):
        prepare(store, store.stages())


def test_without_test_images_nothing_is_trained(store: Store, tmp_path: Path) -> None:
    study = tiny.write(tmp_path, "bare", data={"test": 0}, trials={"count": 2})
    run(Job(storage=store.url, study=str(study), engine="inline"))
    with pytest.raises(BadData, match=r"bare keeps no test images: its \[data\] says test = 0"):
        prepare(store, store.stages("bare"))


def test_other_data_than_the_search_s_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tiny.study(data={"seed": 1, "test": TEST}).load()
    monkeypatch.setattr(runtime, "load", lambda sections, data_dir: elsewhere)
    with pytest.raises(StageConflict, match="the data of tiny/stage-01 have changed"):
        prepare(store, store.stages())


def test_the_best_trial_is_chosen_until_its_stage_is_confirmed(store: Store) -> None:
    stages = store.stages()
    best = store.columns(stages[0], top=1)["number"][0]
    choice = choose(store, stages)
    assert (choice.trial, choice.by, choice.repeats) == (best, "best", 1)
    assert "tiny/stage-01 has not been confirmed" in choice.why
    confirmation = grown(store, stages[0], best_settings(store, stages[0], 4), 3)
    claimed = store.claim(confirmation, until=12, most=12, owner=(me := Owner.current())).trials
    # The third setting comes out first: its repeats score 0.6, all others 0.5.
    outcomes = [Completed(trial.number, 0.6 if trial.number % 4 == 2 else 0.5) for trial in claimed]
    store.record(confirmation, outcomes, {trial.number: trial.trial_id for trial in claimed}, owner=me)
    third = store.columns(stages[0], top=4)["number"][2]
    choice = choose(store, stages)
    assert (choice.trial, choice.by, choice.repeats) == (third, "confirmed", 3)
    assert choice.score == pytest.approx(0.6)
    assert choice.params == claimed[2].params
    assert choose(store, stages, by="best").trial == best
    assert choose(store, stages, by="confirmed") == choice
    asked = choose(store, stages, number=1, trial=third)
    assert (asked.trial, asked.by, asked.params) == (third, "asked", claimed[2].params)


def test_a_confirmation_of_another_stage_says_nothing_of_a_better_trial(store: Store, storage: str) -> None:
    confirm(ConfirmJob(storage=storage, top=2, repeats=2, engine="inline"))
    narrow_stage(store, store.stages(), top=4, expand=True)
    run(Job(storage=storage, study="tiny", trials=30, engine="inline"))
    stages = store.stages()
    best = choose(store, stages, by="best")
    assert best.stage.number == 2  # or this test would show nothing
    choice = choose(store, stages)
    assert (choice.stage, choice.by) == (best.stage, "best")
    assert choose(store, stages, by="confirmed").stage.number == 1
    assert choose(store, stages, number=1).by == "confirmed"


def test_what_cannot_be_chosen_is_refused(store: Store) -> None:
    stages = store.stages()
    with pytest.raises(UnknownSearch, match="tiny/stage-01 has not been confirmed"):
        choose(store, stages, by="confirmed")
    with pytest.raises(BadInput, match="--trial 3 without --stage"):
        choose(store, stages, trial=3)
    with pytest.raises(BadInput, match="tiny/stage-01 has no trial 99 with a score"):
        choose(store, stages, number=1, trial=99)
    with pytest.raises(UnknownSearch, match="no stage 7"):
        choose(store, stages, number=7)
    narrow_stage(store, stages, top=4)
    with pytest.raises(NotEnoughTrials, match="tiny/stage-02 has no trial with a score"):
        choose(store, store.stages(), number=2)


def test_a_confirmation_that_is_not_complete_is_no_choice(store: Store) -> None:
    (stage,) = store.stages()
    confirmation = grown(store, stage, best_settings(store, stage, 2), 3)
    store.claim(confirmation, until=6, most=2, owner=Owner.current())
    for by in (None, "confirmed"):
        with pytest.raises(BadInput, match="tiny/confirm-01 is not complete: 0 of 6 trials have finished"):
            choose(store, [stage], by=by)
    assert choose(store, [stage], by="best").by == "best"


def test_values_take_the_places_of_what_was_drawn() -> None:
    space = {
        "lr": {"low": 1e-3, "high": 1.0, "log": True},
        "hidden": {"choices": ["50", "8x2"]},
        "optimizer": {"choices": ["adam", "sgd"]},
        "batch_norm": {"choices": [True, False]},
    }
    study = tiny.study(network={"hidden": None}, space=space).sections
    lr = 0.1 + 0.2 - 0.29
    found = with_values(study, {"lr": lr, "hidden": "50", "optimizer": "adam", "batch_norm": True}, epochs=1)
    assert found.training.lr == lr
    assert (found.training.optimizer, found.training.epochs) == ("adam", 1)
    assert (found.network.hidden, found.network.batch_norm) == ((50,), True)
    assert found.data == study.data
    assert with_values(study, {"hidden": "8x2"}).network.hidden == (8, 8)
    assert with_values(study, {}).training.epochs == study.training.epochs
    by_width = tiny.study(
        network={"hidden": None},
        space={"hidden_layers": {"low": 1, "high": 3}, "hidden_units": {"low": 4, "high": 9}},
    ).sections
    found = with_values(by_width, {"hidden_layers": 2, "hidden_units": 7})
    assert (found.network.hidden_layers, found.network.hidden_units) == (2, 7)


def test_confusion_counts_labels_by_row() -> None:
    labels, predictions = np.array([0, 0, 1, 2, 2]), np.array([0, 2, 1, 1, 1])
    assert confusion(labels, predictions, 3).tolist() == [[1, 0, 1], [0, 1, 0], [0, 2, 0]]


def test_the_most_confident_mistakes_come_first() -> None:
    probabilities = np.array([[0.9, 0.1, 0], [0.2, 0.2, 0.6], [0.3, 0.7, 0], [0, 0.4, 0.6]])
    found = mistakes(np.array([0, 0, 0, 1]), probabilities)
    assert [(one.index, one.label, one.prediction, one.probability) for one in found] == [
        (2, 0, 1, 0.7),
        (1, 0, 2, 0.6),
        (3, 1, 2, 0.6),
    ]
