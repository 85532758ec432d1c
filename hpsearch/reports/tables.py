"""Tables for people: records in, columns out. Commands show a few rows, and pandas takes 0.3 s to load."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from hpsearch.objectives import kinds
from hpsearch.space import describe, shown, space_to_dict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hpsearch.records import Stage
    from hpsearch.store import Counts, Owner
    from hpsearch.store.leases import Owned
    from hpsearch.store.queries import Columns


def standard_error(stage: Stage, score: float) -> float | None:
    """One standard error of an accuracy on this stage's validation images, sqrt(p (1 - p) / n).

    None where the score is no accuracy.
    """
    examples = kinds.examples(stage)
    return None if examples is None else accuracy_error(score, examples)


def accuracy_error(accuracy: float, images: int) -> float:
    """One standard error of an accuracy on so many images."""
    return math.sqrt(max(accuracy * (1 - accuracy), 0.0) / images)


def with_error(stage: Stage, score: float) -> str:
    """A score as people read it: ``0.79 +- 0.04``, of an accuracy with one standard error."""
    error = standard_error(stage, score)
    if error is None:
        return f"{score:.4g}"
    return f"{score:.4g} +- {error:.2f}" if error >= 0.005 or not error else f"{score:.4g} +- {error:.1g}"


def trials_table(
    stage: Stage, columns: Columns, *, full: bool = False, tied: Sequence[bool | None] | None = None
) -> Columns:
    """Trials as people read them, in 80 columns, or as programs do.

    Args:
        stage: Whose trials they are.
        columns: What `hpsearch.store.Store.columns` gives.
        full: With every column under its full name and every value that was drawn; for programs. People see none
            of a hyperparameter that the trial does not use.
        tied: For each trial but the first, whether it ties with the first, which is the best; None for not known.
            Leave it out where there is no best.

    Returns:
        Columns trial, state (where they differ), the score under its metric's name, whether the trial ties with the
        best (where that was asked), the validation loss, the parameters, seconds, and reason if any trial failed or
        was stopped early; all of them and the times with ``full``.
    """
    table = _all_columns(stage, columns, tied)
    if full:
        return table
    table |= _as_people_read(stage, table)
    drop = {"started", "finished"}
    if not any(table["reason"]):
        drop.add("reason")
        if len(set(table["state"])) < 2:
            drop.add("state")
    table["state"] = [state.lower() for state in table["state"]]
    if tied is not None and table["trial"]:
        table["tied"] = ["best", *table["tied"][1:]]
    return {name.replace("validation_", "val. "): cells for name, cells in table.items() if name not in drop}


def _all_columns(stage: Stage, columns: Columns, tied: Sequence[bool | None] | None) -> Columns:
    metric = stage.metric
    table = {"trial": columns["number"], "state": columns["state"], metric: columns["score"]}
    if tied is not None:  # the best ties with itself
        table["tied"] = [True, *tied] if columns["number"] else []
    if metric != "validation_loss":
        table["validation_loss"] = columns["validation_loss"]
    table |= {name: columns[f"param:{name}"] for name in stage.space}
    return table | {name: columns[name] for name in ("seconds", "reason", "started", "finished")}


def _as_people_read(stage: Stage, table: Columns) -> Columns:
    """The parameters without the values that a trial does not use; a yes or no as study files have it."""
    trials = [
        dict(zip(stage.space, values, strict=True))
        for values in zip(*(table[name] for name in stage.space), strict=True)
    ]
    shown_values = [drawn_values(stage, trial) for trial in trials]
    return {name: [trial[name] for trial in shown_values] for name in stage.space}


def drawn_values(stage: Stage, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's values for people: None where it does not use one, a yes or no as study files have it.

    Args:
        stage: Whose trial it is.
        drawn: Its drawn values by name.
    """
    used = set(kinds.used(stage, drawn))
    return {name: _flag(value) if name in used else None for name, value in drawn.items()}


def _flag(value: object) -> object:
    return shown(value) if isinstance(value, bool) else value


def status_table(rows: Sequence[tuple[Stage, Counts, float | None]], *, full: bool = False) -> Columns:
    """One row a stage: its trials by state and its best score. ``pruned`` is there for people only if any is.

    Args:
        rows: Stages with their counts and best scores.
        full: With the rule of pruning, ranges, seed, fingerprint and trials used; for programs.
    """
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
            "best": best if full or best is None else with_error(stage, best),
        }
        if full:
            row |= {
                "standard_error": None if best is None else standard_error(stage, best),
                "pruning": stage.pruning_rule,
                "ranges": space_to_dict(stage.space),
                "seed": stage.seed,
                "trials_used": list(stage.trials_used),
                "data_fingerprint": stage.fingerprint,
                "versions": dict(stage.versions),
            }
        table.append(row)
    columns = by_column(table)
    if not full and not any(columns["pruned"]):
        del columns["pruned"]
    return columns


def pruning_lines(stages: Sequence[Stage]) -> list[str]:
    """Which stages stop hopeless trials early, a line for each rule: a column of its own would pass 80 characters."""
    by_rule: dict[str, list[str]] = {}
    for stage in stages:
        by_rule.setdefault(stage.pruning_rule, []).append(stage.name)
    return [f"pruned by {rule}: {', '.join(names)}" for rule, names in by_rule.items() if rule != "none"]


def confirmations_table(rows: Sequence[Mapping[str, Any]]) -> Columns:
    """One row a confirmation, for people: of which stage, how far it is, and whose values lead.

    Args:
        rows: With ``confirmation``, ``stage``, ``settings``, ``finished``, ``places``, ``first`` and ``mean``.
    """
    return by_column(
        [
            {
                "confirmation": row["confirmation"],
                "from": row["stage"].rpartition("/")[2],
                "settings": row["settings"],
                "finished": f"{row['finished']} of {row['places']}",
                "first trial": row["first"],
                "mean": row["mean"],
            }
            for row in rows
        ]
    )


def ranges_table(stages: Sequence[Stage]) -> Columns:
    """One row a stage and parameter: the range. Ranges of a parameter stand below each other, stage by stage."""
    names = dict.fromkeys(name for stage in stages for name in stage.space)
    return by_column(
        [
            {"parameter": name, "stage": stage.name, "range": describe(stage.space[name])}
            for name in names
            for stage in stages
            if name in stage.space
        ]
    )


def by_column(rows: Sequence[Mapping[str, Any]]) -> Columns:
    """Rows of the same keys, at least one, as columns."""
    return {name: [row[name] for row in rows] for name in rows[0]}


RECENT = 10_000
"""Of so many trials of a stage, the last ones, people are told who ran them."""
_MOST = 5
"""So many machines are named in one line."""


def run_by(finishers: Mapping[Owner, int]) -> list[dict[str, Any]]:
    """Machines and versions with how many trials each finished, most first; for programs."""
    return [
        {"host": host, "hpsearch": hpsearch or None, "numpy": numpy or None, "trials": many}
        for (host, hpsearch, numpy), many in _machines([finishers])
    ]


def run_by_line(finishers: Iterable[Mapping[Owner, int]], *, recent: bool = False) -> str | None:
    """The same of several stages together, for people; None where one machine with one version ran all.

    Args:
        finishers: Who finished how many, of each stage.
        recent: Whether a stage has more than the `RECENT` trials that were looked at.
    """
    found = _machines(finishers)
    if len(found) < 2:
        return None
    # Versions are worth the room only where they differ.
    several = len({tuple(versions) for (_, *versions), _ in found}) > 1
    words = [f"{host} {many}{_versions(hpsearch, numpy) if several else ''}" for (host, hpsearch, numpy), many in found]
    more = f" and {len(words) - _MOST} more" if len(words) > _MOST else ""
    those = f" (the last {RECENT:,} of a stage)" if recent else ""
    return f"run by{those}: {', '.join(words[:_MOST])}{more}"


def owned_columns(owned: Mapping[int, Owned], numbers: Sequence[int]) -> Columns:
    """Of each trial the machine that runs it or ran it, with which version, and how often it was begun."""
    found = [owned.get(number) for number in numbers]
    owners = [None if one is None else one.owner for one in found]
    return {
        "ran_by": [None if owner is None else owner.host for owner in owners],
        "hpsearch": [None if owner is None else owner.hpsearch or None for owner in owners],
        "numpy": [None if owner is None else owner.numpy or None for owner in owners],
        "begun": [0 if one is None else one.begun for one in found],
    }


def _machines(finishers: Iterable[Mapping[Owner, int]]) -> list[tuple[tuple[str, str, str], int]]:
    found: Counter[tuple[str, str, str]] = Counter()
    for of_stage in finishers:
        for owner, many in of_stage.items():
            found[owner.host, owner.hpsearch, owner.numpy] += many
    return found.most_common()


def _versions(hpsearch: str, numpy: str) -> str:
    return f" (hpsearch {hpsearch}, NumPy {numpy})" if hpsearch else " (version not kept)"
