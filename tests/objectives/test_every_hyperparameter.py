"""Every hyperparameter that a search draws reaches its network, and only structure keeps trials apart."""

from __future__ import annotations

from typing import Any

import tiny

from hpsearch.nn import ACTIVATIONS, INITIALIZERS, OPTIMIZERS, SCHEDULES, Adam
from hpsearch.objectives.network.kind import HYPERPARAMETERS
from hpsearch.objectives.network.structure import build
from hpsearch.records import CURVES, Trial
from hpsearch.samplers import values

EVERYTHING: dict[str, Any] = {
    "lr": {"low": 1e-3, "high": 1.0, "log": True},
    "weight_decay": {"low": 1e-6, "high": 1e-1, "log": True},
    "momentum": {"low": 0.0, "high": 0.95},
    "rho": {"low": 0.5, "high": 0.99},
    "beta1": {"low": 0.5, "high": 0.9},
    "beta2": {"low": 0.9, "high": 0.999},
    "eps": {"low": 1e-8, "high": 1e-4, "log": True},
    "dropout": {"choices": [0.0, 0.2, 0.5]},
    "init_std": {"low": 1e-2, "high": 1.0, "log": True},
    "init_value": {"low": -0.1, "high": 0.1},
    "lr_decay": {"low": 0.1, "high": 1.0},
    "lr_decay_epochs": {"low": 0.5, "high": 2.0},
    "warmup_epochs": {"low": 0.0, "high": 2.0},
    "initializer": {"choices": sorted(INITIALIZERS)},
    "lr_schedule": {"choices": sorted(SCHEDULES)},
    "activation": {"choices": sorted(ACTIVATIONS)},
    "optimizer": {"choices": sorted(OPTIMIZERS)},
    "batch_norm": {"choices": [True, False]},
}


def lasting(objective: Any, some: list[Trial]) -> dict[int, Any]:
    outcomes, _ = tiny.evaluated(objective, some)
    return {number: tiny.lasting(outcome) for number, outcome in outcomes.items()}


def test_every_hyperparameter_of_the_core_can_be_drawn() -> None:
    assert set(EVERYTHING) == set(HYPERPARAMETERS) - {"hidden", "hidden_units", "hidden_layers", "batch_size"}
    for kind in OPTIMIZERS.values():
        assert set(kind.hyperparameters) <= set(HYPERPARAMETERS)


def test_only_structure_keeps_trials_apart() -> None:
    objective = tiny.objective(space=EVERYTHING)
    base = values(objective.space, seed=0, number=0) | {"dropout": 0.2}
    other = values(objective.space, seed=0, number=1) | {"dropout": 0.5}
    for name, kind in HYPERPARAMETERS.items():
        if name not in EVERYTHING:
            continue
        changed = {**base, name: other[name]}
        if changed[name] == base[name]:
            changed[name] = next(c for c in EVERYTHING[name]["choices"] if c != base[name])
        pair = [Trial(0, 0, base), Trial(1, 1, changed)]
        assert len(objective.group(pair)) == (2 if kind.structural else 1), name
    without = {**base, "dropout": 0.0}
    assert len(objective.group([Trial(0, 0, base), Trial(1, 1, without)])) == 2


def test_every_drawn_value_reaches_the_network() -> None:
    """A trial with one value changed comes to something else, where that value is used at all."""
    base: dict[str, Any] = {
        "lr": 0.05, "weight_decay": 0.01, "momentum": 0.5, "rho": 0.9, "beta1": 0.8, "beta2": 0.9, "eps": 1e-3,
        "dropout": 0.2, "init_std": 0.1, "init_value": 0.05, "lr_decay": 0.5, "lr_decay_epochs": 1.0,
        "warmup_epochs": 1.0, "initializer": "normal", "lr_schedule": "step", "activation": "tanh",
        "optimizer": "sgd", "batch_norm": False,
    }  # fmt: skip
    user = {
        "momentum": "momentum", "rho": "rmsprop", "beta1": "adam", "beta2": "adam", "eps": "adagrad",
    }  # fmt: skip
    objective = tiny.objective(space=EVERYTHING)
    for name, change in {
        "lr": 0.06, "weight_decay": 0.1, "momentum": 0.9, "rho": 0.5, "beta1": 0.5, "beta2": 0.99, "eps": 1e-2,
        "dropout": 0.5, "init_std": 0.2, "init_value": 0.1, "lr_decay": 0.25, "lr_decay_epochs": 0.5,
        "warmup_epochs": 2.0, "initializer": "he", "lr_schedule": "cosine", "activation": "relu",
        "optimizer": "adam", "batch_norm": True,
    }.items():  # fmt: skip
        given = (
            base | {"optimizer": user.get(name, "sgd")} | ({"initializer": "constant"} if name == "init_value" else {})
        )
        one, other = (lasting(objective, [Trial(0, 0, params)])[0] for params in (given, given | {name: change}))
        assert one[4][CURVES]["train_loss"] != other[4][CURVES]["train_loss"], name


def test_an_eps_that_is_not_given_is_the_optimizer_s_own() -> None:
    objective = tiny.objective()
    settings = dict(objective.settings) | {"optimizer": "adam", "lr": 0.1, "weight_decay": 0.0}
    assert settings["eps"] is None
    optimizer = build(objective.structure(settings), [settings], [0], seed=0, dtype="float32").optimizer
    assert isinstance(optimizer, Adam)
    assert optimizer["eps"].tolist() == [1e-8]
