"""What to do next in a search, as a step with the commands to type, from where the search stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.search.confirmation.tally import not_usual
from hpsearch.seeds import draw_seed
from hpsearch.statistics.findings import WEAK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.commands import Commands
    from hpsearch.records import Stage
    from hpsearch.statistics.findings import ConfirmationFinding, EvaluationFinding, RangeFinding, Step
    from hpsearch.store import Counts

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
        confirm = commands("confirm", *which, *not_usual(*at.confirmed.asked))
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
