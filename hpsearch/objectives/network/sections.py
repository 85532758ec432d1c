"""The network's sections of a study file, as pydantic models that hold the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from hpsearch.errors import BadStudyFile, nearest
from hpsearch.objectives.network.kind import HYPERPARAMETERS, LR_SCHEDULES, MAX_LAYERS, MAX_UNITS, hidden_sizes
from hpsearch.objectives.sections import Count, Section, Seed
from hpsearch.records import Direction
from hpsearch.space import Categorical, Space, contains, possible
from hpsearch.text import either


def _number(name: str, default: float | None) -> Any:
    """Return the field of a hyperparameter, with the bounds that hold for its range."""
    natural = HYPERPARAMETERS[name]
    return Field(
        default,
        ge=None if natural.open_low else natural.low,
        gt=natural.low if natural.open_low else None,
        le=None if natural.open_high else natural.high,
        lt=natural.high if natural.open_high else None,
    )


def _size(value: object) -> object:
    is_count = type(value) is int and value >= 1
    is_fraction = type(value) is float and 0 < value < 1
    if is_count or is_fraction:
        return value
    raise ValueError("give a count (1 or more) or a fraction (between 0 and 1)")


def _size_or_zero(value: object) -> object:
    return value if type(value) is int and value == 0 else _size(value)


# The most of a study file that a client of a service sends.
SENT_EPOCHS, SENT_LAYERS, SENT_UNITS = 1_000, 20, 2_000
Units = Annotated[int, Field(ge=1, le=MAX_UNITS, strict=True)]
Size = Annotated[int | float, BeforeValidator(_size)]
SizeOrZero = Annotated[int | float, BeforeValidator(_size_or_zero)]
Names = Annotated[tuple[str, ...], Field(strict=False)]  # TOML's lists are not tuples


def _scale(value: object) -> object:
    if value in _SCALES or (type(value) in (int, float) and 1e-30 <= float(str(value)) <= 1e30):
        return value
    raise ValueError(f"give {either(_SCALES)}, or a positive number to divide by")


_SCALES = ("auto", "standardize", "minmax", "none", "type")
Scale = Annotated[str | int | float, BeforeValidator(_scale)]


class Data(Section):
    """The data set, what its columns become, and its split; a whole number is a count, a number below 1 a fraction."""

    name: str | None = None
    path: str | None = None
    label: str | None = None
    columns: Names = ()
    drop: Names = ()
    header: bool | None = None
    encoding: str | None = None
    resize: Count | None = None
    missing: Literal["auto", "error"] = "auto"
    text: Literal["one-hot", "ordinal"] = "one-hot"
    scale: Scale = "auto"
    train: Size = 400
    validation: Size = 100
    test: SizeOrZero | None = None
    seed: Seed = 0
    stratify: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> Data:
        if self.name is not None and self.path is not None:
            raise ValueError("both name and path are given; give one")
        if self.scale == "type" and (self.drop or self.columns):
            raise ValueError("scale = 'type' takes all columns; leave drop and columns out, or give another scale")
        return self


class Network(Section):
    """The architecture: ``hidden`` (sizes), or ``hidden_layers`` layers of ``hidden_units`` units."""

    hidden: Annotated[tuple[Units, ...] | None, Field(strict=False, max_length=MAX_LAYERS)] = None  # TOML has lists
    hidden_layers: Annotated[int, Field(ge=0, le=MAX_LAYERS)] | None = None
    hidden_units: Units | None = None
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
    """The training; every value but the epochs and the last may be searched over instead.

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


class Objective(Section):
    """The score of a trial: a validation metric, at the last epoch or at its best one."""

    kind: Annotated[Literal["network"], Field(exclude=True)] = "network"  # study files that are kept do not name it
    metric: Literal["validation_accuracy", "validation_loss"] = "validation_accuracy"
    at: Literal["last", "best"] = "last"


class NetworkSections(Section):
    """All of them; see `hpsearch.objectives.base.Kind.sections`."""

    data: Data = Data()
    network: Network = Network()
    training: Training = Training()
    objective: Objective = Objective()
    # The keys of sections that a client of a service may send, where these are not all: none is about a file.
    sent: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "data": ("name", "train", "validation", "test", "seed", "stratify", "scale")
    }

    @property
    def settings(self) -> dict[str, Any]:
        """Return the values of ``[network]`` and ``[training]``."""
        return self.network.model_dump() | self.training.model_dump()

    @property
    def metric(self) -> str:
        """Return the name of the score."""
        return self.objective.metric

    @property
    def direction(self) -> Direction:
        """Accuracy is maximised, loss minimised."""
        return "maximize" if self.metric == "validation_accuracy" else "minimize"

    @property
    def epochs(self) -> int:
        """Return how many epochs a trial trains for."""
        return self.training.epochs

    def check(self, space: Space) -> None:
        """Check that the sections and the ranges make a network.

        Raises:
            BadStudyFile: The hidden layers are given twice or by half, or batch normalisation may have mini-batches of
                one example.
        """
        by_width = {"hidden_layers", "hidden_units"}
        set_ = {name for name in (*by_width, "hidden") if getattr(self.network, name) is not None}
        given = set_ | (set(space) & (by_width | {"hidden"}))
        if "hidden" in given and given & by_width:
            raise BadStudyFile("the hidden layers are given twice; give hidden, or hidden_layers and hidden_units")
        if len(given & by_width) == 1:
            missing = (by_width - given).pop()
            raise BadStudyFile(f"{missing} is missing; hidden_layers and hidden_units go together")
        sizes = space.get("batch_size")
        single = self.training.batch_size == 1 if sizes is None else contains(sizes, 1)
        if single and True in possible("batch_norm", space, self.settings):
            where = "[training] batch_size = 1" if sizes is None else "[space] batch_size may be 1"
            raise BadStudyFile(f"{where}, and batch_norm needs mini-batches of at least 2")

    def check_sent(self, space: Space) -> None:
        """Check that it names its data by the name of a data set, and that its networks are of a bounded size.

        Raises:
            BadStudyFile: They are not.
        """
        keys = sorted(self.data.model_fields_set - set(self.sent["data"]))
        if keys or self.data.name is None:
            what = f"{keys[0]} is about a file" if keys else "name is missing"
            raise BadStudyFile(
                f"[data] {what}; a study file that is sent names a data set, with {either(self.sent['data'])}"
            )
        sampled, hidden = space.get("hidden"), [self.network.hidden or ()]
        if isinstance(sampled, Categorical):
            hidden += [hidden_sizes(str(choice)) for choice in sampled.choices]
        layers = [len(sizes) for sizes in hidden] + _largest("hidden_layers", self.network.hidden_layers, space)
        units = [of for sizes in hidden for of in sizes] + _largest("hidden_units", self.network.hidden_units, space)
        for what, largest, most in (
            ("hidden layers", max(layers), SENT_LAYERS),
            ("units in a layer", max(units, default=0), SENT_UNITS),
            ("epochs", self.epochs, SENT_EPOCHS),
        ):
            if largest > most:
                raise BadStudyFile(f"{largest:,} {what}; a study file that is sent may have {most:,}")


def _largest(name: str, fixed: int | None, space: Space) -> list[int]:
    """Return the largest number that a parameter may be, fixed or sampled; none where it is not used."""
    match space.get(name):
        case Categorical(choices):
            return [int(choice) for choice in choices if isinstance(choice, int)]
        case None:
            return [] if fixed is None else [fixed]
        case range_:
            return [int(range_.high)]
