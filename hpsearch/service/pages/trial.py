"""One trial: its values, what became of it, its curves, the end of its output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.objectives.kinds import curve_bounds
from hpsearch.records import CURVES, REASON
from hpsearch.reports import figures
from hpsearch.reports.page import PageFigure, Table
from hpsearch.reports.sections import page_figure
from hpsearch.reports.tables import used_values
from hpsearch.space import shown
from hpsearch.text import counted, duration

if TYPE_CHECKING:
    from hpsearch.store.leases import Owned
    from hpsearch.store.trial_details import TrialDetails


def facts_table(trial: TrialDetails, owned: Owned | None) -> Table:
    """Return what became of a trial, and where."""
    row = trial.row
    facts: dict[str, Any] = {
        "state": trial.state.lower(),
        trial.stage.metric: trial.score,
        "reason": row[REASON],
        "took": None if row["seconds"] is None else duration(row["seconds"]),
        "began (UTC)": row["started"] and f"{row['started']:%Y-%m-%d %H:%M:%S}",
        "ended (UTC)": row["finished"] and f"{row['finished']:%Y-%m-%d %H:%M:%S}",
    }
    if owned is not None and owned.owner is not None:
        facts["machine"] = owned.owner.host
        facts["made with"] = f"hpsearch {owned.owner.hpsearch}, NumPy {owned.owner.numpy}"
    if owned is not None and owned.begun > 1:
        facts["begun"] = counted(owned.begun, "time")
    known = {name: value for name, value in facts.items() if value is not None}
    return Table("What is kept of it.", {"what": list(known), "value": list(known.values())})


def values_table(trial: TrialDetails) -> Table:
    """Return a trial's values, those that it used."""
    values = {name: value for name, value in used_values(trial.stage, trial.params).items() if value is not None}
    return Table(
        "The values that it used.", {"parameter": list(values), "value": [shown(value) for value in values.values()]}
    )


def curves_figure(trial: TrialDetails) -> PageFigure | None:
    """Return a trial's learning curves; None where it has none."""
    stage, others = trial.stage, trial.attributes.get(CURVES) or {}
    quantities = curve_bounds(stage)
    own = f"validation_{stage.metric.removeprefix('validation_')}"
    rows = {**others, **({own: trial.curve} if len(trial.curve) and own not in others else {})}
    if not any(len(row) for row in rows.values()):
        return None
    figure = figures.training_curves(rows, bounds=quantities)
    return page_figure("curve", "By epoch", "Its values after each epoch.", figure)
