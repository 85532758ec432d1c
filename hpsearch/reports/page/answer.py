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


def answer(material: Material) -> Answer:
    """The report's answer, in sentences."""
    best = material.findings.best
    if best is None:
        why = none_complete(material.latest.trials)
        return Answer(score=why[0].upper() + why[1:], sure=(_no_score(material),), next=material.findings.advice)
    stage = next(one.stage for one in material.stages if one.stage.name == best.stage)
    values = {name: value for name, value in best.params.items() if uses(name, {**stage.settings, **best.params})}
    unused = [name for name in best.params if name not in values]
    note = f" (drawn, but without effect in it: {', '.join(unused)})" if unused else ""
    return Answer(
        score=_score(best),
        sure=tuple(_sure(material, best)),
        values={name: shown(value) for name, value in values.items()},
        values_of=f"Values of the best trial, number {best.trial} of stage {stage.number}{note}",
        next=material.findings.advice,
    )


def _score(best: Best) -> str:
    """The best score in a line, with its interval where there is one."""
    interval = "" if best.interval is None else f" ({best.interval.low:.2f} to {best.interval.high:.2f})"
    return f"{words(best.metric).capitalize()} {best.score:.4g}{interval}"


def _no_score(material: Material) -> str:
    failed, total = material.total("FAIL"), material.total()
    if not total:
        return "No trial has been run: there is nothing to conclude from."
    return f"Of {counted(total, 'trial')} {failed or 'none'} failed and none has a score: nothing can be concluded yet."


def _sure(material: Material, best: Best) -> Iterator[str]:
    many = material.total("COMPLETE")
    if best.interval is None:
        yield (
            f"It is the best of {counted(many, 'trial')} with a score; for this score no interval is known."
            if many > 1
            else "It is the only trial with a score: there is nothing to compare it with."
        )
    else:
        images = f" on {best.images:,} validation images" if best.images else ""
        yield f"Measured{images}; {between(best.interval)}."
    if best.corrected is not None and many > 1:
        held = "" if best.corrected_interval is None else f" ({between(best.corrected_interval)})"
        yield (
            f"The best of {counted(many, 'trial')} is partly the luckiest: "
            f"on new images expect about {best.corrected:.2g}{held}."
        )
    yield from filter(None, (confirmed_words(one, material.metric) for one in material.confirmations))
    looked = looked_words(material.looks)
    if looked is not None:
        yield looked
    ties = len(material.findings.tied)
    if ties:
        others = "one other trial of its stage" if ties == 1 else f"{ties} other trials of its stage"
        yield f"{others[0].upper()}{others[1:]} cannot be told from it: what they agree on counts, not who is first."
    elif material.findings.distinguishable:
        yield "It can be told from each of the next best trials of its stage."
