"""Advice: the conclusions from a search's findings in words, and the next step with its actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.objectives import kinds
from hpsearch.records import Action, Sentence, draw_seed
from hpsearch.search.best import BestTrial
from hpsearch.search.range_analysis import FAR, NarrowedRange, distance
from hpsearch.space import Categorical, describe, to_scale
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hpsearch.search.best import Overview
    from hpsearch.search.evaluation import Evaluation
    from hpsearch.search.findings import Findings, Step
    from hpsearch.statistics.intervals import Interval
    from hpsearch.store import Store


@dataclass(frozen=True, slots=True)
class NextStep:
    """The next step."""

    step: Step
    words: str  # ``{}`` stands for each action
    actions: tuple[Action, ...] = ()


def next_step(at: Findings, action: Callable[..., Action]) -> NextStep:
    """Return the next step of a search."""
    if at.evaluated is not None and at.evaluated.answers:
        return _use(at, at.evaluated, action)
    start = _start(at, action)
    if at.best is None:
        return NextStep("start", "run trials ({})", (start,))
    if at.few:
        if kinds.foreign(at.of):
            return NextStep("pick", "these trials were run elsewhere and are few; no more can be added to them here")
        more = _start(at, action, trials=max(100, 2 * at.counts.finished))
        return NextStep("start", "run more trials ({})", (more,))
    widening = {name: made.widened for name, made in at.ranges.items() if made.widens}
    made = at.made
    if made is not None and not kinds.foreign(at.of) and all(made.space[name] == w for name, w in widening.items()):
        return NextStep("start", f"{{}} ({made.name} is made and has no trial yet)", (start,))
    if widening or any(made.verdict in ("clear", "weak") for made in at.ranges.values()):
        return _narrow(at, at.best, action, bool(widening))
    return _choose(at, at.best, action)


def _start(at: Findings, action: Callable[..., Action], **arguments: Any) -> Action:
    stage = at.of if arguments else at.made or at.of
    if stage.number != at.stages[-1].number:
        arguments["stage"] = stage.number
    return action("start", **arguments)


def _narrow(at: Findings, best: BestTrial, action: Callable[..., Action], widen: bool) -> NextStep:
    branch = at.latest.number > at.of.number  # a report of an earlier stage
    stage = at.of.number if branch else None
    narrow, start = action("narrow", top=at.top, expand=widen, stage=stage, branch=branch), action("start")
    words: str
    actions: tuple[Action, ...]
    if kinds.foreign(at.of):
        words, actions = "{}, then start it with a study file of your own: these trials are others'", (narrow,)
    else:
        words, actions = "{}, then {}", (narrow, start)
    if at.confirmed is not None and at.confirmed.complete and at.evaluated is None:
        words += f"; or end here: {{}} scores trial {at.confirmed.ranking[0].trial} on the test set, once"
        actions += (_evaluate(best, at, action),)
    return NextStep("expand" if widen else "narrow", words, actions)


def _choose(at: Findings, best: BestTrial, action: Callable[..., Action]) -> NextStep:
    """Return the step where no range is worth narrowing: choose among the best trials, and evaluate."""
    nothing, confirmed = "no range is worth narrowing", at.confirmed
    if kinds.foreign(best.of):
        return NextStep("pick", f"{nothing}; trial {best.trial} is the one to pick")
    stage = None if best.of.number == at.latest.number else best.of.number
    if confirmed is not None and confirmed.left:
        confirm = action("confirm", **confirmed.as_begun | {"stage": stage})
        words = f"bring {confirmed.confirmation.name} to its end ({{}}): {confirmed.left} trials are left"
        return NextStep("confirm", f"{nothing}; {words}", (confirm,))
    if confirmed is None and any(best.ties):
        words = "train the best trials again with other seeds to choose among them ({}), or score them on more"
        return NextStep("confirm", f"{nothing}; {words} validation examples", (action("confirm", stage=stage),))
    if confirmed is not None and not confirmed.ranking:
        return NextStep("pick", f"{nothing}; every repeat of {confirmed.confirmation.name} failed, so see why first")
    trial = best.trial if confirmed is None else confirmed.ranking[0].trial
    picked = f"{nothing}; trial {trial} is the one to pick"
    if at.evaluated is not None:
        return NextStep("pick", f"{picked}; the test set has been used and cannot judge it unbiased any more")
    return NextStep("evaluate", f"{picked} ({{}} scores it on the test set, once)", (_evaluate(best, at, action),))


def _evaluate(best: BestTrial, at: Findings, action: Callable[..., Action]) -> Action:
    return action("evaluate", stage=best.of.number if at.part else None)


def _use(at: Findings, evaluation: Evaluation, action: Callable[..., Action]) -> NextStep:
    """Return the step after an evaluation: use the model, or begin anew with another test set."""
    of = next((stage for stage in at.stages if stage.name == evaluation.stage), at.of)
    arguments: dict[str, Any] = {"stage": of.number, "trial": evaluation.trial}
    if evaluation.epochs is not None and evaluation.epochs != kinds.epochs(of):
        arguments["epochs"] = evaluation.epochs
    if evaluation.seed is not None and evaluation.seed != draw_seed(at.stages[0].seed, 1, "evaluate"):
        arguments["seed"] = evaluation.seed
    words = (
        "use these values; if the model was not saved, {} fits the same one again. To search on, begin another search "
        "with another test set: this one has been used"
    )
    return NextStep("use", words, (action("evaluate", **arguments, again=True),))


def advice(at: Findings, step: NextStep) -> tuple[tuple[Sentence, ...], tuple[Sentence, ...]]:
    """Return the conclusions from findings and the next step, and those of them that say which figure counts.

    The most important come first, and the last one says the next step.
    """
    best = at.best
    if best is None:
        return (Sentence(f"no trial has a score yet: {step.words.replace('trials', 'them', 1)}", step.actions),), ()
    over = at.evaluated is not None and at.evaluated.answers
    confirmed = at.confirmed is not None and at.confirmed.complete
    figures = tuple(map(Sentence, _figures(at, best)))
    sentences = [
        *map(Sentence, _few(at)),
        *(_edge(name, made, at, step) for name, made in at.ranges.items() if made.edges),
    ]
    plain: list[str] = []
    if at.confirmed is not None and confirmed:
        plain += [] if over else _confirmed_ties(at.confirmed)
    else:
        plain += _ties(best, at.top)
        plain += [] if over else _selection(best)
        plain += _incomplete(at.confirmed)
    plain += [effect for name, made in at.ranges.items() if (effect := _effect(name, made, over))]
    plain += [] if over else uncertain_ends(at.ranges)
    following = Sentence(f"next: {step.words}", step.actions)
    return (*figures, *sentences, *map(Sentence, plain), following), figures


def _figures(at: Findings, best: BestTrial) -> Iterator[str]:
    """Yield the figures by rank: the test score counts, before a mean over seeds, before a single score."""
    evaluation = at.evaluated
    confirmed = at.confirmed if at.confirmed is not None and at.confirmed.complete else None
    corrected = "" if best.corrected is None else f" ({best.corrected:.2f} corrected for selection)"
    raw = f"the best single score {best.score:.4g} of {best.stage} trial {best.trial}{corrected}"
    if evaluation is not None:
        yield _tested(evaluation)
        if evaluation.answers:
            mean = f"the mean {confirmed.ranking[0].mean:.3g} of {confirmed.confirmation.name}, " if confirmed else ""
            yield f"superseded by it: {mean}{raw}"
            return
    if confirmed is not None:
        first, settings = confirmed.ranking[0], len(confirmed.ranking)
        several = f"of the {settings} settings that {confirmed.confirmation.name} trained again"
        yield (
            f"trial {first.trial} comes first {several if settings > 1 else 'alone'}: mean {best.metric} "
            f"{first.mean:.3g}{_ends(first.interval)} over {first.repeats} repeats; this is the figure that counts"
        )
        yield f"superseded by it: {raw}"


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


def _confirmed_ties(of: Overview) -> list[str]:
    if len(of.ranking) == 1:
        return []
    if not of.compared:
        return ["the confirmed settings have too few repeats in common to be compared: at least 4 are needed"]
    if not of.tied:
        return [f"trial {of.ranking[0].trial} differs significantly from all the others that were confirmed"]
    tied = ", ".join(map(str, of.tied))
    return [f"confirmed and statistically tied with it: {tied}; any of them is as good a choice"]


def _incomplete(of: Overview | None) -> list[str]:
    if of is None:
        return []
    if of.left:
        return [f"{of.confirmation.name} is not complete, {of.left} trials are left: its order is not final"]
    return [f"every repeat of {of.confirmation.name} failed: training is not stable with these values"]


def _few(at: Findings) -> list[str]:
    complete, pruned = at.counts.complete, at.counts.pruned
    more = f" ({pruned} more were pruned)" if pruned else ""
    scored = f"{counted(complete, 'trial')} with a score{more}"
    if complete < at.top:
        return [f"{at.stage} has {scored}, too few for a top {at.top}: nothing is said of its ranges"]
    return [f"{at.stage} has only {scored}: most of what follows may be chance"] if at.few else []


def _edge(name: str, made: NarrowedRange, at: Findings, step: NextStep) -> Sentence:
    before = made.before
    assert not isinstance(before, Categorical)
    side, bound = ("upper", before.high) if made.at_edge == "high" else ("lower", before.low)
    start = f"the best {name} lies at the {side} edge, {bound:.4g}, and the score still gets better towards it: "
    if not made.widens:
        return Sentence(f"{start}its limit allows no wider range")
    wider = describe(made.advised)
    if step.step == "expand":
        return Sentence(f"{start}widen the range to {wider} ({{}})", step.actions[:1])
    if at.made is not None and step.step == "start":
        return Sentence(f"{start}{at.made.name} widens the range to {wider}")
    return Sentence(f"{start}a further stage would widen the range to {wider}")


def _ties(best: BestTrial, top: int) -> list[str]:
    if not best.ties:
        return []
    if not best.known:
        return [f"noise unknown: no hits on single examples are stored by which to compare trials by {best.metric}"]
    count, near = len(best.tied), best.ties[: top - 1]
    on = f"on {best.examples} examples"
    how = "" if best.paired else " (compared without their hits on single examples, which are not stored of all)"
    if not count:
        return [f"trial {best.trial} differs significantly from every other trial {on}{how}"]
    more = "or more " if best.open_ended else ""
    plural = count > 1 or best.open_ended
    who = f"{count} {more}trial{'s are' if plural else ' is'} statistically tied with the best {on}{how}"
    return [f"the top {len(near) + 1} are tied: {who}" if near and all(near) else who]


def _selection(best: BestTrial) -> list[str]:
    if best.corrected is None or best.corrected_interval is None or best.examples is None:
        return []
    inside = best.corrected_interval
    words = (
        f"expect about {best.corrected:.2f} of trial {best.trial} on new examples ({inside.low:.2f} to "
        f"{inside.high:.2f})"
    )
    if best.score - best.corrected < 0.5 / best.examples:
        return [words]
    return [f"{words}, not {best.score:.4g}: it was chosen for its score, which selection biases upwards"]


def _effect(name: str, made: NarrowedRange, over: bool) -> str | None:
    p = made.evidence
    match made.verdict:
        case None:
            return None
        case "clear":
            return f"{name} matters (p = {p:.1g}): the best trials lie in {describe(made.after)}"
        case "weak":
            return f"{name} may matter (p = {p:.2f}){'' if over else ': more trials would tell'}"
    narrowed = "" if over else ": its range would be narrowed by chance alone"
    return f"{name} shows no effect at this budget (p = {p:.2f}){narrowed}"


def uncertain_ends(ranges: Mapping[str, NarrowedRange]) -> list[str]:
    """Return sentences about ranges of parameters that matter, whose ends are uncertain by most resamples."""
    sentences = []
    for name, made in ranges.items():
        moves, before = made.movement, made.before
        if made.verdict not in ("clear", "weak") or moves is None or isinstance(before, Categorical):
            continue
        far = distance(before, FAR * (to_scale(before, before.high) - to_scale(before, before.low)))
        sentences += [
            f"the {side} end of {name}'s narrowed range is uncertain: {far} or more elsewhere in {share:.0%} of the "
            f"bootstrap resamples of {moves.resampled} (a tenth of the old range)"
            for side, share in (("lower", moves.low_often), ("upper", moves.high_often))
            if share > 0.5
        ]
    return sentences


def to_run_again(store: Store, storage: str | None) -> list[Action]:
    """Return the actions that run waiting trials again, after a repair has released them.

    There is none for a stage that another program made, as nothing here trains it.
    """
    actions = []
    for stage in (*store.stages(), *store.confirmations()):
        counts = store.counts(stage)
        if not counts.waiting or kinds.foreign(stage):
            continue
        arguments = {"search": stage.search, "stage": stage.number, "storage": storage}
        if stage.plan is not None:
            actions.append(Action("confirm", arguments))
        else:
            actions.append(Action("start", {**arguments, "trials": counts.rows}))
    return actions
