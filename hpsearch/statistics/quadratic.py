"""A quadratic response of a score to one parameter, beside the other parameters that matter to it (Box & Wilson 1951).

The score is fitted by least squares as b0 + b1 t + b2 t^2 + ..., where t is the position of the parameter from the end
that the question is about, 0 there. Each other parameter adds a block of columns: v, v^2 and t v of a number v, so that
two that make up for each other are seen as such; of choices one column each, and t times it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.statistics.intervals import student_cdf, whole
from hpsearch.statistics.ranks import chi_square_p, orthonormal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ENTERS = 0.05  # another parameter is fitted too if its block explains something at this level
FITS = 0.1  # the fit is called adequate unless more powers explain something at this level
LEAST_FREEDOM = 8  # degrees of freedom without which adequacy is not judged
_ROWS_PER_COLUMN = 2
_SAME = 1e-9  # a standard deviation of no more than this share is rounding
_EXACT = 1e-12  # a share of the variance that is rounding


@dataclass(frozen=True, slots=True)
class Response:
    """A quadratic response at the end t = 0 of its range, with the best values of the other parameters."""

    slope: float  # dscore/dt
    curvature: float  # half of d2score/dt2
    covariance: NDArray[np.float64]  # of these two, (2, 2)
    freedom: int  # degrees of freedom of its error
    adequate: bool  # whether neither t^3 and t^4 nor the square of the fit explain more

    @property
    def rising_p(self) -> float:
        """The one-sided p-value that the score does not rise towards larger t at t = 0 (Student's t)."""
        error = math.sqrt(float(self.covariance[0, 0]))
        if error <= _EXACT * abs(self.slope):
            return 0.0 if self.slope > 0 else 1.0
        return student_cdf(-self.slope / error, whole(self.freedom))

    def gain(self, beyond: float) -> float | None:
        """Return how much better the best t in [0, beyond] is than t = 0; None where the rise does not level off.

        Such a rise, that of a learning curve's foot say, ends somewhere that nothing tells.
        """
        if self.curvature >= 0:
            return None
        at = min(beyond, -self.slope / (2 * self.curvature))
        return self.slope * at + self.curvature * at * at


def response(
    position: NDArray[np.float64], others: Sequence[NDArray[np.float64]], score: NDArray[np.float64]
) -> Response | None:
    """Fit a score to a parameter's position and to those of the others that matter, the one that explains most first.

    Args:
        position: The position t, shape (n,).
        others: Of each other parameter its position, shape (n,), or a column for each choice but one, shape (n, c).
        score: Higher is better, shape (n,).

    Returns:
        None where there are fewer than three positions, too few trials for them, or equal scores alone.
    """
    t, n, unit = position, len(score), float(np.std(score)) if len(score) else 0.0
    if unit <= _SAME * abs(float(np.max(score, initial=0.0))):
        return None
    score = score / unit
    blocks = [_block(t, of) for of in others]
    matrix = np.stack([np.ones(n), t, t * t], axis=1)
    basis = orthonormal(matrix)
    if basis.shape[1] < 3 or n < 3 + LEAST_FREEDOM:
        return None
    rest = score - basis @ (basis.T @ score)
    chosen: list[int] = []
    while left := [i for i in range(len(blocks)) if i not in chosen]:
        tested = [(_tested(basis, blocks[i], rest), i) for i in left]
        p, best = min(tested)
        if p > ENTERS or n < _ROWS_PER_COLUMN * (matrix.shape[1] + blocks[best].shape[1]):
            break
        chosen.append(best)
        matrix = np.column_stack([matrix, blocks[best]])
        basis = orthonormal(matrix)
        rest = score - basis @ (basis.T @ score)
    fitted = score - rest
    more = np.stack([t**3, t**4, (fitted - fitted.mean()) ** 2], axis=1)
    inverse = np.linalg.pinv(matrix)  # (columns, n)
    coefficients = inverse @ score
    freedom = n - basis.shape[1]
    covariance = inverse @ inverse.T * float(rest @ rest) / freedom
    slope = np.zeros((2, matrix.shape[1]))
    slope[0, 1] = slope[1, 2] = 1
    at = 3
    for i in chosen:
        block = coefficients[at : at + blocks[i].shape[1]]
        slope[0, at : at + len(block)] = _best(block, numeric=others[i].ndim == 1)
        at += len(block)
    return Response(
        slope=float(slope[0] @ coefficients) * unit,
        curvature=float(slope[1] @ coefficients) * unit,
        covariance=slope @ covariance @ slope.T * unit**2,
        freedom=freedom,
        adequate=freedom - more.shape[1] >= LEAST_FREEDOM and _tested(basis, more, rest) > FITS,
    )


def _block(t: NDArray[np.float64], of: NDArray[np.float64]) -> NDArray[np.float64]:
    if of.ndim == 1:
        return np.stack([of, of * of, t * of], axis=1)
    return np.concatenate([of, t[:, None] * of], axis=1)


def _best(block: NDArray[np.float64], *, numeric: bool) -> NDArray[np.float64]:
    """Return the factors of a block's coefficients in the slope at t = 0, where its parameter is best there."""
    contrast = np.zeros(len(block))
    if numeric:
        linear, square = float(block[0]), float(block[1])
        inside = -linear / (2 * square) if square < 0 else float(linear + square > 0)
        contrast[2] = min(max(inside, 0.0), 1.0)
        return contrast
    choices = len(block) // 2  # but for the first one, which is the reference
    best = int(np.argmax(block[:choices]))
    if block[best] > 0:
        contrast[choices + best] = 1
    return contrast


def _tested(basis: NDArray[np.float64], block: NDArray[np.float64], rest: NDArray[np.float64]) -> float:
    """Return the p-value that a block of columns explains nothing of what a fit leaves; as in `ranks.groups_p`."""
    total = float(rest @ rest)
    new = orthonormal(block - basis @ (basis.T @ block))
    left = len(rest) - basis.shape[1]
    if not new.shape[1] or total <= _EXACT * len(rest) or left <= new.shape[1]:
        return 1.0
    return chi_square_p(left * float(np.sum((new.T @ rest) ** 2)) / total, new.shape[1])
