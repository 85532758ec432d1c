"""Repeats of a trial with other seeds: its score is their mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from hpsearch.records import (
    FOLDS,
    METRICS,
    REPEATS,
    SECONDS,
    STD_ERROR,
    Completed,
    Failed,
    Outcome,
    Paused,
    Pruned,
    Report,
    Trial,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hpsearch.objectives.base import Objective


@dataclass(frozen=True)
class Repeated:
    """An objective that another one makes of every trial by evaluating it so many times, each with a seed of its own.

    The learning curve is that of the first time, so that trials are pruned by it and only survivors are repeated.
    """

    inner: Objective
    repeats: int

    @property
    def independent(self) -> bool:
        return self.inner.independent

    def lanes(self, trial: Trial | None = None) -> int:
        return self.inner.lanes(trial)

    def structures(self) -> int:
        return self.inner.structures()

    def group(self, trials: Sequence[Trial]) -> list[list[Trial]]:
        return self.inner.group(trials)

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome | Paused]]:
        """Evaluate all trials once, then all that have a score again; see `hpsearch.objectives.base.Objective`."""
        done: dict[int, list[Completed]] = {}
        for items in self.inner.evaluate(trials, until=until, paused=paused):
            done |= {item.number: [item] for item in items if isinstance(item, Completed)}
            yield [item for item in items if not isinstance(item, Completed)]
        for again in range(1, self.repeats):
            rest = [replace(trial, again=again) for trial in trials if trial.number in done]
            for items in self.inner.evaluate(rest) if rest else ():
                ended: list[Outcome] = []
                for item in items:
                    if isinstance(item, Completed):
                        done[item.number].append(item)
                    elif not isinstance(item, Report | Paused):
                        ended.append(_cut_short(done.pop(item.number), item, self.repeats))
                yield ended
        yield [_mean(runs) for runs in done.values()]


def _seconds(runs: Sequence[Outcome]) -> float:
    return round(math.fsum(run.attributes.get(SECONDS, 0.0) for run in runs), 6)


def _mean(runs: Sequence[Completed]) -> Completed:
    """Return the outcome of a trial, from those of all its repeats."""
    scores = [run.score for run in runs]
    facts: dict[str, Any] = {REPEATS: scores, STD_ERROR: stdev(scores) / math.sqrt(len(scores))}
    folds = [run.attributes.get(FOLDS, ()) for run in runs]
    if folds[0] and len({len(of_run) for of_run in folds}) == 1:
        facts[FOLDS] = [fmean(fold) for fold in zip(*folds, strict=True)]
    metrics: list[Mapping[str, float]] = [run.attributes.get(METRICS, {}) for run in runs]
    if names := [name for name in metrics[0] if all(of_run.get(name) is not None for of_run in metrics)]:
        facts[METRICS] = {name: fmean(of_run[name] for of_run in metrics) for name in names}
    kept = {key: value for key, value in runs[0].attributes.items() if key not in (FOLDS, METRICS)}
    return replace(runs[0], score=fmean(scores), attributes={**kept, **facts, SECONDS: _seconds(runs)})


def _cut_short(runs: Sequence[Completed], last: Failed | Pruned, repeats: int) -> Outcome:
    """Return the outcome of a trial whose last repeat has no score."""
    facts = {REPEATS: [run.score for run in runs], SECONDS: _seconds([*runs, last])}
    attributes = {**last.attributes, **facts}
    if isinstance(last, Pruned):
        return replace(last, intermediate=runs[0].intermediate, epoch=len(runs[0].intermediate), attributes=attributes)
    reason = f"repeat {len(runs) + 1} of {repeats}: {last.reason}"
    return Failed(last.number, reason, runs[0].intermediate, attributes, last.suggested)
