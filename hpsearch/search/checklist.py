"""The checklist of a search: questions to ask before its results are believed, answered from its trials.

They are those of the Deep Learning Tuning Playbook (https://github.com/google-research/tuning_playbook). Each has an
answer, the figure that shows it and the command that acts on it; the next step comes last. Nothing is computed here
that another module computes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hpsearch.objectives import kinds
from hpsearch.records import Action, Sentence
from hpsearch.search.curve_analysis import sentences
from hpsearch.search.evidence import CLEAR, WEAK, positions
from hpsearch.search.infeasible import infeasible
from hpsearch.search.narrowing import Strongest, reachable
from hpsearch.search.next_step import NextStep, more_trials, next_narrow, next_step
from hpsearch.search.range_analysis import NarrowedRange, outermost
from hpsearch.search.results import ENOUGH, Results
from hpsearch.space import Categorical, delivered, delivered_as, describe, holds
from hpsearch.statistics.curves import LEAST_CURVES, LEAST_EPOCHS
from hpsearch.text import counted, listed, rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from hpsearch.records import Stage
    from hpsearch.search.best import BestTrial, Overview
    from hpsearch.search.comparison import Comparison
    from hpsearch.search.evaluation import Evaluation
    from hpsearch.search.recommendation import Recommendation
    from hpsearch.search.scientific import ScientificValues
    from hpsearch.statistics.intervals import Interval
    from hpsearch.store import Store

_MANY_TESTS = 5  # of more parameters one in twenty is worth a sentence
_NEXT_TO = 0.05  # of a range's width, on its transformed scale

Verdict = Literal["ok", "act", "unknown"]


@dataclass(frozen=True, slots=True)
class Question:
    """A question of the checklist, and its answer."""

    key: str
    question: str
    verdict: Verdict  # nothing is to be done, something is, or the trials do not tell
    answers: tuple[Sentence, ...]
    figure: Action | None = None  # the figure that shows it
    action: Action | None = None  # what acts on it


@dataclass(frozen=True, slots=True)
class Checklist:
    """The checklist of a search so far."""

    search: str
    stage: str  # the name of the stage that the ranges are about, the latest with enough trials
    top: int  # number of trials that are called the best
    questions: tuple[Question, ...]  # none before any trial has a score
    next: NextStep
    best: BestTrial | None  # the best trial over all stages; None before any is complete
    ranges: Mapping[str, NarrowedRange]  # the next range of each parameter; empty where there are too few trials
    recommended: Recommendation | None = None  # the values to use
    scientific: ScientificValues | None = None  # scientific values compared; None where there are none

    def __str__(self) -> str:
        return "\n".join(map(str, self.advice))

    @property
    def advice(self) -> tuple[Sentence, ...]:
        """All answers and the next step, as a list."""
        return (*(answer for question in self.questions for answer in question.answers), self.next.sentence)


def checklist(store: Store, stages: Sequence[Stage], *, top: int = 5) -> Checklist:
    """Return what the stages of one search have shown so far; ``top`` trials, at least 2, are called the best."""
    at = Results(store, stages, top=top)
    step = next_step(at)
    questions = () if at.best is None else tuple(_questions(at, at.best, step))
    return Checklist(at.search, at.of.name, at.top, questions, step, at.best, at.ranges, at.recommended, at.scientific)


def _questions(at: Results, best: BestTrial, step: NextStep) -> Iterator[Question]:
    """Yield the questions that can be asked of a search with a score, in the playbook's order behind the result."""
    number = None if at.of.number == at.latest.number else at.of.number

    def plot(kind: str, **arguments: Any) -> Action:
        return at.action("plot", kind=kind, **arguments)

    if at.evaluated is not None:
        figures = _said(_tested_and_superseded(at.evaluated, best))
        yield Question("test", "What is the score on the test set?", "ok", figures, plot("history"))
    yield _result(at, best, plot("history"))
    if at.scientific is not None:
        yield _scientific(at.scientific, partial(plot, "isolation", stage=number), over=at.over)
    yield _trials(at, plot("budget", stage=number))
    yield _width(at, step, partial(plot, "parameters", stage=number))
    yield _feasible(at, partial(plot, "parameters", stage=number))
    if at.has_curves:
        yield _curves(at, partial(plot, "curves", stage=number))
    yield _effects(at, plot("importance", stage=number))
    if at.against_baseline is not None:
        yield _adopt(at.against_baseline, step)


def _result(at: Results, best: BestTrial, figure: Action) -> Question:
    """Ask how good the result is."""
    over, confirmed = at.over, at.confirmed is not None and at.confirmed.complete
    answers: list[str | Sentence] = [] if best.left_out is None else [best.left_out]
    recommended = [] if over or at.recommended is None else at.recommended.sentences
    recommended = [of for of in recommended if at.measure not in of.mentions or at.level]  # else it is what is to do
    if at.confirmed is not None and confirmed:
        answers += [*recommended, *_confirmed_ties(at, at.confirmed)]
    elif at.level:
        scored = f"all {counted(at.counts.complete, 'trial')} of {at.of.name} have the same score, {best.score:.4g}"
        answers.append(f"{scored}: no hyperparameter made a difference to it")
    else:
        answers += [*_ties(at, best), *recommended, *_incomplete(at.confirmed)]
    compared = best.known and bool(best.ties)  # an only trial has none to be compared with
    verdict: Verdict = "ok" if over or confirmed else "unknown" if not compared else "act" if any(best.ties) else "ok"
    action = at.measure if verdict != "ok" and best.ties and not at.level else None
    return Question("result", "How good is the best, and how sure is that?", verdict, _said(answers), figure, action)


def _scientific(of: ScientificValues, plot: Callable[..., Action], *, over: bool) -> Question:
    """Ask which scientific value is best."""
    question = f"Which {' and '.join(of.names)} is best when each is tuned?"
    verdict: Verdict = "ok" if of.decided else "unknown"
    return Question(
        "scientific", question, verdict, of.sentences, plot(parameters=[of.names[0]]), None if over else of.action
    )


def _trials(at: Results, figure: Action) -> Question:
    """Ask whether the ranges have been sampled enough."""
    of, counts = at.forecast, at.counts
    answers: list[str | Sentence] = [*_few(at), *([] if of is None else [of.sentence])]
    if not answers:
        answers = ["the scores do not tell what more trials would bring"]
    if at.wanted is not None and counts.complete < ENOUGH:
        scored = round(at.wanted * counts.complete / max(counts.finished, 1))
        answers.append(
            f"{counts.complete} with a score often miss a bound that cuts off better values, {ENOUGH} mostly see it; "
            f"of {at.wanted} trials about {scored} will have a score"
        )
    verdict: Verdict = "unknown" if of is None or of.verdict is None else "ok"
    if at.few or at.wanted is not None:
        verdict = "act"
    more = more_trials(at) if verdict == "act" else None
    return Question("trials", "Were there enough trials?", verdict, _said(answers), figure, more)


def _width(at: Results, step: NextStep, plot: Callable[..., Action]) -> Question:
    """Ask whether the best values lie at the edge of a range."""
    question = "Are the ranges wide enough?"
    if not at.ranges:
        return Question("ranges", question, "unknown", _said(["too few trials have a score to say"]), plot())
    edges = {name: made for name, made in at.ranges.items() if made.edges}
    words: list[str | Sentence] = [edge for name, made in edges.items() for edge in _edges(name, made, at, step)]
    known = {delivered_as(name, made.after) for name, made in edges.items()}
    unseen = {} if at.level else {name: text for name, text in _unseen(at) if name not in known}
    words += unseen.values()
    figure = plot(parameters=[*known, *unseen][:1])
    if at.widens:
        foretold = at.made is not None and step.step == "start"
        widen = step.actions[0] if foretold and step.actions else None if at.over else next_narrow(at)
        return Question("ranges", question, "act", _said(words), figure, widen)
    scored = [of.scored for of in at.ranges.values() if not isinstance(of.before, Categorical)]
    few = min(scored, default=ENOUGH) < ENOUGH and not edges
    if not words:
        words.append("no bound is seen to cut off better values")
    if few:
        words.append(f"fewer than {ENOUGH} trials with a score often miss a bound that does")
    more = more_trials(at) if few or unseen else None
    return Question("ranges", question, "unknown" if unseen or few else "ok", _said(words), figure, more)


def _unseen(at: Results) -> Iterator[tuple[str, str]]:
    """Yield each recommended value of a parameter that matters at a bound that no trial went beyond, in words."""
    of = at.recommended or at.best
    if of is None:
        return
    params, known = delivered(of.of.space, of.params), kinds.parameters(of.of)
    run = [stage for stage in at.stages if at.store.counts(stage).finished]
    matter = [name for name, made in at.ranges.items() if made.verdict in ("clear", "weak")]
    matter += [name for name, strongest in at.evidence.items() if strongest.p <= CLEAR]
    mattering = {delivered_as(name, at.of.space[name]) for name in matter if name in at.of.space}
    for name, parameter in of.of.space.items():
        own = delivered_as(name, parameter)
        value = params.get(own)
        if own not in mattering:  # one without effect is near a bound by chance
            continue
        if isinstance(parameter, Categorical) or not isinstance(value, int | float) or not holds(parameter, params):
            continue
        natural = reachable(known[own], parameter) if own in known else (None, None)
        same = [other for stage in run for of_name, other in stage.space.items() if delivered_as(of_name, other) == own]
        bounds = [(r.low, r.high) for r in same if not isinstance(r, Categorical) and holds(r, params)]
        low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
        place = float(positions(parameter, np.array([value]))[0])
        for side, bound, outer, far in (
            ("lower", low, parameter.low, place),
            ("upper", high, parameter.high, 1 - place),
        ):
            end = outermost(parameter, natural, "low" if side == "lower" else "high")
            if bound == outer and far <= _NEXT_TO and end != bound:
                which = "recommended" if at.recommended is not None else "best"
                where = "at" if value == bound else "next to"
                text = f"the {which} {own}, {value:.3g}, lies {where} its {side} bound, {bound:.4g}"
                yield own, f"{text}: these trials do not tell whether better values lie beyond"


def _feasible(at: Results, plot: Callable[..., Action]) -> Question:
    """Ask how many trials failed, and where."""
    of = infeasible(at.store, at.of)
    question = "Did trials fail, and where?"
    if of is None:
        return Question("feasible", question, "ok", _said([f"none of {counted(at.counts.finished, 'trial')} failed"]))
    place = [] if of.threshold is None else [of.threshold.name]
    answers: list[str | Sentence] = [of.sentence]
    if of.many:
        where = f"leave {of.place} out of its range" if of.place else "look for a bug, or for a condition to declare"
        answers.append(f"so many failed trials waste the budget: {where}")
    return Question("feasible", question, "act" if of.many else "ok", _said(answers), plot(parameters=place))


def _curves(at: Results, plot: Callable[..., Action]) -> Question:
    """Ask what the learning curves show."""
    question, of = "What do the learning curves of the best trials show?", at.curves
    if of is None:
        words = f"fewer than {LEAST_CURVES} of the best trials have a curve of at least {LEAST_EPOCHS} epochs"
        return Question("curves", question, "unknown", _said([words]), plot())
    in_loss = "loss" in kinds.curve_bounds(at.of) and any(sign in of.signs for sign in ("overfitting", "unstable"))
    figure = plot(quantity="loss") if in_loss else plot()
    longer = None if at.longer is None or at.over else at.action("narrow", top=at.top, epochs=at.longer)
    answers = _said(sentences(of, kinds.remedies(at.of)))
    return Question("curves", question, "act" if of.signs else "ok", answers, figure, longer)


def _adopt(of: Comparison, step: NextStep) -> Question:
    """Ask whether the search's values should take the place of the baseline's."""
    verdict: Verdict = "ok" if of.verdict == "keep" else "act" if of.verdict == "adopt" else "unknown"
    action = of.action
    if action is not None and action.kind == "confirm" and action not in step.actions:  # other steps come first
        action = None
    return Question("adopt", "Should it replace the baseline?", verdict, of.sentences, action=action)


def _effects(at: Results, figure: Action) -> Question:
    """Ask which parameters matter."""
    within = "" if at.of.number == 1 else f" within stage {at.of.number}'s range"
    effects = {} if at.level else at.ranges
    answers: list[str | Sentence] = [
        effect for name, made in effects.items() if (effect := _effect(name, made, within, at, at.evidence.get(name)))
    ]
    tests = [made.evidence for made in effects.values() if made.evidence is not None and not made.few]
    if len(tests) > _MANY_TESTS and any(made.verdict == "weak" for made in effects.values()):
        by_chance = rounded(WEAK * len(tests), 1)
        answers.append(
            f"of {len(tests)} parameters without effect {by_chance} would seem to matter by chance (p = {WEAK})"
        )
    mattering = [name for name, made in effects.items() if made.verdict in ("clear", "weak") and not made.before.when]
    choices = [
        name
        for name, made in effects.items()
        if made.verdict == "none" and not made.few and isinstance(made.before, Categorical)
    ]
    if mattering and choices:
        both = [choices[0], mattering[0]]
        pair = at.action("plot", kind="pair", parameters=both, stage=figure.arguments.get("stage"))
        answers.append(
            Sentence(f"which {mattering[0]} is good may depend on {listed(choices)}: {{}} shows it", (pair,))
        )
    few = any(made.few for made in effects.values())
    doubtful = at.wanted is not None and any(made.verdict == "weak" for made in effects.values())
    more = more_trials(at) if few or doubtful else None
    verdict: Verdict = "ok" if answers and more is None and not few else "unknown"
    return Question("effects", "Which hyperparameters matter?", verdict, _said(answers), figure, more)


def _said(answers: Iterable[str | Sentence]) -> tuple[Sentence, ...]:
    return tuple(Sentence(text) if isinstance(text, str) else text for text in answers)


def _tested_and_superseded(of: Evaluation, best: BestTrial) -> Iterator[str]:
    """Yield the test score, and the score that it supersedes."""
    yield _tested(of)
    if of.answers:
        corrected = "" if best.corrected is None else f" ({rounded(best.corrected, 2)} corrected for selection)"
        yield f"superseded by it: the best single score {best.score:.4g} of {best.stage} trial {best.trial}{corrected}"


def _tested(of: Evaluation) -> str:
    who = f"{of.stage} trial {of.trial}"
    if of.score is None:
        return f"the evaluation on the test set, with the values of {who}, ended without a result, and counts as one"
    times = "" if of.evaluations == 1 else f", the first of {of.evaluations} evaluations"
    score = f"test {of.metric} {of.score:.4g}{_ends(of.interval)} on {of.examples or 0:,} test examples{times}"
    end = (
        ": this is the search's final score"
        if of.current
        else ", before the search went on: of later values it says nothing"
    )
    return f"{score}, with the values of {who}{end}"


def _ends(interval: Interval | None) -> str:
    return "" if interval is None else f" ({interval.low:.3f} to {interval.high:.3f})"


def _confirmed_ties(at: Results, of: Overview) -> list[str]:
    if len(of.ranking) == 1:
        return []
    first = at.trial(of.ranking[0].trial, of.stage)
    if not of.compared:
        return ["the confirmed settings have too few repeats in common to be compared: at least 4 are needed"]
    if not of.tied:
        return [f"{first} differs significantly from all the others that were confirmed"]
    tied = ", ".join(at.trial(trial, of.stage) for trial in of.tied)
    return [f"as good a choice as {first}, statistically tied with it: {tied}"]


def _incomplete(of: Overview | None) -> list[str]:
    if of is None:
        return []
    if of.left:
        return [f"{of.confirmation.name} is not complete, {of.left} trials are left: its order is not final"]
    return [f"every repeat of {of.confirmation.name} failed: training is not stable with these values"]


def _few(at: Results) -> list[str]:
    complete, pruned = at.counts.complete, at.counts.pruned
    more = f" ({pruned} more were pruned)" if pruned else ""
    scored = f"{counted(complete, 'trial')} with a score{more}"
    if complete < at.top:
        return [f"{at.of.name} has {scored}, too few for a top {at.top}: nothing is said of its ranges"]
    return [f"{at.of.name} has only {scored}: most of what follows may be chance"] if at.few else []


def _edges(name: str, made: NarrowedRange, at: Results, step: NextStep) -> Iterator[Sentence]:
    """Yield the bounds of a range beyond which better values are expected, in words."""
    for edge in made.edges:
        bound = f"{'upper' if edge.side == 'high' else 'lower'} {{}}, {edge.bound:.4g}".format
        if edge.stage is None:
            start = f"the best {name} lies at the {bound('edge')}, and the score still gets better towards it"
            gain = edge.gain
            start += "" if gain is None else f" (by about {gain:.2g} within a quarter of the range beyond it)"
        else:
            start = f"{name}: the scores of {edge.stage} got better towards the {bound('bound')}"
            start += ", and no stage has gone beyond it"
        wider = describe(made.advised)
        if not made.widens:
            yield Sentence(f"{start}: its limit allows no wider range")
        elif step.step == "expand":
            yield Sentence(f"{start}: widen the range to {wider} ({{}})", step.actions[:1])
        elif at.made is not None and step.step == "start":
            yield Sentence(f"{start}: {at.made.name} widens the range to {wider}")
        else:
            yield Sentence(f"{start}: a further stage would widen the range to {wider}")


def _ties(at: Results, best: BestTrial) -> list[str | Sentence]:
    if not best.ties:
        return []
    if not best.known and kinds.reports_noise(best.of):
        missing = "the best trials report neither folds nor a standard error"
        if at.measure is None:
            return [f"noise unknown: {missing}"]
        return [Sentence(f"noise unknown: {missing}; {{}} measures it", (at.measure,))]
    if not best.known:
        return [f"noise unknown: no hits on single examples are stored by which to compare trials by {best.metric}"]
    count, near = len(best.tied), best.ties[: at.top - 1]
    on, how = best.noise[best.stage].words, best.without
    if not best.paired and best.examples is not None:
        how = " (compared without their hits on single examples, which are not stored of all)"
    if not count:
        return [f"{at.trial(best.trial, best.stage)} differs significantly from every other trial {on}{how}"]
    who = f"{best.count_tied} {'is' if count == 1 else 'are'} statistically tied with the best {on}{how}"
    return [f"the top {len(near) + 1} are tied: {who}" if near and all(near) else who]


def _effect(name: str, made: NarrowedRange, within: str, at: Results, strongest: Strongest | None) -> str | None:
    p = made.evidence
    if made.verdict in ("weak", "none") and strongest is not None and strongest.p <= CLEAR:
        by = f"by the trials of {strongest.stage}: {strongest.effect.sentence(name)}"
        return f"{name} matters (p = {strongest.p:.1g} {by}); no clear effect is left{within} (p = {p:.2f})"
    if made.few:
        return f"{name}: {counted(made.scored, 'trial')} with a score are too few to say whether it matters"
    match made.verdict:
        case None:
            return None
        case "clear":
            return f"{name} matters{within} (p = {p:.1g}): values as good as the best may lie in {describe(made.after)}"
        case "weak":
            return f"{name} may matter{within} (p = {p:.2f}){': more trials would tell' if at.wanted else ''}"
    seen = f"{within} in {counted(made.scored, 'trial')} (p = {p:.2f})"
    return f"{name} shows no effect of its own{seen}{'' if at.over else ': its range is kept'}"
