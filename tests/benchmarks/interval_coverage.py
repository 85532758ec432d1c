"""How often what hpsearch says about a search is true, over simulated searches with a known optimum.

``python tests/benchmarks/interval_coverage.py`` prints Markdown tables in a minute; ``--searches 200`` is the default.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import simulated_confirmation
from numpy.typing import NDArray
from simulated_search import SPACE, Simulated, response, simulate

from hpsearch.search.best import MOST
from hpsearch.search.range_analysis import Movement, movement, narrow, within_reach
from hpsearch.space import Categorical, to_scale
from hpsearch.statistics.intervals import wilson, wilson_of_share
from hpsearch.statistics.selection import corrected_share, is_tied, paired_p

TOP = 5
LOSES = 0.01
"""Accuracy that an optimum beyond the range must be better by than the range's best, to be worth a warning."""
NEAR = 0.5
"""Decades from a bound within which an optimum inside is nearly as well found outside: the top is flat."""


@dataclass(frozen=True)
class Scored:
    """What was said of a best score, and what is true.

    Args:
        truth: The chosen trial's accuracy on all images.
        naive: Whether Wilson's interval of its score holds that.
        corrected: Whether the corrected one does.
        luck: Score less truth.
        error: Corrected score less truth.
        width: Of the corrected interval.
        tied: How many trials tie with it.
        holds_best: Whether the truly best trial is it, or ties with it, or may tie beyond those that are looked at.
    """

    truth: float
    naive: bool
    corrected: bool
    luck: float
    error: float
    width: float
    tied: int
    holds_best: bool


def as_numbers(hits: NDArray[np.bool_]) -> list[int]:
    """Hits of trials, (N, V), as the whole numbers that `hpsearch.statistics.hits.as_number` gives."""
    spare = -hits.shape[1] % 8
    return [int.from_bytes(row.tobytes(), "big") >> spare for row in np.packbits(hits, axis=1)]


def best_score(hits: NDArray[np.bool_], accuracy: NDArray[np.float64], order: Sequence[int], *, seed: int) -> Scored:
    """What `hpsearch.search.best.best_trial` says of a stage's best trial, held against the truth.

    Args:
        hits: Which images each trial got right, (N, V).
        accuracy: Their accuracies on all images, (N,).
        order: The trials best first.
        seed: Of the resampling.
    """
    images, best = hits.shape[1], order[0]
    near = as_numbers(hits[list(order[:MOST])])
    score, truth = near[0].bit_count() / images, float(accuracy[best])
    share = corrected_share(near, images, seed=seed)
    naive, corrected = wilson(near[0].bit_count(), images), wilson_of_share(share, images)
    tied = {number for number, other in zip(order, near, strict=False) if is_tied(paired_p(near[0], other), len(hits))}
    truly = int(np.argmax(accuracy))
    return Scored(
        truth,
        naive.low <= truth <= naive.high,
        corrected.low <= truth <= corrected.high,
        score - truth,
        share - truth,
        corrected.high - corrected.low,
        len(tied) - 1,
        truly in tied or (truly in order[MOST:] and order[MOST - 1] in tied),
    )


@dataclass(frozen=True)
class Ranged:
    """What narrowing said of the learning rate, and what is true.

    Args:
        kept: Whether the narrowed range holds the optimum.
        kept_good: Whether it holds a value that is at most `LOSES` worse than the best one in the old range.
        inside: By how many decades the optimum lies in the old range; negative: beyond it.
        loses: Accuracy that the old range's best value lacks of the optimum's.
        warned: Whether it warned of the bound nearest to the optimum.
        warned_other: Whether it warned of the other bound.
        ends: The narrowed range, log10.
        moves: What was said of how far its ends move.
    """

    kept: bool
    kept_good: bool
    inside: float
    loses: float
    warned: bool
    warned_other: bool
    ends: tuple[float, float]
    moves: Movement


def ranged(of: Simulated, *, seed: int) -> Ranged:
    """Narrow a simulated stage to its best five and hold that against the truth."""
    found = narrow(SPACE, of.trials, top=TOP, direction="maximize", first_space=SPACE)
    made = found.ranges["lr"]
    assert not isinstance(made.after, Categorical)
    assert not isinstance(made.before, Categorical)
    low, high = (to_scale(made.after, end) for end in (made.after.low, made.after.high))
    first, last = (to_scale(made.before, end) for end in (made.before.low, made.before.high))
    ranked = of.trials.best(within_reach(TOP), "maximize")
    everything = np.arange(len(ranked))
    moves = movement(
        found,
        ranked,
        dict.fromkeys(SPACE, everything),
        SPACE,
        total=len(of.trials),
        hits=of.hits[ranked.number],
        seed=seed,
    )["lr"]

    def best_within(a: float, b: float) -> float:
        return float(response(np.array([min(max(of.optimum, a), b)]), of.optimum)[0])

    warned = {edge.side for edge in made.edges}
    near = "high" if of.optimum > (first + last) / 2 else "low"
    return Ranged(
        low <= of.optimum <= high,
        best_within(first, last) - best_within(low, high) <= LOSES,
        min(of.optimum - first, last - of.optimum),
        float(response(np.array([of.optimum]), of.optimum)[0]) - best_within(first, last),
        near in warned,
        bool(warned - {near}),
        (low, high),
        moves,
    )


def share(flags: Iterable[bool]) -> str:
    """How many of these are true, in words and in percent."""
    every = list(flags)
    return f"{sum(every)} of {len(every)}" + (f" ({sum(every) / len(every):.0%})" if every else "")


def mean(values: Iterable[float]) -> float:
    """Their mean."""
    return float(np.mean(list(values)))


def scores_row(name: str, found: Sequence[Scored]) -> str:
    """A line of the table of best scores."""
    cells = (
        f"{mean(s.naive for s in found):.1%}",
        f"**{mean(s.corrected for s in found):.1%}**",
        f"{mean(s.luck for s in found):+.3f}",
        f"{mean(s.error for s in found):+.3f}",
        f"{mean(s.width for s in found):.3f}",
        f"{mean(s.tied for s in found):.0f}",
        f"{mean(s.holds_best for s in found):.1%}",
    )
    return f"| {name} | {' | '.join(cells)} |"


SCORES_HEAD = """\
| searches | Wilson covers | corrected covers | score - truth | corrected - truth | width | tied | best among tied |
|---|---|---|---|---|---|---|---|"""


def searches(count: int, trials: int, images: int, *, margin: float, seed: int) -> list[Simulated]:
    """Simulated searches whose optimum lies anywhere in the range and ``margin`` decades beyond either end."""
    found = []
    for number in range(count):
        rng = np.random.default_rng([seed, trials, images, number])
        optimum = float(rng.uniform(-4 - margin, 0 + margin))
        decay = float(rng.uniform(-8, -4)) if number % 2 else None
        found.append(simulate(trials, images, optimum=optimum, decay_optimum=decay, rng=rng))
    return found


def order_of(of: Simulated) -> list[int]:
    """A stage's trials, best first, as hpsearch ranks them."""
    return [int(number) for number in of.trials.best_first("maximize").number]


def ranges_table(count: int, seed: int) -> None:
    """Print how often narrowing and its warning are right."""
    print("\n| trials, images | keeps the optimum | keeps a value within 0.01 of it | said to move | moves |")
    print("|---|---|---|---|---|")
    for trials, images in ((20, 100), (100, 100), (100, 1000)):
        inside = [ranged(one, seed=i) for i, one in enumerate(searches(count, trials, images, margin=0.0, seed=seed))]
        rngs = (np.random.default_rng([seed, 9, trials, images, i]) for i in range(count))
        again = [ranged(simulate(trials, images, optimum=-2.0, rng=rng), seed=i) for i, rng in enumerate(rngs)]
        said = [math.sqrt(mean(getattr(r.moves, end) ** 2 for r in again)) for end in ("low", "high")]
        truly = np.std([r.ends for r in again], axis=0)
        print(
            f"| {trials}, {images} | {share(r.kept for r in inside)} | {share(r.kept_good for r in inside)} "
            f"| {said[0]:.2f}, {said[1]:.2f} | {truly[0]:.2f}, {truly[1]:.2f} |"
        )
    print("\n| trials, images | warned beyond | beyond by 0.01 or more | inside by under half a decade | farther in |")
    print("|---|---|---|---|---|")
    for trials, images in ((20, 100), (100, 100), (100, 1000)):
        found = [
            ranged(one, seed=i) for i, one in enumerate(searches(count, trials, images, margin=1.5, seed=seed + 1))
        ]
        groups = (
            [r.warned for r in found if r.inside < 0],
            [r.warned for r in found if r.inside < 0 and r.loses >= LOSES],
            [r.warned for r in found if 0 <= r.inside < NEAR],
            [r.warned or r.warned_other for r in found if r.inside >= NEAR],
        )
        print(f"| {trials}, {images} | {' | '.join(map(share, groups))} |")


def simulated(count: int, seed: int) -> None:
    """Print the tables over simulated searches."""
    print(SCORES_HEAD)
    for trials, images in ((20, 100), (100, 100), (1000, 100), (100, 400), (100, 2000)):
        of = searches(count, trials, images, margin=1.0, seed=seed)
        found = [best_score(one.hits, one.accuracy, order_of(one), seed=i) for i, one in enumerate(of)]
        print(scores_row(f"{len(found)} of {trials} trials, {images} images", found), flush=True)
    ranges_table(count, seed)
    print(f"\n{simulated_confirmation.HEAD}")
    for repeats, images in ((5, 100), (10, 100), (5, 1000)):
        print(simulated_confirmation.row(count, repeats, images, seed), flush=True)


def main() -> None:
    """Print what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    error = NormalDist().inv_cdf(0.975) * math.sqrt(0.95 * 0.05 / asked.searches)
    print(f"{asked.searches} searches a row: a share of 95 % is known to +- {error:.0%}\n")
    simulated(asked.searches, asked.seed)


if __name__ == "__main__":
    main()
