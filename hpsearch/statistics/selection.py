"""What the best of many is worth: its score without the luck that made it the best.

Hits are whole numbers whose ones are the images that were classified right (`hpsearch.hits.as_number`): a score on some
of the images is then a count of bits.
"""

from __future__ import annotations

from random import Random
from statistics import fmean
from typing import TYPE_CHECKING

from hpsearch.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

RESAMPLES = 400
"""Halvings of the images. They leave an error of a sixth of the score's own standard error at most."""


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
        most = max(inside)
        outside.append(fmean(t - i for t, i in zip(totals, inside, strict=True) if i == most) / (images - size))
        rest = [t - i for t, i in zip(totals, inside, strict=True)]
        most = max(rest)
        outside.append(fmean(i for i, r in zip(inside, rest, strict=True) if r == most) / size)
    return min(best, fmean(outside)) if outside else best
