"""Advice in words: what a search's findings mean, and which of its figures counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.commands import command_line
from hpsearch.search.best import non_default
from hpsearch.search.evidence import CLEAR, WEAK
from hpsearch.search.range_analysis import FAR, moved_by
from hpsearch.seeds import draw_seed
from hpsearch.space import Categorical, describe, to_scale

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.commands import Commands
    from hpsearch.records import Stage
    from hpsearch.search.best import Best, BestTrial
    from hpsearch.search.findings import ConfirmationFinding, EvaluationFinding, RangeFinding, Step
    from hpsearch.statistics.intervals import Interval
    from hpsearch.store import Counts, Store


def advice(
    contest: BestTrial | None, at: Standing, following: NextStep, commands: Commands
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What to make of the findings and what to do next, the most important first.

    Args:
        contest: The search's best trial among its rivals; None before any trial has a score.
        at: Where the search stands.
        following: What to do next.
        commands: Renders commands over this search.

    Returns:
        All sentences, the last of which says what to do next; and those of them that say which figure counts.
    """
    if contest is None:
        return (f"no trial has a score yet: {following.words.replace('trials', 'them', 1)}",), ()
    figures = _figures(contest, at)
    over = at.evaluated is not None and at.evaluated.answers
    sentences = [*_few(at.stage, at.counts, at.top)]
    sentences += [
        _edge(name, found, at, following, commands) for name, found in at.ranges.items() if found.at_edge is not None
    ]
    if at.confirmed is not None and at.confirmed.complete:
        sentences += [] if over else _confirmed_ties(at.confirmed)
    else:
        sentences += _ties(contest, at.top)
        sentences += [] if over else _luck(contest)
        sentences += _incomplete(at.confirmed)
    sentences += [words for name, found in at.ranges.items() if (words := _effect(name, found, over))]
    sentences += [] if over else not_firm(at.ranges)
    return (*figures, *sentences, f"next: {following.words}"), tuple(figures)


def _figures(contest: BestTrial, at: Standing) -> list[str]:
    """Which of the figures counts, and which it supersedes: a mean over seeds a single score, the test images both."""
    best, confirmed, evaluated = contest.best, at.confirmed, at.evaluated
    mean = confirmed if confirmed is not None and confirmed.complete else None
    found = []
    if evaluated is not None:
        found.append(_tested(evaluated))
        if evaluated.answers:
            of_mean = "" if mean is None else f"the mean {mean.mean:.3g} of {mean.confirmation}, "
            return [*found, f"superseded by it: {of_mean}{_raw(best)}"]
    if mean is not None:
        found.append(_first(mean, best))
        found.append(f"superseded by it: {_raw(best)}")
    return found


def _tested(of: EvaluationFinding) -> str:
    who = f"{of.stage} trial {of.trial}"
    if of.accuracy is None:
        return f"the look at the test images, with the values of {who}, ended without a result, and counts as one"
    many = "" if of.looks == 1 else f", the first of {of.looks} looks"
    words = (
        f"test accuracy {of.accuracy:.4g}{_held(of.interval)} on {of.images or 0:,} test images{many}, with the values "
        f"of {who}"
    )
    if of.current:
        return f"{words}: this is what the search comes to"
    return f"{words}, before the search went on: of later values it says nothing"


def _first(of: ConfirmationFinding, best: Best) -> str:
    several = f"of the {of.settings} settings that {of.confirmation} trained again" if of.settings > 1 else "alone"
    return (
        f"trial {of.trial} comes first {several}: mean {best.metric} {of.mean:.3g}{_held(of.interval)} over "
        f"{of.repeats} repeats; this is the figure that counts"
    )


def _raw(best: Best) -> str:
    corrected = "" if best.corrected is None else f" ({best.corrected:.2f} without the luck of being the best)"
    return f"the best single score {best.score:.4g} of {best.stage} trial {best.trial}{corrected}"


def _held(interval: Interval | None) -> str:
    return "" if interval is None else f" ({interval.low:.3f} to {interval.high:.3f})"


def _confirmed_ties(of: ConfirmationFinding) -> list[str]:
    others = of.settings - 1
    if not others:
        return []
    if not of.compared:
        return ["the confirmed settings have too few repeats in common to be told apart: at least 4 are needed"]
    if not of.tied:
        return [f"trial {of.trial} can be told from all the others that were confirmed"]
    which = f"trial{'s' if len(of.tied) > 1 else ''} {', '.join(map(str, of.tied))}"
    return [f"of the confirmed ones {which} cannot be told from it: any of them is as good a choice"]


def _incomplete(of: ConfirmationFinding | None) -> list[str]:
    if of is None:
        return []
    if of.left:
        return [f"{of.confirmation} is not complete, {of.left} trials are left: its order judges nothing yet"]
    return [f"every repeat of {of.confirmation} failed: training is not stable with these values"]


def _few(stage: Stage, counts: Counts, top: int) -> list[str]:
    complete, pruned = counts.complete, counts.pruned
    stopped = f" ({pruned} more were stopped early)" if pruned else ""
    if complete < top:
        many = f"{complete} trial{'' if complete == 1 else 's'} with a score{stopped}"
        return [f"{stage.name} has {many}, too few for a top {top}: nothing is said of its ranges"]
    if complete + pruned < FEW:
        return [f"{stage.name} has only {complete} trials with a score{stopped}: most of what follows may be chance"]
    return []


def _edge(name: str, found: RangeFinding, at: Standing, following: NextStep, commands: Commands) -> str:
    side = "upper" if found.at_edge == "high" else "lower"
    before = found.before
    assert not isinstance(before, Categorical)
    bound = before.high if found.at_edge == "high" else before.low
    start = f"the best {name} lies at the {side} edge, {bound:.4g}, and the score still gets better towards it: "
    if not found.widens:
        return f"{start}its limit allows no wider range"
    wider = describe(found.advised)
    if following.step == "expand":
        return f"{start}widen the range to {wider} ({following.commands[0]})"
    if at.made is not None and following.step == "start":
        return f"{start}{at.made.name} widens the range to {wider}"
    return f"{start}a further stage would widen the range to {wider}"


def _ties(contest: BestTrial, top: int) -> list[str]:
    best, images = contest.best, contest.best.images
    if not contest.tied:
        return []
    if not contest.known:
        return [f"trials cannot be told apart by {best.metric}: how it varies from image to image is not stored"]
    many, near = sum(map(bool, contest.tied)), contest.tied[: top - 1]
    how = "" if contest.paired else " (compared without their hits on single images, which are not stored of all)"
    if not many:
        return [f"trial {best.trial} is better than every other trial, beyond the luck of {images} images{how}"]
    more = "or more " if contest.open_ended else ""
    who = f"{many} {more}trial{'s' if many > 1 or more else ''} cannot be told from the best on {images} images{how}"
    if near and all(near):
        return [f"the top {len(near) + 1} are not distinguishable: {who}"]
    return [who]


def _luck(contest: BestTrial) -> list[str]:
    best = contest.best
    if best.corrected is None or best.corrected_interval is None or best.images is None:
        return []
    inside = best.corrected_interval
    words = (
        f"expect about {best.corrected:.2f} of trial {best.trial} on new images ({inside.low:.2f} to {inside.high:.2f})"
    )
    if best.score - best.corrected < 0.5 / best.images:
        return [words]
    return [f"{words}, not {best.score:.4g}: it was chosen for its score, and some of that is luck"]


def _effect(name: str, found: RangeFinding, over: bool) -> str | None:
    if found.p is None or (isinstance(found.before, Categorical) and len(found.before.choices) == 1):
        return None
    if found.p <= CLEAR:
        return f"{name} matters (p = {found.p:.1g}): the best trials lie in {describe(found.after)}"
    if found.p <= WEAK:
        return f"{name} may matter (p = {found.p:.2f}){'' if over else ': more trials would tell'}"
    narrowed = "" if over else ": its range would be narrowed by chance alone"
    return f"{name} shows no effect at this budget (p = {found.p:.2f}){narrowed}"


def not_firm(ranges: Mapping[str, RangeFinding]) -> list[str]:
    """Ranges of parameters that matter, whose ends are not firm: the share of resamples that says so."""
    found = []
    for name, of in ranges.items():
        moves, before = of.movement, of.before
        if of.p is None or of.p > WEAK or moves is None or isinstance(before, Categorical):
            continue
        far = moved_by(before, FAR * (to_scale(before, before.high) - to_scale(before, before.low)))
        ends = {"lower": moves.low_often, "upper": moves.high_often}
        unsure = {side: often for side, often in ends.items() if often > 0.5}
        if unsure:
            shares = " and ".join(f"{often:.0%}" for often in unsure.values())
            found.append(
                f"the {' and '.join(unsure)} end{'s' * (len(unsure) > 1)} of {name}'s narrowed range "
                f"{'are' if len(unsure) > 1 else 'is'} not firm: drawn again, {moves.again} move it {far} or more in "
                f"{shares} of cases (a tenth of the old range; more often than not is called not firm)"
            )
    return found


FEW = 20
"""With fewer trials an edge or a parameter without effect may be chance, and the advice says so."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a search stands.

    Args:
        stages: All its stages, by number.
        stage: The stage that narrowing would be about.
        latest: The latest that has trials.
        best: The stage of the best trial; None before any has a score.
        trial: That trial's number.
        tied: Whether other trials cannot be told from it.
        counts: Of the stage's trials.
        ranges: What narrowing would make of each parameter; empty where there are too few trials.
        top: How many of the best trials are called that.
        confirmed: What the confirmation of the best trial's stage says.
        evaluated: What the test images said.
        part: Whether only some of the search's stages are looked at, so that what looks at all must be told which.
    """

    stages: Sequence[Stage]
    stage: Stage
    latest: Stage
    best: Stage | None
    trial: int | None
    tied: bool
    counts: Counts
    ranges: Mapping[str, RangeFinding]
    top: int
    confirmed: ConfirmationFinding | None = None
    evaluated: EvaluationFinding | None = None
    part: bool = False

    @property
    def few(self) -> bool:
        """Whether there are too few trials to go by."""
        return self.counts.complete < self.top or self.counts.complete + self.counts.pruned < FEW

    @property
    def made(self) -> Stage | None:
        """The next stage, where it has been made from this one and has no trial yet."""
        last = self.stages[-1]
        return last if last.parent == self.stage.number and last.number > self.latest.number else None


@dataclass(frozen=True, slots=True)
class NextStep:
    """What to do next.

    Args:
        step: Which step that is.
        words: The same in words.
        commands: Its commands, the most important first.
    """

    step: Step
    words: str
    commands: tuple[str, ...] = ()


def next_step(at: Standing, commands: Commands) -> NextStep:
    """What to do next.

    Args:
        at: Where the search stands.
        commands: Renders commands over this search.
    """
    if at.evaluated is not None and at.evaluated.answers:
        return _use(at, at.evaluated, commands)
    start = _start(at, commands)
    if at.best is None:
        return NextStep("start", f"run trials ({start})", (start,))
    if at.few:
        if at.stage.foreign:
            return NextStep("pick", "these trials were run elsewhere and are few; no more can be added to them here")
        more = _start(at, commands, "--trials", str(max(100, 2 * at.counts.finished)))
        return NextStep("start", f"run more trials ({more})", (more,))
    widening = {name: found.expanding for name, found in at.ranges.items() if found.widens}
    widen = bool(widening)
    made = at.made
    if made is not None and not at.stage.foreign and all(made.space[name] == wide for name, wide in widening.items()):
        return NextStep("start", f"{start} ({made.name} is made and has no trial yet)", (start,))
    if widen or any(found.p is not None and found.p <= WEAK for found in at.ranges.values()):
        return _narrow(at, commands, widen)
    return _choose(at, commands)


def _start(at: Standing, commands: Commands, *options: str) -> str:
    last = at.stages[-1]
    meant = at.stage if options else at.made or at.stage
    return commands("start", *options, *(() if meant.number == last.number else ("--stage", str(meant.number))))


def _narrow(at: Standing, commands: Commands, widen: bool) -> NextStep:
    options = ["--top", str(at.top), *(["--expand"] if widen else [])]
    if at.latest.number > at.stage.number:  # a report of an earlier stage
        options += ["--stage", str(at.stage.number), "--branch"]
    narrow, start = commands("narrow", *options), commands("start")
    then = "start it with a study file of your own: these trials are others'" if at.stage.foreign else start
    words = f"{narrow}, then {then}"
    done: tuple[str, ...] = (narrow,) if at.stage.foreign else (narrow, start)
    if at.confirmed is not None and at.confirmed.complete and at.evaluated is None:
        evaluate = _evaluate(at, commands)
        words += f"; or end here: {evaluate} scores trial {at.confirmed.trial} on the test images, once"
        done += (evaluate,)
    return NextStep("expand" if widen else "narrow", words, done)


def _choose(at: Standing, commands: Commands) -> NextStep:
    """No range is worth narrowing: which of the best trials it is to be, and what it is worth."""
    assert at.best is not None
    nothing = "no range is worth narrowing"
    if at.best.foreign:
        return NextStep("pick", f"{nothing}; trial {at.trial} is the one to pick")
    which = () if at.best.number == at.latest.number else ("--stage", str(at.best.number))
    if at.confirmed is not None and at.confirmed.left:
        confirm = commands("confirm", *which, *non_default(*at.confirmed.asked))
        words = f"bring {at.confirmed.confirmation} to its end ({confirm}): {at.confirmed.left} trials are left"
        return NextStep("confirm", f"{nothing}; {words}", (confirm,))
    if at.confirmed is None and at.tied:
        confirm = commands("confirm", *which)
        return NextStep(
            "confirm",
            f"{nothing}; train the best trials again with other seeds to choose among them ({confirm}), or score them "
            "on more validation images",
            (confirm,),
        )
    if at.confirmed is not None and at.confirmed.trial is None:
        return NextStep("pick", f"{nothing}; every repeat of {at.confirmed.confirmation} failed, so see why first")
    trial = at.trial if at.confirmed is None else at.confirmed.trial
    picked = f"{nothing}; trial {trial} is the one to pick"
    if at.evaluated is not None:
        return NextStep("pick", f"{picked}; the test images have been looked at and cannot judge it unbiased any more")
    evaluate = _evaluate(at, commands)
    return NextStep("evaluate", f"{picked} ({evaluate} scores it on the test images, once)", (evaluate,))


def _evaluate(at: Standing, commands: Commands) -> str:
    assert at.best is not None
    return commands("evaluate", *(("--stage", str(at.best.number)) if at.part else ()))


def _use(at: Standing, found: EvaluationFinding, commands: Commands) -> NextStep:
    """The test images have judged: take the network, or begin anew with others."""
    of = next((stage for stage in at.stages if stage.name == found.stage), at.stage)
    options = ["--stage", str(of.number), "--trial", str(found.trial)]
    if found.epochs is not None and found.epochs != of.settings.get("epochs"):
        options += ["--epochs", str(found.epochs)]
    if found.seed is not None and found.seed != draw_seed(at.stages[0].seed, 1, "evaluate"):
        options += ["--seed", str(found.seed)]
    file = f"{of.search}.npz"
    again = commands("evaluate", *options, "--again", "--save", file)
    return NextStep(
        "use",
        f"use these values; where the network was not kept by --save, {again} trains the same one again, for "
        f"hpsearch predict and hpsearch model. To search on, begin another search with other test images: these have "
        "judged",
        (again,),
    )


def to_run_again(store: Store, storage: str | None) -> list[str]:
    """The commands to type so that each study has again as many trials as it had.

    Args:
        store: The database, mended.
        storage: How the user calls it; None: the usual one.

    Returns:
        A command for each stage and confirmation of which trials wait. A stage that another program made has none:
        nothing here trains it.
    """
    commands = []
    for stage in (*store.stages(), *store.confirmations()):
        counts = store.counts(stage)
        if not counts.waiting or stage.foreign:
            continue
        of_stage = ("--stage", str(stage.number))
        if stage.plan is not None:
            commands.append(command_line("confirm", stage.search, storage, *of_stage))
        else:
            commands.append(command_line("start", stage.search, storage, *of_stage, "--trials", str(counts.rows)))
    return commands
