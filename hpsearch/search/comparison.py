"""Two searches, stages or trials side by side, and whether to adopt the values of the second in place of the first's.

The gain is judged against what varies when everything is done again (`hpsearch.statistics.gains`). Where both sides'
values have been confirmed, trial variance decides: both are trained again with other seeds anyway once they are
adopted. Where they have not, study variance does: the best scores of two searches, over other trials. More complexity
is named, and left to the reader.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from hpsearch.errors import NotEnoughTrials
from hpsearch.objectives import kinds
from hpsearch.records import HITS, SECONDS, Action, Direction, Sentence, Stage, draw_seed
from hpsearch.search.baseline import baseline_of
from hpsearch.search.best import MOST, TOP, Confirmed, Overview, choose_trial, tally
from hpsearch.search.by_example import by_example
from hpsearch.search.confirmation import LEAST_TO_COMPARE, assess, repeats_of, settings_to_confirm
from hpsearch.search.noise import noise_of
from hpsearch.search.recommendation import recommend
from hpsearch.search.stage import actions_for, best_of, compares, known_confirmation
from hpsearch.space import delivered, delivered_as
from hpsearch.statistics.gains import Gain, retrained, searched
from hpsearch.statistics.intervals import Interval
from hpsearch.store import Counts
from hpsearch.study_file import differences
from hpsearch.text import counted, duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from hpsearch.space import Value
    from hpsearch.store import Store

Verdict: TypeAlias = Literal["adopt", "keep", "undecided"]
_MORE = 1.1  # so many times a number is more of it; of seconds, which vary, more
_MORE_SECONDS = 1.5
_LEAST_SECONDS = 0.1  # of a trial; fewer cost nothing that matters
_MOST_DIFFERENCES = 4


@dataclass(frozen=True, slots=True)
class Entrant:
    """A search, a stage or a trial to compare."""

    store: Store
    name: str
    stages: Sequence[Stage]  # the search's stages, or that stage
    trial: int | None = None  # of the one stage; None: what was found there
    whole: Sequence[Stage] = ()  # all stages of its search, which its values are recommended by; empty: those alone


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: its trials, the best of them, and the values that stand for it."""

    name: str
    where: str  # the database, as messages name it
    metric: str
    direction: Direction
    stages: int
    complete: int
    pruned: int
    failed: int
    epochs: int  # trained in all trials together; 0 where no curve is stored
    seconds: float | None  # of all trials together; None where that is not known
    best_stage: str
    best_trial: int
    best: float
    # the 95 % interval of that score; None where its noise is not known
    interval: Interval | None
    # lowest, first quartile, median, third quartile and highest of its scores
    quartiles: tuple[float, float, float, float, float]
    values: str  # the trial whose values stand for it: ``mnist/stage-01/12``
    label: str = field(repr=False)  # what sentences call it
    entrant: Entrant = field(repr=False)
    scores: NDArray[np.float64] = field(repr=False, compare=False)  # those that compare with the best one
    stage: Stage = field(repr=False)  # of that trial
    trial: int = field(repr=False)
    params: Mapping[str, Value] = field(repr=False)
    state: Overview | None = field(repr=False)  # the confirmation of their stage
    confirmed: Confirmed | None = field(repr=False)  # their repeats there, where there are enough to compare
    failed_repeats: int = field(repr=False)  # number of their repeats there that failed

    @property
    def unstable(self) -> bool:
        """True if so many of the repeats failed that too few are left to compare: more of them would not tell."""
        return self.confirmed is None and self.failed_repeats >= LEAST_TO_COMPARE

    @property
    def finished(self) -> int:
        """Trials that will not be run again."""
        return self.complete + self.pruned + self.failed

    @property
    def repeats(self) -> int:
        """Number of repeats of these values; 0 where they are too few to compare."""
        return 0 if self.confirmed is None else self.confirmed.repeats

    @property
    def settings(self) -> int:
        """Number of settings of their stage that have been confirmed."""
        return 0 if self.state is None else len(self.state.ranking)

    @property
    def choices(self) -> int:
        """Number of confirmed settings among which these values were chosen."""
        return 1 if self.entrant.trial is not None else max(self.settings, 1)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two searches, stages or trials compared, and whether to adopt the values of ``b`` in place of those of ``a``."""

    a: Side
    b: Side
    verdict: Verdict
    retrained: Gain | None  # of b's values over a's, trained again; None where not both are confirmed
    searched: Gain | None  # of the best of two such searches; None where a side is one trial
    complexity: Mapping[str, tuple[float, float]]  # of a's and b's values, by name
    remarks: tuple[str, ...]  # other differences between the two
    sentences: tuple[Sentence, ...]  # the recommendation first, then the gains
    action: Action | None = field(default=None, metadata={"json": "command"})  # what would decide it, or carry it out

    def __str__(self) -> str:
        return "\n".join(map(str, self.sentences))


def against_baseline(store: Store, stages: Sequence[Stage]) -> Comparison | None:
    """Return whether to adopt what a search has found in place of the baseline; None without a baseline for it."""
    baseline = baseline_of(store, stages)
    if baseline is None:
        return None
    current = Entrant(store, baseline.name, [baseline.stage], baseline.trial)
    made = compare(current, Entrant(store, stages[0].search, stages), labels=("the baseline", "this search"))
    if made.verdict != "adopt" or made.action is not None:
        return made
    return replace(made, action=Action("baseline set", {"search": made.b.values, "storage": store.where}))


def compare(current: Entrant, candidate: Entrant, *, labels: tuple[str, str] = ("A", "B")) -> Comparison:
    """Compare two searches, stages or trials. NotEnoughTrials if one of them has no trial with a score."""
    a, b = (_side(entrant, label) for entrant, label in zip((current, candidate), labels, strict=True))
    same, obstacle = (a.values, a.where) == (b.values, b.where), _obstacle(a, b)
    gain, study = (None, None) if same or obstacle else (_retrained(a, b), _searched(a, b))
    verdict: Verdict = "keep" if same else _verdict(gain or study)
    known = [dict(_complexity(side)) for side in (a, b)]
    complexity = {name: (known[0][name], known[1][name]) for name in known[0] if name in known[1]}
    actions: list[Action] = []
    if same:
        text = f"keep {a.label}: {b.label} comes to the same values"
    elif obstacle:
        text = f"no recommendation: {obstacle}"
    else:
        text, actions = _recommendation(a, b, verdict, gain, study, complexity)
    sentences = (Sentence(text, (*actions,)), *_gains(a, b, gain, study))
    action = actions[0] if actions else None
    return Comparison(a, b, verdict, gain, study, complexity, (*_remarks(a, b),), sentences, action)


def _side(entrant: Entrant, label: str) -> Side:
    store, stages = entrant.store, entrant.stages
    if entrant.trial is None:
        best = best_of(store, stages)
        recommended = recommend(store, entrant.whole or stages, among=stages)
        if best is None or recommended is None:
            raise NotEnoughTrials(
                f"{entrant.name} in {store.where} has no trial with a score, so there is nothing to compare"
            )
        (stage, top), of, trial, params = best, recommended.of, recommended.trial, recommended.params
        scores = np.concatenate([store.scores(other)["score"] for other in stages if compares(other, stage)])
        counts = [store.counts(other) for other in stages]
        stored = [value for other in stages for _, value in store.attributes(other, SECONDS)]
        epochs = sum(map(store.epochs, stages))
    else:
        choice = choose_trial(store, stages, number=stages[0].number, trial=entrant.trial)
        stage, of, trial, params = choice.stage, choice.stage, choice.trial, choice.params
        top = store.columns(stage, numbers=(trial,))
        scores, counts, stored = np.array(top["score"]), [Counts(complete=1)], top["seconds"]
        epochs = sum(map(len, store.points(stage, [trial]).values()))
    noise = noise_of(store, stage, {HITS: [None], **top})
    seconds = [float(value) for value in stored if type(value) in (int, float) and math.isfinite(value)]
    lowest, lower, median, upper, highest = np.quantile(scores, (0, 0.25, 0.5, 0.75, 1)).tolist()
    confirmation = known_confirmation(store, of)
    state = None if confirmation is None else assess(store, confirmation)
    repeats = [] if state is None else [setting for setting in state.ranking if setting.trial == trial]
    tallied = [] if confirmation is None else tally(confirmation, store.columns(confirmation))
    return Side(
        name=entrant.name,
        where=store.where,
        metric=stage.metric,
        direction=stage.direction,
        stages=len(stages),
        complete=sum(count.complete for count in counts),
        pruned=sum(count.pruned for count in counts),
        failed=sum(count.failed for count in counts),
        epochs=epochs,
        seconds=math.fsum(seconds) if seconds else None,
        best_stage=stage.name,
        best_trial=top["number"][0],
        best=top["score"][0],
        interval=None if noise is None else noise.interval(top["number"][0]),
        quartiles=(lowest, lower, median, upper, highest),
        values=f"{of.name}/{trial}",
        label=label,
        entrant=entrant,
        scores=scores,
        stage=of,
        trial=trial,
        params=params,
        state=state,
        confirmed=next((setting for setting in repeats if setting.repeats >= LEAST_TO_COMPARE), None),
        failed_repeats=sum(setting.failed for setting in tallied if setting.trial == trial),
    )


def _obstacle(a: Side, b: Side) -> str | None:
    """Return why the scores of two sides cannot be compared; None where they can."""
    first, second = a.stage, b.stage
    if first.metric != second.metric:
        return f"{a.label} is ranked by {first.metric} and {b.label} by {second.metric}"
    if first.direction != second.direction:
        return f"{a.label} {first.direction}s {first.metric} and {b.label} {second.direction}s it"
    if first.fingerprint == second.fingerprint:
        return None
    if unknown := [side.label for side in (a, b) if not side.stage.fingerprint]:
        return f"the data of {unknown[0]} are not known"
    sizes = [f"{of.sizes.get('train', '?')} + {of.sizes.get('validation', '?')} examples" for of in (first, second)]
    return f"the data differ ({sizes[0]} in {a.label}, {sizes[1]} in {b.label})"


def _remarks(a: Side, b: Side) -> Iterator[str]:
    """Yield further differences between two sides, the most serious first."""
    first, second = a.stage, b.stage
    if not first.fingerprint and not second.fingerprint and (a.where, first.search) != (b.where, second.search):
        yield f"the data of {a.label} and {b.label} are not known, so a difference may be the data's"
    epochs = [kinds.trained_epochs(stage) for stage in (first, second)]
    if None not in epochs and epochs[0] != epochs[1]:
        both = [f"{of} epochs in {side.label}" for side, of in ((a, epochs[0]), (b, epochs[1]))]
        yield f"the budgets differ: a trial trains for {' and '.join(both)}"
    own, others = ({delivered_as(name, of): None for name, of in stage.space.items()} for stage in (first, second))
    for side, ours, theirs in ((a, own, others), (b, others, own)):
        if only := [name for name in ours if name not in theirs]:
            yield f"only {side.label} searches {', '.join(only)}"
    if kinds.trainable(first) and kinds.trainable(second):
        changed = [
            text
            for text in differences(first.study_file, second.study_file)
            if not text.startswith(("name", "space", "trials")) and not text.partition(":")[0].endswith(".epochs")
        ]
        if changed:
            more = f" and {len(changed) - _MOST_DIFFERENCES} more" if len(changed) > _MOST_DIFFERENCES else ""
            yield f"from {a.label} to {b.label} also: {'; '.join(changed[:_MOST_DIFFERENCES])}{more}"
    for side in (a, b):
        if side.pruned:
            yield (
                f"{side.label} pruned {side.pruned} of {counted(side.finished, 'trial')}; they are left out, so the "
                f"scores of {side.label} look better than they are"
            )


def _retrained(a: Side, b: Side) -> Gain | None:
    """Return the gain of the values of b over those of a, trained again; None if not both have been.

    Where both are of one confirmation their repeats share seeds, which is not made use of: the error is then too large.
    """
    if a.confirmed is None or b.confirmed is None:
        return None
    sign = 1.0 if a.direction == "maximize" else -1.0
    (first, ratio), (second, _) = _by_repeat(a), _by_repeat(b)
    if first is None or second is None or first.shape[1] != second.shape[1]:
        first, second = (np.array([*of.scores.values()])[:, None] for of in (a.confirmed, b.confirmed))
    elif kinds.examples(a.stage) is not None:
        sign = 1.0  # hits
    return retrained(sign * first, sign * second, ratio=ratio, choices=b.choices)


def _by_repeat(side: Side) -> tuple[NDArray[np.float64] | None, float]:
    """Return a side's hits or scores on folds, (R, N), and the `split_ratio` of folds; None where some are missing."""
    assert side.state is not None
    assert side.confirmed is not None
    known, ratio = repeats_of(side.entrant.store, side.state)
    hits = known[side.confirmed.trial]
    if not side.confirmed.scores.keys() <= hits.keys():
        return None, ratio
    return np.array([hits[repeat] for repeat in side.confirmed.scores], dtype=np.float64), ratio


def _searched(a: Side, b: Side) -> Gain | None:
    """Return the gain of a search such as b over one such as a; None where a side is one trial."""
    if a.entrant.trial is not None or b.entrant.trial is not None:
        return None
    if min(len(a.scores), len(b.scores)) < 2:
        return None
    sign, hits = 1.0 if a.direction == "maximize" else -1.0, (_best_hits(a), _best_hits(b))
    both = None if hits[0] is None or hits[1] is None else (hits[0], hits[1])
    return searched(sign * a.scores, sign * b.scores, both, seed=draw_seed(b.stage.seed, b.stage.number, "adopt"))


def _best_hits(side: Side) -> NDArray[np.bool_] | None:
    """Return the hits of each stage's best trials together, (k, N); None unless all of them are known."""
    store, examples = side.entrant.store, kinds.examples(side.stage)
    stages = [stage for stage in side.entrant.stages if compares(stage, side.stage)]
    if examples is None or any(kinds.examples(stage) != examples for stage in stages):
        return None
    hits: list[NDArray[np.bool_]] = []
    for stage in stages:
        best = store.columns(stage, top=MOST)
        known, _ = by_example(store, stage, dict(zip(best["number"], best["score"], strict=True)))
        if len(known) < len(best["number"]):
            return None
        hits += known.values()
    return np.array(hits)


def _complexity(side: Side) -> Iterator[tuple[str, float]]:
    """Yield what is known of the complexity of a side's values, by name."""
    stage, store = side.stage, side.entrant.store
    if kinds.trainable(stage):
        values = {**kinds.settings(stage), **delivered(stage.space, side.params)}
        yield from kinds.kind_of(stage.study_file).runtime().complexity(values, stage.preprocessing).items()
    epochs = kinds.trained_epochs(stage)
    if epochs is not None:
        yield "epochs", epochs
    of, numbers = (stage, [side.trial])
    if side.confirmed is not None and side.state is not None:
        of, numbers = side.state.confirmation, list(side.confirmed.numbers.values())
    seconds = [value for value in store.attribute(of, numbers, SECONDS).values() if isinstance(value, int | float)]
    if seconds:
        yield "seconds a trial", math.fsum(seconds) / len(seconds)


def _verdict(of: Gain | None) -> Verdict:
    if of is None:
        return "undecided"
    return "adopt" if of.interval.low > 0 else "keep" if of.interval.high < 0 else "undecided"


def _recommendation(
    a: Side,
    b: Side,
    verdict: Verdict,
    gain: Gain | None,
    study: Gain | None,
    complexity: Mapping[str, tuple[float, float]],
) -> tuple[str, list[Action]]:
    """Return the recommendation in words, and what would decide it."""
    of, values = gain or study, f"the values of {b.label} ({b.values})"
    subject = f"{values} are" if gain else f"the best single score of {b.label} is expected to be"
    more, less = _costs(complexity)
    if of is not None and verdict == "keep":
        return f"keep {a.label}: {subject} {_words(of)}", []
    lacking = a if a.confirmed is None else b
    actions = [] if gain else _confirmed_by(lacking)
    trained = f"the best of {lacking.label}" if lacking.entrant.trial is None else lacking.name
    again = f"; {{}} trains {trained} again with other seeds" if actions else ""
    if of is not None and verdict == "adopt":
        better = f"adopt {values}: {'' if gain else 'the best single score is expected to be '}{_words(of)}"
        better += f", if that is worth {more}" if more else f", with {less}" if less else ""
        return better + (f"{again}, which tells how much of that is left" if actions else ""), actions
    unknown = f"its values and those of {b.label} have not both been confirmed"
    if lacking.unstable:
        unknown += f", as {lacking.failed_repeats} repeats of {lacking.values} failed: see why first"
    text = f"keep {a.label} for now: {unknown if of is None else f'{subject} {_words(of)}, which may be chance'}"
    if actions:
        text += again
    elif not gain and lacking is a and a.entrant.trial is not None and not (a.unstable or kinds.foreign(a.stage)):
        actions = [Action("baseline set", {"search": a.values, "storage": a.where})]
        text += f"; {{}} lets confirm train {a.name} again"
    elif gain is not None and gain.mean > 0:
        repeats = gain.repeats(min(a.repeats, b.repeats))
        if repeats is None:
            text += "; more repeats would not tell, more validation examples would"
        else:
            needed = [_confirmed_by(side, repeats=repeats) for side in (a, b) if side.repeats < repeats]
            actions = [action for at, of_side in enumerate(needed) for action in of_side if of_side not in needed[:at]]
            commands = " and ".join("{}" for _ in actions)
            text += f"; if it is that large, {repeats} repeats of both would tell ({commands})" if actions else ""
    text += f"; {b.label} has {less}, and is worse by {-of.interval.low:.2g} at most" if of and less else ""
    return text, actions


def _confirmed_by(side: Side, **arguments: Any) -> list[Action]:
    """Return what trains the values of a side again; nothing where nothing does."""
    stage, store = side.stage, side.entrant.store
    if kinds.foreign(stage) or side.unstable:
        return []
    top = min(max(TOP, side.settings), store.counts(stage).complete)
    arguments |= {} if top == TOP else {"top": top}
    baseline = baseline_of(store, [stage])
    if side.entrant.trial is not None and (baseline is None or baseline.name != side.values):
        settings = settings_to_confirm(store, store.stages(stage.search), stage, top)
        if all(setting.trial != side.trial for setting in settings):
            return []
    return [actions_for(store, stage.search)("confirm", stage=stage.number, **arguments)]


def _words(of: Gain) -> str:
    word, sign = ("worse", -1.0) if of.mean < 0 else ("better", 1.0)
    low, high = sorted((sign * of.interval.low, sign * of.interval.high))
    return f"{word} by {abs(of.mean):.2g} (95 % interval {low:.2g} to {high:.2g})"


def _costs(complexity: Mapping[str, tuple[float, float]]) -> tuple[str, str]:
    """Return in words of what the candidate needs more, and of what less."""
    more: list[str] = []
    less: list[str] = []
    for name, (before, after) in complexity.items():
        enough = _MORE_SECONDS if name == "seconds a trial" else _MORE
        if min(before, after) <= 0 or max(before, after) < enough * min(before, after):
            continue
        if name == "seconds a trial" and max(before, after) < _LEAST_SECONDS:
            continue
        size = duration(after) if name == "seconds a trial" else f"{after:,.0f}"
        (more if after > before else less).append(f"{after / before:.2g} times the {name} ({size})")
    return " and ".join(more), " and ".join(less)


def _gains(a: Side, b: Side, gain: Gain | None, study: Gain | None) -> Iterator[Sentence]:
    """Yield sentences on what training again, and what searching again would bring."""
    if gain is not None and a.confirmed is not None and b.confirmed is not None:
        chosen = "" if b.choices == 1 else f"; it allows for the choice among {b.choices} settings"
        yield Sentence(
            f"trained again, {a.values} has a mean {a.metric} of {a.confirmed.mean:.4g} over "
            f"{counted(a.repeats, 'repeat')}, and {b.values} of {b.confirmed.mean:.4g} over {b.repeats}: "
            f"{_words(gain)}, over other {gain.covers}{chosen}"
        )
    if study is not None:
        chance = "; chance may explain that" if _verdict(study) == "undecided" else ""
        yield Sentence(
            f"the best single score of {b.label} is expected to be {_words(study)} than that of {a.label} when both "
            f"are searched again, over other {study.covers}{chance}"
        )
