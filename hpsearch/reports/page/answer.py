"""What stands first: the best values, how sure they are, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.hyperparameters import uses
from hpsearch.reports.figures.frames import none_complete
from hpsearch.reports.figures.style import words
from hpsearch.reports.page.contents import Answer
from hpsearch.reports.page.judgements import confirmed_words, looked_words
from hpsearch.reports.page.words import between, counted
from hpsearch.space import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hpsearch.reports.page.material import Material
    from hpsearch.statistics.findings import Best


_NEXT = "Next: "


def answer(material: Material) -> Answer:
    """The report's answer, in sentences."""
    said = [_sentence(words, material) for words in material.findings.advice]
    following = tuple(sentence for sentence in said if sentence.startswith(_NEXT))
    notes = tuple(sentence for sentence in said if not sentence.startswith(_NEXT))
    best = material.findings.best
    if best is None:
        why = none_complete(material.latest.trials)
        return Answer(score=why[0].upper() + why[1:], sure=(_no_score(material),), next=following, notes=notes)
    stage = next(one.stage for one in material.stages if one.stage.name == best.stage)
    values = {name: value for name, value in best.params.items() if uses(name, {**stage.settings, **best.params})}
    unused = [name for name in best.params if name not in values]
    note = f" (drawn, but without effect in it: {', '.join(unused)})" if unused else ""
    return Answer(
        score=_score(best),
        sure=tuple(_sure(material, best)),
        values={name: shown(value) for name, value in values.items()},
        values_of=f"Values of the best trial, number {best.trial} of stage {stage.number}{note}",
        next=following,
        notes=notes,
    )


def _score(best: Best) -> str:
    """The best score in a line, and what it is worth: who is chosen for a score is partly lucky."""
    measured = f"{words(best.metric).capitalize()} {best.score:.4g}"
    if best.corrected is None:
        return measured
    return f"{measured}; on new images about {best.corrected:.2g}"


def _no_score(material: Material) -> str:
    failed, total = material.total("FAIL"), material.total()
    if not total:
        return "No trial has been run: there is nothing to conclude from."
    return f"Of {counted(total, 'trial')} {failed or 'none'} failed and none has a score: nothing can be concluded yet."


def _sure(material: Material, best: Best) -> Iterator[str]:
    many = material.total("COMPLETE")
    who = f"The best of {counted(many, 'trial')}" if many > 1 else "The only trial"
    if best.interval is None:
        yield f"{who} with a score; no interval is known for it."
    else:
        images = f" on {best.images:,} validation images" if best.images else ""
        expected = "" if best.corrected_interval is None else f"; on new images {between(best.corrected_interval)}"
        yield f"{who} with a score, measured{images}: {between(best.interval)}{expected}."
    yield from filter(None, (confirmed_words(one, material.metric) for one in material.confirmations))
    looked = looked_words(material.looks)
    if looked is not None:
        yield looked


def _sentence(advice: str, material: Material) -> str:
    """Advice as a sentence; a parameter's name is written as it is."""
    first = advice.split(" ", 1)[0]
    named = any(first in one.stage.space for one in material.stages)
    begun = advice if named else advice[:1].upper() + advice[1:]
    return begun if begun.endswith(".") else f"{begun}."
