"""What stands first: the best values, how sure they are, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.reports.figures.frames import none_complete
from hpsearch.reports.figures.style import words
from hpsearch.reports.page.contents import Answer
from hpsearch.reports.page.judgements import confirmed_words, first_result, looked_words
from hpsearch.reports.page.words import between, counted
from hpsearch.space import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hpsearch.records import Stage
    from hpsearch.reports.page.material import Material
    from hpsearch.space import Value
    from hpsearch.statistics.findings import Best


_NEXT = "Next: "


def answer(material: Material) -> Answer:
    """The report's answer, in sentences."""
    # Which figure counts is said in the answer's own words.
    said = [_sentence(words, material) for words in material.findings.advice if words not in material.findings.figures]
    following = tuple(sentence for sentence in said if sentence.startswith(_NEXT))
    notes = tuple(sentence for sentence in said if not sentence.startswith(_NEXT))
    best = material.findings.best
    if best is None:
        why = none_complete(material.latest.trials)
        return Answer(score=why[0].upper() + why[1:], sure=(_no_score(material),), next=following, notes=notes)
    picked = _picked(material, best)
    values = {name: picked.params[name] for name in picked.stage.used(picked.params)}
    unused = [name for name in picked.params if name not in values]
    note = f" (drawn, but without effect in it: {', '.join(unused)})" if unused else ""
    return Answer(
        score=picked.score,
        sure=tuple(_sure(material, best)),
        values={name: shown(value) for name, value in values.items()},
        values_of=f"Values of {picked.who}, number {picked.trial} of stage {picked.stage.number}{note}",
        next=following,
        notes=notes,
    )


@dataclass(frozen=True, slots=True)
class _Picked:
    """The values to pick, and the best that is known of them."""

    score: str
    who: str
    stage: Stage
    trial: int
    params: Mapping[str, Value]


def _picked(material: Material, best: Best) -> _Picked:
    """The values that were judged last: on the test images, by training them again, or by their score alone.

    A judgement of an earlier stage's values is told, but does not say what to pick.
    """
    stages = {one.stage.name: one.stage for one in material.stages}
    current = {best.stage, material.latest.stage.name}
    look = first_result(material.looks)
    if look is not None and look.stage in current:
        ends = "" if look.interval is None else f" ({look.interval.low:.3f} to {look.interval.high:.3f})"
        score = f"Test accuracy {look.accuracy:.3g}{ends}"
        return _Picked(score, "the judged trial", stages[look.stage], look.trial, look.params)
    for one in reversed(material.confirmations):
        if one.settings and not one.left and one.stage.name == best.stage:  # as `evaluate` chooses
            first = one.settings[0]
            ends = "" if first.interval is None else f" ({first.interval.low:.2f} to {first.interval.high:.2f})"
            score = f"Mean {material.metric} {first.mean:.3g}{ends}"
            return _Picked(score, "the confirmed trial", one.stage, first.trial, first.params)
    return _Picked(_score(best), "the best trial", stages[best.stage], best.trial, best.params)


def _score(best: Best) -> str:
    """The best score in a line, and what it is worth: who is chosen for a score is partly lucky."""
    measured = f"{words(best.metric).capitalize()} {best.score:.4g}"
    if best.corrected is None:
        return measured
    return f"{measured}; on new images about {best.corrected:.2f}"


def _no_score(material: Material) -> str:
    failed, total = material.total("FAIL"), material.total()
    if not total:
        return "No trial has been run: there is nothing to conclude from."
    return f"Of {counted(total, 'trial')} {failed or 'none'} failed and none has a score: nothing can be concluded yet."


def _sure(material: Material, best: Best) -> Iterator[str]:
    """How sure it is: the firmest judgement first."""
    looked = looked_words(material.looks)
    if looked is not None:
        yield looked
    yield from filter(None, (confirmed_words(one, material.metric) for one in reversed(material.confirmations)))
    if _superseded(material, best):
        yield _single_score(material, best)
        return
    many = material.total("COMPLETE")
    who = f"The best of {counted(many, 'trial')}" if many > 1 else "The only trial"
    if best.interval is None:
        yield f"{who} with a score; no interval is known for it."
    else:
        images = f" on {best.images:,} validation images" if best.images else ""
        expected = "" if best.corrected_interval is None else f"; on new images {between(best.corrected_interval)}"
        yield f"{who} with a score, measured{images}: {between(best.interval)}{expected}."


def _superseded(material: Material, best: Best) -> bool:
    """Whether a single trial's score is no longer the figure that counts."""
    look = first_result(material.looks)
    tested = look is not None and look.stage in {best.stage, material.latest.stage.name}
    return tested or any(
        one.settings and not one.left and one.stage.name == best.stage for one in material.confirmations
    )


def _single_score(material: Material, best: Best) -> str:
    held = "" if best.interval is None else f" ({between(best.interval)})"
    corrected = "" if best.corrected is None else f"; without the luck of being the best {best.corrected:.2f}"
    return (
        f"Superseded by that: the best single score of {counted(material.total('COMPLETE'), 'trial')}, "
        f"{best.score:.4g}{held}{corrected}."
    )


def _sentence(advice: str, material: Material) -> str:
    """Advice as a sentence; a parameter's name is written as it is."""
    first = advice.split(" ", 1)[0]
    named = any(first in one.stage.space or first == one.stage.name for one in material.stages)
    begun = advice if named else advice[:1].upper() + advice[1:]
    return begun if begun.endswith(".") else f"{begun}."
