"""The best trial of a search, what its score is worth, and which trials cannot be told from it.

Looks at the nearest `MOST` trials of a stage only, however many there are, and without NumPy, so that commands that
show a few rows stay fast.

NumPy and the statistics are left to `hpsearch.search.ranking`: commands that show a few rows do without.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from hpsearch.errors import BadInput, UnknownSearch
from hpsearch.records import HITS
from hpsearch.search.stage import best_among, best_of, commands_for, confirmation_of, pick, unscored
from hpsearch.seeds import draw_seed
from hpsearch.statistics.comparisons import is_tied, paired_p, unpaired_p
from hpsearch.statistics.hits import fitting
from hpsearch.statistics.intervals import Interval, wilson, wilson_of_share
from hpsearch.statistics.selection import corrected_share
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from hpsearch.records import Direction, Setting, Stage
    from hpsearch.space import Value
    from hpsearch.store import Store
    from hpsearch.store.queries import Columns


MOST = 100
"""So many of a stage's best trials are compared with the best one. Trials farther behind are not looked at."""

_NAMED = 5
"""So many trials that tie are named."""

_LEAST = 10
"""With fewer images there is nothing to be told apart and no luck to be taken away."""


@dataclass(frozen=True, slots=True)
class Best:
    """The best trial of a search and what its score is worth.

    Args:
        stage: The stage's name, ``mnist/stage-01``.
        trial: The trial's number in it.
        score: Its score as measured.
        interval: Wilson's interval of that score, as if the trial had not been chosen for it; None where the metric
            is no share of images, or their number is not known.
        corrected: The score without the winner's curse: what the best trial of such a selection is worth on images
            that had no part in choosing it. None where the hits on single images are not stored.
        corrected_interval: That value's interval; None likewise.
        params: The trial's drawn values by name.
        images: How many validation images scored it; None: not known.
        metric: ``validation_accuracy`` or ``validation_loss``.
    """

    stage: str
    trial: int
    score: float
    interval: Interval | None
    corrected: float | None
    corrected_interval: Interval | None
    params: Mapping[str, Value]
    images: int | None = None
    metric: str = "validation_accuracy"


@dataclass(frozen=True, slots=True)
class BestTrial:
    """The best trial of a search among its nearest rivals.

    Args:
        stage: Its stage.
        columns: That stage's best trials, best first (`hpsearch.store.Store.columns`).
        best: The best trial and what its score is worth.
        tied: For each of these trials but the first, whether it cannot be told from the best; None: not known.
        paired: Whether all of them were compared on the same images.
        trials: How many trials were drawn, of which this one came out best.
    """

    stage: Stage
    columns: Columns
    best: Best
    tied: tuple[bool | None, ...]
    paired: bool
    trials: int

    @property
    def tied_numbers(self) -> tuple[int, ...]:
        """The numbers of the trials that cannot be told from the best, best first."""
        numbers = self.columns["number"][1:]
        return tuple(number for number, tied in zip(numbers, self.tied, strict=True) if tied)

    @property
    def known(self) -> bool:
        """Whether the other trials could be compared with the best at all."""
        return None not in self.tied

    @property
    def open_ended(self) -> bool:
        """Whether further trials, which were not looked at, may tie as well."""
        return bool(self.tied) and len(self.columns["number"]) >= MOST and bool(self.tied[-1])

    def ties_sentence(self) -> str:
        """How many trials of the stage cannot be told from the best, and which, in plain words."""
        tied = self.tied_numbers
        if not tied:
            return f"no other trial of {self.stage.name} ties with it"
        named = ", ".join(map(str, tied[:_NAMED])) + (" ..." if len(tied) > _NAMED else "")
        many = f"{len(tied)} or more trials" if self.open_ended else counted(len(tied), "other trial")
        how = "" if self.paired else "; not all have their hits on single images stored, which would tell more apart"
        return f"{many} of the stage cannot be told from it: {named}{how}"


def best_trial(store: Store, stages: Sequence[Stage], *, most: int = MOST, correcting: bool = True) -> BestTrial | None:
    """Find the best trial of these stages and compare its rivals with it; None before any trial has a score.

    Args:
        store: The study database.
        stages: Stages of one search.
        most: How many of the best trials of a stage to look at.
        correcting: Whether to take the luck out of the best score, which takes a tenth of a second.
    """
    found = [(stage, store.columns(stage, top=most, hits=True)) for stage in stages]
    best = best_among(found)
    if best is None:
        return None
    stage, columns = best
    number, score = columns["number"][0], columns["score"][0]
    params = {name: columns[f"param:{name}"][0] for name in stage.space}
    images = stage.images
    rivals = [item for item in found if item[0] is stage or _same_images(item[0], stage)]
    trials = sum(store.sampled(rival) for rival, _ in rivals)
    plain = Best(stage.name, number, score, None, None, None, params, images, stage.metric)
    if images is None or not 0 <= score <= 1:
        unknown = (None,) * (len(columns["number"]) - 1)
        return BestTrial(stage, columns, plain, unknown, False, trials)
    hits = {rival.name: hits_of(of_rival, images) for rival, of_rival in rivals}
    tied, paired = ties(columns, hits[stage.name], images, trials)
    corrected = _corrected(stage, rivals, hits, images, most) if correcting else None
    measured = Best(
        stage.name,
        number,
        score,
        wilson(round(score * images), images),
        corrected,
        None if corrected is None else wilson_of_share(corrected, images),
        params,
        images,
        stage.metric,
    )
    return BestTrial(stage, columns, measured, tied, paired, trials)


def hits_of(columns: Columns, images: int) -> dict[int, int]:
    """The stored hits of trials that fit their scores, as whole numbers, by trial number.

    A trial whose hits are missing, of other images or of another epoch than its score is left out.

    Args:
        columns: Trials with their ``hits``.
        images: How many validation images there are.
    """
    found = {}
    for number, score, text in zip(columns["number"], columns["score"], columns[HITS], strict=True):
        if (hits := fitting(text, images, score)) is not None:
            found[number] = hits
    return found


def ties(columns: Columns, hits: Mapping[int, int], images: int, trials: int) -> tuple[tuple[bool, ...], bool]:
    """For each trial but the first, whether it ties with the first; and whether all were compared image by image.

    Args:
        columns: Trials, best first.
        hits: What `hits_of` gives for them.
        images: How many validation images there are.
        trials: How many trials were drawn, of which the first came out best.
    """
    numbers, scores = columns["number"], columns["score"]
    found, paired = [], True
    for number, score in zip(numbers[1:], scores[1:], strict=True):
        if numbers[0] in hits and number in hits:
            p = paired_p(hits[numbers[0]], hits[number])
        else:
            p, paired = unpaired_p(scores[0], score, images), False
        found.append(is_tied(p, trials))
    return tuple(found), paired


def ties_of(store: Store, stage: Stage, columns: Columns) -> tuple[bool | None, ...]:
    """For each of a stage's best trials but the first, whether it ties with the first; None: not known.

    Of more than `MOST` trials the others are not looked at.

    Args:
        store: The study database.
        stage: Their stage.
        columns: The trials with their ``hits``, best first.
    """
    others = len(columns["number"]) - 1
    if stage.images is None or others < 1 or not 0 <= columns["score"][0] <= 1:
        return (None,) * others
    near = {name: columns[name][:MOST] for name in ("number", "score", HITS)}
    tied, _ = ties(near, hits_of(near, stage.images), stage.images, store.sampled(stage))
    return (*tied, *[None] * (others - len(tied)))


def _same_images(one: Stage, other: Stage) -> bool:
    return bool(one.fingerprint) and one.fingerprint == other.fingerprint and one.images == other.images


def _corrected(
    stage: Stage,
    rivals: Collection[tuple[Stage, Columns]],
    hits: Mapping[str, Mapping[int, int]],
    images: int,
    most: int,
) -> float | None:
    """The best score without its luck, over all stages that are scored on the same images; None where hits miss."""
    if images < _LEAST or any(len(hits[rival.name]) < len(columns["number"]) for rival, columns in rivals):
        return None
    every = sorted((h for of_rival in hits.values() for h in of_rival.values()), key=int.bit_count, reverse=True)
    return corrected_share(every[:most], images, seed=draw_seed(stage.seed, 0, "images"))


@dataclass(frozen=True, slots=True)
class Choice:
    """The values of one trial.

    Args:
        stage: The trial's stage.
        trial: Its number there.
        params: Its drawn values by name.
        by: What says so.
        score: Its validation score: the mean over the repeats where it is confirmed.
        repeats: Over how many trainings that is.
        why: The same in words.
    """

    stage: Stage
    trial: int
    params: Mapping[str, Value]
    by: Literal["confirmed", "best", "asked"]
    score: float
    repeats: int
    why: str


def choose(
    store: Store,
    stages: Sequence[Stage],
    *,
    number: int | None = None,
    trial: int | None = None,
    by: str | None = None,
) -> Choice:
    """The values that a search comes to.

    Where nothing else is said: if the stage of the best trial has been confirmed, the values that the confirmation
    puts first, whose mean owes less to luck than one trial's score; otherwise the best trial's. A confirmation of
    another stage says nothing of a better trial that it did not train.

    Args:
        store: The study database.
        stages: The search's stages.
        number: Only of this stage; None for all.
        trial: This trial of that stage.
        by: ``confirmed`` or ``best``, to choose by that alone.

    Raises:
        BadInput: What was asked does not go together, there is no such trial, or the confirmation is not complete.
        NotEnoughTrials: No trial has a score.
        UnknownSearch: No such stage, or none of them is confirmed.
    """
    asked = check_asked(store, stages, number=number, trial=trial)
    if asked is not None:
        return asked
    among = list(stages) if number is None else [pick(list(stages), number)]
    if by == "confirmed":
        return _confirmed(store, among)
    found = best_of(store, among)
    if found is None:
        what = among[0].name if number is not None else among[0].search
        raise unscored(store, among[0].search, what)
    stage, columns = found
    try:
        confirmation = confirmation_of(store, stage) if by is None else None
    except UnknownSearch:
        confirmation = None
    if confirmation is not None:
        return _first_of(store, stage, overview(store, confirmation))
    which = "its stage" if number is not None else "all stages"
    hint = "" if by == "best" else f"; {stage.name} has not been confirmed"
    return _of_row(stage, columns, 0, "best", f"the best trial of {which}{hint}")


def check_asked(store: Store, stages: Sequence[Stage], *, number: int | None, trial: int | None) -> Choice | None:
    """The trial that was asked for by its numbers; None where only a stage was, or nothing.

    Raises:
        UnknownSearch: No such stage.
        BadInput: No such trial with a score, or no stage is given.
    """
    stage = None if number is None else pick(list(stages), number)
    if trial is None:
        return None
    if stage is None:
        raise BadInput(f"--trial {trial} without --stage: every stage has its own numbers; add --stage N")
    return _asked(store, stage, trial)


def _asked(store: Store, stage: Stage, trial: int) -> Choice:
    columns = store.columns(stage, states=("COMPLETE",), numbers=(trial,))
    if not columns["number"]:
        listing = commands_for(store, stage.search)("trials", "--stage", str(stage.number))
        raise BadInput(f"{stage.name} has no trial {trial} with a score; `{listing}` lists them")
    return _of_row(stage, columns, 0, "asked", "as asked")


def _of_row(stage: Stage, columns: Columns, at: int, by: Literal["best", "asked"], why: str) -> Choice:
    params = {name: columns[f"param:{name}"][at] for name in stage.space}
    if None in params.values():
        lacking = next(name for name, value in params.items() if value is None)
        raise BadInput(f"{stage.name} trial {columns['number'][at]} has no value of {lacking}; choose another one")
    return Choice(stage, columns["number"][at], params, by, columns["score"][at], 1, why)


def _confirmed(store: Store, among: Sequence[Stage]) -> Choice:
    """The first of all complete confirmations, by the rule by which each ranks its own."""
    stage_of = {(stage.search, stage.number): stage for stage in among}
    there = [one for one in store.confirmations(among[0].search) if (one.search, one.number) in stage_of]
    if not there:
        confirmation_of(store, among[-1])  # which says how
    seen = [overview(store, one) for one in there]
    complete = [one for one in seen if one.complete]
    if not complete:
        return _first_of(store, stage_of[there[0].search, there[0].number], seen[0])  # which says why not
    firsts = {id(one.order[0]): one for one in complete}
    best = firsts[id(in_order([one.order[0] for one in complete], among[0].direction)[0])]
    left_out = [one.confirmation.name for one in seen if not one.complete]
    found = _first_of(store, stage_of[best.confirmation.search, best.confirmation.number], best)
    if not left_out:
        return found
    return replace(found, why=f"{found.why}; without {', '.join(left_out)}, which judged nothing yet")


def _first_of(store: Store, stage: Stage, seen: Overview) -> Choice:
    name, commands = seen.confirmation.name, commands_for(store, stage.search)
    if seen.finished >= seen.places and not seen.order:
        raise BadInput(f"every repeat of {name} failed, so it chooses nothing; choose with --best")
    if not seen.complete:
        raise BadInput(
            f"{name} is not complete: {seen.finished} of {counted(seen.places, 'trial')} have finished; run "
            f"`{commands('confirm', *seen.as_begun)}` to its end, or choose with --best"
        )
    first = seen.order[0]
    return Choice(
        stage,
        first.setting.trial,
        first.setting.params,
        "confirmed",
        first.mean,
        len(first.scores),
        f"the first of {name}, which trained {counted(len(seen.order), 'setting')} again",
    )


TOP, REPEATS = 5, 10
"""How many settings ``confirm`` trains again, and how often, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """What came of one setting's repeats.

    Args:
        setting: The setting.
        scores: Of the trials that have one, by repeat.
        failed: How many further repeats ended without a score.
        losses: Their validation losses, by repeat, where there are any.
        numbers: Their numbers, by repeat.
    """

    setting: Setting
    scores: Mapping[int, float]
    failed: int = 0
    losses: Mapping[int, float] = field(default_factory=dict)
    numbers: Mapping[int, int] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """The mean score; NaN without any."""
        return fmean(self.scores.values()) if self.scores else math.nan

    @property
    def mean_loss(self) -> float:
        """The mean validation loss; infinite where that of a repeat is not known."""
        return fmean(self.losses.values()) if self.losses.keys() == self.scores.keys() and self.losses else math.inf


def tally(confirmation: Stage, columns: Columns) -> list[Repeats]:
    """The repeats of each setting, in the roster's order.

    Args:
        confirmation: The confirmation.
        columns: Its trials, as `hpsearch.store.Store.columns` gives them. One that others ran with values of their own
            is no repeat of anything, and left out.
    """
    roster = confirmation.plan
    assert roster is not None
    scores: list[dict[int, float]] = [{} for _ in roster.settings]
    losses: list[dict[int, float]] = [{} for _ in roster.settings]
    numbers: list[dict[int, int]] = [{} for _ in roster.settings]
    failed = [0] * len(roster.settings)
    for at, number in enumerate(columns["number"]):
        if number >= roster.size:
            continue
        index, repeat = roster.place(number)
        if any(columns[f"param:{name}"][at] != value for name, value in roster.settings[index].params.items()):
            continue
        score, loss = columns["score"][at], columns["validation_loss"][at]
        if columns["state"][at] == "FAIL":
            failed[index] += 1
        elif columns["state"][at] == "COMPLETE" and score is not None and math.isfinite(score):
            scores[index][repeat], numbers[index][repeat] = score, number
            if loss is not None:
                losses[index][repeat] = loss
    return [Repeats(*one) for one in zip(roster.settings, scores, failed, losses, numbers, strict=True)]


def in_order(repeats: Sequence[Repeats], direction: Direction) -> list[Repeats]:
    """Those settings that have a score, best first.

    By mean score, then lower mean validation loss, then the roster's order. One of which a repeat failed stands
    below all others: whoever takes it must expect that again.
    """
    sign = -1.0 if direction == "maximize" else 1.0
    return sorted(
        (one for one in repeats if one.scores), key=lambda one: (one.failed > 0, sign * one.mean, one.mean_loss)
    )


def non_default(top: int, repeats: int) -> tuple[str, ...]:
    """What ``confirm`` must be told to have so many settings and repeats, where they are not those it has untold."""
    return (
        *(("--top", str(top)) if top != TOP else ()),
        *(("--repeats", str(repeats)) if repeats != REPEATS else ()),
    )


@dataclass(frozen=True, slots=True)
class Overview:
    """Where a confirmation stands.

    Args:
        confirmation: The confirmation.
        finished: How many of its trials have finished.
        failed: How many of those without a score.
        order: Its settings that have a score, best first.
    """

    confirmation: Stage
    finished: int
    failed: int
    order: tuple[Repeats, ...]

    @property
    def places(self) -> int:
        """How many trials it is to have."""
        return self.confirmation.plan.size if self.confirmation.plan else 0

    @property
    def as_begun(self) -> tuple[str, ...]:
        """The options of ``confirm`` that bring it to its end: its stage, and what is not the usual."""
        roster = self.confirmation.plan
        assert roster is not None
        return ("--stage", str(self.confirmation.number), *non_default(*roster.asked))

    @property
    def complete(self) -> bool:
        """Whether all that was asked for has finished, and some of it with a score."""
        return self.finished >= self.places and bool(self.order)


def trials_left(store: Store, confirmation: Stage) -> int:
    """How many of a confirmation's trials have not finished."""
    return max(confirmation.plan.size - store.counts(confirmation).finished, 0) if confirmation.plan else 0


def overview(store: Store, confirmation: Stage) -> Overview:
    """Where a confirmation stands, from its trials in the database."""
    columns = store.columns(confirmation)
    states = columns["state"]
    finished = sum(state in ("COMPLETE", "FAIL", "PRUNED") for state in states)
    order = in_order(tally(confirmation, columns), confirmation.direction)
    return Overview(confirmation, finished, states.count("FAIL"), tuple(order))
