"""Retraining: the choice among noisy trials by their neighbours, and the score to expect of it.

The best of many noisy scores was selected for its seed and for the examples. Both are corrected for:

- **Seeds.** A Gaussian process over all trials says what score is to be expected at each; its mean shrinks a single
  score towards those of its neighbours by as much as the scores are noisy. It follows the better two fifths of the
  scores, and all that lie within a few times the noise of the best: trials that are expected below, and failed ones,
  count as the last of these (the *floor*), since how bad the bad ones are says little about the best, and costs the fit
  its length scales. Low scores stay where high ones are expected, as raising them would raise the mean, but for those
  so far below that no noise explains them.
- **Failures.** A setting that survived may fail with another seed. The trials that were chosen have survived by
  selection, so what their own survival says is left out: the probability is the one predicted from all other trials
  (leave-one-out; Rasmussen & Williams 2006, section 5.4.2).
- **Examples.** All trials are scored on the same examples, so no neighbour corrects for these. The mean of the process
  is linear in the scores, hence in the hits on each example: it is computed example by example, the setting that is
  best on a random half of the examples is scored on the other half, and such scores are averaged (as in
  `hpsearch.statistics.hits.corrected_share`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.statistics.gaussian_process import GaussianProcess, fit

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLLOWED = 0.4  # share of the scores that are followed at least
NEAR = 5  # times the noise: scores that near the best expected one are followed, however many they are
FAR = 3  # times the noise: scores that far below the floor are not followed, whatever is expected
RESAMPLES = 200  # halvings of the examples
_COLUMNS = 4096  # examples that are smoothed at a time


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """N trials, judged by a Gaussian process over all of them. High scores are good."""

    process: GaussianProcess  # of the scores, of which those of ``floored`` trials count as ``floor``
    floor: float  # the lowest expected score that is followed
    floored: NDArray[np.bool_]  # (N,) whether a trial counts as the floor: it failed, or is expected below it
    mean: NDArray[np.float64]  # (N,) the expected score
    sd: NDArray[np.float64]  # (N,) its standard deviation
    residuals: NDArray[np.float64]  # (N,) squared standardised leave-one-out residuals; 0 of those that are floored
    failure: NDArray[np.float64]  # (N,) probability of failing when trained again, by the other trials
    # (N,) what retraining is worth, a failure counting as the floor; minus infinity for a trial that failed
    utility: NDArray[np.float64]

    def noise(self, at: int) -> float:
        """Return the standard deviation of scores about the expected one, as seen near a trial."""
        near = np.where(self.floored, 0.0, self.process.smoother(self.process.points[[at]])[0] ** 2)
        if not near.any():
            return self.process.noise
        return self.process.noise * float(np.sqrt(np.average(self.residuals, weights=near)))

    def ranking(self) -> NDArray[np.intp]:
        """Return the places of the trials, the most useful first, (N,).

        Those whose scores are not followed come behind the others: where nothing but noise is seen, they may be
        expected to do well.
        """
        return np.lexsort((-self.utility, self.floored))

    def smoothed(self, which: NDArray[np.intp], values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the process's mean of every column at some trials, (M, V), of values whose row means are the scores.

        Args:
            which: (M,) the trials.
            values: (N, V); the rows of trials that count as the floor are not read.
        """
        process, own = self.process, ~self.floored
        weights = process.smoother(process.points[which])  # (M, N)
        constant = process.mean * (1 - weights.sum(axis=1)) + self.floor * weights[:, ~own].sum(axis=1)  # (M,)
        parts = [
            weights[:, own] @ values[own, at : at + _COLUMNS].astype(np.float64)  # (M, n) @ (n, v) -> (M, v)
            for at in range(0, values.shape[1], _COLUMNS)
        ]
        return np.asarray(np.concatenate(parts, axis=1) + constant[:, None])


def judge(
    points: NDArray[np.float64],
    scores: NDArray[np.float64],
    groups: NDArray[np.intp] | None = None,
    *,
    sampled: int | None = None,
) -> Judged:
    """Judge trials by each other.

    Args:
        points: (N, C) their values; see `hpsearch.statistics.gaussian_process.fit`.
        scores: (N,), high ones good; NaN of a trial that failed. At least two are none.
        groups: (C,) as for `fit`.
        sampled: How many of the trials were sampled, the first ones; the others are repeats of good ones, and say
            nothing about the floor. None: all.
    """
    failed = np.isnan(scores)
    floor = float(np.nanquantile(scores[:sampled], 1 - FOLLOWED, method="higher"))
    lower = scores[scores < np.nanmax(scores)]
    if len(lower):  # where that many share the best score, they are followed
        floor = min(floor, float(lower.max()))
    for _ in range(2):  # the second time with the noise that the first has seen
        process = fit(points, np.where(failed, floor, np.fmax(scores, floor)), groups)
        expected = process.predict(points)[0]
        noise = process.noise * _scale(_residuals(process), scores > floor)
        floor = min(floor, float(expected[~failed].max()) - NEAR * noise)
    floored = failed | (expected <= floor) | (scores < floor - FAR * noise)
    process = fit(points, np.where(floored, floor, scores), groups)
    mean, sd = process.predict(points)
    residuals = np.where(floored, 0.0, _residuals(process))
    scale = _scale(residuals, ~floored)
    failure = np.zeros(len(scores))
    if failed.any():
        of_failures = fit(points, failed.astype(np.float64), groups)
        # The prediction of a point from the others: y - (K^-1 y) / (K^-1) on the diagonal.
        failure = np.clip(failed - of_failures.weights / np.diag(of_failures.inverse), 0.0, 1.0)
    utility = np.where(failed, -np.inf, mean - failure * np.maximum(mean - floor, 0.0))
    return Judged(process, floor, floored, mean, sd * scale, residuals, failure, utility)


def _residuals(process: GaussianProcess) -> NDArray[np.float64]:
    """Return the squared standardised leave-one-out residuals, (N,)."""
    return np.asarray(process.weights**2 / np.diag(process.inverse))


def _scale(residuals: NDArray[np.float64], followed: NDArray[np.bool_]) -> float:
    """Return by how much the noise of the trials that are followed is larger than the process's.

    Those that count as the floor have none, which makes the process's too small for the others. Squared standardised
    residuals are 1 on average where the noise is right.
    """
    return float(np.sqrt(max(residuals[followed].mean(), 1.0))) if followed.any() else 1.0


def expected_elsewhere(
    smoothed: NDArray[np.float64], utility: NDArray[np.float64], *, rng: np.random.Generator
) -> float:
    """Return the expected share of hits of the best of M settings on examples that had no part in choosing it.

    Args:
        smoothed: (M, V) `Judged.smoothed` of settings that might have been the best.
        utility: (M,) their utilities.
        rng: Draws the halves of the examples.
    """
    examples = smoothed.shape[1]
    total = smoothed.sum(axis=1)  # (M,)
    off = utility - total / examples  # what else counts in choosing: the probability of failing
    outside = []
    for at in range(0, RESAMPLES, 50):
        half = rng.random((min(50, RESAMPLES - at), examples)) < 0.5  # (B, V)
        size = half.sum(axis=1)
        half, size = half[(size > 0) & (size < examples)], size[(size > 0) & (size < examples)]
        inside = half.astype(np.float64) @ smoothed.T  # (B, V) @ (V, M) -> (B, M)
        for chosen_by, scored_by, chosen, scored in (
            (inside, total - inside, size, examples - size),
            (total - inside, inside, examples - size, size),
        ):
            first = np.argmax(chosen_by / chosen[:, None] + off, axis=1)
            outside += (scored_by[np.arange(len(first)), first] / scored).tolist()
    return float(np.mean(outside))
