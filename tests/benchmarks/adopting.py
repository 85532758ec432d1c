"""How often `compare` adopts a planted gain, and noise, over simulated pairs of searches with a known optimum.

``python tests/benchmarks/adopting.py`` prints a Markdown table in about two minutes; ``--pairs 200`` is the default.

Each search has 100 trials at random in three dimensions, of which two matter: a bowl whose top is 0.85 for A and 0.85
plus the gain for B. An example is right where a normal variable lies above a threshold; of its variance 0.80 is the
example's, 0.03 that of the example at these values (so that a choice on these examples favours what does well on them
by chance) and the rest is the trial's. Trials of equal values differ by 0.005 (their seeds). These are the shares that
50 repeats of five settings of `studies/optimizers.toml` show on 1,000 examples: within an example a variance of 0.055
between seeds, 0.0012 between settings, and 0.076 between examples.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from statistics import NormalDist

import numpy as np
from measuring import markdown
from numpy.typing import NDArray

from hpsearch.search.best import MOST
from hpsearch.statistics.gains import Gain, retrained, searched

TRIALS, SETTINGS, REPEATS = 100, 5, 10
TOP, SEEDS = 0.85, 0.005
EXAMPLE, INTERACTION, REST = 0.80, 0.03, 0.17
WAVES = 12  # random waves over the values, whose heights are an example's own
BASELINES = ("the best of such a search", "the optimum itself, not chosen")


class World:
    """Examples, and what trials get right of them."""

    def __init__(self, rng: np.random.Generator, examples: int) -> None:
        self.rng, self.examples = rng, examples
        self.difficulty = rng.normal(size=examples)
        self.waves, self.phases = 2.5 * rng.normal(size=(WAVES, 3)), rng.uniform(0, 2 * math.pi, WAVES)
        self.heights = rng.normal(size=(WAVES, examples))

    def hits(self, values: NDArray[np.float64], top: float) -> NDArray[np.bool_]:
        """Return what trials with these values (N, 3) get right, (N, V)."""
        own = np.sqrt(2 / WAVES) * np.cos(values @ self.waves.T + self.phases) @ self.heights
        latent = math.sqrt(EXAMPLE) * self.difficulty + math.sqrt(INTERACTION) * own
        latent = latent + math.sqrt(REST) * self.rng.normal(size=own.shape)
        share = quality(values, top) + SEEDS * self.rng.normal(size=len(values))
        thresholds = [NormalDist().inv_cdf(of) for of in np.clip(share, 0.01, 0.99).tolist()]
        return np.asarray(latent + np.array(thresholds)[:, None] > 0)


def quality(values: NDArray[np.float64], top: float) -> NDArray[np.float64]:
    """Return the expected accuracy of values, (N,)."""
    return np.asarray(top - 0.4 * (values[:, 0] - 0.6) ** 2 - 0.3 * (values[:, 1] - 0.4) ** 2)


def pair(seed: int, examples: int, gain: float, *, chosen: bool) -> tuple[Gain, Gain | None, float]:
    """Return the gains, retrained and searched, of a pair of searches, and the true one of their confirmed values.

    Without ``chosen`` A is one setting, the optimum.
    """
    world = World(np.random.default_rng([seed, examples]), examples)
    means, repeats, scores, best = [], [], [], []
    for side, top in enumerate((TOP, TOP + gain)):
        if side == 0 and not chosen:
            settings = np.array([[0.6, 0.4, 0.5]])
        else:
            values = world.rng.random((TRIALS, 3))
            hits = world.hits(values, top)
            order = np.argsort(-hits.mean(axis=1), kind="stable")
            scores.append(hits.mean(axis=1))
            best.append(hits[order[:MOST]])
            settings = values[order[:SETTINGS]]
        again = np.array([world.hits(np.repeat(of[None], REPEATS, axis=0), top) for of in settings], dtype=float)
        first = int(again.mean(axis=(1, 2)).argmax())
        repeats.append(again[first])
        means.append(float(quality(settings[first : first + 1], top)[0]))
    study = searched(scores[0], scores[1], (best[0], best[1]), seed=seed) if chosen else None
    return retrained(repeats[0], repeats[1], choices=SETTINGS), study, means[1] - means[0]


def rows(pairs: int) -> Iterator[list[str]]:
    """Yield the rows of the table."""
    for chosen, baseline in zip((True, False), BASELINES, strict=True):
        for examples in (100, 1000):
            for gain in (0.0, 0.02, 0.05) if chosen else (0.0,):
                results = [pair(seed, examples, gain, chosen=chosen) for seed in range(pairs)]
                ends = [made.interval for made, _, _ in results]
                truth = [true for _, _, true in results]
                adopted = [of.low > 0 for of in ends]
                wrong = [yes and true <= 0 for yes, true in zip(adopted, truth, strict=True)]
                holds = [of.low <= true <= of.high for of, true in zip(ends, truth, strict=True)]
                studies = [study.interval for _, study, _ in results if study is not None]
                yield [
                    baseline,
                    f"{examples:,}",
                    f"{gain:.2f}",
                    *(f"{np.mean(of):.3f}" for of in (adopted, wrong, holds)),
                    f"{np.mean([of.low > 0 for of in studies]):.3f}" if studies else "",
                    f"{np.mean([of.low <= gain <= of.high for of in studies]):.3f}" if studies else "",
                ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=200)
    print(
        markdown(
            ["A", "examples", "gain", "retrained: adopted", "wrongly", "holds", "searched: adopted", "holds"],
            list(rows(parser.parse_args().pairs)),
        )
    )


if __name__ == "__main__":
    main()
