"""What a report is made of, gathered from a study database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.records import ancestry
from hpsearch.search.stage import pick, stages_of

if TYPE_CHECKING:
    from hpsearch.reports.page import Material
    from hpsearch.store import Store

CURVES = 20
"""The best trials whose learning curves are shown."""


def gather(store: Store, search: str | None, *, stage: int | None = None) -> Material:
    """Everything that a report of a search shows.

    Args:
        store: The study database; it is only read.
        search: The search's name, or None for the only one there is.
        stage: The number of a stage: then the report is of it and of those that it came from.

    Raises:
        UnknownSearch: No such search or stage.
    """
    from hpsearch.reports.page import Material, StageTrials
    from hpsearch.reports.rows import curve_rows, used_only
    from hpsearch.search.advising.findings import findings
    from hpsearch.service.judged import confirmations, looks_at

    every = stages_of(store, search)
    stages = every if stage is None else ancestry(every, pick(every, stage))
    there = [StageTrials(one, used_only(store.trials(one), one)) for one in stages]
    latest = next((one.stage for one in reversed(there) if len(one.trials)), stages[0])
    return Material(
        stages=there,
        findings=findings(store, stages),
        curves=curve_rows(store, latest, top=CURVES),
        database=store.where,
        confirmations=confirmations(store, stages),
        looks=looks_at(store, every),
    )
