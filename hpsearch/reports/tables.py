"""Tables: records in, columns out; learning curves as plain characters. Without pandas."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.objectives import kinds
from hpsearch.records import CURVES, VALIDATION_LOSS, Argument, Sentence
from hpsearch.roles import scientific, within
from hpsearch.space import describe, shown, space_to_dict
from hpsearch.text import counted, is_missing, listed, rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hpsearch.records import Action, NewStage, Stage
    from hpsearch.search.best import Overview
    from hpsearch.search.checklist import Checklist
    from hpsearch.search.comparison import Comparison, Side
    from hpsearch.store import Counts, Owner, Store
    from hpsearch.store.leases import Owned
    from hpsearch.store.queries import Columns


RECENT = 10_000  # of so many trials of a stage, the last ones, people are told who ran them
_MOST_MACHINES = 5
QUARTILES = ("lowest", "lower_quartile", "median", "upper_quartile", "highest")


def by_column(rows: Sequence[Mapping[str, Any]]) -> Columns:
    """Return rows, at least one, as columns; None where a row lacks a key."""
    return {name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)}


def with_error(score: float, error: float | None) -> str:
    """Return a score as people read it: ``0.79 +- 0.04`` with one standard error, where that is known."""
    if error is None:
        return f"{score:.4g}"
    return f"{score:.4g} +- {error:.2f}" if error >= 0.005 else f"{score:.4g} +- {error:.1g}"


def used_values(stage: NewStage, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a trial's values for people: None where it does not use one, a yes, no or none as study files have it."""
    names = set(kinds.used(stage, params))
    return {
        name: None if name not in names else shown(value) if isinstance(value, bool | None) else value
        for name, value in params.items()
    }


def trials_table(
    stage: Stage, columns: Columns, *, full: bool = False, tied: Sequence[bool | None] | None = None
) -> Columns:
    """Return trials as people read them, in 80 columns, or as programs do.

    Args:
        columns: What `hpsearch.store.Store.columns` gives.
        full: With every column under its full name and every sampled value; for programs. People see none of a
            hyperparameter that the trial does not use.
        tied: For each trial but the first, which is the best, whether it is statistically tied with the first; None
            for not known. Leave it out where there is no best.
    """
    table = {"trial": columns["number"], "state": columns["state"], stage.metric: columns["score"]}
    if tied is not None:  # the best ties with itself
        table["tied"] = [True, *tied] if columns["number"] else []
    if stage.metric != VALIDATION_LOSS and (kinds.foreign(stage) or not kinds.is_users(stage)):
        table["validation_loss"] = columns["validation_loss"]
    parameters = {name: columns[f"param:{name}"] for name in stage.space}
    rest = {name: columns[name] for name in ("seconds", "reason", "started", "finished")}
    if full:
        return table | parameters | rest
    trials = [
        used_values(stage, dict(zip(parameters, row, strict=True))) for row in zip(*parameters.values(), strict=True)
    ]
    table |= _merged(stage, trials) | rest
    drop = {"started", "finished"}
    if kinds.foreign(stage):  # whoever ran them kept no losses or seconds, as a rule
        drop |= {name for name in ("validation_loss", "seconds") if all(map(is_missing, table.get(name, ())))}
    if not any(table["reason"]):
        drop |= {"reason"} if len(set(table["state"])) > 1 else {"reason", "state"}
    table["state"] = [state.lower() for state in table["state"]]
    if tied is not None and table["trial"]:
        table["tied"] = ["best", *table["tied"][1:]]
    return {name.replace("validation_", "val. "): cells for name, cells in table.items() if name not in drop}


def _merged(stage: Stage, trials: Sequence[Mapping[str, Any]]) -> Columns:
    """Return trials' values by column; ranges per scientific value, which stands beside them, share a column."""
    names = scientific(stage.space)
    columns: Columns = {}
    for name, parameter in stage.space.items():
        cells = [trial[name] for trial in trials]
        before = columns.get(of := within(name, parameter, names), cells)
        columns[of] = [new if old is None else old for old, new in zip(before, cells, strict=True)]
    return columns


def status_table(rows: Sequence[tuple[Stage, Counts, float | None, float | None]], *, full: bool = False) -> Columns:
    """Return one row a stage: its trials by state and its best score.

    People see ``pruned`` only if any is, and ``epochs`` only if stages have different ones.

    Args:
        rows: Stages with their counts, best scores and one standard error of these.
        full: With pruning rule, ranges, seed, fingerprint and trials used; for programs.
    """
    table = []
    for stage, counts, best, error in rows:
        row: dict[str, Any] = {
            "stage": stage.name,
            "from": _parent(stage, full=full),
            "epochs": kinds.trained_epochs(stage),
            "finished": counts.finished,
            "failed": counts.failed,
            "pruned": counts.pruned,
            "running": counts.running,
            "waiting": counts.waiting,
            "best": best if full or best is None else with_error(best, error),
        }
        if full:
            row |= {
                "standard_error": error,
                "pruning": stage.pruning_rule,
                "refinement": stage.refinement,
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
    if not full and len(set(columns["epochs"])) < 2:
        del columns["epochs"]
    return columns


def _parent(stage: Stage, *, full: bool) -> str | None:
    if stage.parent is None:
        return None
    parent = f"stage-{stage.parent:02d}"
    return f"{parent} (refined)" if stage.refinement is not None and not full else parent


def pruning_lines(stages: Sequence[Stage]) -> list[str]:
    """Return which stages prune unpromising trials, a line for each rule: a column would pass 80 characters."""
    by_rule: dict[str, list[str]] = {}
    for stage in stages:
        by_rule.setdefault(stage.pruning_rule, []).append(stage.name)
    return [f"pruned by {rule}: {', '.join(names)}" for rule, names in by_rule.items() if rule != "none"]


def confirmation_row(of: Overview) -> dict[str, Any]:
    """Return the state of a confirmation, for programs."""
    first = of.first
    return {
        "confirmation": of.confirmation.name,
        "stage": of.stage,
        "settings": len(of.plan.settings),
        "finished": of.finished,
        "failed": of.failed,
        "places": of.plan.size,
        "first": first and first.trial,
        "mean": first and first.mean,
        "repeats": first and first.repeats,
        "params": first and first.setting.params,
    }


def confirmations_table(confirmations: Sequence[Overview]) -> Columns:
    """Return one row a confirmation, for people: of which stage, how far it is, and whose values lead."""
    return by_column(
        [
            {
                "confirmation": of.confirmation.name,
                "from": of.stage.rpartition("/")[2],
                "settings": len(of.plan.settings),
                "finished": f"{of.finished} of {of.plan.size}",
                "first trial": of.first and of.first.trial,
                "mean": of.first and of.first.mean,
            }
            for of in confirmations
        ]
    )


def confirmed_table(confirmation: Overview, *, to: str = "..") -> Columns:
    """Return the settings of a confirmation, best first, for people: without columns that say nothing.

    ``to`` stands between the ends of an interval.
    """
    columns = by_column(
        [
            {
                "trial": of.trial,
                "mean": of.mean,
                "95 % interval": of.interval and f"{of.interval.low:.3f} {to} {of.interval.high:.3f}",
                "score before": of.setting.score,
                "repeats": of.repeats,
                "failed": of.failed,
                "p": None if of.p is None else float(f"{of.p:.2g}"),
                **used_values(confirmation.confirmation, of.setting.params),
            }
            for of in confirmation.ranking
        ]
    )
    idle = {"repeats": columns["repeats"][0], "failed": 0, "p": None}
    return {name: cells for name, cells in columns.items() if name not in idle or set(cells) != {idle[name]}}


def confirmed_sentences(confirmation: Overview) -> list[Sentence]:
    """Return sentences that explain the table of a confirmation."""
    ranking, stage = confirmation.ranking, confirmation.confirmation
    first, others = ranking[0], ranking[1:]
    examples = stage.sizes.get("validation")
    repeats = counted(first.repeats, "repeat") if len({of.repeats for of in ranking}) == 1 else "its repeats"
    same = f" on the same {counted(examples, 'validation example')}" if examples else ""
    scope = ", not" if first.covers == "seeds" else " and"
    constant = kinds.examples(stage) is None and all(of.constant for of in ranking)
    sentences = [f"mean: {stage.metric} over {repeats}{same}"]
    if constant:
        sentences.append("all repeats of each trial are equal: the score does not depend on the seed")
    if not constant or first.covers != "seeds":
        sentences.append(f"the interval covers other seeds{scope} other validation examples")
    tested = [of for of in others if of.p is not None]
    worse = [str(of.trial) for of in tested if of.distinguishable]
    name = f"trial {first.trial}"
    if worse and len(worse) == len(others):
        sentences.append(f"{name} is significantly better than all the others")
    elif worse:
        which = f"trial{'s' if len(worse) > 1 else ''} {', '.join(worse)}"
        sentences.append(f"{name} is significantly better than {which}; the rest are statistically tied with it")
    elif tested:
        sentences.append(f"all others are statistically tied with {name}")
    elif others and not constant:
        sentences.append("too few repeats in common to compare them; use {} or more")
    if tested:
        sentences.append("p: two-sided, Bonferroni-adjusted, against the first")
        if any(of.compared == "seeds" for of in tested):
            sentences.append("p holds for these validation examples alone")
    drop = sum(of.setting.score - of.mean for of in ranking) / len(ranking)
    if stage.direction == "minimize":
        drop = -drop
    if drop > 1e-9 * max(abs(of.mean) for of in ranking):  # else rounding
        better = "higher" if stage.direction == "maximize" else "lower"
        sentences.append(f"the scores they were selected by were {drop:.2g} {better} on average: selection bias")
    return [Sentence(text, (Argument("repeats", 4),) * text.count("{}")) for text in sentences]


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

    ``recent`` says that a stage has more than the `RECENT` trials that were read.
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
    which = f" (the last {RECENT:,} of a stage)" if recent else ""
    return f"run by{which}: {listed(words, _MOST_MACHINES)}"


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
    for owner, trials in itertools.chain.from_iterable(of_stage.items() for of_stage in finishers):
        counts[owner.host, owner.hpsearch, owner.numpy] += trials
    return counts.most_common()


WIDTH = 10  # characters of a sparkline that runs to the end
BLOCKS = "▁▂▃▄▅▆▇█"
DIGITS = "0123456789"  # tenths of the scale, where there are no blocks
_LEFT = 11  # columns of a chart's axis labels


def chart(curves: Mapping[str, Sequence[float]], *, width: int = 72, height: int = 12) -> list[str]:
    """Return curves over epochs as lines of text, one mark a curve; where curves meet, the later one's mark is seen.

    Args:
        curves: By one-character mark: (E,) values, of the same E for all, from epoch 1.

    Returns:
        Rows from the top, with values on the left and epochs below; nothing for no epochs.
    """
    values = [value for curve in curves.values() for value in curve]
    if not values:
        return []
    low, high = min(values), max(values)
    epochs = max(len(curve) for curve in curves.values())
    columns = min(width - _LEFT - 1, max(epochs, 20))
    grid = [[" "] * columns for _ in range(height)]
    for mark, curve in curves.items():
        for column in range(columns):
            # Each column shows the epoch at its place: some are left out, or of a few each takes several columns.
            value = curve[round(column * (len(curve) - 1) / (columns - 1))]
            share = (value - low) / (high - low) if high > low else 0.5
            grid[round((1 - share) * (height - 1))][column] = mark
    labels = {0: high, height - 1: low}
    lines = [
        f"{labels[row]:{_LEFT - 1}.3g} |{''.join(marks)}" if row in labels else f"{'':{_LEFT}}|{''.join(marks)}"
        for row, marks in enumerate(grid)
    ]
    under = f"{'':{_LEFT}}+{'-' * columns}"
    last = str(epochs) if epochs > 1 else ""
    return [*(line.rstrip() for line in lines), under, f"{'':{_LEFT + 1}}1{last:>{columns - 1}}  epoch"]


@dataclass(frozen=True, slots=True)
class Scale:
    """The common scale of the sparklines of a table, so that its rows compare."""

    low: float
    high: float
    epochs: int  # epochs of a curve that runs to the end: a pruned one is as much shorter
    blocks: bool = True

    @classmethod
    def of(cls, curves: Iterable[Sequence[float]], *, epochs: int | None = None, blocks: bool = True) -> Scale:
        """Return the scale that holds all finite values of some curves.

        Args:
            curves: (E,) values each, from epoch 1.
            epochs: Of a curve that runs to the end; None: those of the longest.
        """
        listed = list(curves)
        finite = [value for curve in listed for value in curve if math.isfinite(value)]
        longest = max((len(curve) for curve in listed), default=0)
        low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
        return cls(low, high, max(longest, epochs or 0, 1), blocks)

    @property
    def words(self) -> str:
        """The scale for a heading: ``0.09 to 0.794``, or with digits ``0 = 0.09, 9 = 0.794``."""
        if self.blocks:
            return f"{self.low:.3g} to {self.high:.3g}"
        return f"{DIGITS[0]} = {self.low:.3g}, {DIGITS[-1]} = {self.high:.3g}"

    def sparkline(self, curve: Sequence[float]) -> str:
        """Return a curve, (E,) values from epoch 1, as at most `WIDTH` characters, each the mean of its epochs.

        An infinite value stands at its end of the scale, a blank for NaN.
        """
        marks = BLOCKS if self.blocks else DIGITS
        columns = min(WIDTH, self.epochs)
        edges = [round(column * self.epochs / columns) for column in range(columns + 1)]
        stretches = (curve[start:end] for start, end in itertools.pairwise(edges))
        return "".join(self._mark(marks, stretch) for stretch in stretches if len(stretch)).rstrip()

    def _mark(self, marks: str, values: Sequence[float]) -> str:
        known = [min(max(value, self.low), self.high) for value in values if not math.isnan(value)]
        if not known:
            return " "
        mean = sum(known) / len(known)
        share = (mean - self.low) / (self.high - self.low) if self.high > self.low else 1.0
        return marks[min(int(share * len(marks)), len(marks) - 1)]


def shows_blocks(encoding: str | None) -> bool:
    """Return whether an output of this encoding can show blocks."""
    try:
        BLOCKS.encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def checklist_table(of: Checklist, word: Callable[[Action | Argument], str]) -> Columns:
    """Return one row a question, and the next step."""
    rows = [
        {
            "question": question.question,
            "verdict": question.verdict,
            "answer": "; ".join(answer.worded(word) for answer in question.answers),
            "figure": question.figure and word(question.figure),
            "command": question.action and word(question.action),
        }
        for question in of.questions
    ]
    return by_column([*rows, {"question": "What next?", "verdict": "act", "answer": of.next.sentence.worded(word)}])


def comparison_table(result: Comparison) -> Columns:
    """Return both sides of a comparison, a column a side, for people."""
    sides = (result.a, result.b)
    best = 4 if result.a.direction == "maximize" else 0
    rows: dict[str, list[str | None]] = {
        **({} if sides[0].where == sides[1].where else {"database": [side.where for side in sides]}),
        "metric": [side.metric for side in sides],
        "best": [f"{side.best:.4g}" for side in sides],
        "95 % interval": [
            None if side.interval is None else f"{rounded(side.interval.low, 2)} .. {rounded(side.interval.high, 2)}"
            for side in sides
        ],
        "of trial": [
            f"{side.best_trial}{'' if side.best_stage == side.name else f' of {side.best_stage}'}" for side in sides
        ],
        "values to use": [side.values for side in sides],
        **{
            name.replace("_", " "): [f"{side.quartiles[i]:.4g}" if side.finished > 1 else None for side in sides]
            for i, name in reversed(list(enumerate(QUARTILES)))
            if i != best  # it stands above
        },
        "finished trials": [str(side.finished) for side in sides],
        "failed": [_share(side.failed, side) for side in sides],
        "pruned": [_share(side.pruned, side) for side in sides],
        "epochs": [f"{side.epochs:,}" if side.epochs else None for side in sides],
        "seconds": [None if side.seconds is None else f"{side.seconds:.4g}" for side in sides],
    }
    headings = [f"A: {result.a.name}", f"B: {result.b.name}"]
    return {"": list(rows), **{heading: [row[i] for row in rows.values()] for i, heading in enumerate(headings)}}


def _share(count: int, side: Side) -> str:
    return f"{count} ({count / side.finished:.0%})" if count else "0"


def curve_rows(store: Store, stage: Stage, *, top: int) -> list[dict[str, Any]]:
    """Return the best trials of a stage, best first: their columns, and each of their learning curves by its name."""
    columns = store.columns(stage, top=top)
    numbers = columns["number"]
    if not numbers:
        return []
    others = store.attribute(stage, numbers, CURVES)
    points = store.curves(stage, numbers).sort_values("step")
    scores = points.groupby("number")["value"].agg(list)
    rows = []
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        # The loss of one epoch would hide the curve of that name.
        del row["validation_loss"]
        # Where the score's is the only curve, it is of whatever the score is.
        name = f"validation_{stage.metric}" if stage.metric in kinds.curve_bounds(stage) else stage.metric
        rows.append({**row, **others.get(row["number"], {}), name: scores.get(row["number"], [])})
    return rows
