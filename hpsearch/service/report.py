"""What a report is made of, gathered from a study database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.search.stage import pick, stages_of

if TYPE_CHECKING:
    from hpsearch.records import Stage
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
    from hpsearch.search.findings import findings

    stages = stages_of(store, search)
    if stage is not None:
        stages = ancestry(stages, pick(stages, stage))
    there = [StageTrials(one, used_only(store.trials(one), one)) for one in stages]
    found = Material(there, findings(store, stages), (), store.where)
    return Material(there, found.findings, curve_rows(store, found.latest.stage, top=CURVES), store.where)


def ancestry(stages: list[Stage], last: Stage) -> list[Stage]:
    """A stage and those that it was narrowed from, the first one first."""
    line = [last]
    while line[0].parent is not None:
        parent = next((one for one in stages if one.number == line[0].parent), None)
        if parent is None or parent in line:
            break  # the database was made by other means
        line.insert(0, parent)
    return line
