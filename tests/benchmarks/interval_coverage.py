"""How often what hpsearch says about a search is true, over simulated searches with a known optimum.

``python tests/benchmarks/interval_coverage.py`` prints Markdown tables in a minute; ``--searches 200`` is the default.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from measuring import markdown
from numpy.typing import NDArray
from simulated import SPACE, Simulated, confirm, response, simulate

from hpsearch.search.best import MOST
from hpsearch.search.range_analysis import Movement, movement, narrow, within_reach
from hpsearch.space import Categorical, to_scale
from hpsearch.statistics.hits import corrected_share, is_tied, paired_p
from hpsearch.statistics.intervals import Interval, wilson, wilson_of_share

TOP = 5
LOSES = 0.01
"""Accuracy that an optimum beyond the range must be better by than the range's best, to be worth a warning."""
NEAR = 0.5
"""Decades from a bound within which an optimum inside is nearly as well found outside: the top is flat."""


class Scored(NamedTuple):
    """A best score's intervals, held against the chosen trial's accuracy on all images, the truth."""

    naive: bool  # Wilson's interval of the score holds the truth
    corrected: bool  # the corrected one does
    luck: float  # score less truth
    error: float  # corrected score less truth
    width: float  # of the corrected interval
    tied: int  # trials that tie with it
    holds_best: bool  # the truly best trial is it, or ties with it, or may tie beyond those that are compared


def holds(interval: Interval, truth: float) -> bool:
    """Whether an interval covers a value."""
    return interval.low <= truth <= interval.high


def as_numbers(hits: NDArray[np.bool_]) -> list[int]:
    """Hits of trials, (N, V), as the whole numbers that `hpsearch.statistics.hits.as_number` gives."""
    spare = -hits.shape[1] % 8
    return [int.from_bytes(row.tobytes(), "big") >> spare for row in np.packbits(hits, axis=1)]


def best_score(of: Simulated, *, seed: int) -> Scored:
    """Hold what `hpsearch.search.best.best_trial` says of a stage's best trial against the truth."""
    hits, accuracy = of.hits, of.accuracy
    order = [int(number) for number in of.trials.best_first("maximize").number]
    images, best = hits.shape[1], order[0]
    near = as_numbers(hits[list(order[:MOST])])
    score, truth = near[0].bit_count() / images, float(accuracy[best])
    share = corrected_share(near, images, seed=seed)
    naive, corrected = wilson(near[0].bit_count(), images), wilson_of_share(share, images)
    tied = {number for number, other in zip(order, near, strict=False) if is_tied(paired_p(near[0], other), len(hits))}
    truly = int(np.argmax(accuracy))
    return Scored(
        holds(naive, truth),
        holds(corrected, truth),
        score - truth,
        share - truth,
        corrected.high - corrected.low,
        len(tied) - 1,
        truly in tied or (truly in order[MOST:] and order[MOST - 1] in tied),
    )


class Ranged(NamedTuple):
    """A narrowed range of the learning rate, held against the optimum."""

    kept: bool  # it holds the optimum
    kept_good: bool  # it holds a value that is at most `LOSES` worse than the best one in the old range
    inside: float  # decades by which the optimum lies in the old range; negative: beyond it
    loses: float  # accuracy that the old range's best value lacks of the optimum's
    warned: bool  # of the bound nearest to the optimum
    warned_other: bool  # of the other bound
    ends: tuple[float, float]  # log10
    moves: Movement  # how far its ends are said to move


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


SCORES = "searches|Wilson covers|corrected covers|score - truth|corrected - truth|width|tied|best among tied"


def scores_row(name: str, found: Sequence[Scored]) -> tuple[str, ...]:
    """A line of the table of best scores."""
    naive, corrected, luck, error, width, tied, best = (mean(values) for values in zip(*found, strict=True))
    cells = (f"{naive:.1%}", f"**{corrected:.1%}**", f"{luck:+.3f}", f"{error:+.3f}", f"{width:.3f}", f"{tied:.0f}")
    return (name, *cells, f"{best:.1%}")


def searches(count: int, trials: int, images: int, *, margin: float, seed: int) -> list[Simulated]:
    """Simulated searches whose optimum lies anywhere in the range and ``margin`` decades beyond either end."""
    found = []
    for number in range(count):
        rng = np.random.default_rng([seed, trials, images, number])
        optimum = float(rng.uniform(-4 - margin, 0 + margin))
        decay = float(rng.uniform(-8, -4)) if number % 2 else None
        found.append(simulate(trials, images, optimum=optimum, decay_optimum=decay, rng=rng))
    return found


def scores_table(count: int, seed: int) -> str:
    """How often the intervals of best scores hold the truth."""
    rows = []
    for trials, images in ((20, 100), (100, 100), (1000, 100), (100, 400), (100, 2000)):
        of = searches(count, trials, images, margin=1.0, seed=seed)
        found = [best_score(one, seed=number) for number, one in enumerate(of)]
        rows.append(scores_row(f"{count} of {trials} trials, {images} images", found))
    return markdown(SCORES.split("|"), rows)


def ranges_tables(count: int, seed: int) -> str:
    """How often narrowing and its warning are right."""
    kept, warned = [], []
    for trials, images in ((20, 100), (100, 100), (100, 1000)):
        name = f"{trials}, {images}"
        inside = [ranged(one, seed=i) for i, one in enumerate(searches(count, trials, images, margin=0.0, seed=seed))]
        rngs = (np.random.default_rng([seed, 9, trials, images, i]) for i in range(count))
        again = [ranged(simulate(trials, images, optimum=-2.0, rng=rng), seed=i) for i, rng in enumerate(rngs)]
        said = [math.sqrt(mean(getattr(r.moves, end) ** 2 for r in again)) for end in ("low", "high")]
        truly = np.std([r.ends for r in again], axis=0)
        shares = (share(r.kept for r in inside), share(r.kept_good for r in inside))
        kept.append((name, *shares, f"{said[0]:.2f}, {said[1]:.2f}", f"{truly[0]:.2f}, {truly[1]:.2f}"))
        beyond = searches(count, trials, images, margin=1.5, seed=seed + 1)
        found = [ranged(one, seed=i) for i, one in enumerate(beyond)]
        groups = (
            [r.warned for r in found if r.inside < 0],
            [r.warned for r in found if r.inside < 0 and r.loses >= LOSES],
            [r.warned for r in found if 0 <= r.inside < NEAR],
            [r.warned or r.warned_other for r in found if r.inside >= NEAR],
        )
        warned.append((name, *map(share, groups)))
    keeps = ("keeps the optimum", "keeps a value within 0.01 of it", "said to move", "moves")
    warns = ("warned beyond", "beyond by 0.01 or more", "inside by under half a decade", "farther in")
    head = "trials, images"
    return f"{markdown((head, *keeps), kept)}\n{markdown((head, *warns), warned)}"


def confirmations_table(count: int, seed: int) -> str:
    """Five equal settings, and five of which one is better by 0.05, trained again."""
    rows = []
    for repeats, images in ((5, 100), (10, 100), (5, 1000)):
        rngs = [np.random.default_rng([seed, repeats, images, i]) for i in range(2 * count)]
        equal = [confirm([0.84] * 5, repeats, images, rng=rng) for rng in rngs[:count]]
        better = [confirm([0.86, *[0.81] * 4], repeats, images, rng=rng) for rng in rngs[count:]]
        covers = [
            [one.interval is not None and holds(one.interval, of.truth[one.setting.trial]) for one in of.ranked]
            for of in (*equal, *better)
        ]
        groups = (
            [held for of in covers for held in of],
            [of[0] for of in covers],
            [any(one.distinguishable for one in of.ranked) for of in equal],
            [of.ranked[0].setting.trial == 0 for of in better],
            [bool(o.distinguishable) for of in better if of.ranked[0].setting.trial == 0 for o in of.ranked[1:]],
        )
        rows.append((f"{count} of 5 settings, {repeats} repeats, {images} images", *(f"{mean(g):.1%}" for g in groups)))
    covers_ = ("intervals cover", "that of the first", "equals called different", "best is first", "0.05 told apart")
    return markdown(("confirmations", *covers_), rows)


def main() -> None:
    """Print what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    error = NormalDist().inv_cdf(0.975) * math.sqrt(0.95 * 0.05 / asked.searches)
    print(f"{asked.searches} searches a row: a share of 95 % is known to +- {error:.0%}\n")
    for table in (scores_table, ranges_tables, confirmations_table):
        print(table(asked.searches, asked.seed), flush=True)


if __name__ == "__main__":
    main()
