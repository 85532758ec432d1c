"""Which trials cannot be told from the best one.

The set of those is made to hold the truly best trial in 95 of 100 searches. That one is left out only if the trial with
the best score beats it by luck, and the trial with the best score may be any of the N - 1 others: so each comparison is
made at 0.05/(N - 1) (Bonferroni; it holds however the trials' hits depend on each other, and no stepwise correction is
sharper here, as only one hypothesis, that of the truly best trial, must not be rejected wrongly). N counts all trials
that were drawn, also those too far behind to be looked at: to leave them out because they turned out bad would be
to choose again.
"""

from __future__ import annotations

import math

from hpsearch.statistics.paired import discordant, lower_tail

LEVEL = 0.05
"""How often the truly best trial may be missing among those that tie with the best."""


def paired_p(best: int, other: int) -> float:
    """The one-sided p-value that another trial is at least as good as the best, by McNemar's exact test.

    Args:
        best: The best trial's hits as the ones of a whole number.
        other: The other trial's, on the same images.
    """
    only_best, only_other = discordant(best, other)
    return lower_tail(only_other, only_best + only_other)


def unpaired_p(best: float, other: float, images: int) -> float:
    """The same from two accuracies alone, as if each had images of its own; a test of two proportions.

    Trials of one stage get mostly the same images right, which makes their difference surer than this says. So it calls
    more trials tied than a paired comparison does.

    Args:
        best: The best trial's accuracy.
        other: The other trial's.
        images: How many images each rests on.
    """
    share = (best + other) / 2
    variance = 2 * share * (1 - share) / images
    if variance <= 0:
        return 1.0
    return 0.5 * math.erfc((best - other) / math.sqrt(2 * variance))


def is_tied(p: float, trials: int) -> bool:
    """Whether a trial with that one-sided p-value cannot be told from the best of so many trials."""
    return p > LEVEL / max(trials - 1, 1)
