"""A network of `hpsearch.nn` as the objective: trials of one structure train together as lanes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

from hpsearch.nn import (
    CURVE_NAMES,
    Epoch,
    History,
    Inputs,
    TrainingData,
    flops_per_trial,
    lanes_for,
    live_inputs,
    record,
    train_epochs,
)
from hpsearch.nn.training import Snapshot, resume, take
from hpsearch.objectives.network.structure import (
    Lanes,
    Structure,
    build,
    check_names,
    largest_values,
    structure_of,
    structures,
)
from hpsearch.records import (
    CURVES,
    HITS,
    SECONDS,
    VALIDATION_LOSS,
    Completed,
    Failed,
    Outcome,
    Paused,
    Report,
    Trial,
)
from hpsearch.statistics.hits import pack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from hpsearch.data import Split
    from hpsearch.objectives.network.sections import NetworkSections
    from hpsearch.space import Space


@dataclass(frozen=True, slots=True)
class Score:
    """The score of a learning curve."""

    # ``validation_accuracy`` (more is better) or ``validation_loss`` (less is better)
    metric: Literal["validation_accuracy", "validation_loss"] = "validation_accuracy"
    at: Literal["last", "best"] = "last"  # the ``last`` epoch, or the curve's ``best`` one

    def epoch(self, curve: Sequence[float]) -> int:
        """Return the index of the scored epoch; of several best ones the first."""
        if self.at == "last":
            return len(curve) - 1
        best = max(curve) if self.metric == "validation_accuracy" else min(curve)
        return curve.index(best)


@dataclass(frozen=True, slots=True, eq=False)
class NetworkObjective:
    """Trains networks on one split and scores them on its validation part.

    Raises:
        BadInput: An activation, initialiser, optimizer or schedule that is not known.
    """

    data: TrainingData  # training and validation arrays. The test part is not here.
    classes: int  # how many classes there are
    # the stage's; with a trial's number it gives weights and dropout masks, and alone the order of samples. With the
    # repeat of a trial that has one it gives all three, and the number nothing.
    seed: int
    # values of the hyperparameters that are not sampled: those of ``[network]`` and ``[training]``
    settings: Mapping[str, Any]
    space: Space  # the ranges of those that are
    score: Score = field(default_factory=Score)  # how a learning curve becomes a score
    inputs: Inputs | None = None  # which inputs the data have, where some were left out (`hpsearch.nn.live_inputs`)
    dtype: str = "float32"  # ``float32``, or ``float64`` for tests

    def __post_init__(self) -> None:
        check_names(self.settings, self.space)

    @classmethod
    def of(cls, sections: NetworkSections, data: Split, *, seed: int, space: Space) -> NetworkObjective:
        """Return the objective of a stage with this seed and these ranges."""
        training = TrainingData(data.x_train, data.y_train, data.x_validation, data.y_validation)
        training, inputs = live_inputs(training)
        return cls(
            data=training,
            inputs=inputs,
            classes=data.classes,
            seed=seed,
            # A sampled value must not stand beside a fixed one of another form (hidden beside hidden_units).
            settings={name: value for name, value in sections.settings.items() if name not in space},
            space=space,
            score=Score(sections.objective.metric, sections.objective.at),
        )

    def structure(self, params: Mapping[str, Any]) -> Structure:
        """Return the structure of a trial with these sampled values."""
        inputs = self.data.images.shape[1] if self.inputs is None else self.inputs.total
        return structure_of({**self.settings, **params}, inputs=inputs, classes=self.classes)

    def largest(self) -> Structure:
        """Return the structure of the space with the most parameters."""
        return self.structure(self.largest_values())

    def largest_values(self) -> dict[str, Any]:
        """Return values of the sampled hyperparameters that make the largest network."""
        return largest_values(self.space)

    def lanes(self, trial: Trial | None = None) -> int:
        structure = self.largest() if trial is None else self.structure(trial.params)
        return lanes_for(structure.parameters)

    def structures(self) -> int:
        return structures(self.space)

    def group(self, trials: Sequence[Trial]) -> list[list[Trial]]:
        groups: dict[Structure, list[Trial]] = {}
        for trial in trials:
            groups.setdefault(self.structure(trial.params), []).append(trial)
        return list(groups.values())

    def flops(self, structure: Structure) -> int:
        """Return the floating-point operations of one trial's matrix products."""
        return flops_per_trial(
            structure.sizes,
            train=len(self.data.images),
            validation=len(self.data.validation_images),
            epochs=self.settings["epochs"],
        )

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome | Paused]]:
        """Train the trials as lanes; see `hpsearch.objectives.base.Objective`."""
        began = time.perf_counter()
        structure = self.structure(trials[0].params)
        values = [{**self.settings, **trial.params} for trial in trials]
        numbers = [trial.number for trial in trials]
        repeats = [trial.repeat for trial in trials if trial.repeat is not None]  # of all of them, or of none
        lanes = build(
            structure,
            values,
            repeats or numbers,
            seed=self.seed,
            orders=repeats or None,
            inputs=self.inputs,
            dtype=self.dtype,
        )
        courses, start = [_Course(History()) for _ in trials], 1
        if paused:
            states = [cast(_State, pause.state) for pause in paused]
            courses = [_Course(self._history(pause), state.hits) for pause, state in zip(paused, states, strict=True)]
            start = resume(lanes.network, lanes.optimizer, lanes.rngs, [state.snapshot for state in states])
        histories = [course.history for course in courses]
        alive: Sequence[int] = range(len(trials))
        for epoch in train_epochs(
            lanes.network,
            lanes.optimizer,
            self.data,
            batch_size=structure.batch_size,
            epochs=self.settings["epochs"],
            rngs=lanes.rngs,
            schedules=lanes.schedules,
            evaluate_train=self.settings["evaluate_train"],
            start=start,
            stop=until,
        ):
            record(epoch, histories)
            alive = epoch.lanes.tolist()
            for lane, hits in zip(alive, epoch.validation_hits, strict=True):
                self._keep(courses[lane], hits)
            yield self._reports(epoch, numbers)
        state_of = {} if until is None else _snapshots(lanes, alive, until)
        seconds = (time.perf_counter() - began) / len(trials)
        before = [pause.attributes[SECONDS] for pause in paused] or [0.0] * len(trials)
        yield [
            self._outcome(number, course, round(before[lane] + seconds, 6), state_of.get(lane))
            for lane, (number, course) in enumerate(zip(numbers, courses, strict=True))
        ]

    def _keep(self, course: _Course, hits: NDArray[np.bool_]) -> None:
        """Keep an epoch's hits as the last ones, and as those of the scored epoch if that is it, so far."""
        curve = getattr(course.history, self.score.metric)
        course.last = hits
        if self.score.epoch(curve) == len(curve) - 1:
            course.scored = hits

    def _history(self, paused: Paused) -> History:
        curves = {**paused.attributes[CURVES], self.score.metric: paused.intermediate}
        history = History()
        for name in CURVE_NAMES:
            getattr(history, name).extend(curves[name])
        return history

    def _reports(self, epoch: Epoch, numbers: Sequence[int]) -> list[Report]:
        scores = getattr(epoch, self.score.metric).tolist()
        return [Report(numbers[lane], epoch.epoch, score) for lane, score in zip(epoch.lanes, scores, strict=True)]

    def _outcome(self, number: int, course: _Course, seconds: float, snapshot: Snapshot | None) -> Outcome | Paused:
        history = course.history
        curves = history.curves()
        scored = curves[self.score.metric]
        others = {name: curves[name] for name in CURVE_NAMES if name != self.score.metric}
        attributes: dict[str, Any] = {CURVES: others, SECONDS: seconds}
        if history.ended is not None:
            return Failed(number, history.ended, tuple(scored), attributes)
        at = self.score.epoch(scored) if snapshot is None else len(scored) - 1
        attributes[VALIDATION_LOSS] = curves["validation_loss"][at]
        hits = course.scored if snapshot is None else course.last
        assert hits is not None
        attributes[HITS] = pack(hits)
        if snapshot is not None:
            return Paused(number, tuple(scored), attributes, _State(snapshot, course.scored))
        return Completed(number, scored[at], tuple(scored), attributes)


@dataclass(slots=True)
class _Course:
    """A trial while it trains: its curves, and its hits at the scored epoch so far and at the last one, (V,)."""

    history: History
    scored: NDArray[np.bool_] | None = None
    last: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """The state of a paused trial: its lane, and its hits at the scored epoch so far."""

    snapshot: Snapshot
    hits: NDArray[np.bool_] | None


def _snapshots(lanes: Lanes, alive: Sequence[int], epoch: int) -> dict[int, Snapshot]:
    """Return snapshots of the lanes that are alive, by their indices from the start of training."""
    rngs = [lanes.rngs[lane] for lane in alive]
    return {
        lane: take(lanes.network, lanes.optimizer, rngs, lane=position, epoch=epoch)
        for position, lane in enumerate(alive)
    }
