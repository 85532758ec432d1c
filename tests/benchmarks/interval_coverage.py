"""How often what hpsearch says about a search is true, over simulated searches with a known optimum.

``python tests/benchmarks/interval_coverage.py`` prints Markdown tables in a minute; ``--searches 200`` is the default.

The constants are those of real stages of the book's network, scored on 3,000 images (``hpsearch start`` over ``lr``
from 0.001 to 0.3, 100 trials):

- accuracy over log10 lr is flat at the top and falls like exp(-(u/1.58)^4.4) on the left, u decades from the optimum;
  measured 0.23, 0.37, 0.65, 0.75, 0.81, 0.84 at u = 1.8, 1.6, 1.2, 1.0, 0.6, 0.0, and 0.22, 0.37, 0.65, 0.75, 0.83,
  0.85 here;
- trials of one learning rate differ by their weights: by 0.01 at the top and by 0.06 where the curve is steep, which is
  what 0.01 of accuracy and 0.09 decades of learning rate give together;
- the best 20 trials disagree on 9.4 % of the images, where independent ones of 0.85 would on 26 %.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from measuring import markdown
from numpy.typing import NDArray

from hpsearch.search.best import MOST
from hpsearch.search.range_analysis import Finished
from hpsearch.space import Float, Space
from hpsearch.statistics.hits import corrected_share, is_tied, paired_p
from hpsearch.statistics.intervals import Interval, wilson, wilson_of_share

SPACE: Space = {"lr": Float(1e-4, 1.0, log=True), "weight_decay": Float(1e-8, 1e-4, log=True)}
TOP, CHANCE = 0.845, 0.1
LEFT, RIGHT = (1.576, 4.37), (1.2, 4.0)  # width in decades and power of the fall on each side of the optimum
SHIFT, JITTER = 0.09, 0.01  # what initial weights do: decades of learning rate, accuracy (standard deviations)
SHARED = 0.875  # the share of an image's difficulty, as a normal variable, that is common to all trials
DECAY = 0.01  # accuracy lost a decade squared away from the best weight decay, where it matters at all


@dataclass(frozen=True)
class Simulated:
    """A finished stage of N trials on V validation images, with what nobody knows of a real one."""

    trials: Finished  # numbers, scores, losses and drawn values, by number
    hits: NDArray[np.bool_]  # which images each trial got right, (N, V)
    accuracy: NDArray[np.float64]  # of each trial on all images there could be, (N,)
    optimum: float  # where the best learning rate lies, log10


def response(lr: float | NDArray[np.float64], optimum: float) -> NDArray[np.float64]:
    """Expected accuracy by log10 of the learning rate."""
    u = np.asarray(lr, dtype=float) - optimum
    width, power = np.where(u < 0, LEFT[0], RIGHT[0]), np.where(u < 0, LEFT[1], RIGHT[1])
    return np.asarray(CHANCE + (TOP - CHANCE) * np.exp(-((np.abs(u) / width) ** power)))


def simulate(
    trials: int, images: int, *, optimum: float, decay_optimum: float | None = None, rng: np.random.Generator
) -> Simulated:
    """Draw a stage's trials and validation images.

    Args:
        trials: N.
        images: V.
        optimum: Of the learning rate, log10; it may lie outside the range.
        decay_optimum: Of the weight decay, log10; None: it has no effect.
        rng: Draws everything.
    """
    lr, decay = rng.uniform(-4, 0, trials), rng.uniform(-8, -4, trials)
    accuracy = response(lr + SHIFT * rng.normal(size=trials), optimum) + JITTER * rng.normal(size=trials)
    if decay_optimum is not None:
        accuracy -= DECAY * (decay - decay_optimum) ** 2
    accuracy = np.clip(accuracy, 0.02, 0.98)
    threshold = np.array([NormalDist().inv_cdf(a) for a in accuracy.tolist()])
    difficulty = np.sqrt(SHARED) * rng.normal(size=images) + np.sqrt(1 - SHARED) * rng.normal(size=(trials, images))
    hits = difficulty < threshold[:, None]
    loss = 3.5 * (1 - accuracy) + 0.05 * rng.normal(size=trials)
    params = {"lr": np.clip(10.0**lr, 1e-4, 1.0), "weight_decay": np.clip(10.0**decay, 1e-8, 1e-4)}
    return Simulated(Finished(np.arange(trials), hits.mean(axis=1), loss, params), hits, accuracy, optimum)


def searches(count: int, trials: int, images: int, *, margin: float, seed: int) -> list[Simulated]:
    """Simulated searches whose optimum lies anywhere in the range and ``margin`` decades beyond either end."""
    made = []
    for number in range(count):
        rng = np.random.default_rng([seed, trials, images, number])
        optimum = float(rng.uniform(-4 - margin, 0 + margin))
        decay = float(rng.uniform(-8, -4)) if number % 2 else None
        made.append(simulate(trials, images, optimum=optimum, decay_optimum=decay, rng=rng))
    return made


class Scored(NamedTuple):
    """A best score's intervals, held against the chosen trial's accuracy on all images, the truth."""

    naive: bool  # Wilson's interval of the score holds the truth
    corrected: bool  # the corrected one does
    luck: float  # score less truth
    error: float  # corrected score less truth
    width: float  # of the corrected interval
    tied: int  # trials that tie with it
    holds_best: bool  # the truly best trial is it, or ties with it, or may tie beyond those that are compared


def best_score(of: Simulated, *, seed: int) -> Scored:
    """Hold what `hpsearch.search.best.best_trial` says of a stage's best trial against the truth."""

    def holds(interval: Interval) -> bool:
        return interval.low <= truth <= interval.high

    images = of.hits.shape[1]
    order = of.trials.best_first("maximize").number.tolist()
    packed = np.packbits(of.hits[order[:MOST]], axis=1)  # as numbers, like `hpsearch.statistics.hits.as_number`
    near = [int.from_bytes(row.tobytes(), "big") >> (-images % 8) for row in packed]
    score, truth = near[0].bit_count() / images, float(of.accuracy[order[0]])
    share = corrected_share(near, images, seed=seed)
    corrected = wilson_of_share(share, images)
    tied = {n for n, other in zip(order, near, strict=False) if is_tied(paired_p(near[0], other), len(order))}
    truly = int(np.argmax(of.accuracy))
    return Scored(
        holds(wilson(near[0].bit_count(), images)),
        holds(corrected),
        score - truth,
        share - truth,
        corrected.high - corrected.low,
        len(tied) - 1,
        truly in tied or (truly in order[MOST:] and order[MOST - 1] in tied),
    )


def mean(values: Iterable[float]) -> float:
    """Their mean."""
    return float(np.mean(list(values)))


def scores_table(count: int, seed: int) -> str:
    """How often the intervals of best scores hold the truth."""
    rows = []
    for trials, images in ((20, 100), (100, 100), (1000, 100), (100, 400), (100, 2000)):
        of = searches(count, trials, images, margin=1.0, seed=seed)
        scored = (best_score(one, seed=number) for number, one in enumerate(of))
        naive, corrected, luck, error, width, tied, best = map(mean, zip(*scored, strict=True))
        cells = (f"{naive:.1%}", f"**{corrected:.1%}**", f"{luck:+.3f}", f"{error:+.3f}", f"{width:.3f}", f"{tied:.0f}")
        rows.append((f"{count} of {trials} trials, {images} images", *cells, f"{best:.1%}"))
    covers = ("Wilson covers", "corrected covers", "score - truth", "corrected - truth", "width")
    return markdown(("searches", *covers, "tied", "best among tied"), rows)


def main() -> None:
    """Print what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    error = NormalDist().inv_cdf(0.975) * math.sqrt(0.95 * 0.05 / options.searches)
    print(f"{options.searches} searches a row: a share of 95 % is known to +- {error:.0%}\n")
    print(scores_table(options.searches, options.seed))


if __name__ == "__main__":
    main()
