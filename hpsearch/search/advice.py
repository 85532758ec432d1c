"""Advice in words: what a search's findings mean, and the command to type next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.space import Categorical, describe
from hpsearch.statistics.findings import CLEAR, WEAK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.records import Stage
    from hpsearch.search.contenders import Contest
    from hpsearch.statistics.findings import RangeFinding
    from hpsearch.store import Counts

FEW = 20
"""With fewer trials an edge or a parameter without effect may be chance, and the advice says so."""


def advice(
    stage: Stage,
    contest: Contest | None,
    ranges: Mapping[str, RangeFinding],
    *,
    counts: Counts,
    top: int,
    confirmed: bool = False,
) -> tuple[str, ...]:
    """What to make of the findings and what to do next, the most important first.

    Args:
        stage: The stage that narrowing would be about.
        contest: The search's best trial among its rivals; None before any trial has a score.
        ranges: What narrowing would make of each parameter; empty where there are too few trials.
        counts: How many trials of that stage are in which state. Those that were stopped early count, as beaten.
        top: How many of the best trials are meant by the top.
        confirmed: Whether the best trials of the contest's stage have been trained again to the end.
    """
    if contest is None:
        return ("no trial has a score yet: run them (hpsearch start)",)
    edges = [_edge(name, found) for name, found in ranges.items() if found.at_edge is not None]
    sentences = [*_few(stage, counts, top), *edges, *_ties(contest, top), *_luck(contest)]
    sentences += [words for name, found in ranges.items() if (words := _effect(name, found))]
    sentences += _unsure(ranges)
    return (*sentences, _next(stage, contest, ranges, counts, top, confirmed))


def _few(stage: Stage, counts: Counts, top: int) -> list[str]:
    complete, pruned = counts.complete, counts.pruned
    stopped = f" ({pruned} more were stopped early)" if pruned else ""
    if complete < top:
        many = f"{complete} trial{'' if complete == 1 else 's'} with a score{stopped}"
        return [f"{stage.name} has {many}, too few for a top {top}: nothing is said of its ranges"]
    if complete + pruned < FEW:
        return [f"{stage.name} has only {complete} trials with a score{stopped}: most of what follows may be chance"]
    return []


def _edge(name: str, found: RangeFinding) -> str:
    side = "upper" if found.at_edge == "high" else "lower"
    before = found.before
    assert not isinstance(before, Categorical)
    bound = before.high if found.at_edge == "high" else before.low
    start = f"the best {name} lies at the {side} edge, {bound:.4g}, and the score still gets better towards it: "
    if found.expanding is None or found.expanding == found.after:
        return f"{start}its limit allows no wider range"
    return f"{start}widen the range to {describe(found.expanding)} (hpsearch narrow --expand)"


def _ties(contest: Contest, top: int) -> list[str]:
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


def _luck(contest: Contest) -> list[str]:
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


def _effect(name: str, found: RangeFinding) -> str | None:
    if found.p is None or (isinstance(found.before, Categorical) and len(found.before.choices) == 1):
        return None
    if found.p <= CLEAR:
        return f"{name} matters (p = {found.p:.1g}): the best trials lie in {describe(found.after)}"
    if found.p <= WEAK:
        return f"{name} may matter (p = {found.p:.2f}): more trials would tell"
    return f"{name} shows no effect at this budget (p = {found.p:.2f}): its range is narrowed by chance alone"


def _unsure(ranges: Mapping[str, RangeFinding]) -> list[str]:
    """Ranges of parameters that matter, whose ends are not firm."""
    found = []
    for name, of in ranges.items():
        if of.p is None or of.p > WEAK or of.low_moves_often is None or of.high_moves_often is None:
            continue
        ends = (("lower", of.low_moves_often), ("upper", of.high_moves_often))
        unsure = " and ".join(side for side, often in ends if often > 0.5)
        if unsure:
            found.append(
                f"the {unsure} end of {name}'s narrowed range is not firm: "
                "with other trials and images it would mostly lie elsewhere"
            )
    return found


def _next(
    stage: Stage, contest: Contest, ranges: Mapping[str, RangeFinding], counts: Counts, top: int, confirmed: bool
) -> str:
    begin = "start it with a study file of your own: these trials are others'" if stage.foreign else "hpsearch start"
    if counts.complete < top or counts.complete + counts.pruned < FEW:
        if stage.foreign:
            return "next: these trials were run elsewhere and are few; no more can be added to them here"
        return f"next: run more trials (hpsearch start --trials {max(100, 2 * counts.finished)})"
    if any(found.expanding not in (None, found.after) for found in ranges.values()):
        return f"next: hpsearch narrow --top {top} --expand, then {begin}"
    if any(found.p is not None and found.p <= WEAK for found in ranges.values()):
        return f"next: hpsearch narrow --top {top}, then {begin}"
    if confirmed:
        return (
            "next: no range is worth narrowing; the values that the confirmation puts first are the ones to pick "
            "(hpsearch evaluate scores them on the test images, once)"
        )
    if any(contest.tied) and not contest.stage.foreign:
        return (
            "next: no range is worth narrowing; train the best trials again with other seeds to choose among them "
            "(hpsearch confirm), or score them on more validation images"
        )
    return f"next: no range is worth narrowing; trial {contest.best.trial} is the one to pick"
