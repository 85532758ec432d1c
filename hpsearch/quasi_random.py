"""Quasi-random samplers, ``sobol`` and ``halton``: sequences that fill the space more evenly than random draws.

Sequences are scrambled by the stage's seed, so that trial N's values depend on (stage seed, N, space) alone. The
parameters that conditions name come from one sequence. The others come from one sequence for each set of them that is
sampled together, and take its points in the order of the trials' numbers. A point whose values break a constraint is
left out, and the next one takes its place. Each combination of scientific values has sequences of its own.
"""

from __future__ import annotations

from itertools import count, islice
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import qmc

from hpsearch.errors import BadSpace
from hpsearch.records import NewStage, draw_seed
from hpsearch.roles import Combination, combination_of, combinations, described
from hpsearch.samplers import MOST_DRAWS, constraints_of, draw_from
from hpsearch.space import holds, in_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hpsearch.space import Value

_ENGINES = {"sobol": qmc.Sobol, "halton": qmc.Halton}
_BLOCK = 1024  # points that are made at once; a power of two keeps Sobol' points balanced


class _Coordinate:
    """A generator of one draw, a coordinate of a point in the unit cube; `hpsearch.samplers.draw_from` takes it."""

    def __init__(self, value: float) -> None:
        self.value = value

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self.value

    def random_sample(self, size: int) -> NDArray[np.float64]:
        return np.asarray(np.arange(size) == min(int(self.value * size), size - 1), dtype=float)


class QuasiRandomSampler:
    """A scrambled low-discrepancy sequence. Not for several threads at once.

    Args:
        name: ``"sobol"`` or ``"halton"``.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._stage: NewStage | None = None

    def params(self, stage: NewStage, number: int) -> dict[str, Value]:
        """Return the values of a trial; see `hpsearch.samplers.Sampler`.

        Raises:
            BadSpace: None of `hpsearch.samplers.MOST_DRAWS` points in a row meets the stage's constraints.
        """
        if stage is not self._stage:
            self._stage = stage
            self._trials: list[dict[str, Value]] = []
            self._coming = self._accepted(stage)
        while len(self._trials) <= number:
            self._trials.append(next(self._coming))
        return dict(self._trials[number])

    def _accepted(self, stage: NewStage) -> Iterator[dict[str, Value]]:
        """Yield the values of one trial after another."""
        constraints, every = constraints_of(stage), combinations(stage.space)
        points = [self._points(stage, combination) for combination in every]
        for number in count():
            which = every.index(combination_of(every, seed=stage.seed, number=number))
            for values in islice(points[which], MOST_DRAWS):
                if constraints is None or constraints.hold(values):
                    yield values
                    break
            else:
                self._stage = None  # the generator has ended
                raise BadSpace(
                    f"{stage.name}: none of {MOST_DRAWS:,} points in a row meets the constraints; relax them or widen "
                    "the ranges"
                )

    def _points(self, stage: NewStage, combination: Combination) -> Iterator[dict[str, Value]]:
        """Yield the values of one point of a combination after another, whether or not they meet the constraints."""
        space = stage.space
        draws = {name: draw_from(parameter) for name, parameter in space.items()}
        named = {other for parameter in space.values() for other in parameter.when or ()}
        nuisance = [name for name in in_order(space) if space[name].role == "nuisance"]
        first = [name for name in nuisance if name in named]
        rest = [name for name in space if name in nuisance and name not in named]
        sequences: dict[tuple[str, ...], Iterator[list[float]]] = {}

        def point(names: tuple[str, ...]) -> dict[str, Value]:
            sequence = sequences.get(names)
            if sequence is None:
                key = (*names, described(combination)) if combination else names
                sequence = sequences[names] = _sequence(self.name, stage.seed, len(names), ", ".join(key))
            coordinates = next(sequence) if names else []
            return {name: draws[name](_Coordinate(value)) for name, value in zip(names, coordinates, strict=True)}

        while True:
            values: dict[str, Value] = dict(combination)
            for name, value in point(tuple(first)).items():
                if holds(space[name], values):
                    values[name] = value
            values |= point(tuple(name for name in rest if holds(space[name], values)))
            yield {name: values[name] for name in space if name in values}


def _sequence(sampler: str, seed: int, size: int, key: str) -> Iterator[list[float]]:
    """Yield points of the unit cube, ``size`` numbers each, of the sequence that the key stands for."""
    rng = np.random.default_rng(draw_seed(seed, 0, f"{sampler} {key}"))
    engine = _ENGINES[sampler](size, scramble=True, rng=rng)
    while True:
        yield from engine.random(_BLOCK).tolist()
