"""Importance of the hyperparameters, by PED-ANOVA over rows of trials.

Watanabe, Bansal and Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces"
(IJCAI 2023), and its conditional form (KDD 2026), both as in Optuna. It compares where the best trials lie with where
all trials lie, so it goes by ranks alone; failed and pruned trials rank last.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.errors import BadInput
from hpsearch.reports.figures.trials import evenly
from hpsearch.space import Categorical, to_distribution
from hpsearch.text import counted, is_missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from hpsearch.reports.figures.trials import StageTrials
    from hpsearch.space import Space

LEAST = 10  # with fewer trials no importance is computed
FEW = 50  # with fewer trials the best tenth has fewer than five, the least that the method needs
SHUFFLES = 59
_FINISHED = ("COMPLETE", "PRUNED", "FAIL")
_MOST_ROWS = 1_000  # of more trials an even share by rank is enough


@dataclass(frozen=True, slots=True)
class Importance:
    """The importance of each hyperparameter."""

    # the share of each in the whole, the largest first; they sum to 1, or are all 0 where nothing mattered. None where
    # chance gives as much: whether a hyperparameter matters is tested with more power in `hpsearch.search.evidence`
    shares: Mapping[str, float]
    # a mark for each: where nothing matters, any of the shares passes its mark in one of twenty searches
    chance: Mapping[str, float]
    trials: int  # how many trials it rests on
    best: int  # how many of them are called the best
    left_out: Mapping[str, str] = field(default_factory=dict)  # hyperparameters that cannot be judged, with the reason
    notes: tuple[str, ...] = ()  # restrictions, a sentence each


def importance(trials: StageTrials) -> Importance:
    """Return the importance of each hyperparameter for being among the best trials of a stage.

    The same rows give the same numbers, whatever their order. Ranges per value of another parameter are one.
    """
    trials = trials.folded
    rows, space = _ranked(trials), trials.stage.space
    complete = int((rows["state"] == "COMPLETE").sum())
    left_out = {
        name: "only one value"
        for name, parameter in space.items()
        if isinstance(parameter, Categorical) and len(parameter.choices) == 1
    }
    nothing = Importance({}, {}, len(rows), 0, left_out)
    if len(rows) < LEAST or complete < 2:
        count = counted(len(rows), "finished trial")
        if complete != len(rows):
            count += f", {complete or 'none'} of them complete"
        return replace(nothing, notes=(f"{count}: too few to say which hyperparameter mattered",))
    unused = [name for name in space if name not in left_out and rows[f"param:{name}"].isna().all()]
    left_out |= dict.fromkeys(unused, "no trial uses it")
    names = [name for name in space if name not in left_out]
    quantile = min(0.5, max(0.1, 5 / len(rows)))
    nothing = replace(nothing, best=max(1, round(quantile * len(rows))), left_out=left_out)
    if not names:
        return replace(nothing, notes=("there was only one value of everything",))
    if len(set(rows["rank"])) == 1:
        return replace(nothing, notes=("all trials have the same score",))
    raw, shuffled = _evaluated(rows, space, names, quantile)
    whole = sum(raw.values())
    if not whole:
        zeros = dict.fromkeys(names, 0.0)
        return replace(nothing, shares=zeros, chance=zeros, notes=("nothing mattered",))
    order = sorted(names, key=lambda name: (-raw[name], names.index(name)))
    chance = {name: mark / whole for name, mark in _marks(raw, shuffled, order).items()}
    result = replace(nothing, shares={name: raw[name] / whole for name in order}, chance=chance)
    notes = _notes(result, trials.count(*_FINISHED))
    if all(share <= chance[name] for name, share in result.shares.items()):
        words = f"chance gives such shares among the best {result.best} trials; the checklist tests the scores of all"
        return replace(nothing, notes=(*notes, words))
    return replace(result, notes=notes)


def _marks(raw: Mapping[str, float], shuffled: Sequence[Mapping[str, float]], names: Sequence[str]) -> dict[str, float]:
    """Return the importances that chance reaches: the same multiple of each one's mean.

    In one of twenty shuffles, as in a permutation test, some share passes its mark: the more hyperparameters there
    are, the higher the marks.
    """
    # The observed importances are one of the shuffles that might have been; only with them is the test exact.
    values = np.array([[row[name] for name in names] for row in (raw, *shuffled)])  # (1 + shuffles, names)
    mean = values.mean(axis=0)
    ratios = np.divide(values, mean, out=np.zeros_like(values), where=mean > 0).max(axis=1)[1:]
    passed = (len(shuffled) + 1) // 20
    return dict(zip(names, (mean * np.sort(ratios)[-passed]).tolist(), strict=True))


def _notes(result: Importance, finished: int) -> tuple[str, ...]:
    notes = []
    if result.trials < finished:
        notes.append(f"of an even sample of {result.trials:,} of {finished:,} trials")
    if result.trials < FEW:
        notes.append(f"only {result.trials} trials: shares vary a lot from one search to the next")
    if len(result.shares) == 1:
        notes.append("the only hyperparameter: its share is the whole")
    return tuple(notes)


def _ranked(trials: StageTrials) -> pd.DataFrame:
    """Return finished trials by number, with a ``rank`` that is lower for better; equal scores have equal ranks.

    Trials that did not run to their end rank behind those that did.
    """
    finished = trials.trials[trials.trials["state"].isin(_FINISHED)].sort_values("number", kind="stable")
    score = finished["score"].astype(float)
    ran = (finished["state"] == "COMPLETE") & np.isfinite(score)
    rank = score.where(ran).rank(ascending=trials.stage.direction == "minimize", method="min")
    rows = finished.assign(rank=rank.fillna(len(finished) + 1.0))
    if len(rows) <= _MOST_ROWS:
        return rows
    by_rank = rows.sort_values(["rank", "number"])
    return by_rank.iloc[evenly(len(rows), _MOST_ROWS / len(rows))].sort_values("number")


def _evaluated(
    rows: pd.DataFrame, space: Space, names: list[str], quantile: float
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Return the importances, and those of the same trials with their ranks shuffled, again and again."""
    import optuna.importance  # with scikit-learn and SciPy it takes 2 s to load, which other figures must do without

    distributions = {name: to_distribution(parameter) for name, parameter in space.items()}
    ranks = rows["rank"].to_numpy(float)
    verbosity = optuna.logging.get_verbosity()
    # Its notes about a study in memory, and its warnings of few trials, which `_notes` covers.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            study = optuna.create_study(direction="minimize")
            for rank, *values in zip(ranks.tolist(), *(rows[f"param:{name}"].tolist() for name in space), strict=True):
                params = {name: v for name, v in zip(space, values, strict=True) if not is_missing(v)}
                kinds = {name: distributions[name] for name in params}
                try:
                    study.add_trial(optuna.create_trial(params=params, distributions=kinds, value=rank))
                except ValueError as error:
                    raise BadInput(f"trials of other ranges than those given: {error}") from error
            evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=quantile)

            def importances(ranks: NDArray[np.float64]) -> dict[str, float]:
                return optuna.importance.get_param_importances(
                    study,
                    evaluator=evaluator,
                    params=names,
                    normalize=False,
                    target=lambda trial: float(ranks[trial.number]),
                )

            rng = np.random.default_rng(0)
            return importances(ranks), [importances(rng.permutation(ranks)) for _ in range(SHUFFLES)]
    finally:
        optuna.logging.set_verbosity(verbosity)
