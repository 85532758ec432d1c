from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from minimal import SPACE, plain

from hpsearch.errors import BadArgument
from hpsearch.objectives.network.hyperparameters import LR_SCHEDULES
from hpsearch.space import Categorical, Float, Int
from hpsearch.study_file import check_name, differences, find, parse


def test_the_default_is_the_books_experiment(tmp_path: Path) -> None:
    study = find(None, folder=tmp_path)
    assert study.to_dict() == {
        "name": "mnist",
        "data": {
            "name": "mnist-10k",
            "path": None,
            "label": None,
            "train": 400,
            "validation": 100,
            "test": 1000,
            "seed": 0,
            "stratify": False,
        },
        "network": {
            "hidden": [100] * 6,
            "hidden_layers": None,
            "hidden_units": None,
            "activation": "relu",
            "initializer": "he",
            "init_std": 0.01,
            "init_value": 0.1,
            "batch_norm": False,
            "dropout": 0.0,
        },
        "training": {
            "optimizer": "sgd",
            "lr": 0.01,
            "weight_decay": 0.0,
            "momentum": 0.9,
            "rho": 0.99,
            "beta1": 0.9,
            "beta2": 0.999,
            "eps": None,
            "lr_schedule": "constant",
            "lr_decay": 0.5,
            "lr_decay_epochs": 10.0,
            "warmup_epochs": 0.0,
            "batch_size": 100,
            "epochs": 50,
            "evaluate_train": False,
        },
        "space": {
            "lr": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
            "weight_decay": {"type": "float", "low": 1e-8, "high": 1e-4, "log": True},
        },
        "trials": {"count": 100, "seed": 0},
        "objective": {"metric": "validation_accuracy", "at": "last"},
        "pruning": {
            "rule": "none",
            "reduction_factor": None,
            "min_epochs": None,
            "cohort": None,
            "startup_trials": 5,
        },
    }
    assert study.direction == "maximize"


sizes = st.integers(1, 10**6) | st.floats(0.01, 0.99)
files = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True),
        "space": st.fixed_dictionaries(
            {"lr": st.sampled_from([SPACE["lr"], {"low": 0.1, "high": 1}, {"choices": [0.1, 1.0]}])},
            optional={
                "batch_size": st.sampled_from([{"low": 1, "high": 9, "step": 2}, {"choices": [10, 20]}]),
                "activation": st.just({"choices": ["relu", "tanh"]}),
                "weight_decay": st.just({"low": 0, "high": 0.5, "limit": [0, 1]}),
                "dropout": st.sampled_from([{"low": 0, "high": 0.5}, {"choices": [0, 0.25]}]),
                "batch_norm": st.sampled_from([{"choices": [False]}, {"type": "categorical", "choices": [False]}]),
                "initializer": st.just({"choices": ["he", "normal"]}),
            },
        ),
    },
    optional={
        "data": st.fixed_dictionaries(
            {},
            optional={
                "name": st.text(),
                "train": sizes,
                "validation": sizes,
                "test": sizes | st.just(0),
                "seed": st.integers(0, 2**70),
                "stratify": st.booleans(),
            },
        ),
        "network": st.sampled_from(
            [
                {},
                {"hidden": "100x6"},
                {"hidden": [5]},
                {"hidden": []},
                {"hidden_layers": 0, "hidden_units": 7, "activation": "tanh"},
                {"init_std": 1, "init_value": -2, "dropout": 0},
            ]
        ),
        "training": st.fixed_dictionaries(
            {},
            optional={"lr": st.floats(1e-9, 10), "weight_decay": st.integers(0, 3), "epochs": st.integers(1, 99)}
            | {"momentum": st.floats(0, 0.999), "eps": st.integers(1, 3), "evaluate_train": st.booleans()}
            | {"lr_schedule": st.sampled_from(LR_SCHEDULES), "lr_decay": st.just(1), "warmup_epochs": st.just(0)},
        ),
        "trials": st.fixed_dictionaries({}, optional={"count": st.integers(1), "seed": st.integers(0, 2**63 - 1)}),
        "objective": st.sampled_from([{}, {"at": "best"}, {"metric": "validation_loss"}]),
        "pruning": st.sampled_from([{}, {"rule": "median", "cohort": 2}, {"min_epochs": 99, "reduction_factor": 3}]),
    },
)


@given(drawn=files)
def test_what_is_resolved_reads_as_the_same_file(drawn: dict[str, Any]) -> None:
    study = parse(drawn, source="drawn")
    resolved = study.to_dict()
    again = parse(resolved, source="resolved")
    assert again == study
    assert again.to_dict() == resolved
    assert repr(again.space) == repr(study.space)
    assert list(differences(resolved, again.to_dict())) == []
    for section, keys in drawn.items():  # and nothing that was given is lost
        if section not in ("name", "space", "network"):
            assert resolved[section] | keys == resolved[section]


def test_a_file_may_name_its_kind_of_objective_which_is_not_kept() -> None:
    named = parse(plain(objective={"kind": "network"}), source="")
    assert named == parse(plain(), source="")
    assert "kind" not in named.to_dict()["objective"]


def test_types_come_from_the_hyperparameter() -> None:
    study = parse(
        plain(
            space={
                "lr": {"low": 1, "high": 2},
                "batch_size": {"low": 1, "high": 2},
                "hidden": {"choices": ["50", "100x2"]},
            }
        ),
        source="a test",
    )
    assert list(study.space) == ["lr", "batch_size", "hidden"]
    assert [type(parameter) for parameter in study.space.values()] == [Float, Int, Categorical]
    assert parse(plain(network={"hidden": "64x2-10"}), source="a test").sections.network.hidden == (64, 64, 10)
    assert parse(plain(objective={"metric": "validation_loss"}), source="").direction == "minimize"


@pytest.mark.parametrize("name", ["a", "0", "x" * 64, "a.b_c-D", "a..b"])
def test_names(name: str) -> None:
    assert check_name(name) == name


def test_another_rule_of_pruning() -> None:
    study = parse(plain(pruning={"cohort": 7, "min_epochs": 30}), source="")
    assert study.with_pruning("none") == study
    with pytest.raises(BadArgument, match=r"pruner=median: pruning\.min_epochs = 30 is more than half"):
        study.with_pruning("median")
    median = parse(plain(pruning={"cohort": 7}), source="").with_pruning("median")
    assert (median.pruning.rule, median.pruning.cohort) == ("median", 7)
    # A stage may have been begun with --pruner, which is no change of its file.
    assert list(differences(median.to_dict(), median.with_pruning("halving").to_dict())) == []
    assert list(differences(study.to_dict(), median.to_dict())) == ["pruning.min_epochs: 30 -> None"]


def test_differences() -> None:
    old = parse(plain(), source="").to_dict()
    changed = plain(
        trials={"count": 7, "seed": 1}, training={"epochs": 10}, space={"batch_size": {"low": 1, "high": 2}}
    )
    new = parse(changed, source="").to_dict()
    assert set(differences(old, new)) == {
        "trials.seed: 0 -> 1",
        "training.epochs: 50 -> 10",
        f"space.lr: {old['space']['lr']!r} -> None",
        f"space.batch_size: None -> {new['space']['batch_size']!r}",
    }
    assert list(differences(old, parse(plain(trials={"count": 7}), source="").to_dict())) == []
    # Resolved before there were such keys: they had their defaults, whatever has been written since.
    older = {**old, "training": {"epochs": 50, "lr": 0.01}, "network": {"activation": "relu"}}
    assert list(differences(older, old)) == []
    newer = parse(plain(training={"momentum": 0.5}, network={"batch_norm": True}), source="").to_dict()
    assert set(differences(older, newer)) == {"training.momentum: 0.9 -> 0.5", "network.batch_norm: False -> True"}
    assert list(differences(old, {**old, "name": "other"})) == ["name: 'mine' -> 'other'"]
    assert list(differences({"name": "mine"}, {"name": "mine", "data": {}, "pruning": {}})) == []
