"""What a report is made of: stages with their trials, and what was found out from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.reports.figures.frames import complete
from hpsearch.reports.figures.style import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from hpsearch.records import Direction, Stage
    from hpsearch.reports.page.judgements import Confirmation, Look
    from hpsearch.statistics.findings import Findings


@dataclass(frozen=True, slots=True, eq=False)
class StageTrials:
    """A stage and all its trials.

    Args:
        stage: The stage.
        trials: Rows of `hpsearch.store.Store.trials`, without the values that had no effect
            (`hpsearch.reports.rows.used_only`).
    """

    stage: Stage
    trials: pd.DataFrame

    @property
    def label(self) -> str:
        """The stage's name within its search: ``stage 1``."""
        return f"stage {self.stage.number}"

    def count(self, *states: str) -> int:
        """How many of its trials are in one of some states, in Optuna's words."""
        return int(self.trials["state"].isin(states).sum())

    @property
    def complete(self) -> pd.DataFrame:
        """The trials with a score."""
        return complete(self.trials)


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """All that a report shows.

    Args:
        stages: At least one, by number.
        findings: What was found out from them.
        curves: The best trials of the latest stage with any, best first, with their learning curves; see
            `hpsearch.reports.figures.curve_grid`.
        database: Where they are kept, for people.
        confirmations: Of which stages the best values were trained again, and what came of it.
        looks: What the test images said, from the first look on.
    """

    stages: Sequence[StageTrials]
    findings: Findings
    curves: Sequence[Mapping[str, Any]]
    database: str
    confirmations: tuple[Confirmation, ...] = ()
    looks: tuple[Look, ...] = ()

    @property
    def search(self) -> str:
        """The search's name."""
        return self.stages[0].stage.search

    @property
    def direction(self) -> Direction:
        """Whether a higher or a lower score is better."""
        return self.stages[0].stage.direction

    @property
    def metric(self) -> str:
        """What the score is, in words."""
        return words(self.stages[0].stage.metric)

    @property
    def images(self) -> int | None:
        """How many validation images score a trial, where that is known and the score is their accuracy."""
        return self.stages[-1].stage.images

    @property
    def latest(self) -> StageTrials:
        """The latest stage with a trial; the first where none has any."""
        return next((one for one in reversed(self.stages) if len(one.trials)), self.stages[0])

    def total(self, *states: str) -> int:
        """How many trials of all stages are in one of some states; of all states for none."""
        return sum(one.count(*states) if states else len(one.trials) for one in self.stages)
