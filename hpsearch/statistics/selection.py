"""What the best of many is worth: its score without the luck that made it the best.

Hits are whole numbers whose ones are the images that were classified right (`hpsearch.statistics.hits.as_number`): a
score on some of the images is then a count of bits.
"""

from __future__ import annotations

from operator import sub
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING

from hpsearch.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

RESAMPLES = 200
"""Halvings of the images. The error that they leave is small beside the score's own standard error."""


def corrected_share(hits: Sequence[int], images: int, *, seed: int, resamples: int = RESAMPLES) -> float:
    """The best trial's share of hits on images that had no part in choosing it.

    The whole selection is bootstrapped over images, as in bootstrap bias-corrected cross-validation (Tsamardinos,
    Greasidou & Borboudakis 2018): the trial that is best on a resample is scored on the images outside it, and these
    scores are averaged. The resample is a random half of the images, each with weight 2 (the double-or-nothing
    bootstrap, Owen & Eckles 2012, with the variance of the ordinary one): half of the images are then outside
    instead of 37 %, and each halving serves twice. Trials that tie within a half share it.

    Args:
        hits: Those of every trial that might have been the best.
        images: How many images there are, at least 2.
        seed: The same one gives the same value.
        resamples: How often the images are halved.

    Returns:
        The share, never above the best trial's own.

    Raises:
        BadInput: No trial, or fewer than two images.
    """
    if not hits or images < 2:
        raise BadInput(f"hits of {len(hits)} trials on {images} images; give at least 1 trial and 2 images")
    totals = [of_trial.bit_count() for of_trial in hits]
    best = max(totals) / images
    if len(hits) == 1:  # nothing was chosen
        return best
    draw, outside = Random(seed), []
    for _ in range(resamples):
        half = draw.getrandbits(images)
        size = half.bit_count()
        if size in (0, images):
            continue
        inside = [(of_trial & half).bit_count() for of_trial in hits]
        rest = list(map(sub, totals, inside))
        outside.append(_of_the_best(inside, rest) / (images - size))
        outside.append(_of_the_best(rest, inside) / size)
    return min(best, fmean(outside)) if outside else best


def _of_the_best(chosen_by: list[int], scored_by: list[int]) -> float:
    """The mean of the one list where the other is highest."""
    most = max(chosen_by)
    scores = [scored for chosen, scored in zip(chosen_by, scored_by, strict=True) if chosen == most]
    return sum(scores) / len(scores)
