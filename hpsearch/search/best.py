"""The best trial of a search: its ties, its score corrected for selection, and a search's final values.

Only the nearest `MOST` trials of a stage are compared, however many there are, and without NumPy, so that commands that
show a few rows stay fast. For the same reason the means of a confirmation are computed here, and their intervals in
`hpsearch.search.confirmation`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from hpsearch.errors import BadArgument, BadInput
from hpsearch.objectives import kinds
from hpsearch.records import HITS, ConfirmationPlan, Direction, Setting, Stage, draw_seed, stage_name
from hpsearch.search.noise import Noise, noise_of
from hpsearch.search.stage import (
    actions_for,
    best_among,
    compares,
    lacking,
    left_out,
    params_at,
    pick,
)
from hpsearch.space import delivered
from hpsearch.statistics.hits import is_tied
from hpsearch.statistics.intervals import LEVEL, Interval
from hpsearch.store.queries import html
from hpsearch.text import counted

if TYPE_CHECKING:
    from hpsearch.space import Value
    from hpsearch.store import Store
    from hpsearch.store.queries import Columns

Covers = Literal["seeds and examples", "seeds"]
MOST = 100  # number of a stage's best trials that are compared with the best one
_NAMED = 5  # number of tied trials that are named
_COMPARED = 4  # number of other trials that must be comparable with the best one, where there are so many
TOP, REPEATS = 5, 10  # number of settings that a confirmation trains again by default, and of repeats


@dataclass(frozen=True, slots=True)
class BestTrial:
    """The best trial of a search, its score, and the trials tied with it."""

    stage: str
    trial: int
    score: float
    # the interval of that score, as if the trial had not been chosen for it: Wilson's of a share of examples, Student's
    # by folds or a standard error; None where none of these is known
    interval: Interval | None
    # the score corrected for selection: the expected score of the best trial of such a selection on examples that had
    # no part in choosing it. None where neither hits on single examples nor scores on folds are stored.
    corrected: float | None
    corrected_interval: Interval | None
    params: Mapping[str, Value]
    examples: int | None = field(metadata={"json": "images"})  # as in 0.2
    metric: str
    of: Stage = field(repr=False)
    columns: Columns = field(repr=False)  # that stage's best trials, best first (`hpsearch.store.Store.columns`)
    # for each of these trials but the first, whether it is statistically tied with it; None: not known
    ties: tuple[bool | None, ...] = field(default=(), repr=False)
    paired: bool = field(default=False, repr=False)  # whether all of them were compared on the same examples or folds
    trials: int = field(default=1, repr=False)  # number of sampled trials, of which this one came out best
    beyond: int = field(default=0, repr=False)  # further complete trials of its stage, which were not compared with it
    left_out: str | None = field(default=None, repr=False)  # a sentence on stages that do not compare with its own
    # the noise of these scores and of those of other stages, by stage, where it is known
    noise: Mapping[str, Noise] = field(default_factory=dict, repr=False)

    def _repr_html_(self) -> str:
        """Return its score and its values as a table, and what ties with it, for notebooks."""
        row = {"stage": self.stage, "trial": self.trial, self.metric: self.score}
        row |= {} if self.corrected is None else {"corrected for selection": self.corrected}
        ties = f"<p>{escape(self.ties_sentence())}</p>" if self.ties and self.known else ""
        return f"{html({name: [cell] for name, cell in {**row, **self.params}.items()})}{ties}"

    @property
    def resolved_params(self) -> dict[str, Value]:
        """Its values as the objective gets them: with the fixed ones, and ranges per value under one name."""
        return {**kinds.settings(self.of), **delivered(self.of.space, self.params)}

    @property
    def tied(self) -> tuple[int, ...]:
        """The numbers of the trials tied with it, best first."""
        numbers = self.columns["number"][1:]
        return tuple(number for number, tied in zip(numbers, self.ties, strict=True) if tied)

    @property
    def error(self) -> float | None:
        """One standard error of its score; None where that is not known."""
        return self.noise[self.stage].error(self.trial) if self.stage in self.noise else None

    @property
    def known(self) -> bool:
        """True if enough of the other trials could be compared with it."""
        return len(self.ties) - self.ties.count(None) >= min(len(self.ties), _COMPARED)

    @property
    def without(self) -> str:
        """A remark on the trials that could not be compared with it; empty where there are none."""
        missing = self.ties.count(None)
        return f" ({missing} of the others without, as they report no noise)" if missing else ""

    @property
    def open_ended(self) -> bool:
        """True if further trials, which were not compared, may tie as well."""
        return self.beyond > 0 and bool(self.ties) and bool(self.ties[-1])

    @property
    def count_tied(self) -> str:
        """The number of trials tied with it, in words."""
        count = len(self.tied)
        if self.open_ended:
            return f"{count} or more trials"
        return f"all {count} others" if 1 < count == len(self.ties) else counted(count, "other trial")

    def ties_sentence(self) -> str:
        """Return a sentence: how many trials of the stage are tied with it, and which."""
        tied = self.tied
        if not tied:
            return f"no other trial of {self.stage} is statistically tied with it{self.without}"
        named = ", ".join(map(str, tied[:_NAMED])) + (" ..." if len(tied) > _NAMED else "")
        how = self.without
        if self.examples and not self.paired:
            how = "; not all have their hits stored, which would separate more of them"
        who = f"{self.count_tied} of the stage {'is' if len(tied) == 1 else 'are'}"
        return f"{who} statistically tied with it: {named}{how}"


def best_trial(store: Store, stages: Sequence[Stage]) -> BestTrial | None:
    """Return the best trial of a search's stages, compared with the best `MOST`; None before any trial has a score."""
    candidates = [(stage, store.columns(stage, top=MOST, hits=True)) for stage in stages]
    best = best_among(candidates)
    if best is None:
        return None
    stage, columns = best
    number, examples = columns["number"][0], kinds.examples(stage)
    rivals = [item for item in candidates if item[0] is stage or _rivals(item[0], stage)]
    trials = sum(store.sampled(rival) for rival, _ in rivals)
    noise = {of.name: noise for of, its in candidates if (noise := noise_of(store, of, its)) is not None}
    tied, paired = ties(columns["number"], noise.get(stage.name), trials)
    interval, corrected = None, None
    if (own := noise.get(stage.name)) is not None:
        interval = own.interval(number)
        if all(rival.name in noise or not its["number"] for rival, its in rivals):
            of_rivals = [noise[rival.name] for rival, _ in rivals if rival.name in noise]
            seed = draw_seed(stage.seed, 0, "images")  # as in 0.2
            corrected = own.corrected(of_rivals, number, most=MOST, seed=seed)
    return BestTrial(
        stage=stage.name,
        trial=number,
        score=columns["score"][0],
        interval=interval,
        corrected=corrected and corrected[0],
        corrected_interval=corrected and corrected[1],
        params=params_at(stage, columns, 0),
        examples=examples,
        metric=stage.metric,
        of=stage,
        columns=columns,
        ties=tied,
        paired=paired,
        trials=trials,
        beyond=store.counts(stage).complete - len(columns["number"]),
        left_out=left_out(stages, stage),
        noise=noise,
    )


def ties(numbers: Sequence[int], noise: Noise | None, trials: int) -> tuple[tuple[bool | None, ...], bool]:
    """Return for each trial but the first whether it is tied with the first, and whether all were compared in pairs."""
    if noise is None:
        return (None,) * (len(numbers) - 1), False
    ps = [noise.p(numbers[0], number) for number in numbers[1:]]
    paired = all(noise.paired(numbers[0], number) for number in numbers[1:])
    return tuple(None if p is None else is_tied(p, trials) for p in ps), paired


def ties_of(store: Store, stage: Stage, columns: Columns) -> tuple[bool | None, ...]:
    """Return for each of a stage's best trials but the first whether it is tied with the first; None: not known.

    Those beyond the first `MOST` are not compared. ``columns`` have the ``hits``.
    """
    others = len(columns["number"]) - 1
    near = {name: columns[name][:MOST] for name in ("number", "score", HITS)}
    noise = noise_of(store, stage, near) if others > 0 else None
    if noise is None:
        return (None,) * others
    tied, _ = ties(near["number"], noise, store.sampled(stage))
    return (*tied, *[None] * (others - len(tied)))


def _rivals(stage: Stage, other: Stage) -> bool:
    """Return whether trials of two stages were scored on the same examples after as many epochs."""
    same = compares(stage, other) and bool(stage.fingerprint) and stage.fingerprint == other.fingerprint
    return same and kinds.examples(stage) == kinds.examples(other)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The repeats of one setting of a confirmation, and what `hpsearch.search.confirmation.assess` adds."""

    setting: Setting
    scores: Mapping[int, float]  # of the trials that have one, by repeat
    failed: int = 0  # number of further repeats that ended without a score
    # their validation losses, by repeat, where there are any
    losses: Mapping[int, float] = field(default_factory=dict)
    numbers: Mapping[int, int] = field(default_factory=dict)  # their numbers, by repeat
    # of the mean score over all seeds and examples; None with fewer than 2 repeats
    interval: Interval | None = None
    # whether the interval holds for other examples too, or for other seeds on these examples alone
    covers: Covers = "seeds"
    # two-sided, Bonferroni-adjusted p-value of the difference to the first: multiplied by the number of pairs of
    # settings, as the first was not chosen beforehand. None for the first itself, with fewer than 4 repeats in
    # common, and where the repeats of both are all equal.
    p: float | None = None
    compared: Covers = "seeds and examples"  # the scope of ``p``: without hits it holds for these examples alone

    @property
    def trial(self) -> int:
        """The number of the trial that is run again."""
        return self.setting.trial

    @property
    def distinguishable(self) -> bool | None:
        """True if it differs significantly from the first; None where that is not known."""
        return None if self.p is None else self.p <= 1 - LEVEL

    @property
    def constant(self) -> bool:
        """True if all its repeats, at least 2, have one score, but for rounding."""
        scores = list(self.scores.values())
        return len(scores) > 1 and all(math.isclose(score, scores[0], rel_tol=1e-12) for score in scores)

    @property
    def mean(self) -> float:
        """The mean score; NaN without any."""
        return fmean(self.scores.values()) if self.scores else math.nan

    @property
    def mean_loss(self) -> float:
        """The mean validation loss; infinite where that of a repeat is not known."""
        return fmean(self.losses.values()) if self.losses.keys() == self.scores.keys() and self.losses else math.inf

    @property
    def repeats(self) -> int:
        """Number of repeats that have a score."""
        return len(self.scores)


def tally(confirmation: Stage, columns: Columns) -> list[Confirmed]:
    """Return the repeats of each setting, in the plan's order.

    Trials that another program ran with other values are left out.
    """
    plan = confirmation.plan
    assert plan is not None
    scores: list[dict[int, float]] = [{} for _ in plan.settings]
    losses: list[dict[int, float]] = [{} for _ in plan.settings]
    numbers: list[dict[int, int]] = [{} for _ in plan.settings]
    failed = [0] * len(plan.settings)
    for at, number in enumerate(columns["number"]):
        if number >= plan.size:
            continue
        index, repeat = plan.place(number)
        if any(columns[f"param:{name}"][at] != value for name, value in plan.settings[index].params.items()):
            continue
        score, loss = columns["score"][at], columns["validation_loss"][at]
        if columns["state"][at] == "FAIL":
            failed[index] += 1
        elif columns["state"][at] == "COMPLETE" and score is not None and math.isfinite(score):
            scores[index][repeat], numbers[index][repeat] = score, number
            if loss is not None:
                losses[index][repeat] = loss
    return [Confirmed(*of) for of in zip(plan.settings, scores, failed, losses, numbers, strict=True)]


def in_order(repeats: Sequence[Confirmed], direction: Direction) -> list[Confirmed]:
    """Return those settings that have a score, best first: by mean score, mean validation loss and the plan's order.

    A setting with a failed repeat ranks below all others, as it may fail again.
    """
    sign = -1.0 if direction == "maximize" else 1.0
    scored = (of for of in repeats if of.scores)
    return sorted(scored, key=lambda of: (of.failed > 0, sign * of.mean, of.mean_loss))


@dataclass(frozen=True, slots=True)
class Overview:
    """The state of a confirmation; `hpsearch.search.confirmation.assess` adds how certain its ranking is."""

    confirmation: Stage = field(repr=False)
    finished: int
    failed: int
    ranking: tuple[Confirmed, ...]  # its settings that have a score, best first
    reasons: tuple[str, ...] = ()  # why trials failed, each once, the most frequent first

    @property
    def stage(self) -> str:
        """The name of the stage that it confirms."""
        return stage_name(self.confirmation.search, self.confirmation.number)

    @property
    def plan(self) -> ConfirmationPlan:
        """Its settings and places."""
        return self.confirmation.plan or ConfirmationPlan()

    @property
    def left(self) -> int:
        """Number of its trials that have not finished; until there are none its ranking is not final."""
        return max(self.plan.size - self.finished, 0)

    @property
    def first(self) -> Confirmed | None:
        """The setting whose values come first; None while none has a score."""
        return self.ranking[0] if self.ranking else None

    @property
    def as_begun(self) -> dict[str, Any]:
        """The arguments of ``confirm`` that complete it: its stage, and those that differ from the defaults."""
        top, repeats = self.plan.size_requested
        return {
            "stage": self.confirmation.number,
            "top": None if top == TOP else top,
            "repeats": None if repeats == REPEATS else repeats,
        }

    @property
    def complete(self) -> bool:
        """True if its ranking is final: all its trials have finished, some of them with a score."""
        return not self.left and bool(self.ranking)

    @property
    def tied(self) -> list[int]:
        """The trials whose values are statistically tied with the first, in order."""
        return [setting.trial for setting in self.ranking[1:] if setting.distinguishable is False]

    @property
    def compared(self) -> bool:
        """True if all could be compared with the first."""
        return all(setting.distinguishable is not None for setting in self.ranking[1:])


def overview(store: Store, confirmation: Stage) -> Overview:
    """Return the state of a confirmation, from its trials in the database."""
    columns = store.columns(confirmation)
    states = columns["state"]
    finished = sum(state in ("COMPLETE", "FAIL", "PRUNED") for state in states)
    ranking = in_order(tally(confirmation, columns), confirmation.direction)
    reasons = Counter(str(reason) for reason, state in zip(columns["reason"], states, strict=True) if state == "FAIL")
    return Overview(
        confirmation, finished, states.count("FAIL"), tuple(ranking), tuple(text for text, _ in reasons.most_common())
    )


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen values of one trial."""

    stage: Stage
    trial: int
    params: Mapping[str, Value]
    # the means of choosing: as `hpsearch.search.recommendation.Recommendation` has it; ``asked``: given by its number
    by: Literal["trials", "confirmed", "best", "asked"]
    score: float  # its validation score: the expected one where it is recommended
    why: str


def choose_trial(store: Store, stages: Sequence[Stage], *, number: int | None, trial: int) -> Choice:
    """Choose a trial by its numbers. BadInput if it has no score, or no stage is given."""
    if number is None:
        raise BadArgument("trial", trial, "every stage has its own numbers", "add the number of a stage")
    stage = pick(stages, number)
    columns = store.columns(stage, states=("COMPLETE",), numbers=(trial,))
    if not columns["number"]:
        listing = actions_for(store, stage.search)("trials", stage=stage.number)
        raise BadInput(f"{stage.name} has no trial {trial} with a score; `{{}}` lists them", listing)
    return choice_of(stage, columns, "asked", "given by its number")


def choice_of(stage: Stage, columns: Columns, by: Literal["best", "asked"], why: str) -> Choice:
    """Return the first of a stage's trials as the choice. BadInput if it lacks a value."""
    return checked(Choice(stage, columns["number"][0], params_at(stage, columns, 0), by, columns["score"][0], why))


def checked(choice: Choice) -> Choice:
    """Return a choice that has all values. BadInput if it lacks one."""
    if absent := ", ".join(lacking(choice.stage, choice.params)):
        raise BadInput(f"{choice.stage.name} trial {choice.trial} has no value of {absent}; choose another one")
    return choice
