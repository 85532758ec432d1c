"""Tables for people: rows in, DataFrames with readable columns out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hpsearch.hyperparameters import uses
from hpsearch.space import Categorical, describe, shown, space_to_dict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from hpsearch.records import Stage
    from hpsearch.space import Parameter
    from hpsearch.store import Counts


def metric_of(stage: Stage) -> str:
    """The name of a stage's score."""
    objective: Mapping[str, Any] = stage.study_file.get("objective", {})
    return str(objective.get("metric", "score"))


def standard_error(stage: Stage, score: float) -> float | None:
    """One standard error of an accuracy on this stage's validation images, sqrt(p (1 - p) / n).

    None where the score is no accuracy.
    """
    images = stage.sizes.get("validation")
    if metric_of(stage) != "validation_accuracy" or not images:
        return None
    return accuracy_error(score, images)


def accuracy_error(accuracy: float, images: int) -> float:
    """One standard error of an accuracy on so many images."""
    return math.sqrt(max(accuracy * (1 - accuracy), 0.0) / images)


def trials_table(stage: Stage, frame: pd.DataFrame, *, full: bool = False) -> pd.DataFrame:
    """Trials as people read them, in 80 columns, or as programs do.

    Args:
        stage: Whose trials they are.
        frame: Rows of `hpsearch.store.Store.trials`.
        full: With every column under its full name and every value that was drawn; for programs. People see none
            of a hyperparameter that the trial does not use.

    Returns:
        Columns trial, state (where they differ), the score under its metric's name, the validation loss, the
        parameters, seconds, and reason if any trial failed; all of them and the times with ``full``.
    """
    table = _all_columns(stage, frame)
    if full:
        return table
    table = _for_people(stage, table)
    drop = ["started", "finished"]
    if frame["state"].nunique() < 2 and not frame["reason"].notna().any():
        drop.append("state")
    if not frame["reason"].notna().any():
        drop.append("reason")
    table = table.drop(columns=drop)
    if "state" in table:
        table["state"] = table["state"].str.lower()
    return table.rename(columns=lambda name: name.replace("validation_", "val. "))


def _all_columns(stage: Stage, frame: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    metric = metric_of(stage)
    columns: dict[str, Any] = {"trial": frame["number"], "state": frame["state"], metric: frame["score"]}
    if metric != "validation_loss":
        columns["validation_loss"] = frame["validation_loss"]
    columns |= {name: frame[f"param:{name}"] for name in stage.space}
    columns |= {name: frame[name] for name in ("seconds", "reason", "started", "finished")}
    return pd.DataFrame(columns)


def _for_people(stage: Stage, table: pd.DataFrame) -> pd.DataFrame:
    """Without the values that a trial does not use; a yes or no as study files have it."""
    import pandas as pd

    drawn = [{**stage.settings, **row} for row in table[list(stage.space)].to_dict("records")]
    used = {name: pd.Series([uses(name, values) for values in drawn], table.index, bool) for name in stage.space}
    columns = {name: table[name].where(where) for name, where in used.items() if not where.all()}
    columns |= {name: table[name].map(_flag) for name, drawn in stage.space.items() if _is_flag(drawn)}
    return table.assign(**columns)


def _is_flag(drawn: Parameter) -> bool:
    return isinstance(drawn, Categorical) and all(isinstance(choice, bool) for choice in drawn.choices)


def _flag(value: object) -> object:
    return shown(value) if isinstance(value, bool) else value


def status_table(rows: Sequence[tuple[Stage, Counts, float | None]], *, full: bool = False) -> pd.DataFrame:
    """One row a stage: its trials by state and its best score. ``pruned`` is there for people only if any is.

    Args:
        rows: Stages with their counts and best scores.
        full: With ranges, seed, fingerprint and trials used; for programs.
    """
    import pandas as pd

    table = []
    for stage, counts, best in rows:
        row: dict[str, Any] = {
            "stage": stage.name,
            "from": None if stage.parent is None else f"stage-{stage.parent:02d}",
            "finished": counts.finished,
            "failed": counts.failed,
            "pruned": counts.pruned,
            "running": counts.running,
            "waiting": counts.waiting,
            "best": best,
        }
        if full:
            row |= {
                "ranges": space_to_dict(stage.space),
                "seed": stage.seed,
                "trials_used": list(stage.trials_used),
                "data_fingerprint": stage.fingerprint,
                "versions": dict(stage.versions),
            }
        table.append(row)
    # Not by pandas' own guess: best is None before the first trial, and would be an object column.
    frame = pd.DataFrame(table).astype({"best": float})
    return frame if full or frame["pruned"].any() else frame.drop(columns="pruned")


def ranges_table(stages: Sequence[Stage]) -> pd.DataFrame:
    """One row a stage and parameter: the range. Ranges of a parameter stand below each other, stage by stage."""
    import pandas as pd

    names = dict.fromkeys(name for stage in stages for name in stage.space)
    rows = [
        {"parameter": name, "stage": stage.name, "range": describe(stage.space[name])}
        for name in names
        for stage in stages
        if name in stage.space
    ]
    return pd.DataFrame(rows)
