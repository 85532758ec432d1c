"""A network of `hpsearch.nn` as the objective: trials of one structure train together as lanes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from hpsearch.errors import BadInput, nearest
from hpsearch.hyperparameters import hidden_sizes
from hpsearch.nn import (
    ACTIVATIONS,
    INITIALIZERS,
    OPTIMIZERS,
    Epoch,
    Network,
    Purpose,
    TrainingData,
    flops_per_trial,
    lane_rng,
    lanes_for,
    parameter_count,
    train,
)
from hpsearch.records import (
    CURVES,
    SECONDS,
    VALIDATION_LOSS,
    Completed,
    Failed,
    Outcome,
    Report,
    Trial,
)
from hpsearch.space import Categorical, Space

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_PER_LANE = ("lr", "weight_decay")
"""Hyperparameters that may differ between lanes; all others are part of the structure."""
_REGISTRIES: Mapping[str, Mapping[str, Any]] = {
    "activation": ACTIVATIONS,
    "initializer": INITIALIZERS,
    "optimizer": OPTIMIZERS,
}
_CURVES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


class Structure(NamedTuple):
    """What all lanes of a batch have in common."""

    sizes: tuple[int, ...]
    activation: str
    initializer: str
    optimizer: str
    batch_size: int


@dataclass(frozen=True, slots=True)
class Score:
    """How a learning curve becomes a score.

    Args:
        metric: ``validation_accuracy`` (more is better) or ``validation_loss`` (less is better).
        at: The ``last`` epoch, or the curve's ``best`` one.
    """

    metric: Literal["validation_accuracy", "validation_loss"] = "validation_accuracy"
    at: Literal["last", "best"] = "last"

    def epoch(self, curve: Sequence[float]) -> int:
        """The index of the scored epoch; of several best ones the first."""
        if self.at == "last":
            return len(curve) - 1
        best = max(curve) if self.metric == "validation_accuracy" else min(curve)
        return curve.index(best)


@dataclass(frozen=True, slots=True, eq=False)
class NetworkObjective:
    """Trains networks on one split and scores them on its validation part.

    Args:
        data: Training and validation arrays. The test part is not here.
        classes: How many classes there are.
        seed: The stage's; with a trial's number it gives weights and mini-batch order.
        settings: Values of the hyperparameters that are not drawn: those of ``[network]`` and ``[training]``.
        space: The ranges of those that are.
        score: How a learning curve becomes a score.
        dtype: ``float32``, or ``float64`` for tests.

    Raises:
        BadInput: An activation, initialiser or optimizer that is not known.
    """

    data: TrainingData
    classes: int
    seed: int
    settings: Mapping[str, Any]
    space: Space
    score: Score = field(default_factory=Score)
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name, registry in _REGISTRIES.items():
            parameter = self.space.get(name)
            asked = parameter.choices if isinstance(parameter, Categorical) else (self.settings[name],)
            for value in asked:
                if value not in registry:
                    raise BadInput(f"no {name} {value!r}{nearest(str(value), registry)}")

    def structure(self, params: Mapping[str, Any]) -> Structure:
        """The structure of a trial with these drawn values."""
        value = {**self.settings, **params}
        return Structure(
            sizes=(self.data.images.shape[1], *_hidden(value), self.classes),
            activation=value["activation"],
            initializer=value["initializer"],
            optimizer=value["optimizer"],
            batch_size=value["batch_size"],
        )

    def largest(self) -> Structure:
        """The structure of the space with the most parameters."""
        return self.structure(self.largest_values())

    def largest_values(self) -> dict[str, Any]:
        """Values of the drawn structural hyperparameters that make the largest network."""
        corner: dict[str, Any] = {}
        for name, parameter in self.space.items():
            if name in _PER_LANE:
                continue
            if not isinstance(parameter, Categorical):
                corner[name] = parameter.high
            elif all(isinstance(choice, int | float) for choice in parameter.choices) and name != "hidden":
                corner[name] = max(parameter.choices)
            elif name == "hidden":
                corner[name] = max(
                    parameter.choices,
                    key=lambda choice: parameter_count([1, *_hidden({"hidden": choice}), 1]),
                )
            else:
                corner[name] = parameter.choices[0]
        return corner

    def lanes(self, trial: Trial | None = None) -> int:
        """How many trials of this structure fit the cache together."""
        structure = self.largest() if trial is None else self.structure(trial.params)
        return lanes_for(parameter_count(structure.sizes))

    def structures(self) -> int:
        """How many structures the space holds; 8 stands for many."""
        count = 1
        for name, parameter in self.space.items():
            if name in _PER_LANE:
                continue
            if isinstance(parameter, Categorical):
                count *= len(parameter.choices)
            else:
                count *= int(parameter.high - parameter.low) + 1
        return min(count, 8)

    def group(self, trials: Sequence[Trial]) -> list[list[Trial]]:
        """The trials by structure."""
        groups: dict[Structure, list[Trial]] = {}
        for trial in trials:
            groups.setdefault(self.structure(trial.params), []).append(trial)
        return list(groups.values())

    def flops(self, structure: Structure) -> int:
        """Floating-point operations of one trial's matrix products."""
        return flops_per_trial(
            structure.sizes,
            train=len(self.data.images),
            validation=len(self.data.validation_images),
            epochs=self.settings["epochs"],
        )

    def evaluate(self, trials: Sequence[Trial]) -> Iterator[Sequence[Report | Outcome]]:
        """Train the trials as lanes; see `hpsearch.objectives.base.Objective`."""
        began = time.perf_counter()
        structure = self.structure(trials[0].params)
        values = [{**self.settings, **trial.params} for trial in trials]
        network = Network(
            structure.sizes,
            rngs=[lane_rng(self.seed, trial.number, Purpose.WEIGHTS) for trial in trials],
            activation=structure.activation,
            initializer=structure.initializer,
            dtype=np.dtype(self.dtype),
        )
        optimizer = OPTIMIZERS[structure.optimizer](
            **{name: [float(value[name]) for value in values] for name in _PER_LANE}
        )
        curves: list[dict[str, list[float]]] = [{name: [] for name in _CURVES} for _ in trials]
        reasons: dict[int, str] = {}
        for epoch in train(
            network,
            optimizer,
            self.data,
            batch_size=structure.batch_size,
            epochs=self.settings["epochs"],
            rngs=[lane_rng(self.seed, trial.number, Purpose.ORDER) for trial in trials],
        ):
            yield self._add(epoch, trials, curves)
            reasons |= {ended.lane: ended.reason for ended in epoch.ended}
        seconds = round((time.perf_counter() - began) / len(trials), 6)
        yield [
            self._outcome(trial.number, curves[lane], reasons.get(lane), seconds) for lane, trial in enumerate(trials)
        ]

    def _add(self, epoch: Epoch, trials: Sequence[Trial], curves: Sequence[dict[str, list[float]]]) -> list[Report]:
        reports = []
        for position, lane in enumerate(epoch.lanes):
            for name in _CURVES:
                curves[lane][name].append(float(getattr(epoch, name)[position]))
            reports.append(Report(trials[lane].number, epoch.epoch, curves[lane][self.score.metric][-1]))
        return reports

    def _outcome(self, number: int, curves: Mapping[str, list[float]], reason: str | None, seconds: float) -> Outcome:
        scored = curves[self.score.metric]
        others = {name: curve for name, curve in curves.items() if name != self.score.metric}
        attributes: dict[str, Any] = {CURVES: others, SECONDS: seconds}
        if reason is not None:
            return Failed(number, reason, tuple(scored), attributes)
        at = self.score.epoch(scored)
        attributes[VALIDATION_LOSS] = curves["validation_loss"][at]
        return Completed(number, scored[at], tuple(scored), attributes)


def _hidden(value: Mapping[str, Any]) -> tuple[int, ...]:
    """Sizes of the hidden layers: drawn or given, as a list, in short form, or as depth and width."""
    hidden = value.get("hidden")
    if isinstance(hidden, str | int):  # a choice such as 50 stands for one layer, as "50" does
        return hidden_sizes(str(hidden))
    if hidden is not None:
        return tuple(hidden)
    if value.get("hidden_units") is None:
        return ()
    units: int = value["hidden_units"]
    layers: int = value["hidden_layers"]
    return (units,) * layers
