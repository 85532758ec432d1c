"""Study files that are refused, and what is said of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from minimal import SPACE, plain
from refusals import one_line

from hpsearch.study_file import check_name, parse, write_study


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ({"pruning": {"rule": "hyperband"}}, "pruning.rule = 'hyperband'; known: halving, median, none"),
        ({"pruning": {"rule": "halfing"}}, "pruning.rule = 'halfing'; did you mean 'halving'? known:"),
        ({"pruning": {"rule": 3}}, "pruning.rule = 3; known: halving, median, none"),
        ({"pruning": {"facter": 3}}, "'facter' is not a key of [pruning]"),
        ({"pruning": {"epochs": 3}}, "'epochs' is not a key of [pruning]; epochs stands in [training]"),
        ({"pruning": {"reduction_factor": 1}}, "pruning.reduction_factor: input should be greater than or equal to 2"),
        ({"pruning": {"min_epochs": 0}}, "pruning.min_epochs: input should be greater than or equal to 1"),
        ({"pruning": {"cohort": 1}}, "pruning.cohort: input should be greater than or equal to 2"),
        ({"pruning": {"startup_trials": 0}}, "pruning.startup_trials: input should be greater than or equal to 1"),
        ({"pruning": {"cohort": 2.5}}, "pruning.cohort: input should be a valid integer"),
        (
            {"pruning": {"rule": "halving", "min_epochs": 26}},
            "pruning.min_epochs = 26 is more than half of the 50 epochs, so that no trial could be pruned; give at "
            "most 25, or leave it out",
        ),
        ({"netwrok": {}}, "'netwrok' is not a key of the file; did you mean 'network'?"),
        ({"data": {"trian": 4}}, "'trian' is not a key of [data]; did you mean 'train'?"),
        ({"network": {"hiden": [4]}}, "'hiden' is not a key of [network]; did you mean 'hidden'?"),
        ({"training": {"epoch": 4}}, "'epoch' is not a key of [training]; did you mean 'epochs'?"),
        ({"training": {"learning_rate": 4}}, "'learning_rate' is not a key of [training]; did you mean 'lr'?"),
        ({"training": {"dropout_rate": 0.5}}, "'dropout_rate' is not a key of [training]; dropout stands in [network]"),
        ({"network": {"lr": 0.5}}, "'lr' is not a key of [network]; lr stands in [training]"),
        ({"trials": {"number": 4}}, "'number' is not a key of [trials]; known: count, seed"),
        ({"objective": {"metrik": "x"}}, "'metrik' is not a key of [objective]; did you mean 'metric'?"),
        ({"space": {"learningrate": {}}}, "[space] 'learningrate' is not a hyperparameter"),
        ({"space": {"wd": {}}}, "'wd' is not a hyperparameter; did you mean 'weight_decay'?"),
        ({"space": {"lr": {"low": 1.0, "hihg": 2.0}}}, "[space] lr: 'hihg' is not a key"),
        ({"space": {"lr": {"low": 1.0, "high": 0.5}}}, "[space] lr: low = 1.0 is not below high = 0.5"),
        ({"space": {"lr": 0.1}}, "[space] lr = 0.1; write { low = ..., high = ..., log = true }"),
        ({"space": {"lr": {"low": -1.0, "high": 0.5}}}, "[space] lr: -1.0 lies below 0"),
        ({"space": {"lr": {"low": 1.0, "high": 2.0, "limit": [-1.0, 9.0]}}}, "-1.0 lies below 0"),
        ({"space": {"lr": {"choices": ["a", "b"]}}}, "[space] lr: choice 'a' is not a number"),
        ({"space": {"batch_size": {"low": 0, "high": 5}}}, "[space] batch_size: 0 lies below 1"),
        ({"space": {"batch_size": {"choices": [10, 2.5]}}}, "2.5 is not a whole number"),
        ({"space": {"batch_size": {"type": "float", "low": 1, "high": 5}}}, "leave type out or make it 'int'"),
        ({"space": {"activation": {"low": 1, "high": 5}}}, "[space] activation: a range of numbers"),
        ({"space": {"activation": {"choices": [1, 2]}}}, "choice 1 is not a string"),
        ({"space": {"hidden": {"choices": ["50", "a"]}}}, "[space] hidden: 'a' is not a list of layer sizes"),
        ({"space": {}}, "[space] is empty"),
        ({"space": 3}, "space: input should be a valid dictionary"),
        ({"data": 3}, "data: input should be a valid dictionary"),
        ({"data": {"train": 0}}, "data.train: give a count (1 or more) or a fraction (between 0 and 1) (given: 0)"),
        ({"data": {"train": 1.0}}, "data.train: give a count"),
        ({"data": {"validation": True}}, "data.validation: give a count"),
        ({"data": {"test": -1}}, "data.test"),
        ({"data": {"test": False}}, "data.test"),
        ({"data": {"seed": -1}}, "data.seed"),
        ({"data": {"seed": True}}, "data.seed"),
        ({"data": {"stratify": "no"}}, "data.stratify"),
        ({"data": {"name": "a", "path": "b"}}, "data: both name and path are given; give one"),
        ({"network": {"hidden": "axb"}}, "network.hidden: 'axb' is not a list of layer sizes"),
        ({"network": {"hidden": [100, 0]}}, "network.hidden"),
        ({"network": {"hidden": [100.0]}}, "network.hidden"),
        ({"network": {"hidden": [5], "hidden_units": 5}}, "the hidden layers are given twice"),
        ({"network": {"hidden_units": 5}}, "hidden_layers is missing"),
        ({"network": {"hidden": [5]}, "space": {"hidden_units": {"low": 1, "high": 5}}}, "given twice"),
        ({"space": {"hidden_units": {"low": 1, "high": 5}}}, "hidden_layers is missing"),
        ({"training": {"lr": 0}}, "training.lr: input should be greater than 0 (given: 0)"),
        ({"training": {"lr": "0.1"}}, "training.lr: input should be a valid number"),
        ({"training": {"lr": float("nan")}}, "training.lr"),
        ({"training": {"weight_decay": float("inf")}}, "training.weight_decay"),
        ({"training": {"epochs": 0}}, "training.epochs: input should be greater than or equal to 1"),
        ({"training": {"epochs": 2.0}}, "training.epochs"),
        ({"training": {"optimizer": 3}}, "training.optimizer"),
        ({"trials": {"count": 0}}, "trials.count"),
        ({"trials": {"seed": True}}, "trials.seed"),
        ({"trials": {"seed": 2**63}}, "trials.seed"),
        (
            {"objective": {"metric": "validation_acc"}},
            "objective.metric = 'validation_acc'; did you mean 'validation_accu",
        ),
        ({"objective": {"at": "x" * 900}}, "objective.at"),
        ({"objective": {"kind": "netwrok"}}, "objective.kind = 'netwrok'; did you mean 'network'?"),
        ({"name": 3}, "name: input should be a valid string"),
    ],
)
def test_refused(sections: dict[str, Any], says: str) -> None:
    message = one_line(parse, plain(**sections), source="studies/mine.toml")
    assert says in message
    assert message.startswith("studies/mine.toml: ")


def test_missing() -> None:
    assert "name is missing" in one_line(parse, {"space": SPACE}, source="f")
    assert "space is missing" in one_line(parse, {"name": "a"}, source="f")
    assert "name is missing; space is missing" in one_line(parse, {}, source="f")


BAD_NAMES = [
    "",
    "a\nb",
    "a\n",
    "x" * 600,
    "x" * 65,
    "a/b",
    "../a",
    ".hidden",
    "..",
    "-a",
    "a b",
    "größe",
    "a\0b",
    "a:b",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_are_none(name: str, tmp_path: Path) -> None:
    for message in (
        one_line(check_name, name),
        one_line(parse, plain(name=name), source="f"),
        one_line(write_study, name, folder=tmp_path),
    ):
        assert f"({len(name)} characters) is not a name for a search" in message
    assert list(tmp_path.iterdir()) == []
