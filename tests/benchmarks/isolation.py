"""How often the interval of the difference of two tuned values holds the true difference, and how wide it is.

Simulated searches: each scientific value has a response of its own over four nuisance parameters, of which two matter,
and as many random trials; a score is the share of so many examples. The truth is the difference of the two optima, as
far from the trials as it may be. ``first best`` is what comparing the best trials would give: the root mean square of
its error, beside that of the estimate.

    python tests/benchmarks/isolation.py [searches]
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hpsearch.statistics.tuned import differences_to_best, tuned

Array = NDArray[np.float64]
Response = Callable[[Array], Array]  # (N, 4) points of the unit cube -> (N,) expected scores, NaN where trials fail
FURTHER = 100  # points of each value beside its trials, as `hpsearch.search.scientific` has them


def bowl(centre: Array, top: float) -> Response:
    return lambda x: top - ((x - centre) ** 2) @ np.array([1.2, 0.4, 0, 0])


def plateau(centre: Array, top: float) -> Response:
    return lambda x: np.minimum(top, top + 0.1 - 1.2 * np.abs(x[:, 0] - centre[0]))


def cliff(centre: Array, top: float) -> Response:
    def response(x: Array) -> Array:
        score = top - 0.8 * (centre[0] - x[:, 0]) - 0.3 * (x[:, 1] - centre[1]) ** 2
        return np.asarray(np.where(x[:, 0] > centre[0], np.nan, score))

    return response


def ridge(centre: Array, top: float) -> Response:
    def response(x: Array) -> Array:
        along, across = x[:, 0] - x[:, 1] - centre[0] + centre[1], x[:, 0] + x[:, 1] - centre[0] - centre[1]
        return np.asarray(top - 2.5 * across**2 - 0.1 * along**2)

    return response


def modes(centre: Array, top: float) -> Response:
    def response(x: Array) -> Array:
        narrow = top - 6 * ((x[:, :2] - centre[:2]) ** 2).sum(axis=1)
        wide = top - 0.02 - ((x[:, :2] - centre[2:]) ** 2).sum(axis=1)
        return np.asarray(np.maximum(narrow, wide))

    return response


def linear(centre: Array, top: float) -> Response:
    return lambda x: top - 0.5 * (1 - x[:, 0]) - 0.3 * (x[:, 1] - centre[1]) ** 2


SHAPES = {shape.__name__: shape for shape in (bowl, plateau, cliff, ridge, modes, linear)}


def search(
    shape: str, values: int, trials: int, examples: int, rng: np.random.Generator
) -> tuple[list[tuple[Array, Array]], Array]:
    """Return the trials of each value, points and scores, and the true optima."""
    made, tops = [], 0.9 + rng.uniform(-0.03, 0.03, values)
    for top in tops:
        x = rng.uniform(size=(trials, 4))
        expected = np.clip(SHAPES[shape](rng.uniform(0.25, 0.75, 4), top)(x), 0.1, 1)
        scores = np.full(trials, np.nan)
        done = ~np.isnan(expected)
        scores[done] = rng.binomial(examples, expected[done]) / examples
        made.append((x, scores))
    return made, tops


def possible(trials: list[tuple[Array, Array]], rng: np.random.Generator, seed: int) -> Array:
    """Return possible scores of each value when it is tuned."""
    count, points, further = len(trials), [], []
    for value, (x, _) in enumerate(trials):
        which = np.zeros(count)
        which[value] = 1 / np.sqrt(2)
        points.append(np.column_stack([x, np.tile(which, (len(x), 1))]))
        further.append(np.column_stack([rng.uniform(size=(FURTHER, 4)), np.tile(which, (FURTHER, 1))]))
    of = np.repeat(np.arange(count), [len(x) for x, _ in trials])
    scores = np.concatenate([score for _, score in trials])
    groups = np.append(np.arange(4), np.full(count, 4))
    further_of = np.repeat(np.arange(count), FURTHER)
    return tuned(np.concatenate(points), scores, of, np.concatenate(further), further_of, groups, seed=seed)


def cell(
    shape: str, values: int, trials: int, examples: int, searches: int
) -> tuple[float, float, float, float, float]:
    """Return the coverage of all intervals at once, their half width, the two errors, and false certainties."""
    held, widths, errors, naive, false = [], [], [], [], []
    for number in range(searches):
        rng = np.random.default_rng([values, trials, examples, number])
        made, tops = search(shape, values, trials, examples, rng)
        if any(np.isfinite(scores).sum() < 2 for _, scores in made):
            continue
        differences = differences_to_best(possible(made, rng, number))
        true = [tops[of.better] - tops[of.other] for of in differences]
        best = [np.nanmax(scores) for _, scores in made]
        held.append(all(of.interval.low <= t <= of.interval.high for of, t in zip(differences, true, strict=True)))
        widths += [(of.interval.high - of.interval.low) / 2 for of in differences]
        errors += [of.value - t for of, t in zip(differences, true, strict=True)]
        naive += [best[of.better] - best[of.other] - t for of, t in zip(differences, true, strict=True)]
        false.append(any(of.interval.low > 0 >= t for of, t in zip(differences, true, strict=True)))
    rms = [float(np.sqrt(np.mean(np.square(some)))) for some in (errors, naive)]
    return float(np.mean(held)), float(np.mean(widths)), rms[0], rms[1], float(np.mean(false))


def main() -> None:
    searches = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    print(f"{searches} searches a cell; asked: held at least 0.93, false at most 0.05")
    print("response  values  trials each  examples   held  half width  rms error  first best  false certainty")
    for shape in SHAPES:
        for values, trials, examples in ((2, 15, 100), (2, 50, 1000), (3, 33, 100), (3, 33, 1000), (5, 20, 1000)):
            held, width, rms, naive, false = cell(shape, values, trials, examples, searches)
            print(
                f"{shape:9} {values:6} {trials:12} {examples:9}  {held:5.3f}  {width:10.3f}  {rms:9.4f}  {naive:10.4f}"
                f"  {false:15.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
