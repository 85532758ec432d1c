"""Signs in the learning curves of a stage: overfitting, unstable training, too few or too many epochs, luck.

`analyse` is a pure function, and tests/benchmarks/curve_alarms.py shows how often it is right. What can be done about a
sign, the objective's kind says.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.records import CURVES, VALIDATION_LOSS
from hpsearch.statistics.curves import LEAST_CURVES, LEAST_EPOCHS, LONG, MATTERS, courses, last_gains, more_than_false
from hpsearch.text import rounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from hpsearch.objectives.base import CurveSign
    from hpsearch.records import Stage
    from hpsearch.statistics import Interval
    from hpsearch.store import Store

BEST = 20  # the best trials are a fifth of all, at most so many
_FEWEST = 5  # and at least so many
_MOST = 1000  # trials whose curves are read; of more, as many at even distances
_TRAINING_LOSS = "train_loss"  # the curve beside `VALIDATION_LOSS` that a trial may keep


@dataclass(frozen=True, slots=True)
class CurveSigns:
    """The signs in the curves of the best trials, and of all."""

    epochs: int
    best: int  # number of best trials with curves
    trials: int  # number of all trials with curves that were read
    best_epochs: tuple[float, float, float]  # quartiles of the epoch with the best score, of the best trials
    overfitting: tuple[int, int]  # trials whose validation loss rises after its best: of the best, of all
    overfits_from: float | None  # median epoch of the best loss among those of the best trials
    unstable: tuple[int, int]  # trials whose training loss rises at the end: of the best, of all
    step_sd: float  # how far the score moves from epoch to epoch late in training, of the best trials
    error: float | None  # one standard error of a score; None: not known
    # mean gains of the best trials over the last quarter of the epochs, and over the last half; None: not known
    gains: tuple[Interval, Interval] | None
    signs: tuple[CurveSign, ...]  # those that the best trials show, more of them than would by chance


def analyse(
    scores: NDArray[np.float64],
    best: NDArray[np.bool_],
    *,
    losses: NDArray[np.float64] | None = None,
    training: NDArray[np.float64] | None = None,
    error: float | None = None,
) -> CurveSigns:
    """Return what curves show, lower being better in all of them.

    Args:
        scores: The scores after each epoch, (N, E).
        best: Which of the trials are the best, (N,).
        losses: The validation losses, (N, E). None: the scores.
        training: The training losses, (N, E). None: not known.
        error: One standard error of a score. None: not known.
    """
    chosen, of_losses = courses(scores[best]), courses(scores if losses is None else losses)
    step_sd = float(np.sqrt(np.mean(chosen.step_sd**2)))
    unstable = np.zeros(len(scores), dtype=bool) if training is None else courses(training).rises
    overfitting = of_losses.rises & ~unstable  # where the training loss rises too, it is no overfitting
    rising = overfitting & best
    counts = [(int((of & best).sum()), int(of.sum())) for of in (overfitting, unstable)]
    overfits, is_unstable = (more_than_false(of_best, int(best.sum())) for of_best, _ in counts)
    gains, matters = last_gains(chosen, float(best.mean())), MATTERS * float(chosen.gain.mean())
    improving = gains is not None and gains[0].low > 0 and _middle(gains[0]) > matters
    shown: dict[CurveSign, bool] = {
        "overfitting": overfits and not is_unstable,
        "unstable": is_unstable,
        "improving": improving,
        "saturated": gains is not None and not improving and gains[1].high < matters,
        "unsteady": error is not None and step_sd > error and scores.shape[1] >= LONG,
    }
    first, median, third = np.quantile(chosen.best_epoch, [0.25, 0.5, 0.75]).tolist()
    return CurveSigns(
        epochs=scores.shape[1],
        best=int(best.sum()),
        trials=len(scores),
        best_epochs=(first, median, third),
        overfitting=counts[0],
        overfits_from=float(np.median(of_losses.best_epoch[rising])) if rising.any() else None,
        unstable=counts[1],
        step_sd=step_sd,
        error=error,
        gains=gains,
        signs=tuple(sign for sign, there in shown.items() if there),
    )


def curve_signs(store: Store, stage: Stage, *, error: float | None = None) -> CurveSigns | None:
    """Return what the curves of a stage's complete trials show; None where they are too few or too short.

    Args:
        error: One standard error of a score, where it is known.
    """
    columns = store.scores(stage, ranked=lambda complete: complete)
    count = len(columns["number"])
    maximize = stage.direction == "maximize"
    goodness = columns["score"] if maximize else -columns["score"]
    order = np.lexsort((columns["number"], columns["validation_loss"], -goodness))  # best first
    size = min(max(count // 5, _FEWEST), BEST, count)
    others = order[size:]
    step = max(1, -(-len(others) // _MOST))
    numbers = columns["number"][np.concatenate([order[:size], others[::step]])].tolist()
    points = store.points(stage, numbers)
    lengths = Counter(map(len, points.values()))
    epochs = max(lengths, key=lambda length: (lengths[length], length), default=0)
    if epochs < LEAST_EPOCHS:
        return None
    kept = store.attribute(stage, numbers, CURVES)
    rows: dict[str, list[NDArray[np.float64]]] = {"score": []}
    names = [name for name in (VALIDATION_LOSS, _TRAINING_LOSS) if all(name in of for of in kept.values()) and kept]
    best = []
    for place, number in enumerate(numbers):
        curves = {"score": points.get(number, ()), **{name: kept.get(number, {}).get(name, ()) for name in names}}
        arrays = {name: np.array(curve, dtype=float) for name, curve in curves.items()}
        if all(len(curve) == epochs and np.isfinite(curve).all() for curve in arrays.values()):
            best.append(place < size)
            for name, curve in arrays.items():
                rows.setdefault(name, []).append(curve)
    if sum(best) < LEAST_CURVES:
        return None
    stacked = {name: np.array(of_name) for name, of_name in rows.items()}
    return analyse(
        -stacked["score"] if maximize else stacked["score"],
        np.array(best),
        losses=stacked.get(VALIDATION_LOSS),
        training=stacked.get(_TRAINING_LOSS),
        error=error,
    )


def sentences(of: CurveSigns, remedies: Mapping[CurveSign, str]) -> Iterator[str]:
    """Yield what curves show in words, each sign with its remedy."""
    best, every = f"the best {of.best} trials", f"of all {of.trials}"
    if "unstable" in of.signs:
        few, many = of.unstable
        yield f"the training loss of {few} of {best} rises at the end ({many} {every}): {remedies['unstable']}"
    if "overfitting" in of.signs:
        few, many = of.overfitting
        rises = f"their validation loss rises after epoch {of.overfits_from:.0f} of {of.epochs} at the median"
        yield f"{few} of {best} overfit ({many} {every}): {rises}; {remedies['overfitting']}"
    if "improving" in of.signs and of.gains is not None:
        brought = f"the last quarter of {of.epochs} epochs brought {_gain(of.gains[0])}"
        yield f"the scores of {best} still improve at the end: {brought}; {remedies['improving']}"
    if "saturated" in of.signs and of.gains is not None:
        brought = f"the last half of {of.epochs} epochs brought {_gain(of.gains[1])}"
        yield f"the scores of {best} have settled long before the end: {brought}; {remedies['saturated']}"
    if "unsteady" in of.signs:
        yield (
            f"the scores of {best} move by {of.step_sd:.2g} from epoch to epoch at the end, more than the "
            f"{of.error:.2g} by which trials can be told apart: {remedies['unsteady']}"
        )
    if of.epochs < LONG:
        yield f"curves of {of.epochs} epochs do not tell of overfitting and unsteady training: {LONG} or more do"
    first, median, third = (rounded(epoch, 0) for epoch in of.best_epochs)
    yield f"the best epoch of {best} is {median} of {of.epochs} at the median, {first} to {third} in the middle half"


def _middle(of: Interval) -> float:
    return (of.low + of.high) / 2


def _gain(of: Interval) -> str:
    return f"{_middle(of):.2g} on average ({of.low:.2g} to {of.high:.2g})"
