"""What `parity.py` compares: its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from hpsearch.nn import Constant, Initializer, Normal, Schedule, initializer

Pair = tuple[float, float]
"""A hyperparameter's value in lane 0 and in lane 1."""
LANES, EPOCHS, STEPS = 2, 4, 5


@dataclass(frozen=True, slots=True)
class Case:
    """What one row compares; where a lane has its own value, a pair."""

    group: str
    name: str
    optimizer: str = "sgd"
    lr: Pair = (0.05, 0.02)
    weight_decay: Pair = (0.0, 0.0)
    hyperparameters: Mapping[str, Pair] = field(default_factory=dict)
    activation: str = "relu"
    initializers: tuple[Initializer, ...] = (initializer("he"),) * LANES
    batch_norm: bool = False
    dropout: Pair | None = None
    schedules: tuple[Schedule, ...] | None = None
    whole: bool = False
    """Through `train`: its order of samples, its last mini-batch that is smaller, its losses."""


# The chapter's defaults in lane 0, written out for PyTorch's sake, and others in lane 1.
HYPERPARAMETERS: Mapping[str, Mapping[str, Pair]] = {
    "sgd": {},
    "momentum": {"momentum": (0.9, 0.5)},
    "nesterov": {"momentum": (0.9, 0.5)},
    "adagrad": {"eps": (1e-7, 1e-3)},
    "rmsprop": {"rho": (0.99, 0.9), "eps": (1e-7, 1e-3)},
    "adam": {"beta1": (0.9, 0.8), "beta2": (0.999, 0.95), "eps": (1e-8, 1e-3)},
    "adamw": {"beta1": (0.9, 0.8), "beta2": (0.999, 0.95), "eps": (1e-8, 1e-3)},
}
ADAPTIVE: Pair = (1e-3, 3e-3)
"""Learning rates where the gradient's size does not count."""
DECAY: Pair = (0.1, 0.01)


def alike(name: str) -> tuple[Initializer, ...]:
    return (initializer(name),) * LANES


def rates(optimizer: str) -> Pair:
    return (0.05, 0.02) if optimizer in ("sgd", "momentum", "nesterov") else ADAPTIVE


def cases() -> Iterator[Case]:
    """The rows of the table."""
    for name, hyperparameters in HYPERPARAMETERS.items():
        yield Case("optimizer, weight decay", name, name, rates(name), DECAY, hyperparameters)
    for activation in ("relu", "sigmoid", "tanh"):
        yield Case("activation", activation, activation=activation, lr=(0.5, 0.1))
    for name in ("he", "xavier", "glorot", "zeros"):
        yield Case("initialiser", name, initializers=alike(name))
    yield Case("initialiser", "normal 0.01, 0.1", initializers=(Normal(0.01), Normal(0.1)))
    # With equal weights the first gradients of hidden layers cancel to rounding errors (those by the logits add up to
    # 0), and at a pre-activation of exactly 0 + such a bias, ReLU's slope would be 1 or 0 by the sign of one: so tanh.
    equal = (Constant(0.01), Constant(0.02))
    yield Case("initialiser", "constant 0.01, 0.02, with tanh", activation="tanh", initializers=equal)
    yield Case("batch normalisation", "sgd", batch_norm=True)
    yield Case("batch normalisation", "adam", "adam", ADAPTIVE, batch_norm=True)
    yield Case("batch normalisation", "weight decay 1, 0.1", weight_decay=(1.0, 0.1), batch_norm=True)
    yield Case("dropout", "0.2, 0.5", dropout=(0.2, 0.5))
    yield Case("weight decay", "1, 0", weight_decay=(1.0, 0.0))
    yield Case("weight decay", "0, 1e-4", weight_decay=(0.0, 1e-4))
    for name, schedules in {
        "step, StepLR": (Schedule("step", 0.5, 1), Schedule("step", 0.3, 2)),
        "exponential, ExponentialLR": (Schedule("exponential", 0.5, 1), Schedule("exponential", 0.3, 2.5)),
        "inverse time, LambdaLR": (Schedule("inverse_time", 0.5, 1), Schedule("inverse_time", 0.3, 2.5)),
        "cosine, CosineAnnealingLR": (Schedule("cosine"), Schedule("cosine")),
        "warm-up, LinearLR": (Schedule(warmup_epochs=2), Schedule(warmup_epochs=3)),
        "step / cosine, with warm-up": (Schedule("step", 0.5, 1, 2), Schedule("cosine", warmup_epochs=1)),
    }.items():
        yield Case("schedule", name, schedules=schedules)
    schedules = (Schedule("step", 0.5, 1), Schedule("cosine", warmup_epochs=1))
    for name in ("momentum", "nesterov"):
        yield Case("schedule", f"{name}, step / cosine with warm-up (velocity rescaled)", name, schedules=schedules)
    tanh_adam = Case(
        "together",
        "adam, tanh, glorot, batch normalisation, dropout, weight decay, cosine with warm-up / step",
        "adam",
        ADAPTIVE,
        DECAY,
        activation="tanh",
        initializers=alike("glorot"),
        batch_norm=True,
        dropout=(0.2, 0.5),
        schedules=(Schedule("cosine", warmup_epochs=1), Schedule("step", 0.5, 2)),
    )
    yield tanh_adam
    yield Case(
        "together",
        "nesterov, sigmoid, xavier, batch normalisation, dropout, weight decay",
        "nesterov",
        rates("nesterov"),
        DECAY,
        activation="sigmoid",
        initializers=alike("xavier"),
        batch_norm=True,
        dropout=(0.1, 0.3),
    )
    yield Case(
        "together",
        "adamw, relu, he, dropout, weight decay, exponential",
        "adamw",
        ADAPTIVE,
        DECAY,
        dropout=(0.2, 0.5),
        schedules=(Schedule("exponential", 0.5, 1), Schedule("exponential", 0.3, 2.5)),
    )
    yield Case("`train`, to the end", "sgd, relu, he, weight decay", weight_decay=DECAY, whole=True)
    yield replace(tanh_adam, group="`train`, to the end", whole=True)
