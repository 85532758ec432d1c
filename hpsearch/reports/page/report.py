"""What stands on a search's report, from top to bottom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.reports.page.answer import answer
from hpsearch.reports.page.contents import Page
from hpsearch.reports.page.drawings import drawn_sections
from hpsearch.reports.page.judgements import confirmations, evaluation
from hpsearch.reports.page.sections import best_trials, failures, lineage, provenance, ranges
from hpsearch.reports.page.words import counted

if TYPE_CHECKING:
    from hpsearch.reports.page.material import Material


def report(material: Material, *, figures: bool = True) -> Page:
    """A search's report: the answer, its grounds, and where it comes from.

    Args:
        material: The stages, their trials and what was found out. The same material makes the same page.
        figures: Whether there are any; drawing them takes a second or two.
    """
    sections = [
        ranges(material),
        *(drawn_sections(material) if figures else ()),
        best_trials(material),
        failures(material),
        lineage(material),
        confirmations(material.confirmations, material.metric),
        evaluation(material.looks),
        provenance(material),
    ]
    return Page(
        title=f"Hyperparameter search {material.search}",
        about=_about(material),
        answer=answer(material),
        sections=tuple(section for section in sections if section is not None),
    )


def _about(material: Material) -> str:
    """What was searched, in a line."""
    names = dict.fromkeys(name for one in material.stages for name in one.stage.space)
    parts = [counted(len(material.stages), "stage"), counted(material.total(), "trial"), f"drawn: {', '.join(names)}"]
    for many, what in ((material.total("PRUNED"), "stopped early"), (material.total("FAIL"), "failed")):
        if many:
            parts[1] += f" ({many:,} {what})"
    unfinished = material.total("RUNNING", "WAITING")
    if unfinished:
        parts.append(f"{unfinished:,} not finished when this was written")
    return "; ".join(parts)
