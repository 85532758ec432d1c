"""One network trained by itself is the one that a search would have trained."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import tiny

from hpsearch.errors import BadInput, BadStudyFile
from hpsearch.objectives.network.runtime import retrain, train_once, with_settings
from hpsearch.records import CURVES, HITS, Completed, Trial
from hpsearch.statistics.hits import unpack


def test_it_is_trial_0_of_a_search_with_these_values() -> None:
    study = with_settings(
        tiny.study().sections, ["lr=0.3", "training.weight_decay=1e-3", "dropout=0.1", "optimizer=nesterov"]
    )
    seen: list[int] = []
    trained = train_once(study, tiny.split(), seed=4, on_epoch=lambda epoch: seen.append(epoch.epoch))
    objective = tiny.objective(seed=4, network={"dropout": 0.1}, training={"optimizer": "nesterov"})
    outcomes, _ = tiny.evaluated(objective, [Trial(0, 0, {"lr": 0.3, "weight_decay": 1e-3})])
    assert tuple(trained.history.validation_accuracy) == outcomes[0].intermediate
    assert trained.history.train_loss == outcomes[0].attributes[CURVES]["train_loss"]
    assert seen == [1, 2, 3]


@pytest.mark.parametrize("at", ["last", "best"])
def test_a_trial_s_network_is_trained_again_to_the_bit(at: Literal["last", "best"]) -> None:
    epochs, values = 8, {"lr": 0.9, "weight_decay": 1e-5}
    objective = tiny.objective(seed=4, network={"dropout": 0.1}, training={"epochs": epochs}, objective={"at": at})
    together = [Trial(number, number, {**values, "lr": 0.9 - number / 10}) for number in range(4)]
    outcomes, _ = tiny.evaluated(objective, together)
    study = tiny.study(network={"dropout": 0.1}, training={"epochs": epochs}, objective={"at": at})
    split = tiny.split()
    early: list[bool] = []
    for trial in together:
        outcome = outcomes[trial.number]
        assert isinstance(outcome, Completed)
        sections = with_settings(study.sections, [f"{name}={value!r}" for name, value in trial.params.items()])
        trained = retrain(sections, split, seed=4, number=trial.number)
        hits = trained.network.infer(split.x_validation[None]).argmax(-1)[0] == split.y_validation
        assert hits.tolist() == [*map(bool, unpack(outcome.attributes[HITS], len(hits)))]
        assert trained.history.validation_accuracy[trained.epoch - 1] == outcome.score == np.mean(hits)
        early.append(trained.epoch < epochs)
    assert any(early) == (at == "best")


def test_the_seed_makes_the_network() -> None:
    study = with_settings(tiny.study().sections, ["lr=0.3"])
    one, again, other = (train_once(study, tiny.split(), seed=seed).history.train_loss for seed in (1, 1, 2))
    assert one == again != other


def test_what_is_known_of_it_names_data_and_values() -> None:
    study = with_settings(tiny.study().sections, ["lr=0.3", "data.validation=10"])
    about = train_once(study, tiny.split(), seed=4).about("tiny", study, tiny.split())
    assert about["settings"]["lr"] == 0.3
    assert about["data"]["validation"] == 10
    assert about["data_fingerprint"] == tiny.split().fingerprint
    assert (about["seed"], about["epochs"]) == (4, 3)


@pytest.mark.parametrize(
    ("assignment", "section", "key", "value"),
    [
        ("lr=0.25", "training", "lr", 0.25),
        ("training.lr = 1", "training", "lr", 1.0),
        ("hidden=20x2", "network", "hidden", (20, 20)),
        ("hidden=[7, 6]", "network", "hidden", (7, 6)),
        ("optimizer=adam", "training", "optimizer", "adam"),
        ('optimizer="adam"', "training", "optimizer", "adam"),
        ("batch_norm=true", "network", "batch_norm", True),
        ("data.train=30", "data", "train", 30),
        ("data.seed=7", "data", "seed", 7),
    ],
)
def test_values_are_toml_or_plain_words(assignment: str, section: str, key: str, value: object) -> None:
    assert getattr(getattr(with_settings(tiny.study().sections, [assignment]), section), key) == value


def test_data_by_path_takes_the_place_of_data_by_name() -> None:
    by_path = with_settings(tiny.study().sections, ["data.path=my.npz"])
    assert (by_path.data.name, by_path.data.path) == (None, "my.npz")
    assert with_settings(by_path, ["data.name=digits"]).data.path is None


def test_the_last_assignment_holds_and_the_space_is_of_no_account() -> None:
    momentum = {"momentum": {"low": 0.1, "high": 0.9}}
    study = tiny.study(training={"optimizer": "momentum"}, space=momentum).sections
    made = with_settings(study, ["lr=0.1", "lr=0.2", "optimizer=sgd"])
    assert (made.training.lr, made.training.optimizer) == (0.2, "sgd")


@pytest.mark.parametrize(
    ("assignment", "error", "message"),
    [
        ("lr", BadInput, "set=lr: write KEY=VALUE"),
        ("lrr=1", BadInput, "no such key; did you mean 'lr'?"),
        ("learning_rate=1", BadInput, "no such key; did you mean 'lr'?"),
        ("training.lrr=1", BadInput, "no such key; did you mean 'training.lr'?"),
        ("network.lr=1", BadInput, "set=network.lr: no such key"),
        ("seed=1", BadInput, "set=seed: no such key"),
        ("trials.count=1", BadInput, "set=trials.count: no such key"),
        ("lr=fast", BadStudyFile, "training.lr: .*given: 'fast'"),
        ("lr=-1", BadStudyFile, "training.lr"),
        ("dropout=1", BadStudyFile, "network.dropout: .*less than 1"),
    ],
)
def test_what_cannot_be_set_is_refused(assignment: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        with_settings(tiny.study().sections, [assignment])
