"""Searches and confirmations with a known truth, simulated: values, true accuracies, and the images that are hit.

The constants are those of real stages of the book's network, scored on 3,000 images
(``hpsearch start`` over ``lr`` from 0.001 to 0.3, 100 trials):

- accuracy over log10 lr is flat at the top and falls like exp(-(u/1.58)^4.4) on the left, u decades from the optimum;
  measured 0.23, 0.37, 0.65, 0.75, 0.81, 0.84 at u = 1.8, 1.6, 1.2, 1.0, 0.6, 0.0, and 0.22, 0.37, 0.65, 0.75, 0.83,
  0.85 here;
- trials of one learning rate differ by their weights: by 0.01 at the top and by 0.06 where the curve is steep, which is
  what 0.01 of accuracy and 0.09 decades of learning rate give together;
- the best 20 trials disagree on 9.4 % of the images, where independent ones of 0.85 would on 26 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from hpsearch.records import Setting
from hpsearch.search.best import Confirmed
from hpsearch.search.confirmation import rank_confirmed
from hpsearch.search.range_analysis import Finished
from hpsearch.space import Float, Space

SPACE: Space = {"lr": Float(1e-4, 1.0, log=True), "weight_decay": Float(1e-8, 1e-4, log=True)}
TOP, CHANCE = 0.845, 0.1
LEFT, RIGHT = (1.576, 4.37), (1.2, 4.0)
"""Width in decades and power of the fall on each side of the optimum."""
SHIFT, JITTER = 0.09, 0.01
"""What the initial weights do: decades of learning rate, and accuracy (standard deviations)."""
SHARED = 0.875
"""The share of an image's difficulty, as a normal variable, that is common to all trials."""
DECAY = 0.01
"""Accuracy lost a decade squared away from the best weight decay, where it matters at all."""


@dataclass(frozen=True)
class Simulated:
    """A finished stage of N trials on V validation images, with what nobody knows of a real one."""

    trials: Finished  # numbers, scores, losses and drawn values, by number
    hits: NDArray[np.bool_]  # which images each trial got right, (N, V)
    accuracy: NDArray[np.float64]  # each trial's accuracy on all images there might be, (N,)
    optimum: float  # where the best learning rate lies, log10
    decay_optimum: float | None  # where the best weight decay lies, log10; None: it has no effect


def response(lr: NDArray[np.float64], optimum: float) -> NDArray[np.float64]:
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
    finished = Finished(np.arange(trials), hits.mean(axis=1), loss, params)
    return Simulated(finished, hits, accuracy, optimum, decay_optimum)


SEEDS = 0.015
"""How much the accuracy of one setting varies from seed to seed (standard deviation)."""
COMMON = 0.3
"""The share of that variance which settings have in common in a repeat."""


@dataclass(frozen=True)
class Confirmation:
    """What a confirmation said, and the settings' true accuracies by their trials."""

    ranked: tuple[Confirmed, ...]
    truth: dict[int, float]


def confirm(accuracies: list[float], repeats: int, images: int, *, rng: np.random.Generator) -> Confirmation:
    """Train settings again and rank them.

    Args:
        accuracies: Each setting's own, over all seeds and images.
        repeats: How often each is trained.
        images: Of the validation set.
        rng: Draws everything.
    """
    difficulty = rng.normal(size=images)
    common = rng.normal(size=repeats)
    found, hits = [], {}
    for trial, accuracy in enumerate(accuracies):
        seeds = SEEDS * (np.sqrt(COMMON) * common + np.sqrt(1 - COMMON) * rng.normal(size=repeats))
        levels = np.clip(accuracy + seeds, 0.02, 0.98)
        threshold = np.array([NormalDist().inv_cdf(a) for a in levels.tolist()])
        noise = rng.normal(size=(repeats, images))
        right = np.sqrt(SHARED) * difficulty + np.sqrt(1 - SHARED) * noise < threshold[:, None]
        hits[trial] = dict(enumerate(right))
        scores = dict(enumerate(right.mean(axis=1).tolist()))
        found.append(Confirmed(Setting(trial, {"lr": 0.1}, scores[0]), scores))
    ranked = rank_confirmed(found, direction="maximize", examples=images, hits=hits)
    return Confirmation(ranked, dict(enumerate(accuracies)))
