"""What may stand in ``[space]``: by itself, and together with the rest of the study file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from refusals import one_line

from hpsearch.errors import BadStudyFile
from hpsearch.objectives.kinds import DEFAULT
from hpsearch.objectives.network.hyperparameters import ALSO_CALLED, HYPERPARAMETERS
from hpsearch.objectives.network.sections import Network, Training
from hpsearch.space import Categorical, Float
from hpsearch.study_file import StudyFile, parse, parse_parameter

LR = {"low": 1e-3, "high": 1.0, "log": True}


def plain(space: dict[str, Any], **sections: Any) -> dict[str, Any]:
    return {"name": "mine", "space": space, **sections}


NUMBERS = sorted(name for name, kind in HYPERPARAMETERS.items() if kind.type in ("float", "int"))


def accepted(call: Callable[..., object], *arguments: object) -> bool:
    try:
        call(*arguments)
    except (BadStudyFile, ValidationError):
        return False
    return True


@given(name=st.sampled_from(NUMBERS), value=st.sampled_from([-1, 0, 1, 2, -1e-9, 1e-9, 0.5, 1 - 1e-9, 1 + 1e-9, 1e300]))
def test_a_value_may_be_drawn_if_and_only_if_it_may_be_set(name: str, value: float) -> None:
    section = Network if name in Network.model_fields else Training
    drawn = accepted(parse_parameter, name, {"choices": [value]}, DEFAULT)
    if (name, value) != ("lr", 0):  # a range may begin there; a trial at 0 learns nothing
        assert accepted(section.model_validate, {name: value}) == drawn
    whole = HYPERPARAMETERS[name].type == "float" or isinstance(value, int)
    assert drawn == (whole and HYPERPARAMETERS[name].misfit(value) is None)


def test_every_hyperparameter_can_be_set_too() -> None:
    assert set(HYPERPARAMETERS) < set(Network.model_fields) | set(Training.model_fields)


def test_whole_numbers_stand_for_real_ones() -> None:
    study = parse(
        plain(
            {"dropout": {"low": 0, "high": 0.5}, "warmup_epochs": {"choices": [0, 5]}},
            network={"init_std": 1, "init_value": -3},
            training={"eps": 1, "lr_decay": 1, "lr_decay_epochs": 30, "momentum": 0},
        ),
        source="",
    )
    assert study.space == {"dropout": Float(0.0, 0.5), "warmup_epochs": Categorical((0, 5))}
    values = [study.settings[name] for name in ("init_std", "init_value", "eps", "lr_decay", "lr_decay_epochs")]
    assert values == [1.0, -3.0, 1.0, 1.0, 30.0]
    assert all(type(value) is float for value in values)


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ({"momentum": {"low": 0.5, "high": 1.0}, "optimizer": {"choices": ["momentum"]}}, "1.0 is not below 1"),
        ({"dropout": {"low": 0.0, "high": 0.5, "limit": [0, 1]}}, "dropout: 1 is not below 1"),
        ({"lr_decay": {"low": 0.5, "high": 1.5}}, "[space] lr_decay: 1.5 lies above 1, the most that it can be"),
        ({"warmup_epochs": {"low": -1, "high": 5}}, "[space] warmup_epochs: -1.0 lies below 0"),
        ({"batch_norm": {"choices": [True, "no"]}}, "[space] batch_norm: choice 'no' is neither true nor false"),
        ({"batch_norm": {"choices": [0, 1]}}, "[space] batch_norm: choice 0 is neither true nor false"),
        ({"batch_norm": {"low": 0, "high": 1}}, "a range of numbers; give choices = [true, false]"),
        ({"batch_norm": True}, "[space] batch_norm = True; write { choices = [true, false] }"),
        ({"optimizer": "adam"}, "[space] optimizer = 'adam'; write { choices = [...] }"),
        ({"lr_schedule": {"choices": ["step", "cosin"]}}, "no lr_schedule 'cosin'; did you mean 'cosine'?"),
        ({"drop_rate": {}}, "'drop_rate' is not a hyperparameter; did you mean 'dropout'?"),
        ({"gamma": {}}, "did you mean 'lr_decay'?"),
        ({"BN": {}}, "did you mean 'batch_norm'?"),
    ],
)
def test_refused(space: dict[str, Any], says: str) -> None:
    assert says in one_line(parse, plain(space), source="f")


@pytest.mark.parametrize(
    ("training", "says"),
    [
        ({"lr_schedule": "cosin"}, "training.lr_schedule: no lr_schedule 'cosin'; did you mean 'cosine'?"),
        ({"momentum": 1.0}, "training.momentum: input should be less than 1 (given: 1.0)"),
        ({"eps": 0}, "training.eps: input should be greater than 0 (given: 0)"),
        ({"eps": True}, "training.eps"),
        ({"lr_decay": float("nan")}, "training.lr_decay"),
        ({"evaluate_train": 1}, "training.evaluate_train"),
        ({"scheduler": "step"}, "'scheduler' is not a key of [training]; did you mean 'lr_schedule'?"),
    ],
)
def test_settings_refused(training: dict[str, Any], says: str) -> None:
    assert says in one_line(parse, plain({"lr": LR}, training=training), source="f")


def test_other_names_mean_something_that_can_be_set() -> None:
    for name, meant in ALSO_CALLED.items():
        assert f"did you mean {meant!r}" in one_line(parse, plain({name: {}}), source="f")


def _momentum(**sections: Any) -> dict[str, Any]:
    space = {"momentum": {"low": 0.5, "high": 0.99}, **sections.pop("space", {})}
    return plain(space, **sections)


def test_what_nothing_uses_is_refused() -> None:
    assert one_line(parse, _momentum(), source="f") == (
        "f: [space] momentum has no effect: only optimizer = momentum or nesterov uses it, "
        "and this search has sgd; leave momentum out or change optimizer"
    )
    drawn = _momentum(space={"optimizer": {"choices": ["sgd", "adam"]}}, training={"optimizer": "momentum"})
    assert "and this search has sgd or adam;" in one_line(parse, drawn, source="f")
    assert "init_std has no effect" in one_line(parse, plain({"init_std": LR}), source="f")
    assert "lr_decay has no effect" in one_line(
        parse, plain({"lr_decay": {"low": 0.1, "high": 1}}, training={"lr_schedule": "cosine"}), source="f"
    )
    accepted: list[dict[str, Any]] = [
        _momentum(training={"optimizer": "nesterov"}),
        _momentum(space={"optimizer": {"choices": ["sgd", "momentum"]}}),
        plain({"init_std": LR}, network={"initializer": "normal"}),
        plain({"lr_decay": {"low": 0.1, "high": 1}}, training={"lr_schedule": "step"}),
    ]
    for file in accepted:
        assert isinstance(parse(file, source="f"), StudyFile)


YES: dict[str, Any] = {"batch_norm": True}
EITHER: dict[str, Any] = {"choices": [False, True]}


@pytest.mark.parametrize(
    ("space", "sections", "refused"),
    [
        ({}, {"network": YES, "training": {"batch_size": 1}}, "[training] batch_size = 1"),
        ({"batch_size": {"low": 1, "high": 9}}, {"network": YES}, "[space] batch_size may be 1"),
        ({"batch_norm": EITHER, "batch_size": {"choices": [10, 1]}}, {}, "[space] batch_size may be 1"),
        ({"batch_norm": EITHER}, {"training": {"batch_size": 1}}, "[training] batch_size = 1"),
        ({"batch_size": {"low": 2, "high": 9}}, {"network": YES, "training": {"batch_size": 1}}, None),
        ({"batch_norm": {"choices": [False]}}, {"network": YES, "training": {"batch_size": 1}}, None),
        ({}, {"training": {"batch_size": 1}}, None),
        ({}, {"network": YES}, None),
    ],
)
def test_batch_norm_needs_more_than_one_image(
    space: dict[str, Any], sections: dict[str, Any], refused: str | None
) -> None:
    file = plain({"lr": LR, **space}, **sections)
    if refused is None:
        parse(file, source="f")
    else:
        assert one_line(parse, file, source="f") == f"f: {refused}, and batch_norm needs mini-batches of at least 2"
