"""A stage's finished trials column by column: narrowing looks at all of them, however many there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import BadInput
from hpsearch.space import Categorical, Space, contains

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from hpsearch.objectives.base import UsedBy
    from hpsearch.records import Direction
    from hpsearch.search.narrowing.evidence import Scored
    from hpsearch.space import Parameter


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """Finished, successful trials, N of them.

    Args:
        number: Their numbers, shape (N,).
        score: Their objective values, shape (N,).
        loss: Their validation losses, NaN for none, shape (N,).
        params: The drawn values by parameter name, each of shape (N,).
    """

    number: NDArray[np.int64]
    score: NDArray[np.float64]
    loss: NDArray[np.float64]
    params: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.number)

    @classmethod
    def of(cls, trials: Sequence[Scored], space: Space) -> Finished:
        """Records as columns.

        Raises:
            BadInput: A trial lacks a parameter of the space.
        """
        for trial in trials:
            for name in space:
                if name not in trial.params:
                    raise BadInput(f"trial {trial.number} has no value of {name!r}; use trials of this stage only")
        names = [name for name in (trials[0].params if trials else space) if all(name in t.params for t in trials)]
        return cls(
            np.array([trial.number for trial in trials], dtype=np.int64),
            np.array([trial.score for trial in trials], dtype=float),
            np.array([trial.validation_loss for trial in trials], dtype=float),  # None becomes NaN
            {name: _objects(trial.params[name] for trial in trials) for name in names},
        )

    @classmethod
    def from_columns(cls, space: Space, columns: Mapping[str, NDArray[Any]]) -> Finished:
        """Completed trials in the database as narrowing takes them.

        A trial that somebody ran in the stage's study by other means may have values outside the ranges, or a score
        that is not finite. It says nothing about the stage's draws and is left out.

        Args:
            space: The stage's ranges.
            columns: What `hpsearch.store.Store.scores` gives.
        """
        params = {name: columns[f"param:{name}"] for name in space}
        score = columns["score"]
        kept = np.isfinite(score)
        for name, parameter in space.items():
            kept &= inside(parameter, params[name])
        return cls(columns["number"], score, columns["validation_loss"], params)._take(kept)

    def best_first(self, direction: Direction) -> Finished:
        """The trials as `hpsearch.records.rank_key` sorts them: by score, lower loss (none last), lower number."""
        sign = -1.0 if direction == "maximize" else 1.0
        loss = np.where(np.isnan(self.loss), np.inf, self.loss)
        return self._take(np.lexsort((self.number, loss, sign * self.score)))

    def led_by(self, numbers: Sequence[int]) -> Finished:
        """The trials with these ones first, in this order, and the others behind them as they were.

        Raises:
            BadInput: One of them is not among the trials.
        """
        place = {number: at for at, number in enumerate(self.number.tolist())}
        for number in numbers:
            if number not in place:
                raise BadInput(f"trial {number} is not among the stage's finished trials with values in its ranges")
        first = [place[number] for number in numbers]
        return self._take(np.array([*first, *sorted(set(place.values()) - set(first))], dtype=np.intp))

    def best(self, many: int, direction: Direction) -> Finished:
        """The first so many of `best_first`, without ranking the others."""
        if many >= len(self):
            return self.best_first(direction)
        goodness = self.score if direction == "maximize" else -self.score
        last = np.partition(goodness, len(self) - many)[len(self) - many]
        return self._take(np.flatnonzero(goodness >= last)).best_first(direction)._take(np.arange(many))

    def users(self, condition: UsedBy | None, settings: Mapping[str, Any]) -> NDArray[np.intp]:
        """The places of the trials for which a condition holds; of all for None.

        Args:
            condition: Which trials use a hyperparameter.
            settings: Values of the hyperparameters that are not drawn.
        """
        if condition is None:
            return np.arange(len(self))
        name, allowed = condition
        if name in self.params:
            return np.flatnonzero([value in allowed for value in self.params[name].tolist()])
        return np.arange(len(self) if condition.holds(settings) else 0)

    def _take(self, which: NDArray[Any]) -> Finished:
        params = {name: column[which] for name, column in self.params.items()}
        return Finished(self.number[which], self.score[which], self.loss[which], params)


def inside(parameter: Parameter, values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values are ones that the parameter may have; `hpsearch.space.contains` of each."""
    if isinstance(parameter, Categorical) or values.dtype.kind not in "ifb":
        return np.fromiter((contains(parameter, value) for value in values.tolist()), bool, len(values))
    return np.asarray((parameter.low <= values) & (values <= parameter.high))


def _objects(values: Iterable[Any]) -> NDArray[Any]:
    """Values in an array that keeps each one's type."""
    listed = list(values)
    found = np.empty(len(listed), dtype=object)
    found[:] = listed
    return found
