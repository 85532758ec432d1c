"""The next step of a search: more trials, narrowing, a confirmation, the evaluation, or the values to use."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Literal

from hpsearch.objectives import kinds
from hpsearch.records import Action, Sentence
from hpsearch.search.results import ENOUGH
from hpsearch.search.stage import go_on

if TYPE_CHECKING:
    from hpsearch.search.best import BestTrial
    from hpsearch.search.evaluation import Evaluation
    from hpsearch.search.results import Results

WORTH = 2 / 3  # the most of the ranges' volume that is kept by a narrowing that is worth it
# Run trials, narrow with or without expanding, confirm, evaluate, take the best trial, or use the evaluated values.
Step = Literal["start", "expand", "narrow", "confirm", "evaluate", "pick", "use"]


@dataclass(frozen=True, slots=True)
class NextStep:
    """The next step."""

    step: Step
    sentence: Sentence  # in words
    actions: tuple[Action, ...]  # those that it mentions


def next_step(at: Results) -> NextStep:
    """Return the next step of a search."""
    if at.evaluated is not None and at.evaluated.answers:
        return _use(at, at.evaluated)
    start = next_start(at)
    if at.best is None:
        return _step("start", "run trials, as none has a score yet ({})", start)
    if at.few:
        more = more_trials(at)
        if more is None:
            return _step("pick", "these trials were run elsewhere and are few; no more can be added to them here")
        return _step("start", "{}, for more trials", more)
    made = at.made
    if made is not None and all(made.space[name] == of.widened for name, of in at.ranges.items() if of.widens):
        words, actions = (go_on(at.of), []) if kinds.foreign(at.of) else ("{}", [start])
        return _step("start", f"{words} ({made.name} is made and has no trial yet)", *actions)
    if at.scientific is not None and at.scientific.action is not None and at.confirmed is None:
        words = f"run more trials to tell the values of {' and '.join(at.scientific.names)} apart ({{}})"
        return _step("start", words, at.scientific.action)
    if at.latest.refinement is None and (
        at.widens or at.longer is not None or prod(of.kept for of in at.ranges.values()) <= WORTH
    ):
        return _narrow(at, at.best)
    return _choose(at, at.best)


def next_start(at: Results, **arguments: Any) -> Action:
    """Return the action that runs more trials, of the stage itself where it has arguments."""
    stage = at.of if arguments else at.made or at.of
    if stage.number != at.stages[-1].number:
        arguments["stage"] = stage.number
    return at.action("start", **arguments)


def more_trials(at: Results) -> Action | None:
    """Return the action by which the stage has the trials that it should have, else twice as many as now; None: none.

    One number for all that more trials would tell.
    """
    if at.over or kinds.foreign(at.of):
        return None
    return next_start(at, trials=at.wanted or 2 * at.counts.finished)


def next_narrow(at: Results) -> Action:
    """Return the action that narrows the stage, and widens it where better values are seen beyond a bound."""
    branch = at.latest.number > at.of.number  # a report of an earlier stage, or a refinement
    stage = at.of.number if branch else None
    return at.action("narrow", top=at.top, expand=at.widens, epochs=at.longer, stage=stage, branch=branch)


def _step(step: Step, words: str, *actions: Action) -> NextStep:
    """Return a step whose words have ``{}`` for each action."""
    return NextStep(step, Sentence(f"next: {words}", actions), actions)


def _narrow(at: Results, best: BestTrial) -> NextStep:
    words, actions = "{}, then {}", [next_narrow(at), at.action("start")]
    if kinds.foreign(at.of):
        words, actions = f"{{}}, then {go_on(at.of)}", [next_narrow(at)]
    unused, confirmed = at.evaluated is None and kinds.evaluates(at.of), at.confirmed
    if confirmed is not None and confirmed.complete and unused:
        first = at.trial(confirmed.ranking[0].trial, confirmed.stage)
        words += f"; or end here: {{}} scores {first} on the test set, once"
        actions.append(_evaluate(best, at))
    return _step("expand" if at.widens else "narrow", words, *actions)


def _choose(at: Results, best: BestTrial) -> NextStep:
    """Return the step where no range is worth narrowing: choose among the best trials, and evaluate."""
    refined, confirmed = at.latest.refinement is not None, at.confirmed
    nothing = f"{at.latest.name} has refined the ranges" if refined else "no range is worth narrowing"
    if kinds.foreign(best.of):
        return _step("pick", f"{nothing}; {{}} names the values to pick", at.action("recommend"))
    if at.level:
        then = "check the data and the objective, or search other ranges"
        return _step("pick", f"no trial of {at.of.name} is better than another: {then}")
    if confirmed is not None and confirmed.left and at.measure is not None:
        words = f"bring {confirmed.confirmation.name} to its end ({{}}): {confirmed.left} trials are left"
        return _step("confirm", f"{nothing}; {words}", at.measure)
    more = (
        None if refined or confirmed is not None or at.evaluated is not None or at.wanted is None else more_trials(at)
    )
    if more is not None:
        why = (
            "these may miss better values beyond a bound" if at.counts.complete < ENOUGH else "these may not be enough"
        )
        words, actions = f"{{}}, for more trials: {nothing}, and {why}", [more]
        if at.measure is not None and best.ties:
            words, actions = f"{words}; or: {{}}, to train the best again with other seeds", [more, at.measure]
        return _step("start", words, *actions)
    if at.measure is not None and any(best.ties):
        words = f"{{}}, to train the best trials again with other seeds and choose among them: {nothing}"
        if refined or best.of.number != at.latest.number or best.of.defined_by_run:
            return _step("confirm", words, at.measure)
        words += "; or: {}, to let a sampler that learns look for better values first"
        return _step("confirm", words, at.measure, at.action("refine"))
    if at.measure is not None and best.ties and not best.known and kinds.reports_noise(best.of):
        words = "{}, to run the best trials again with other seeds and measure how uncertain their scores are"
        return _step("confirm", f"{words}: {nothing}", at.measure)
    if confirmed is not None and not confirmed.ranking:
        return _step("pick", f"{nothing}; every repeat of {confirmed.confirmation.name} failed, so see why first")
    decisive = None if at.against_baseline is None else at.against_baseline.action
    if decisive is not None and decisive.kind == "confirm" and "repeats" not in decisive.arguments:
        words = "train again with other seeds, to tell whether to replace the baseline ({})"
        return _step("confirm", f"{nothing}; {words}", decisive)
    first, actions = "{} names the values", [at.action("recommend")]
    if confirmed is not None:
        first, actions = f"{confirmed.stage} trial {confirmed.ranking[0].trial} is the one", []
    picked = f"{nothing}; {first} to pick"
    if at.evaluated is not None:
        words = f"{picked}; the test set has been used and cannot judge it unbiased any more"
        return _step("pick", words, *actions)
    if not kinds.evaluates(best.of):
        return _step("pick", picked, *actions)
    return _step("evaluate", f"{picked} ({{}} scores it on the test set, once)", *actions, _evaluate(best, at))


def _evaluate(best: BestTrial, at: Results) -> Action:
    of = best.of if at.confirmed is None else at.confirmed.confirmation
    return at.action("evaluate", stage=of.number if len(at.considered) < len(at.stages) else None)


def _use(at: Results, evaluation: Evaluation) -> NextStep:
    """Return the step after an evaluation: use the model, or begin anew with another test set."""
    of = next((stage for stage in at.stages if stage.name == evaluation.stage), at.of)
    arguments: dict[str, Any] = {"stage": of.number, "trial": evaluation.trial}
    if evaluation.epochs is not None and evaluation.epochs != kinds.epochs(of):
        arguments["epochs"] = evaluation.epochs
    if evaluation.trained_on != of.sizes.get("train", 0):  # else it is the trial's own model, without a seed
        arguments["seed"] = evaluation.seed
    after = "To search on, begin another search with another test set: this one has been used"
    if kinds.reports_noise(of):
        return _step("use", f"use these values. {after}")
    words = f"use these values; if the model was not saved, {{}} fits the same one again. {after}"
    return _step("use", words, at.action("evaluate", **arguments, again=True))
