"""Infeasible trials of a stage: what share failed, where in the ranges, and why."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.records import Sentence
from hpsearch.search.evidence import number_at, shares_of
from hpsearch.search.surrogate import columns_as, delivered_space
from hpsearch.space import Categorical, delivered_as, shown
from hpsearch.statistics.thresholds import Threshold, find_threshold
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hpsearch.records import Stage
    from hpsearch.space import Parameter, Value
    from hpsearch.store import Store

LEVEL = 0.01  # a threshold with a higher p-value is not reported
MANY = 0.2  # a larger share of failed trials wastes the budget and hides where the ranges should end
_STATES = ("COMPLETE", "PRUNED", "FAIL")


@dataclass(frozen=True, slots=True)
class Infeasible:
    """The failed trials of a stage."""

    stage: str
    failed: int
    finished: int
    reasons: tuple[tuple[str, int], ...]  # with the number of trials, the most frequent first
    threshold: Threshold | None  # where they fail; None where no parameter divides them
    value: Value = None  # the threshold on the parameter's own scale, or the choice

    @property
    def fraction(self) -> float:
        """The share of the finished trials that failed."""
        return self.failed / self.finished

    @property
    def many(self) -> bool:
        """True if so many failed that the ranges, or the code, should change."""
        return self.fraction > MANY

    @property
    def place(self) -> str | None:
        """The place where they fail, in words: ``lr above 0.3``; None where no parameter divides them."""
        if self.threshold is None:
            return None
        value = shown(self.value)
        return f"{self.threshold.name} {'=' if self.threshold.where == 'at' else self.threshold.where} {value}"

    @property
    def place_words(self) -> str | None:
        """The place with the numbers: ``10 of 11 with lr above 0.3, 2 of the other 89``."""
        if self.threshold is None:
            return None
        (failed, there), (others, elsewhere) = self.threshold.inside, self.threshold.outside
        return f"{failed:,} of {there:,} with {self.place}, {others:,} of the other {elsewhere:,}"

    @property
    def sentence(self) -> Sentence:
        """The number that failed, where, and why."""
        words = f"{self.failed:,} of {counted(self.finished, 'trial')} of {self.stage} failed ({self.fraction:.0%})"
        if self.threshold is not None:
            words += f": {self.place_words}"
        if self.reasons:
            words += f"; most often: {self.reasons[0][0]}"
        return Sentence(words.replace("{", "(").replace("}", ")"))


def infeasible(store: Store, stage: Stage) -> Infeasible | None:
    """Return the failed trials of a stage; None where none failed."""
    if not store.counts(stage).failed:
        return None
    return infeasible_of(stage, store.columns(stage, states=_STATES))


def infeasible_of(stage: Stage, columns: Mapping[str, Sequence[Any]]) -> Infeasible | None:
    """Return the failed ones of a stage's trials, by column as `hpsearch.store.Store.columns` gives them."""
    states = np.asarray(columns["state"], dtype=object)
    finished = np.isin(states, _STATES)
    failed = states == "FAIL"
    if not failed.any():
        return None
    reasons = (why for why, its in zip(columns["reason"], failed, strict=True) if its) if "reason" in columns else ()
    common = tuple(Counter(reason_pattern(why) for why in reasons).most_common())
    kinds: tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]] = {}, {}  # ranges, and choices
    space = stage.space
    values = {name: np.array(columns[f"param:{name}"], dtype=object)[finished] for name in space}
    for column, of in zip(values.values(), space.values(), strict=True):
        if not isinstance(of, Categorical) or None not in of.choices:
            column[[value is None for value in column.tolist()]] = np.nan
    if any(delivered_as(name, of) != name for name, of in space.items()):  # ranges for each value of another are one
        space = delivered_space(stage.space)
        values = columns_as(space, stage.space, values)
    for name, parameter in space.items():
        is_choice = isinstance(parameter, Categorical)
        kinds[is_choice][name] = shares_of(parameter, values[name] if is_choice else values[name].astype(float))
    threshold = find_threshold(*kinds, failed[finished])
    threshold = threshold if threshold is not None and threshold.p <= LEVEL else None
    value = None if threshold is None else _value(space[threshold.name], threshold)
    return Infeasible(stage.name, int(failed.sum()), int(finished.sum()), common, threshold, value)


def reason_pattern(reason: object) -> str:
    """Return why a trial failed without the numbers in it, so that equal reasons are counted together."""
    return re.sub(r"\d+", "…", reason) if isinstance(reason, str) and reason else "no reason was recorded"


def _value(parameter: Parameter, of: Threshold) -> Value:
    """Return the shortest number that divides the values on either side of a threshold, or its choice."""
    if isinstance(parameter, Categorical):
        return parameter.choices[int(of.gap[0])]
    low, high, middle = (number_at(parameter, share) for share in (*of.gap, sum(of.gap) / 2))
    digits = (float(f"{middle:.{digits}g}") for digits in range(1, 17))
    divides = (value for value in digits if (low < value <= high if of.where == "below" else low <= value < high))
    return next(divides, middle)
