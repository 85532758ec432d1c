"""The sections of a study file but for ``[space]``, as pydantic models that hold the defaults."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from hpsearch.errors import nearest
from hpsearch.objectives.network.hyperparameters import HYPERPARAMETERS, LR_SCHEDULES, hidden_sizes
from hpsearch.records import Direction


class Section(BaseModel):
    """What all sections have in common: an unknown key is refused, and so is a value of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


def _number(name: str, default: float | None) -> Any:
    """A hyperparameter's value where it is not drawn, in the bounds that hold for a drawn one."""
    kind = HYPERPARAMETERS[name]
    return Field(
        default,
        ge=None if kind.open_low else kind.low,
        gt=kind.low if kind.open_low else None,
        le=None if kind.open_high else kind.high,
        lt=kind.high if kind.open_high else None,
    )


def _size(value: object) -> object:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or (not 0 < value < 1 and not (isinstance(value, int) and value >= 1))
    ):
        raise ValueError("give a count (1 or more) or a fraction (between 0 and 1)")
    return value


def _size_or_zero(value: object) -> object:
    return value if type(value) is int and value == 0 else _size(value)


Count = Annotated[int, Field(ge=1, strict=True)]
Size = Annotated[int | float, BeforeValidator(_size)]
SizeOrZero = Annotated[int | float, BeforeValidator(_size_or_zero)]


class Data(Section):
    """Which images, and how many for what; a whole number is a count, a number below 1 a fraction."""

    name: str | None = None
    path: str | None = None
    label: str | None = None
    train: Size = 400
    validation: Size = 100
    test: SizeOrZero | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    stratify: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> Data:
        if self.name is not None and self.path is not None:
            raise ValueError("both name and path are given; give one")
        return self


class Network(Section):
    """The architecture: ``hidden`` (sizes), or ``hidden_layers`` layers of ``hidden_units`` units."""

    hidden: Annotated[tuple[Count, ...] | None, Field(strict=False)] = None  # TOML's lists are not tuples
    hidden_layers: Annotated[int, Field(ge=0)] | None = None
    hidden_units: Count | None = None
    activation: str = "relu"
    initializer: str = "he"
    init_std: float = _number("init_std", 0.01)
    init_value: float = _number("init_value", 0.1)
    batch_norm: bool = False
    dropout: float = _number("dropout", 0.0)

    @field_validator("hidden", mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return hidden_sizes(value) if isinstance(value, str) else value


class Training(Section):
    """How a network is trained; every value here but the epochs and the last may be searched over instead.

    Without ``eps`` each optimizer has its own: 1e-8 for Adam and AdamW, 1e-7 for AdaGrad and RMSProp. After
    ``lr_decay_epochs`` epochs the learning rate is ``lr * lr_decay``. With ``evaluate_train`` the whole training set
    is scored after each epoch as the validation set is; without, its curves are the mini-batches' own.
    """

    optimizer: str = "sgd"
    lr: Annotated[float, Field(gt=0)] = 0.01  # a range may begin at 0, but one trial at 0 learns nothing
    weight_decay: float = _number("weight_decay", 0.0)
    momentum: float = _number("momentum", 0.9)
    rho: float = _number("rho", 0.99)
    beta1: float = _number("beta1", 0.9)
    beta2: float = _number("beta2", 0.999)
    eps: float | None = _number("eps", None)
    lr_schedule: str = "constant"
    lr_decay: float = _number("lr_decay", 0.5)
    lr_decay_epochs: float = _number("lr_decay_epochs", 10.0)
    warmup_epochs: float = _number("warmup_epochs", 0.0)
    batch_size: Count = 100
    epochs: Count = 50
    evaluate_train: bool = False

    @field_validator("lr_schedule")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in LR_SCHEDULES:
            raise ValueError(f"no lr_schedule {value!r}{nearest(value, LR_SCHEDULES)}")
        return value


class Trials(Section):
    """How many trials a stage has unless ``--trials`` says otherwise, and the seed of every draw."""

    count: Count = 100
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


class Pruning(Section):
    """Whether hopeless trials stop early; see `hpsearch.search.pruning`.

    Trials are compared within a ``cohort`` of consecutive ones, after ``min_epochs`` epochs and whenever
    ``reduction_factor`` times as many are over. What is None here depends on the rule and on the epochs.
    ``startup_trials`` is the median rule's: so many must have run to the end before any is stopped.
    """

    rule: Literal["none", "halving", "median"] = "none"
    reduction_factor: Annotated[int, Field(ge=2)] | None = None
    min_epochs: Count | None = None
    cohort: Annotated[int, Field(ge=2)] | None = None
    startup_trials: Count = 5


class Objective(Section):
    """What a trial's score is: a validation metric, at the last epoch or at its best one."""

    metric: Literal["validation_accuracy", "validation_loss"] = "validation_accuracy"
    at: Literal["last", "best"] = "last"

    @property
    def direction(self) -> Direction:
        """Accuracy is maximised, loss minimised."""
        return "maximize" if self.metric == "validation_accuracy" else "minimize"
