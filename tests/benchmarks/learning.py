"""Do all learn equally well? Otherwise their seconds are not of the same work. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

FEWEST = 20
"""With fewer trials the draws decide who is best, and not the learning."""


@dataclass(frozen=True, slots=True)
class Learned:
    """How well one contender's trials of a workload learned.

    Args:
        workload: Its name.
        who: Whose trials.
        trials: How many, over all rounds.
        best: The best validation accuracy.
        top: The median validation accuracy of the best twentieth (five of a hundred).
        noise: Two standard errors of our `top`, for the number of validation images.
        alike: Whether top, and of as many trials the best, are ours within that noise; None for ourselves, and of too
            few trials to tell.
    """

    workload: str
    who: str
    trials: int
    best: float
    top: float
    noise: float
    alike: bool | None


def best_twentieth(accuracies: Sequence[float]) -> float:
    """The median of the best twentieth, of one trial at least: the same quantile however many trials there are."""
    count = max(round(len(accuracies) / 20), 1)
    return median(sorted(accuracies, reverse=True)[:count])


def noise(accuracy: float, images: int) -> float:
    """Two standard errors of an accuracy over so many images."""
    return 2 * math.sqrt(max(accuracy * (1 - accuracy), 0.0) / images)


def compare(workload: str, images: int, accuracies: Mapping[str, Sequence[float]], *, ours: str) -> list[Learned]:
    """What each learned, beside ours.

    Args:
        workload: Its name.
        images: Validation images.
        accuracies: Validation accuracies of all trials, by contender.
        ours: Which of them is ours.
    """
    best, top = max(accuracies[ours]), best_twentieth(accuracies[ours])
    allowed = noise(top, images)
    rows = []
    for who, found in accuracies.items():
        theirs = best_twentieth(found)
        # The best of more trials is better: the two are compared only where there are as many.
        apart = [abs(theirs - top), *([abs(max(found) - best)] if len(found) == len(accuracies[ours]) else [])]
        # Accuracies are fractions of `images`: one at the very edge of the noise is within it.
        alike = max(apart) <= allowed + 1e-9
        told = who != ours and len(found) >= FEWEST
        rows.append(Learned(workload, who, len(found), max(found), theirs, allowed, alike if told else None))
    return rows
