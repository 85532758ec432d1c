"""Pruning of unpromising trials: decisions as pure functions of the trials' curves.

Trials are compared within a cohort, a block of consecutive numbers, and only at rungs, the epochs that all of its
members reach unless they are pruned before. A rung is decided once the value there of every member that comes so far
is known. So a decision depends on the curves alone, never on the order of completion: on jobs, lanes, other runners or
a resume.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from hpsearch.text import either

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.records import Direction
    from hpsearch.store import Counts
    from hpsearch.study_file import StudyFile

Rule: TypeAlias = Literal["halving", "median"]

_FACTORS: Mapping[Rule, int] = {"halving": 4, "median": 2}
_COHORTS: Mapping[Rule, int] = {"halving": 100, "median": 20}
_SHARE = 16  # the first rung is at this share of all epochs: 3 of 50
_EITHER: tuple[Rule, ...] = ("halving", "median")
# the rules that use each other key of ``[pruning]``
_USED_BY = {"reduction_factor": _EITHER, "min_epochs": _EITHER, "cohort": _EITHER, "startup_trials": ("median",)}


@dataclass(frozen=True, slots=True)
class Plan:
    """The rungs at which a stage's trials are compared, and the rule."""

    # ``halving`` keeps the best 1 in ``factor`` at each rung; ``median`` those not below the median of trials that ran
    # to the end
    rule: Rule
    factor: int  # of the rule, and of the distance between rungs
    rungs: tuple[int, ...]  # the epochs at which trials are compared, ascending
    cohort: int  # number of trials that are compared with each other
    startup: int  # trials that must have run to the end before the median rule prunes any
    epochs: int  # of a trial that is not pruned

    def cohort_of(self, number: int) -> range:
        """Return the numbers of the cohort that a trial is in."""
        first = number // self.cohort * self.cohort
        return range(first, first + self.cohort)

    def next_rung(self, number: int, epoch: int = 0) -> int | None:
        """Return the next rung of a trial after an epoch; None: it runs to the end."""
        if self.rule == "median" and number < self.cohort:
            return None  # no trial has run to the end before the first cohort
        return next((rung for rung in self.rungs if rung > epoch), None)


def plan_of(study: StudyFile) -> Plan | None:
    """Return the plan of a study file's ``[pruning]``; None where no trial is pruned.

    Rungs lie at ``min_epochs * factor**k``, as long as at least half of the epochs is still to come: pruning later
    saves next to nothing.
    """
    section, epochs = study.pruning, study.epochs
    if section.rule == "none" or epochs is None:
        return None
    factor = section.reduction_factor or _FACTORS[section.rule]
    rung = section.min_epochs or max(1, epochs // _SHARE)
    rungs = []
    while 2 * rung <= epochs:
        rungs.append(rung)
        rung *= factor
    cohort = section.cohort or _COHORTS[section.rule]
    return Plan(section.rule, factor, tuple(rungs), cohort, section.startup_trials, epochs) if rungs else None


def unused_words(study: StudyFile) -> str | None:
    """Return a warning about keys under ``[pruning]`` that the rule does not use; None: there are none.

    It is no error: the same file can be run under another rule. A key with its default value counts as not given.
    """
    section = study.pruning
    defaults = type(section)()
    given = [name for name in _USED_BY if getattr(section, name) != getattr(defaults, name)]
    unused = [name for name in given if section.rule not in _USED_BY[name]]
    if not unused:
        return None
    rules = dict.fromkeys(rule for name in unused for rule in _USED_BY[name])
    have = "has" if len(unused) == 1 else "have"
    return (
        f"[pruning] {', '.join(unused)} {have} no effect: only rule = {either(list(rules))} uses that, and the rule is "
        f"{section.rule}"
    )


def least_survivors(plan: Plan, trials: int, counts: Counts) -> int:
    """Return how many of a stage's trials run to the end for certain, unless they diverge.

    Of a cohort that has begun only those count that have run to the end already: a decision without its other members
    may leave none of those.
    """
    if plan.rule == "median":
        return min(trials, plan.cohort)
    begun = -(-counts.rows // plan.cohort) * plan.cohort
    full, rest = divmod(max(trials - begun, 0), plan.cohort)
    return counts.complete + full * _sizes(plan, plan.cohort)[-1] + (_sizes(plan, rest)[-1] if rest else 0)


def epochs_spent(plan: Plan, trials: int) -> int:
    """Return the least number of epochs that a stage trains: nothing ties, and half lie below the median at every rung.

    A median of trials that ran to the end is one of good trials only for late cohorts, so that more than half of the
    others stay above it early on: the median rule spends a good part more.
    """
    spent, ends = 0, (*plan.rungs, plan.epochs)
    for first in range(0, trials, plan.cohort):
        sizes = _sizes(plan, min(plan.cohort, trials - first), pruned=plan.next_rung(first) is not None)
        spent += sum(size * (end - start) for size, start, end in zip(sizes, (0, *ends), ends, strict=False))
    return spent


def pruning_words(plan: Plan | None, trials: int) -> str:
    """Return a description of the pruning of a stage."""
    if plan is None:
        return "none: every trial runs to the end"
    rungs, full = ", ".join(map(str, plan.rungs)), trials * plan.epochs
    of = f"each cohort of {plan.cohort}"
    how = f"the best 1 in {plan.factor} of {of} continue, and trials tied at the cut-off"
    if plan.rule == "median":
        how = f"{of} against the median of the trials before it, from {plan.startup} complete ones on"
    spent = epochs_spent(plan, trials)
    return f"{plan.rule} after epochs {rungs}: {how}; at least {spent:,} of {full:,} epochs ({spent / full:.0%})"


def _sizes(plan: Plan, trials: int, *, pruned: bool = True) -> list[int]:
    """Return how many trials of a cohort continue from the start and from each rung."""
    sizes = [trials]
    for _ in plan.rungs:
        factor = (plan.factor if plan.rule == "halving" else 2) if pruned else 1
        sizes.append(max(1, sizes[-1] // factor))
    return sizes


def halving_survivors(values: Mapping[int, float], factor: int, direction: Direction) -> set[int]:
    """Return the trials that continue from a rung: the best ``n // factor``, at least one, and those tied at the cut.

    Ties are never cut: they are common at 100 validation examples, and a number must not decide. Optuna's
    `SuccessiveHalvingPruner` agrees when all values are known, but decides among the trials that reached the rung
    earlier, so by the order in which trials report (asynchronous halving, Li et al. 2020). NaN is worse than any other.

    Source: Jamieson and Talwalkar 2016, "Non-stochastic Best Arm Identification and Hyperparameter Optimization".
    """
    sign = 1.0 if direction == "maximize" else -1.0
    goodness = {number: -math.inf if math.isnan(value) else sign * value for number, value in values.items()}
    if not goodness:
        return set()
    threshold = sorted(goodness.values(), reverse=True)[max(1, len(goodness) // factor) - 1]
    return {number for number, good in goodness.items() if good >= threshold}


class Median:
    """Optuna's `MedianPruner` over an in-memory mirror of the trials that ran to the end.

    Only trials of earlier cohorts are added, all of which are finished before one of a later cohort is compared.
    """

    def __init__(self, startup: int, direction: Direction) -> None:
        import optuna  # heavy, and only the median rule needs it

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._trial = optuna.trial.create_trial
        self._running = optuna.trial.TrialState.RUNNING
        self._pruner = optuna.pruners.MedianPruner(n_startup_trials=startup)
        self._study = optuna.create_study(direction=direction)

    def add(self, curve: Mapping[int, float]) -> None:
        """Add a trial that ran to the end: the score after each epoch, which is all that the rule needs."""
        self._study.add_trial(self._trial(value=0.0, intermediate_values=dict(curve)))

    def prunes(self, curve: Sequence[float]) -> bool:
        """Return whether a trial that has this curve so far is pruned here."""
        trial = self._trial(state=self._running, intermediate_values=dict(enumerate(curve, start=1)))
        return self._pruner.prune(self._study, trial)
