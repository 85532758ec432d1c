"""Paired comparison of two trials on the same validation images."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from hpsearch.errors import BadInput

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def mcnemar(a: ArrayLike, b: ArrayLike) -> float:
    """The exact two-sided p-value that two trials are equally good, from the images that only one gets right.

    If they are equally good, each image that only one of them gets right goes to either with probability 1/2
    (McNemar 1947); images that both get right, or neither, say nothing.

    Args:
        a: Which images the one got right, boolean, shape (images,).
        b: Which the other did, in the same order.

    Raises:
        BadInput: They are not of the same images.
    """
    import numpy as np

    one, other = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    if one.shape != other.shape or one.ndim != 1:
        raise BadInput(f"hits of shapes {one.shape} and {other.shape}; a paired comparison needs the same images")
    return two_sided(int(np.sum(one & ~other)), int(np.sum(other & ~one)))


def two_sided(only_a: int, only_b: int) -> float:
    """`mcnemar` from the two counts: twice the smaller binomial tail, at most 1."""
    return min(1.0, 2 * lower_tail(min(only_a, only_b), only_a + only_b))


@lru_cache(maxsize=4096)
def lower_tail(hits: int, throws: int) -> float:
    """P(X <= hits) for the heads X in so many throws of a fair coin, exact before it is rounded."""
    term, total = 1, 0
    for i in range(hits + 1):
        total += term
        term = term * (throws - i) // (i + 1)
    return total / (1 << throws)


def discordant(a: int, b: int) -> tuple[int, int]:
    """How many images only the one trial gets right, and how many only the other.

    Args:
        a: The one's hits as the ones of a whole number (`hpsearch.hits.as_number`).
        b: The other's, of the same images.
    """
    return (a & ~b).bit_count(), (b & ~a).bit_count()
