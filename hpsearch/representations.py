"""Results for programs: the JSON objects and the CSV that commands print and the service answers.

Objects may hold records; `hpsearch.serialization.to_plain` makes them plain.
"""

from __future__ import annotations

import csv
import json
import math
from typing import TYPE_CHECKING, Any, TypeAlias

from hpsearch.records import CURVES, HITS, OUTPUT, REASON, SECONDS, VALIDATION_LOSS, Action, Argument
from hpsearch.reports.tables import QUARTILES, by_column, confirmation_row, run_by, status_table, trials_table
from hpsearch.serialization import to_plain
from hpsearch.space import describe
from hpsearch.text import is_missing, printable
from hpsearch.wording import word

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO

    from hpsearch.api import Evaluation, Retried, StageStatus, Trials
    from hpsearch.search.best import BestTrial, Confirmed, Overview
    from hpsearch.search.comparison import Comparison
    from hpsearch.search.confirmation import Confirmation
    from hpsearch.search.limits import Run
    from hpsearch.search.narrowing import NextStage
    from hpsearch.search.recommendation import Recommendation
    from hpsearch.store.queries import Columns
    from hpsearch.store.trial_details import TrialDetails

Object: TypeAlias = dict[str, Any]
Word: TypeAlias = "Callable[[Action | Argument], str]"

# Attributes of a trial that stand elsewhere, or are for programs.
ELSEWHERE = (SECONDS, REASON, VALIDATION_LOSS, HITS, CURVES, OUTPUT)


def write_csv(columns: Columns, stream: TextIO, *, most: int | None = None) -> None:
    """Write rows, given by column, with every digit; of texts longer than ``most`` the middle is left out."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(printable(name, most) for name in columns)
    writer.writerows([_cell(value, most) for value in row] for row in zip(*columns.values(), strict=True))


def _cell(value: Any, most: int | None) -> Any:
    return "" if is_missing(value) else printable(value, most) if isinstance(value, str) else value


def by_row(columns: Columns) -> list[Object]:
    """Return columns as objects, one a row."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def one_row(record: Any) -> Columns:
    """Return a record as columns of one row, in which nested data are JSON."""
    plain = to_plain(record, word=word)
    return {name: [json.dumps(of) if isinstance(of, list | dict) else of] for name, of in plain.items()}


def status(stages: Sequence[StageStatus]) -> Columns:
    """Return the state of stages, a row each."""
    return status_table([(row.stage, row.counts, row.best, row.error) for row in stages], full=True) | {
        "run_by": [run_by(row.finishers) for row in stages],
        "abandoned": [row.abandoned for row in stages],
        "confirmation": [row.confirmation and confirmation_row(row.confirmation) for row in stages],
    }


def trials(of: Trials, *, csv: bool) -> Columns:
    """Return trials, a row each; their learning curves, where they were read, as lists or as texts for CSV."""
    table = of.table()
    if of.curves is None:
        return table
    curves = [of.curves.get(number, ()) for number in table["trial"]]
    if csv:
        return table | {"curve": [" ".join(map(repr, curve)) for curve in curves]}
    return table | {"curve": [[value if math.isfinite(value) else None for value in curve] for curve in curves]}


def trial(of: TrialDetails) -> Object:
    """Return everything that is kept of a trial."""
    return {
        "stage": of.stage.name,
        "trial": of.row["number"],
        **{key: of.row[key] for key in ("state", "score", "reason", "seconds", "started", "finished")},
        "params": of.params,
        "curve": list(of.curve),
        "attributes": {key: value for key, value in of.attributes.items() if key not in ELSEWHERE},
        OUTPUT: of.attributes.get(OUTPUT),
    }


def best(of: BestTrial, confirmation: Overview | None) -> Object:
    """Return the best trial, the uncertainty of its score, and the state of its stage's confirmation."""
    return {
        "stage": of.stage,
        "trial": of.trial,
        of.metric: of.score,
        "standard_error": of.error,
        "interval": of.interval,
        "corrected": of.corrected,
        "corrected_interval": of.corrected_interval,
        "tied": list(of.tied) if of.known else None,
        "compared": len(of.ties),
        "paired": of.paired,
        "params": of.params,
        "confirmation": confirmation and confirmation_row(confirmation),
    }


def best_columns(of: BestTrial) -> Columns:
    """Return the best trial as columns of one row."""
    intervals = {"interval": of.interval, "corrected_interval": of.corrected_interval}
    ends: Columns = {
        f"{name}_{end}": [interval and getattr(interval, end)]
        for name, interval in intervals.items()
        for end in ("low", "high")
    }
    first = {name: cells[:1] for name, cells in of.columns.items()}
    ties: Columns = {"ties": [len(of.tied) if of.known else None]}
    return trials_table(of.of, first, full=True) | {"corrected": [of.corrected], **ends, **ties}


def recommendation(of: Recommendation, word: Word = word) -> Object:
    """Return the values to use, and in words why these and what to expect of them."""
    return {**to_plain(of, word=word), "sentences": [sentence.worded(word) for sentence in of.sentences]}


def recommendation_columns(of: Recommendation) -> Columns:
    """Return the values to use as columns of one row."""
    row = to_plain(of, word=word)
    values, ends = row.pop("params"), row.pop("interval") or {}
    row |= {"low": ends.get("low"), "high": ends.get("high")} | {f"param:{name}": of for name, of in values.items()}
    return {name: [value] for name, value in row.items()}


def stopped(runs: Sequence[Run]) -> list[Object]:
    """Return the runs that were asked to stop."""
    return [{"stage": run.stage, "host": run.owner.host, "pid": run.owner.pid, "trials": run.trials} for run in runs]


def retried(of: Retried) -> Object:
    """Return the trials that were given back."""
    return {"stage": of.stage.name, "trials": of.numbers, "next": of.following}


def confirmation(of: Confirmation) -> Object:
    """Return the ranking of a confirmation, and what this run of it did."""
    state, counts = of.state, of.summary.counts
    return {
        "confirmation": state.confirmation.name,
        "stage": state.stage,
        "metric": state.confirmation.metric,
        "level": next((each.interval.level for each in state.ranking if each.interval is not None), None),
        "finished": counts.finished,
        "failed": counts.failed,
        "run_now": of.summary.recorded,
        "seconds": round(of.summary.seconds, 3),
        "ended_by": of.summary.ended_by,
        "settings": [
            {
                **_confirmed(state.stage, each),
                "scores": dict(sorted(each.scores.items())),
                "params": each.setting.params,
            }
            for each in state.ranking
        ],
    }


def confirmation_columns(of: Confirmation) -> Columns:
    """Return the ranking of a confirmation, a row each."""
    return by_column([{**_confirmed(of.state.stage, each), **each.setting.params} for each in of.state.ranking])


def _confirmed(stage: str, of: Confirmed) -> Object:
    """Return everything known of a setting but its values."""
    return {
        "stage": stage,
        "trial": of.trial,
        "mean": of.mean,
        "low": of.interval and of.interval.low,
        "high": of.interval and of.interval.high,
        "covers": of.covers,
        "repeats": of.repeats,
        "failed": of.failed,
        "original": of.setting.score,
        "p": of.p,
        "compared": of.compared,
        "distinguishable": of.distinguishable,
        "mean_validation_loss": of.mean_loss if math.isfinite(of.mean_loss) else None,
    }


def comparison_columns(of: Comparison) -> Columns:
    """Return a comparison, a row a side."""
    rows: list[Object] = []
    for label, side in (("A", of.a), ("B", of.b)):
        row = to_plain(side)
        interval, quartiles = row.pop("interval"), row.pop("quartiles")
        row |= {f"interval_{end}": interval and interval[end] for end in ("low", "high")}
        rows.append({"side": label, **row, **dict(zip(QUARTILES, quartiles, strict=True))})
    return by_column(rows)


def narrowed(of: NextStage, word: Word = word) -> Object:
    """Return the next stage's ranges with the evidence for each."""
    return {
        "parent": of.parent.name,
        "stage": None if of.stage is None else of.stage.name,
        **to_plain(of.narrowing, word=word),
        "remarks": of.remarks,
    }


def narrowed_columns(of: NextStage) -> Columns:
    """Return the next stage's ranges, a row a parameter."""
    return by_column(
        [
            {
                "parameter": name,
                "range": describe(range_.before),
                "next range": describe(range_.after),
                "kept": f"{range_.kept:.0%}",
                "p": range_.evidence,
            }
            for name, range_ in of.narrowing.ranges.items()
        ]
    )


def evaluation(of: Evaluation) -> Object:
    """Return the score on the test set."""
    fitted: Any = of.fitted
    return {
        **_entry(of),
        "look": of.evaluated.count,
        "why": of.prepared.choice.why,
        "validation_score": of.prepared.choice.score,
        "seconds": round(fitted.seconds, 3),
        **of.evaluated.result.facts,
    }


def evaluation_columns(of: Evaluation) -> Columns:
    """Return the score on the test set as columns of one row."""
    score = of.evaluated.result.score
    row = {name: value for name, value in _entry(of).items() if name not in ("params", "versions", "interval")}
    row |= {"low": score.low, "high": score.high, "look": of.evaluated.count}
    return {name: [value] for name, value in {**row, **of.prepared.choice.params}.items()}


def _entry(of: Evaluation) -> Object:
    return {name: value for name, value in of.evaluated.entry.items() if name != "id"}
