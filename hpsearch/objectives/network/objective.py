"""A network of `hpsearch.nn` as the objective: trials of one structure train together as lanes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from hpsearch.nn import History, Inputs, TrainingData, lanes_for, record, train_epochs
from hpsearch.nn.training import Snapshot, resume, take
from hpsearch.objectives.network.structure import (
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
from hpsearch.space import delivered
from hpsearch.statistics.hits import pack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from hpsearch.space import Space


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
    # the score: ``validation_accuracy`` (more is better) or ``validation_loss`` (less is better)
    metric: Literal["validation_accuracy", "validation_loss"] = "validation_accuracy"
    at: Literal["last", "best"] = "last"  # of the ``last`` epoch, or of the curve's ``best`` one
    inputs: Inputs | None = None  # which inputs the data have, where some were left out (`hpsearch.nn.live_inputs`)
    dtype: str = "float32"  # ``float32``, or ``float64`` for tests
    independent: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_names(self.settings, self.space)

    def structure(self, params: Mapping[str, Any]) -> Structure:
        """Return the structure of a trial with these sampled values."""
        inputs = self.data.images.shape[1] if self.inputs is None else self.inputs.total
        return structure_of(self._values(params), inputs=inputs, classes=self.classes)

    def _values(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {**self.settings, **delivered(self.space, params)}

    def largest(self) -> Structure:
        """Return the structure of the space with the most parameters."""
        return self.structure(largest_values(self.space))

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

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome | Paused]]:
        """Train the trials as lanes; see `hpsearch.objectives.base.Objective`."""
        began = time.perf_counter()
        structure = self.structure(trials[0].params)
        values = [self._values(trial.params) for trial in trials]
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
            courses = [_Course(self._history(pause), hits) for pause, (_, hits) in zip(paused, states, strict=True)]
            start = resume(lanes.network, lanes.optimizer, lanes.rngs, [snapshot for snapshot, _ in states])
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
            scores = getattr(epoch, self.metric).tolist()
            for lane, hits in zip(alive, epoch.validation_hits, strict=True):
                course, curve = courses[lane], getattr(histories[lane], self.metric)
                course.last = hits
                if self.scored(curve) == len(curve) - 1:
                    course.scored = hits
            yield [Report(numbers[lane], epoch.epoch, score) for lane, score in zip(alive, scores, strict=True)]
        snapshots: dict[int, Snapshot] = {}
        if until is not None:
            rngs = [lanes.rngs[lane] for lane in alive]
            for position, lane in enumerate(alive):
                snapshots[lane] = take(lanes.network, lanes.optimizer, rngs, lane=position, epoch=until)
        seconds = (time.perf_counter() - began) / len(trials)
        before = [pause.attributes[SECONDS] for pause in paused] or [0.0] * len(trials)
        yield [
            self._outcome(number, course, round(before[lane] + seconds, 6), snapshots.get(lane))
            for lane, (number, course) in enumerate(zip(numbers, courses, strict=True))
        ]

    def scored(self, curve: Sequence[float]) -> int:
        """Return the index of the scored epoch of a curve; of several best ones the first."""
        if self.at == "last":
            return len(curve) - 1
        return curve.index(max(curve) if self.metric == "validation_accuracy" else min(curve))

    def _history(self, paused: Paused) -> History:
        curves = {**paused.attributes[CURVES], self.metric: paused.intermediate}
        own: dict[str, Any] = {name: list(curve) for name, curve in curves.items()}
        return History(**own)

    def _outcome(self, number: int, course: _Course, seconds: float, snapshot: Snapshot | None) -> Outcome | Paused:
        history, curves = course.history, course.history.curves()
        scored = curves.pop(self.metric)
        attributes: dict[str, Any] = {CURVES: curves, SECONDS: seconds}
        if history.ended is not None:
            return Failed(number, history.ended, tuple(scored), attributes)
        at = self.scored(scored) if snapshot is None else len(scored) - 1
        attributes[VALIDATION_LOSS] = history.validation_loss[at]
        hits = course.scored if snapshot is None else course.last
        assert hits is not None
        attributes[HITS] = pack(hits)
        if snapshot is not None:
            return Paused(number, tuple(scored), attributes, (snapshot, course.scored))
        return Completed(number, scored[at], tuple(scored), attributes)


@dataclass(slots=True)
class _Course:
    """A trial while it trains: its curves, and its hits at the scored epoch so far and at the last one, (V,)."""

    history: History
    scored: NDArray[np.bool_] | None = None
    last: NDArray[np.bool_] | None = None


# Of a paused trial: its lane, and its hits at the scored epoch so far.
_State = tuple[Snapshot, "NDArray[np.bool_] | None"]
