"""Hits: the examples that trials got right, as text, and comparisons of trials on the same examples.

Hits are whole numbers whose ones are the examples that a trial got right (`as_number`): a score on some of the examples
is then a count of bits. From them follow exact paired tests, ties, and the best score corrected for selection.
"""

from __future__ import annotations

import base64
import binascii
import math
from functools import lru_cache
from operator import sub
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING

from hpsearch.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

LEVEL = 0.05  # share of searches in which the truly best trial may be missing among those tied with the best
RESAMPLES = 200  # halvings of the examples. The error that they leave is small beside the score's own standard error


_FLAGS, _DIGITS = b"\0\1", b"01"  # hits as NumPy keeps them, a byte each, and as digits of a number to base 2


def pack(hits: NDArray[np.bool_]) -> str:
    """Return hits, shape (V,), in the order of the validation set, as text: 4 characters for 24 examples."""
    number = int(hits.tobytes().translate(bytes.maketrans(_FLAGS, _DIGITS)), 2) << -len(hits) % 8
    return base64.b64encode(number.to_bytes(-(-len(hits) // 8), "big")).decode("ascii")


def unpack(text: str, examples: int) -> bytes:
    """Return the hits that `pack` made text of, V bytes, for `numpy.frombuffer` with dtype bool.

    Raises:
        BadInput: It is no such text of so many examples.
    """
    return f"{as_number(text, examples):0{examples}b}".encode().translate(bytes.maketrans(_DIGITS, _FLAGS))


def as_number(text: str, examples: int) -> int:
    """Return the same as a whole number whose ones are the hits."""
    return int.from_bytes(_bytes(text, examples), "big") >> -examples % 8


def matching(text: str | None, examples: int, score: float | None) -> int | None:
    """Return a trial's hits as a whole number; None where they cannot be read, or make another score than this one.

    Those of another epoch, or from another program, do so. Without a score they are not checked.
    """
    if text is None:
        return None
    try:
        hits = as_number(text, examples)
    except BadInput:
        return None
    return hits if score is None or abs(hits.bit_count() - score * examples) < 0.5 else None


def _bytes(text: str, examples: int) -> bytes:
    try:
        packed = base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise BadInput(f"hits that are no base64 ({error})") from error
    if len(packed) != -(-examples // 8):
        raise BadInput(f"hits of {8 * len(packed)} examples at most, not of {examples}")
    return packed


@lru_cache(maxsize=4096)
def lower_tail(hits: int, throws: int) -> float:
    """Return P(X <= hits) for the heads X in so many throws of a fair coin, exact before it is rounded."""
    term, total = 1, 0
    for i in range(hits + 1):
        total += term
        term = term * (throws - i) // (i + 1)
    return total / (1 << throws)


def paired_p(best: int, other: int) -> float:
    """Return the one-sided p-value that another trial is as good as the best, by both's hits (McNemar's exact test).

    If they are equally good, each example that only one of them gets right goes to either with probability 1/2.
    """
    only_best, only_other = (best & ~other).bit_count(), (other & ~best).bit_count()
    return lower_tail(only_other, only_best + only_other)


def unpaired_p(best: float, other: float, examples: int) -> float:
    """Return the same from two shares alone, as if each had examples of its own; a test of two proportions.

    Trials of one stage get mostly the same examples right, so this calls more trials tied than a paired test does.
    """
    share = (best + other) / 2
    variance = 2 * share * (1 - share) / examples
    if variance <= 0:
        return 1.0
    return 0.5 * math.erfc((best - other) / math.sqrt(2 * variance))


def is_tied(p: float, trials: int) -> bool:
    """Return whether a trial with that one-sided p-value is tied with the best of so many trials.

    The set of tied trials is made to hold the truly best one in 95 of 100 searches. That one is left out only if the
    trial with the best score beats it by luck, and that trial may be any of the N - 1 others: so each comparison is
    made at 0.05/(N - 1) (Bonferroni; it holds however the trials' hits depend on each other, and no stepwise
    correction is sharper, as only one hypothesis must not be rejected wrongly). N counts all sampled trials, also
    those too far behind to be compared: to leave them out because they turned out bad would be to choose again.
    """
    return p > LEVEL / max(trials - 1, 1)


def corrected_share(hits: Sequence[int], examples: int, *, seed: int, resamples: int = RESAMPLES) -> float:
    """Return the best trial's share of hits on examples that had no part in choosing it, never above its own share.

    The whole selection is bootstrapped over examples, as in bootstrap bias-corrected cross-validation (Tsamardinos,
    Greasidou & Borboudakis 2018): the trial that is best on a resample is scored on the examples outside it, and these
    scores are averaged. The resample is a random half of the examples, each with weight 2 (the double-or-nothing
    bootstrap, Owen & Eckles 2012, with the variance of the ordinary one): half of the examples are then outside
    instead of 37 %, and each halving serves twice. Trials that tie within a half share it. ``hits`` are those of every
    trial that might have been the best.
    """
    totals = [of_trial.bit_count() for of_trial in hits]
    best = max(totals) / examples
    if len(hits) == 1:  # nothing was chosen
        return best
    random, outside = Random(seed), []
    for _ in range(resamples):
        half = random.getrandbits(examples)
        size = half.bit_count()
        if size in (0, examples):
            continue
        inside = [(of_trial & half).bit_count() for of_trial in hits]
        rest = list(map(sub, totals, inside))
        outside.append(_of_the_best(inside, rest) / (examples - size))
        outside.append(_of_the_best(rest, inside) / size)
    return min(best, fmean(outside)) if outside else best


def _of_the_best(chosen_by: list[int], scored_by: list[int]) -> float:
    """Return the mean of the second list where the first is highest."""
    most = max(chosen_by)
    scores = [scored for chosen, scored in zip(chosen_by, scored_by, strict=True) if chosen == most]
    return sum(scores) / len(scores)
