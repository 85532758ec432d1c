"""Adopt or keep: whether the values of one search are worth taking in place of another's, or of a baseline's.

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

from hpsearch.errors import BadInput, NotEnoughTrials
from hpsearch.objectives import kinds
from hpsearch.records import SECONDS, Action, Sentence, Stage, draw_seed
from hpsearch.search.baseline import baseline_of
from hpsearch.search.best import MOST, TOP, Choice, Confirmed, choose_trial
from hpsearch.search.by_example import by_example
from hpsearch.search.confirmation import LEAST_TO_COMPARE, assess, repeats_of, settings_to_confirm
from hpsearch.search.recommendation import choose
from hpsearch.search.stage import actions_for, best_of, compares, known_confirmation, params_at
from hpsearch.space import delivered
from hpsearch.statistics.gains import Gain, retrained, retrained_scores, searched
from hpsearch.text import counted, duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from hpsearch.search.best import Overview
    from hpsearch.statistics.intervals import Interval
    from hpsearch.store import Store

Verdict: TypeAlias = Literal["adopt", "keep", "undecided"]
_MORE = 1.1  # so many times a number is more of it; of seconds, which vary, more
_MORE_SECONDS = 1.5
_LEAST_SECONDS = 0.1  # of a trial; fewer cost nothing that matters


@dataclass(frozen=True, slots=True)
class Entrant:
    """A search, a stage or a trial to compare."""

    store: Store
    name: str
    stages: Sequence[Stage]  # the search's stages, or that stage
    trial: int | None = None  # of the one stage; None: what was found there


@dataclass(frozen=True, slots=True)
class Difference:
    """An estimated difference of expected scores, positive where the candidate is better."""

    gain: float
    interval: Interval
    covers: str  # what may be otherwise: ``seeds and examples``


@dataclass(frozen=True, slots=True)
class Adoption:
    """A recommendation: whether to adopt a candidate in place of what is in use."""

    verdict: Verdict
    current: str  # the trial whose values are in use: ``mnist/stage-01/12``
    candidate: str  # the trial whose values may take their place
    retrained: Difference | None  # of the two settings, trained again; None where not both are confirmed
    searched: Difference | None  # of the best of two searches; None where a side is one trial
    complexity: Mapping[str, tuple[float, float]]  # of the current and the candidate values, by name
    sentences: tuple[Sentence, ...]  # the recommendation first, then the figures that it goes by
    action: Action | None = field(default=None, metadata={"json": "command"})  # what would decide it, or carry it out

    def __str__(self) -> str:
        return "\n".join(map(str, self.sentences))


@dataclass(frozen=True, slots=True)
class _Side:
    """One side: the values that stand for it, and their repeats."""

    entrant: Entrant
    label: str  # what sentences call it
    choice: Choice
    state: Overview | None  # the confirmation of their stage
    confirmed: Confirmed | None  # their repeats there, where there are enough to compare

    @property
    def name(self) -> str:
        return f"{self.choice.stage.name}/{self.choice.trial}"

    @property
    def choices(self) -> int:
        """Number of confirmed settings among which these values were chosen."""
        return 1 if self.entrant.trial is not None or self.state is None else max(len(self.state.ranking), 1)


def adoption(store: Store, stages: Sequence[Stage]) -> Adoption | None:
    """Return whether to adopt what a search has found in place of the baseline; None without a baseline for it."""
    baseline = baseline_of(store, stages)
    if baseline is None:
        return None
    current = Entrant(store, baseline.name, [baseline.stage], baseline.trial)
    made = decide(current, Entrant(store, stages[0].search, stages), labels=("the baseline", "this search"))
    if made.verdict != "adopt" or made.action is not None:
        return made
    return replace(made, action=Action("baseline set", {"search": made.candidate, "storage": store.where}))


def decide(current: Entrant, candidate: Entrant, *, labels: tuple[str, str] = ("A", "B")) -> Adoption:
    """Return whether to adopt the values of a candidate in place of the current ones.

    Raises:
        NotEnoughTrials: One of them has no trial with a score.
    """
    a, b = (_side(entrant, label) for entrant, label in zip((current, candidate), labels, strict=True))
    obstacle = _obstacle(a.choice.stage, b.choice.stage)
    gain, study = (None, None) if obstacle else (_retrained(a, b), _searched(a, b))
    complexity = _complexity(a, b)
    facts: dict[str, Any] = {"current": a.name, "candidate": b.name, "complexity": complexity}
    facts |= {"retrained": gain and _difference(gain[0], gain[1], b.choices), "searched": study and _difference(*study)}
    if a.name == b.name and a.entrant.store.where == b.entrant.store.where:
        same = Sentence(f"keep {labels[0]}: {labels[1]} comes to the same values")
        return Adoption("keep", sentences=(same,), **facts)
    if obstacle:
        words = f"no recommendation: {labels[1]} cannot be compared with {labels[0]}, as {obstacle}"
        return Adoption("undecided", sentences=(Sentence(words),), **facts)
    decisive = facts["retrained"] or facts["searched"]
    verdict = _verdict(decisive)
    sentence, action = _recommendation(a, b, verdict, decisive, gain and gain[0], complexity)
    figures = [*_of_retraining(a, b, facts["retrained"]), *_of_searching(a, b, facts["searched"])]
    return Adoption(verdict, sentences=(sentence, *map(Sentence, figures)), action=action, **facts)


def _obstacle(stage: Stage, other: Stage) -> str | None:
    """Return why the scores of two stages cannot be compared; None where they can."""
    if (stage.metric, stage.direction) != (other.metric, other.direction):
        return "it is scored by another metric"
    return None if stage.fingerprint == other.fingerprint else "its data differ"


def _side(entrant: Entrant, label: str) -> _Side:
    store, choice = entrant.store, _choice(entrant)
    confirmation = known_confirmation(store, choice.stage)
    state = None if confirmation is None else assess(store, confirmation)
    of = None if state is None else next((of for of in state.ranking if of.trial == choice.trial), None)
    return _Side(entrant, label, choice, state, of if of is not None and of.repeats >= LEAST_TO_COMPARE else None)


def _choice(entrant: Entrant) -> Choice:
    store, stages = entrant.store, entrant.stages
    if entrant.trial is not None:
        return choose_trial(store, stages, number=stages[0].number, trial=entrant.trial)
    try:
        return choose(store, stages)
    except NotEnoughTrials:
        raise
    except BadInput:  # a confirmation that is not complete, or a trial that lacks a value
        best = best_of(store, stages)
        assert best is not None
        stage, columns = best
        return Choice(stage, columns["number"][0], params_at(stage, columns, 0), "best", columns["score"][0], "")


def _retrained(a: _Side, b: _Side) -> tuple[Gain, str] | None:
    """Return the gain of the values of b over those of a, trained again, and what it covers; None if not both are.

    Where both are of one confirmation their repeats share seeds, which is not made use of: the error is then too large.
    """
    if a.confirmed is None or b.confirmed is None:
        return None
    stage, sign = a.choice.stage, 1.0 if a.choice.stage.direction == "maximize" else -1.0
    (first, ratio), (second, _) = _values(a), _values(b)
    if first is None or second is None or first.shape[1] != second.shape[1] or first.shape[1] < 2:
        scores = ([sign * score for score in of.scores.values()] for of in (a.confirmed, b.confirmed))
        return retrained_scores(*scores), "seeds"
    high = sign if kinds.examples(stage) is None else 1.0
    return retrained(high * first, high * second, ratio=ratio), "seeds and examples"


def _values(side: _Side) -> tuple[NDArray[np.float64] | None, float]:
    """Return a side's hits or scores on folds, (R, N), and the `split_ratio` of folds; None where some are missing."""
    assert side.state is not None
    assert side.confirmed is not None
    known, ratio = repeats_of(side.entrant.store, side.state)
    hits = known[side.confirmed.trial]
    if not side.confirmed.scores.keys() <= hits.keys():
        return None, ratio
    return np.array([hits[repeat] for repeat in side.confirmed.scores], dtype=np.float64), ratio


def _searched(a: _Side, b: _Side) -> tuple[Gain, str] | None:
    """Return the gain of a search such as b over one such as a; None where a side is one trial."""
    if a.entrant.trial is not None or b.entrant.trial is not None:
        return None
    sign = 1.0 if a.choice.stage.direction == "maximize" else -1.0
    scores, hits = [], []
    for side in (a, b):
        store, stages = side.entrant.store, [of for of in side.entrant.stages if compares(of, side.choice.stage)]
        scores.append(np.concatenate([sign * store.scores(stage)["score"] for stage in stages]))
        hits.append(_best_hits(side, stages))
    if min(map(len, scores)) < 2:
        return None
    both = None if hits[0] is None or hits[1] is None else (hits[0], hits[1])
    seed = draw_seed(b.choice.stage.seed, b.choice.stage.number, "adopt")
    return searched(scores[0], scores[1], both, seed=seed), "trials" if both is None else "trials and examples"


def _best_hits(side: _Side, stages: Sequence[Stage]) -> NDArray[np.bool_] | None:
    """Return the hits of each stage's best trials together, (k, N); None unless all of them are known."""
    store, examples = side.entrant.store, kinds.examples(side.choice.stage)
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


def _complexity(a: _Side, b: _Side) -> dict[str, tuple[float, float]]:
    """Return what is known of the complexity of both sides' values, by name."""
    known = [dict(_complexity_of(side)) for side in (a, b)]
    return {name: (known[0][name], known[1][name]) for name in known[0] if name in known[1]}


def _complexity_of(side: _Side) -> Iterator[tuple[str, float]]:
    stage, store = side.choice.stage, side.entrant.store
    if kinds.trainable(stage):
        values = {**kinds.settings(stage), **delivered(stage.space, side.choice.params)}
        yield from kinds.kind_of(stage.study_file).runtime().complexity(values, stage.preprocessing).items()
    epochs = kinds.trained_epochs(stage)
    if epochs is not None:
        yield "epochs", epochs
    of, numbers = (stage, [side.choice.trial])
    if side.confirmed is not None and side.state is not None:
        of, numbers = side.state.confirmation, list(side.confirmed.numbers.values())
    seconds = [value for value in store.attribute(of, numbers, SECONDS).values() if isinstance(value, int | float)]
    if seconds:
        yield "seconds a trial", math.fsum(seconds) / len(seconds)


def _difference(gain: Gain, covers: str, choices: int = 1) -> Difference:
    return Difference(gain.mean, gain.interval(choices), covers)


def _verdict(of: Difference | None) -> Verdict:
    if of is None:
        return "undecided"
    return "adopt" if of.interval.low > 0 else "keep" if of.interval.high < 0 else "undecided"


def _recommendation(
    a: _Side,
    b: _Side,
    verdict: Verdict,
    of: Difference | None,
    gain: Gain | None,
    complexity: Mapping[str, tuple[float, float]],
) -> tuple[Sentence, Action | None]:
    """Return the recommendation in a sentence, and what would decide it."""
    more, less = _costs(complexity)
    values = f"the values of {b.label} ({b.name})"
    if verdict == "adopt":
        worth = f", if that is worth {more}" if more else f", with {less}" if less else ""
        if gain is not None:
            return Sentence(f"adopt {values}: better by {_words(of)}{worth}"), None
        again = [*_confirmed_by(a if a.confirmed is None else b)]
        text = f"adopt {values}: the best single score is better by {_words(of)}{worth}"
        text += "; {} tells how much of that training again leaves" if again else ""
        return Sentence(text, tuple(again)), again[0] if again else None
    if verdict == "keep":
        return Sentence(f"keep {a.label}: {values} are worse, by {_words(of, -1)}"), None
    start = f"keep {a.label} for now: "
    unknown = f"its values and those of {b.label} have not both been confirmed"
    start += unknown if of is None else f"a gain of {_words(of)} may be chance"
    end = f"; {b.label} has {less}, and is worse by {-of.interval.low:.2g} at most" if of and less else ""
    actions: list[Action] = []
    if gain is None:
        lacking = a if a.confirmed is None else b
        actions = [*_confirmed_by(lacking)]
        trained = f"the best of {lacking.label}" if lacking.entrant.trial is None else lacking.name
        start += f"; {{}} trains {trained} again with other seeds" if actions else ""
    elif gain.mean > 0 and a.confirmed is not None and b.confirmed is not None:
        repeats = gain.repeats(min(a.confirmed.repeats, b.confirmed.repeats), b.choices)
        if repeats is None:
            start += "; more repeats would not tell, more validation examples would"
        else:
            for side in (a, b):
                if side.confirmed is not None and side.confirmed.repeats < repeats:
                    actions += [of for of in _confirmed_by(side, repeats=repeats) if of not in actions]
            commands = " and ".join("{}" for _ in actions)
            start += f"; if it is that large, {repeats} repeats of both would tell ({commands})" if actions else ""
    return Sentence(start + end, tuple(actions)), actions[0] if actions else None


def _confirmed_by(side: _Side, **arguments: Any) -> Iterator[Action]:
    """Yield what trains the values of a side again; nothing where nothing does."""
    stage, store = side.choice.stage, side.entrant.store
    if kinds.foreign(stage):
        return
    if side.state is not None and len(side.state.ranking) > TOP:
        arguments["top"] = len(side.state.ranking)
    baseline = baseline_of(store, [stage])
    if side.entrant.trial is not None and (baseline is None or baseline.name != side.name):
        settings = settings_to_confirm(store, store.stages(stage.search), stage, arguments.get("top", TOP))
        if all(setting.trial != side.choice.trial for setting in settings):
            return
    yield actions_for(store, stage.search)("confirm", stage=stage.number, **arguments)


def _words(of: Difference | None, sign: int = 1) -> str:
    if of is None:
        return ""
    low, high = sorted((sign * of.interval.low, sign * of.interval.high))
    return f"{sign * of.gain:.2g} (95 % interval {low:.2g} to {high:.2g})"


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


def _of_retraining(a: _Side, b: _Side, of: Difference | None) -> Iterator[str]:
    if of is None or a.confirmed is None or b.confirmed is None:
        return
    metric = a.choice.stage.metric
    chosen = "" if b.choices == 1 else f"; it allows for the choice among {b.choices} settings"
    repeats = counted(a.confirmed.repeats, "repeat")
    yield (
        f"trained again, {a.name} has a mean {metric} of {a.confirmed.mean:.4g} over {repeats}, and {b.name} of "
        f"{b.confirmed.mean:.4g} over {b.confirmed.repeats}: a gain of {_words(of)}, over other {of.covers}{chosen}"
    )


def _of_searching(a: _Side, b: _Side, of: Difference | None) -> Iterator[str]:
    if of is None:
        return
    chance = "; chance may explain that" if _verdict(of) == "undecided" else ""
    yield (
        f"the best single score of a search such as {b.label} is better than that of one such as {a.label} by "
        f"{_words(of)}, over other {of.covers}{chance}"
    )
