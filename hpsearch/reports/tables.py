"""Tables for people: records in, columns out. Commands show a few rows, and pandas takes 0.3 s to load."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from hpsearch.objectives.kinds import examples, used
from hpsearch.space import describe, shown, space_to_dict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hpsearch.records import NewStage, Stage
    from hpsearch.store import Counts, Owner
    from hpsearch.store.leases import Owned
    from hpsearch.store.queries import Columns

RECENT = 10_000
"""Of so many trials of a stage, the last ones, people are told who ran them."""
_MOST_MACHINES = 5


def by_column(rows: Sequence[Mapping[str, Any]]) -> Columns:
    """Return rows of the same keys, at least one, as columns."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def share_error(share: float, count: int) -> float:
    """Return one standard error of a share of so many examples, sqrt(p (1 - p) / n)."""
    return math.sqrt(max(share * (1 - share), 0.0) / count)


def standard_error(stage: NewStage, score: float) -> float | None:
    """Return one standard error of a score that is a share of the validation examples; None of any other."""
    count = examples(stage)
    return None if count is None else share_error(score, count)


def with_error(stage: NewStage, score: float) -> str:
    """Return a score as people read it: ``0.79 +- 0.04`` with one standard error, where that is known."""
    error = standard_error(stage, score)
    if error is None:
        return f"{score:.4g}"
    return f"{score:.4g} +- {error:.2f}" if error >= 0.005 or not error else f"{score:.4g} +- {error:.1g}"


def used_values(stage: NewStage, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a trial's values for people: None where it does not use one, a yes or no as study files have it."""
    names = set(used(stage, params))
    return {
        name: None if name not in names else shown(value) if isinstance(value, bool) else value
        for name, value in params.items()
    }


def trials_table(
    stage: Stage, columns: Columns, *, full: bool = False, tied: Sequence[bool | None] | None = None
) -> Columns:
    """Return trials as people read them, in 80 columns, or as programs do.

    Args:
        stage: The trials' stage.
        columns: What `hpsearch.store.Store.columns` gives.
        full: With every column under its full name and every sampled value; for programs. People see none of a
            hyperparameter that the trial does not use.
        tied: For each trial but the first, which is the best, whether it is statistically tied with the first; None
            for not known. Leave it out where there is no best.

    Returns:
        Columns trial, state (where they differ), the score under its metric's name, tied (where that was asked), the
        validation loss, the parameters, seconds, and reason if any trial failed or was pruned; all of them and the
        times with ``full``.
    """
    table = {"trial": columns["number"], "state": columns["state"], stage.metric: columns["score"]}
    if tied is not None:  # the best ties with itself
        table["tied"] = [True, *tied] if columns["number"] else []
    if stage.metric != "validation_loss":
        table["validation_loss"] = columns["validation_loss"]
    parameters = {name: columns[f"param:{name}"] for name in stage.space}
    table |= parameters | {name: columns[name] for name in ("seconds", "reason", "started", "finished")}
    if full:
        return table
    trials = [
        used_values(stage, dict(zip(parameters, row, strict=True))) for row in zip(*parameters.values(), strict=True)
    ]
    table |= {name: [trial[name] for trial in trials] for name in parameters}
    drop = {"started", "finished"}
    if not any(table["reason"]):
        drop |= {"reason"} if len(set(table["state"])) > 1 else {"reason", "state"}
    table["state"] = [state.lower() for state in table["state"]]
    if tied is not None and table["trial"]:
        table["tied"] = ["best", *table["tied"][1:]]
    return {name.replace("validation_", "val. "): cells for name, cells in table.items() if name not in drop}


def status_table(rows: Sequence[tuple[Stage, Counts, float | None]], *, full: bool = False) -> Columns:
    """Return one row a stage: its trials by state and its best score. People see ``pruned`` only if any is.

    Args:
        rows: Stages with their counts and best scores.
        full: With pruning rule, ranges, seed, fingerprint and trials used; for programs.
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
    """Return which stages prune unpromising trials, a line for each rule: a column would pass 80 characters."""
    by_rule: dict[str, list[str]] = {}
    for stage in stages:
        by_rule.setdefault(stage.pruning_rule, []).append(stage.name)
    return [f"pruned by {rule}: {', '.join(names)}" for rule, names in by_rule.items() if rule != "none"]


def confirmations_table(rows: Sequence[Mapping[str, Any]]) -> Columns:
    """Return one row a confirmation, for people: of which stage, how far it is, and whose values lead.

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


def ranges_table(stages: Sequence[NewStage]) -> Columns:
    """Return one row a parameter and stage: the range. Ranges of a parameter stand below each other."""
    names = dict.fromkeys(name for stage in stages for name in stage.space)
    return by_column(
        [
            {"parameter": name, "stage": stage.name, "range": describe(stage.space[name])}
            for name in names
            for stage in stages
            if name in stage.space
        ]
    )


def run_by(finishers: Mapping[Owner, int]) -> list[dict[str, Any]]:
    """Return machines and versions with how many trials each finished, most first; for programs."""
    return [
        {"host": host, "hpsearch": hpsearch or None, "numpy": numpy or None, "trials": trials}
        for (host, hpsearch, numpy), trials in _machines([finishers])
    ]


def run_by_line(finishers: Iterable[Mapping[Owner, int]], *, recent: bool = False) -> str | None:
    """Return the same of several stages together, for people; None where one machine with one version ran all.

    Args:
        finishers: Of each stage, how many trials each owner finished.
        recent: Whether a stage has more than the `RECENT` trials that were read.
    """
    machines = _machines(finishers)
    if len(machines) < 2:
        return None
    # Versions are worth the room only where they differ.
    several = len({tuple(versions) for (_, *versions), _ in machines}) > 1
    words = []
    for (host, hpsearch, numpy), trials in machines:
        versions = f" (hpsearch {hpsearch}, NumPy {numpy})" if hpsearch else " (version not stored)"
        words.append(f"{host} {trials}{versions if several else ''}")
    more = f" and {len(words) - _MOST_MACHINES} more" if len(words) > _MOST_MACHINES else ""
    which = f" (the last {RECENT:,} of a stage)" if recent else ""
    return f"run by{which}: {', '.join(words[:_MOST_MACHINES])}{more}"


def owned_columns(owned: Mapping[int, Owned], numbers: Sequence[int]) -> Columns:
    """Return of each trial the machine that runs it or ran it, with which version, and how often it was begun."""
    rows = [owned.get(number) for number in numbers]
    owners = [None if row is None else row.owner for row in rows]
    return {
        "ran_by": [None if owner is None else owner.host for owner in owners],
        "hpsearch": [None if owner is None else owner.hpsearch or None for owner in owners],
        "numpy": [None if owner is None else owner.numpy or None for owner in owners],
        "begun": [0 if row is None else row.begun for row in rows],
    }


def _machines(finishers: Iterable[Mapping[Owner, int]]) -> list[tuple[tuple[str, str, str], int]]:
    counts: Counter[tuple[str, str, str]] = Counter()
    for of_stage in finishers:
        for owner, trials in of_stage.items():
            counts[owner.host, owner.hpsearch, owner.numpy] += trials
    return counts.most_common()
