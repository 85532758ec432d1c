"""The report of a search: its material, and its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.objectives.kinds import examples, used
from hpsearch.records import ancestry
from hpsearch.reports import MOST_CURVES, sections
from hpsearch.reports.figures import StageTrials
from hpsearch.reports.figures.style import words
from hpsearch.reports.page import Answer, Page
from hpsearch.reports.tables import curve_rows
from hpsearch.search.checklist import checklist
from hpsearch.search.confirmation import assess
from hpsearch.search.evaluation import evaluations
from hpsearch.search.stage import compares, pick, stages_of
from hpsearch.space import shown
from hpsearch.text import counted, rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hpsearch.records import Action, Argument, Stage
    from hpsearch.search.best import BestTrial, Overview
    from hpsearch.search.checklist import Checklist
    from hpsearch.search.evaluation import Evaluation
    from hpsearch.space import Value
    from hpsearch.store import Store


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """All that a report shows."""

    stages: Sequence[StageTrials]  # at least one, by number
    checklist: Checklist  # what they have shown
    # the best trials of the latest stage with any, best first, with their learning curves; see
    # `hpsearch.reports.figures.curve_grid`
    curves: Sequence[Mapping[str, Any]]
    database: str  # where they are stored, for people
    confirmations: Sequence[Overview] = ()  # of stages whose best values were run again
    evaluations: Sequence[Evaluation] = ()  # on the test set, the first one first, including any that broke off

    @property
    def metric(self) -> str:
        """The name of the score, in words."""
        return self.compared[0].metric

    @property
    def examples(self) -> int | None:
        """The number of validation examples that a score is a share of, where that is known."""
        return examples(self.stages[-1].stage)

    @property
    def compared(self) -> list[StageTrials]:
        """The stages whose scores compare with the best one's."""
        best = self.checklist.best
        return [of for of in self.stages if best is None or compares(of.stage, best.of)]

    @property
    def latest(self) -> StageTrials:
        """The latest stage with a trial; the first where none has any."""
        return next((stage for stage in reversed(self.stages) if len(stage.trials)), self.stages[0])

    @property
    def judged(self) -> StageTrials:
        """The stage that the checklist is about."""
        return next((stage for stage in self.stages if stage.stage.name == self.checklist.stage), self.latest)

    def total(self, *states: str) -> int:
        """Return how many trials of all stages are in one of some states; of all states for none."""
        return sum(stage.count(*states) if states else len(stage.trials) for stage in self.stages)


def gather(store: Store, search: str | None, *, stage: int | None = None) -> Material:
    """Return everything that a report of a search shows.

    Args:
        stage: The number of a stage: then the report is of it and of those that it was narrowed from.

    Raises:
        UnknownSearch: No such search or stage.
    """
    every = stages_of(store, search)
    stages = every if stage is None else ancestry(every, pick(every, stage))
    numbers = {stage.number for stage in stages}
    trials = [StageTrials.of(one, store.trials(one)) for one in stages]
    latest = next((stage.stage for stage in reversed(trials) if len(stage.trials)), stages[0])
    seen = checklist(store, stages)
    return Material(
        stages=trials,
        checklist=seen,
        curves=curve_rows(store, latest, top=MOST_CURVES),
        database=store.where,
        confirmations=[
            assess(store, confirmation)
            for confirmation in store.confirmations(stages[0].search)
            if confirmation.number in numbers
        ],
        evaluations=evaluations(store, every),
    )


def report(material: Material, *, figures: bool = True, word: Callable[[Action | Argument], str] = str) -> Page:
    """Return a search's report: the answer, its grounds, and its provenance.

    Args:
        material: The stages, their trials and their checklist. The same material makes the same page.
        figures: Whether there are any; making them takes a second or two.
        word: Puts an action of the advice into words.
    """
    plotted = list(sections.figure_sections(material)) if figures else []
    parts = [
        sections.checklist(material, word, keys={figure.key for part in plotted for figure in part.figures}),
        sections.scientific(material),
        sections.ranges(material, word),
        *plotted,
        sections.best_trials(material),
        sections.failures(material),
        sections.lineage(material),
        sections.confirmation_section(material, word),
        sections.test_section(material),
        sections.provenance(material),
    ]
    return Page(
        title=f"Hyperparameter search {material.stages[0].stage.search}",
        about=about(material),
        answer=answer_of(material, word),
        sections=tuple(part for part in parts if part is not None),
    )


def about(material: Material) -> str:
    """Return in a line what was searched."""
    names = dict.fromkeys(name for stage in material.stages for name in stage.stage.space)
    trials = counted(material.total(), "trial")
    for number, state in ((material.total("PRUNED"), "pruned"), (material.total("FAIL"), "failed")):
        trials += f" ({number:,} {state})" if number else ""
    unfinished = material.total("RUNNING", "WAITING")
    parts = [counted(len(material.stages), "stage"), trials, f"sampled: {', '.join(names)}"]
    return "; ".join([*parts, *([f"{unfinished:,} not finished when this was written"] if unfinished else [])])


def answer_of(material: Material, word: Callable[[Action | Argument], str]) -> Answer:
    """Return the best known score, how sure it is, the values to pick, and the next step."""
    best = material.checklist.best
    following = sections.sentence(material.checklist.next.sentence.worded(word), material)
    if best is None:
        why = material.latest.none_complete
        return Answer(score=why[0].upper() + why[1:], sure=(_no_score(material),), next=following)
    score, whose, stage, trial, params = _choice(material, best)
    names = used(stage, params)
    unused = [name for name in params if name not in names]
    note = f" (sampled, but without effect in it: {', '.join(unused)})" if unused else ""
    return Answer(
        score=score,
        sure=tuple(_uncertainty(material, best)),
        values={name: shown(params[name]) for name in names},
        values_of=f"Values of {whose}, number {trial} of stage {stage.number}{_own(material, stage, trial)}{note}",
        next=following,
    )


def _own(material: Material, stage: Stage, trial: int) -> str:
    """Return the score of a trial itself in words, for that of the headline is of its values trained again."""
    rows = next(of.complete for of in material.stages if of.stage.name == stage.name)
    scores = rows.loc[rows["number"] == trial, "score"].tolist()
    return f", which itself scored {scores[0]:.4g}" if scores else ""


def _choice(material: Material, best: BestTrial) -> tuple[str, str, Stage, int, Mapping[str, Value]]:
    """Return the best known score in words, and whose values to pick: of which stage, which trial, which values.

    The values are those evaluated on the test set, else the recommended ones. A judgement of an earlier stage's values
    is told, but does not say what to pick.
    """
    stages = {stage.stage.name: stage.stage for stage in material.stages}
    result = _current_result(material, best)
    if result is not None:
        held = f" ({sections.ends(result.interval)})" if result.interval else ""
        score = f"Test {result.metric} {result.score:.3g}{held}"
        return score, "the evaluated trial", stages[result.stage], result.trial, result.params
    of = material.checklist.recommended
    if of is not None and of.by != "best":
        held = f" ({sections.ends(of.interval)})" if of.interval else ""
        score = f"{words(of.metric).capitalize()} {of.expected:.3g} expected when trained again{held}"
        whose = "the confirmed trial" if of.by == "confirmed" else "the recommended trial"
        return score, whose, stages[of.stage], of.trial, of.params
    score = f"{words(best.metric).capitalize()} {best.score:.4g}"
    score += "" if best.corrected is None else f"; corrected for selection {rounded(best.corrected, 2)}"
    return score, "the best trial", stages[best.stage], best.trial, best.params


def _current_result(material: Material, best: BestTrial) -> Evaluation | None:
    """Return the first evaluation with a score, if it is of what the search comes to now."""
    result = sections.first_result(material)
    current = {best.stage, material.latest.stage.name}
    return result if result is not None and result.stage in current else None


def _no_score(material: Material) -> str:
    failed, total = material.total("FAIL"), material.total()
    if not total:
        return "No trial has been run: there is nothing to conclude from."
    return f"Of {counted(total, 'trial')} {failed or 'none'} failed and none has a score: nothing can be concluded yet."


def _uncertainty(material: Material, best: BestTrial) -> Iterator[str]:
    """Say how sure the answer is, the firmest judgement first."""
    if (sentence := sections.test_sentence(material)) is not None:
        yield sentence
    latest = next((of for of in reversed(material.confirmations) if of.ranking), None)
    if latest is not None:
        yield sections.confirmation_sentence(latest, material.metric)
    tested, recommended = _current_result(material, best) is not None, material.checklist.recommended
    learned = recommended is not None and recommended.by != "best"
    if recommended is not None and learned and not tested:
        on = "new examples" if recommended.covers == "seeds and examples" else "these examples"
        interval = (
            "no interval is known"
            if recommended.interval is None
            else f"the interval (95 %) is of the mean of such trainings on {on}"
        )
        yield f"The recommended values, {recommended.judged_by}: {'; '.join([interval, *recommended.outlook[1:]])}."
    number = sum(of.count("COMPLETE") for of in material.compared)
    if tested or learned:
        interval = "" if best.interval is None else f" ({sections.between(best.interval)})"
        corrected = "" if best.corrected is None else f"; corrected for selection {rounded(best.corrected, 2)}"
        score = f"{best.score:.4g}{interval}{corrected}"
        trials = f"{counted(number, 'trial')} with a score"
        yield f"For comparison, not to be expected again: the best score of {trials}, {score}."
        return
    whose = f"The best of {counted(number, 'trial')}" if number > 1 else "The only trial"
    if best.interval is None:
        yield f"{whose} with a score; no interval is known for it."
    else:
        count = f" on {counted(material.examples, 'validation example')}" if material.examples else ""
        if not count and best.stage in best.noise:
            count = f" {best.noise[best.stage].words}"
        inside = best.corrected_interval
        corrected = "" if inside is None else f"; corrected for selection {sections.between(inside)}"
        yield f"{whose} with a score, measured{count}: {sections.between(best.interval)}{corrected}."
