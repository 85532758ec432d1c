"""A test by ranks: whether scores differ between groups."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_LEAST_FREEDOM = 5  # with fewer trials than this beyond the columns, a regression of ranks says nothing
_MOST_OF_ONE = 0.3  # a third of 30 trials with different ranks, or one of ten trials that differ from all others
_PERMUTATIONS = 999


def ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Return ranks from 0, ties sharing their average."""
    _, group, count = np.unique(np.asarray(values, dtype=float), return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count + 1) / 2.0)[group], dtype=float)


def groups_p(group: NDArray[np.intp], values: ArrayLike, others: NDArray[np.float64] | None = None) -> float:
    """Return the p-value that the values have one distribution in all groups (Kruskal & Wallis 1952).

    H = (n - 1) R^2, where R^2 is the share of the variance of the ranks that lies between the groups; ties are in the
    variance. H has about a chi-square distribution. Not so where one trial's rank can make most of a group's mean, in
    small groups and where few ranks differ from the rest: there the ranks are permuted, and p is at least 0.001. With
    ``others`` R^2 is the share of what a linear regression of the ranks on q other columns leaves, and
    H = (n - 1 - q) R^2.

    Args:
        group: The group of each value, shape (n,).
        values: Shape (n,).
        others: Columns that may have an effect of their own and go together with the groups, shape (n, q).
    """
    of, n = ranks(values), len(group)
    order = np.lexsort((of, group))  # so that rounding does not depend on the order of the trials
    group, of = group[order], of[order]
    before = np.column_stack([np.ones(n), *([] if others is None else [others[order]])])
    basis = orthonormal(before)
    rest = of - basis @ (basis.T @ of)
    one_hot = (group[:, None] == np.unique(group)[None, 1:]).astype(float)  # (n, groups - 1), but for the first
    between = orthonormal(one_hot - basis @ (basis.T @ one_hot))  # (n, freedom)
    left, freedom, total = n - basis.shape[1], between.shape[1], float(rest @ rest)
    if not freedom or left - freedom < _LEAST_FREEDOM or total <= 1e-9 * n:
        return 1.0
    explained = float(np.sum((between.T @ rest) ** 2))
    if n * float(np.max(np.sum(between**2, axis=1))) * float(np.max(rest**2)) > _MOST_OF_ONE * total:
        rows = np.random.default_rng(0).permuted(np.broadcast_to(rest, (_PERMUTATIONS, n)), axis=1)
        more = int(np.sum(np.sum((rows @ between) ** 2, axis=1) >= explained * (1 - 1e-9)))
        return (more + 1) / (_PERMUTATIONS + 1)
    return chi_square_p(left * explained / total, freedom)


def orthonormal(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return orthonormal columns, (n, rank), that span the same space."""
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(left[:, sizes > 1e-9 * max(1.0, sizes.max(initial=0.0))])


def chi_square_p(statistic: float, freedom: int) -> float:
    """Return P(X >= statistic) of a chi-square variable.

    Integrated by parts: exp(-s/2) sum_{i < f/2} (s/2)^i / i! of an even freedom f, and of an odd one
    erfc(sqrt(s/2)) + exp(-s/2) sum_{1/2 <= i < f/2} (s/2)^i / Gamma(i + 1).
    """
    half = statistic / 2
    if half <= 0:
        return 1.0
    start = (freedom % 2) / 2
    terms = (math.exp(i * math.log(half) - half - math.lgamma(i + 1)) for i in np.arange(start, freedom / 2))
    return min(sum(terms, math.erfc(math.sqrt(half)) if start else 0.0), 1.0)
