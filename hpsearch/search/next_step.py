"""The next step of a search: more trials, narrowing, a confirmation, the evaluation, or the values to use."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Literal

from hpsearch.objectives import kinds
from hpsearch.records import Action, draw_seed
from hpsearch.search.stage import go_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from hpsearch.search.best import BestTrial
    from hpsearch.search.checklist import Checklist
    from hpsearch.search.evaluation import Evaluation

WORTH = 2 / 3  # the most of the ranges' volume that is kept by a narrowing that is worth it
# Run trials, narrow with or without expanding, confirm, evaluate, take the best trial, or use the evaluated values.
Step = Literal["start", "expand", "narrow", "confirm", "evaluate", "pick", "use"]


@dataclass(frozen=True, slots=True)
class NextStep:
    """The next step."""

    step: Step
    words: str  # ``{}`` stands for each action
    actions: tuple[Action, ...] = ()


def next_step(at: Checklist, action: Callable[..., Action]) -> NextStep:
    """Return the next step of a search."""
    if at.evaluated is not None and at.evaluated.answers:
        return _use(at, at.evaluated, action)
    start = next_start(at, action)
    if at.best is None:
        return NextStep("start", "run trials ({})", (start,))
    if at.few:
        if kinds.foreign(at.of):
            return NextStep("pick", "these trials were run elsewhere and are few; no more can be added to them here")
        more = next_start(at, action, trials=max(100, 2 * at.counts.finished))
        return NextStep("start", "run more trials ({})", (more,))
    widening = {name: made.widened for name, made in at.ranges.items() if made.widens}
    made = at.made
    if made is not None and all(made.space[name] == w for name, w in widening.items()):
        words, actions = (go_on(at.of), ()) if kinds.foreign(at.of) else ("{}", (start,))
        return NextStep("start", f"{words} ({made.name} is made and has no trial yet)", actions)
    if at.scientific is not None and at.scientific.action is not None and at.confirmed is None:
        words = f"run more trials to tell the values of {' and '.join(at.scientific.names)} apart ({{}})"
        return NextStep("start", words, (at.scientific.action,))
    narrows = widening or at.longer is not None
    if at.latest.refinement is None and (narrows or prod(made.kept for made in at.ranges.values()) <= WORTH):
        return _narrow(at, at.best, action, bool(widening))
    return _choose(at, at.best, action)


def next_start(at: Checklist, action: Callable[..., Action], **arguments: Any) -> Action:
    """Return the action that runs more trials, of the stage itself where it has arguments."""
    stage = at.of if arguments else at.made or at.of
    if stage.number != at.stages[-1].number:
        arguments["stage"] = stage.number
    return action("start", **arguments)


def _narrow(at: Checklist, best: BestTrial, action: Callable[..., Action], widen: bool) -> NextStep:
    branch = at.latest.number > at.of.number  # a report of an earlier stage
    stage = at.of.number if branch else None
    options = {"top": at.top, "expand": widen, "epochs": at.longer, "stage": stage, "branch": branch}
    narrow, start = action("narrow", **options), action("start")
    words: str
    actions: tuple[Action, ...]
    if kinds.foreign(at.of):
        words, actions = f"{{}}, then {go_on(at.of)}", (narrow,)
    else:
        words, actions = "{}, then {}", (narrow, start)
    unused = at.evaluated is None and kinds.evaluates(at.of)
    if at.confirmed is not None and at.confirmed.complete and unused:
        words += f"; or end here: {{}} scores {at.trial(at.confirmed.ranking[0].trial)} on the test set, once"
        actions += (_evaluate(best, at, action),)
    return NextStep("expand" if widen else "narrow", words, actions)


def _choose(at: Checklist, best: BestTrial, action: Callable[..., Action]) -> NextStep:
    """Return the step where no range is worth narrowing: choose among the best trials, and evaluate."""
    refined, confirmed = at.latest.refinement is not None, at.confirmed
    nothing = f"{at.latest.name} has refined the ranges" if refined else "no range is worth narrowing"
    if kinds.foreign(best.of):
        return NextStep("pick", f"{nothing}; {{}} names the values to pick", (action("recommend"),))
    if at.level:
        then = "check the data and the objective, or search other ranges"
        return NextStep("pick", f"no trial of {at.stage} is better than another: {then}")
    stage = None if best.of.number == at.latest.number else best.of.number
    if confirmed is not None and confirmed.left:
        confirm = action("confirm", **confirmed.as_begun | {"stage": stage})
        words = f"bring {confirmed.confirmation.name} to its end ({{}}): {confirmed.left} trials are left"
        return NextStep("confirm", f"{nothing}; {words}", (confirm,))
    if at.measure is not None and any(best.ties):
        words = "train the best trials again with other seeds to choose among them ({}), or score them on more"
        words += " validation examples"
        if refined or best.of.number != at.latest.number or best.of.defined_by_run:
            return NextStep("confirm", f"{nothing}; {words}", (at.measure,))
        words += "; or let a sampler that learns look for better values first ({})"
        return NextStep("confirm", f"{nothing}; {words}", (at.measure, action("refine")))
    if at.measure is not None and best.ties and not best.known and kinds.reports_noise(best.of):
        words = "run the best trials again with other seeds to measure how uncertain their scores are ({})"
        return NextStep("confirm", f"{nothing}; {words}", (at.measure,))
    if confirmed is not None and not confirmed.ranking:
        return NextStep("pick", f"{nothing}; every repeat of {confirmed.confirmation.name} failed, so see why first")
    actions: tuple[Action, ...] = (action("recommend"),) if confirmed is None else ()
    first = (
        "{} names the values" if confirmed is None else f"{best.stage} trial {confirmed.ranking[0].trial} is the one"
    )
    picked = f"{nothing}; {first} to pick"
    if at.evaluated is not None:
        words = f"{picked}; the test set has been used and cannot judge it unbiased any more"
        return NextStep("pick", words, actions)
    if not kinds.evaluates(best.of):
        return NextStep("pick", picked, actions)
    words = f"{picked} ({{}} scores it on the test set, once)"
    return NextStep("evaluate", words, (*actions, _evaluate(best, at, action)))


def _evaluate(best: BestTrial, at: Checklist, action: Callable[..., Action]) -> Action:
    return action("evaluate", stage=best.of.number if at.part else None)


def _use(at: Checklist, evaluation: Evaluation, action: Callable[..., Action]) -> NextStep:
    """Return the step after an evaluation: use the model, or begin anew with another test set."""
    of = next((stage for stage in at.stages if stage.name == evaluation.stage), at.of)
    arguments: dict[str, Any] = {"stage": of.number, "trial": evaluation.trial}
    if evaluation.epochs is not None and evaluation.epochs != kinds.epochs(of):
        arguments["epochs"] = evaluation.epochs
    if evaluation.seed is not None and evaluation.seed != draw_seed(at.stages[0].seed, 1, "evaluate"):
        arguments["seed"] = evaluation.seed
    after = "To search on, begin another search with another test set: this one has been used"
    if kinds.reports_noise(of):
        return NextStep("use", f"use these values. {after}")
    words = f"use these values; if the model was not saved, {{}} fits the same one again. {after}"
    return NextStep("use", words, (action("evaluate", **arguments, again=True),))
