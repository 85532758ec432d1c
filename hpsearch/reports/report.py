"""The report of a search: gathering its material, and stating its answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.objectives import kinds
from hpsearch.records import ancestry
from hpsearch.reports.figures.style import words
from hpsearch.reports.figures.trials import complete, none_complete
from hpsearch.reports.page import Answer, Page, Section, Table
from hpsearch.reports.sections import (
    best_trials,
    between,
    counted,
    drawn_sections,
    failures,
    lineage,
    provenance,
    ranges,
)
from hpsearch.reports.tables import by_column, drawn_values
from hpsearch.search.stage import pick, stages_of
from hpsearch.space import shown
from hpsearch.statistics import Interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pandas as pd

    from hpsearch.records import Action, Argument, Direction, Stage
    from hpsearch.search.best import BestTrial
    from hpsearch.search.evaluation import Evaluation
    from hpsearch.search.findings import Findings
    from hpsearch.space import Value
    from hpsearch.store import Store


@dataclass(frozen=True, slots=True, eq=False)
class StageTrials:
    """A stage and all its trials.

    Args:
        stage: The stage.
        trials: Rows of `hpsearch.store.Store.trials`, without the values that had no effect
            (`hpsearch.reports.rows.used_only`).
    """

    stage: Stage
    trials: pd.DataFrame

    @property
    def label(self) -> str:
        """The stage's name within its search: ``stage 1``."""
        return f"stage {self.stage.number}"

    def count(self, *states: str) -> int:
        """How many of its trials are in one of some states, in Optuna's words."""
        return int(self.trials["state"].isin(states).sum())

    @property
    def complete(self) -> pd.DataFrame:
        """The trials with a score."""
        return complete(self.trials)


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """All that a report shows.

    Args:
        stages: At least one, by number.
        findings: What was found out from them.
        curves: The best trials of the latest stage with any, best first, with their learning curves; see
            `hpsearch.reports.figures.curve_grid`.
        database: Where they are kept, for people.
        confirmations: Of which stages the best values were trained again, and what came of it.
        looks: What the test images said, from the first look on.
        word: Puts actions and arguments into words.
    """

    stages: Sequence[StageTrials]
    findings: Findings
    curves: Sequence[Mapping[str, Any]]
    database: str
    confirmations: tuple[Confirmation, ...] = ()
    looks: tuple[Look, ...] = ()
    word: Callable[[Action | Argument], str] = str

    @property
    def search(self) -> str:
        """The search's name."""
        return self.stages[0].stage.search

    @property
    def direction(self) -> Direction:
        """Whether a higher or a lower score is better."""
        return self.stages[0].stage.direction

    @property
    def metric(self) -> str:
        """What the score is, in words."""
        return words(self.stages[0].stage.metric)

    @property
    def images(self) -> int | None:
        """How many validation images score a trial, where that is known and the score is their accuracy."""
        return kinds.examples(self.stages[-1].stage)

    @property
    def latest(self) -> StageTrials:
        """The latest stage with a trial; the first where none has any."""
        return next((one for one in reversed(self.stages) if len(one.trials)), self.stages[0])

    def total(self, *states: str) -> int:
        """How many trials of all stages are in one of some states; of all states for none."""
        return sum(one.count(*states) if states else len(one.trials) for one in self.stages)


@dataclass(frozen=True, slots=True)
class Repeated:
    """One trial's values, trained again with other seeds.

    Args:
        trial: The trial's number in its stage.
        params: Its drawn values by name.
        before: Its score there.
        mean: Its mean score over the repeats.
        repeats: How many of them have a score.
        failed: How many ended without one.
        interval: Of that mean; None with fewer than two.
        covers: What the interval holds for: ``seeds and images``, or ``seeds``.
        p: Probability that values of the same worth differ this much, of the difference to the first; None: not asked.
        compared: What ``p`` holds for: ``seeds and images``, or ``seeds``.
    """

    trial: int
    params: Mapping[str, Value]
    before: float
    mean: float
    repeats: int
    failed: int
    interval: Interval | None
    covers: str
    p: float | None
    compared: str = "seeds and images"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A stage's best values, trained again.

    Args:
        stage: The stage.
        settings: Those that have a score, best first.
        left: How many of its trials are still to be run.
    """

    stage: Stage
    settings: tuple[Repeated, ...]
    left: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the test images.

    Args:
        stage: The name of the stage whose values were judged.
        trial: Whose values.
        params: The values by name.
        when: When, as text.
        accuracy: The share of test images that were right; None for a look that ended before it was known.
        interval: Of that share.
        images: How many test images there were.
        trained_on: How many images the network was trained on.
        epochs: For how many epochs.
        seed: Of its weights, order and dropout.
    """

    stage: str
    trial: int
    params: Mapping[str, Value]
    when: str
    accuracy: float | None
    interval: Interval | None
    images: int | None
    trained_on: int | None
    epochs: int | None
    seed: int | None


def confirmed_words(one: Confirmation, metric: str) -> str | None:
    """What a confirmation came to, in a sentence; None where nothing has."""
    if not one.settings:
        return None
    first = one.settings[0]
    held = "" if first.interval is None else f" ({between(first.interval)})"
    return (
        f"Trained again {counted(first.repeats, 'time')} with other seeds, the values of trial {first.trial} of "
        f"stage {one.stage.number} come first, with a mean {metric} of {first.mean:.3g}{held}."
        + (f" It is not complete: {counted(one.left, 'trial')} are still to be run." if one.left else "")
    )


def first_result(looks: tuple[Look, ...]) -> Look | None:
    """The first look that came to a result."""
    return next((look for look in looks if look.accuracy is not None), None)


def looked_words(looks: tuple[Look, ...]) -> str | None:
    """What the test images said when they were first looked at, in a sentence; None where they were not."""
    first = first_result(looks)
    if first is None or first.accuracy is None:
        return None
    held = "" if first.interval is None else f" ({between(first.interval)})"
    which = "" if first is looks[0] else ", but not at the first look"
    return (
        f"On {first.images or 0:,} test images that no trial has seen: accuracy {first.accuracy:.3g}{held}, "
        f"with the values of trial {first.trial} of {first.stage}{which}."
    )


def confirmation_section(found: tuple[Confirmation, ...], metric: str) -> Section | None:
    """The tables of the confirmations."""
    there = [one for one in found if one.settings]
    if not there:
        return None
    tables = []
    for one in there:
        covers = {setting.covers for setting in one.settings}
        held = "other seeds and other images" if covers == {"seeds and images"} else "other seeds, not for other images"
        caption = (
            f"The best of stage {one.stage.number}, trained again with other seeds, best mean first. Intervals hold "
            f"for {held}; p is the chance of such a difference to the first between equals{_compared(one)}."
        )
        tables.append(Table(caption, _confirmed_columns(list(_confirmed_rows(one)))))
    sentences = tuple(words for one in there if (words := confirmed_words(one, metric)))
    return Section(
        "confirmation", "Trained again with other seeds", "confirmed", sentences=sentences, tables=tuple(tables)
    )


def _compared(one: Confirmation) -> str:
    """Where p says less than it seems to: without the hits on single images it is of these images alone."""
    here = [setting for setting in one.settings if setting.p is not None and setting.compared == "seeds"]
    return ", and holds for these validation images alone" if here else ""


def _confirmed_rows(one: Confirmation) -> Iterator[dict[str, Any]]:
    for setting in one.settings:
        ends = setting.interval
        yield {
            "trial": setting.trial,
            "mean": setting.mean,
            "95 % interval": None if ends is None else f"{ends.low:.3f} to {ends.high:.3f}",
            "score before": setting.before,
            "repeats": setting.repeats,
            "failed": setting.failed,
            "p": setting.p if setting.p is None else float(f"{setting.p:.2g}"),
            **drawn_values(one.stage, setting.params),
        }


def _confirmed_columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    columns = by_column(rows)
    for name in ("failed", "p"):
        says_nothing = None if name == "p" else 0
        if all(value == says_nothing for value in columns[name]):
            del columns[name]
    return columns


def evaluation_section(looks: tuple[Look, ...]) -> Section | None:
    """Every look at the test images; only the first is an unbiased judgement."""
    if not looks:
        return None
    sentences = [looked_words(looks) or "The look at the test images ended before its result was known."]
    if len(looks) > 1:
        sentences.append(
            f"The test images were looked at {len(looks)} times: what is chosen after the first look is no longer "
            "judged without bias."
        )
    rows = [
        {
            "look": place,
            "when (UTC)": look.when.replace("T", " ").removesuffix("+00:00"),
            "values of": f"{look.stage} trial {look.trial}",
            "test accuracy": look.accuracy,
            "95 % interval": None if look.interval is None else f"{look.interval.low:.3f} to {look.interval.high:.3f}",
            "test images": look.images,
            "trained on": look.trained_on,
            "epochs": look.epochs,
            "seed": look.seed,
        }
        for place, look in enumerate(looks, start=1)
    ]
    caption = "The chosen values, trained on all other images and scored on the test images."
    return Section(
        "evaluation",
        "On the test images",
        "test",
        sentences=tuple(sentences),
        tables=(Table(caption, by_column(rows)),),
    )


def confirmations(store: Store, stages: Sequence[Stage]) -> tuple[Confirmation, ...]:
    """The confirmations of some stages of one search, by number.

    Args:
        store: The study database; it is only read.
        stages: The stages.
    """
    from hpsearch.search.best import trials_left
    from hpsearch.search.ranking import ranking

    by_number = {stage.number: stage for stage in stages}
    return tuple(
        Confirmation(
            by_number[one.number],
            tuple(
                Repeated(
                    trial=found.setting.trial,
                    params=found.setting.params,
                    before=found.setting.score,
                    mean=found.mean,
                    repeats=found.repeats,
                    failed=found.failed,
                    interval=found.interval,
                    covers=found.covers,
                    p=found.p,
                    compared=found.compared,
                )
                for found in ranking(store, one)
            ),
            left=trials_left(store, one),
        )
        for one in store.confirmations(stages[0].search)
        if one.number in by_number
    )


def looks_at(store: Store, stages: Sequence[Stage]) -> tuple[Look, ...]:
    """Every look at a search's test images, the first one first.

    Args:
        store: The study database; it is only read.
        stages: The search's stages.
    """
    from hpsearch.search.evaluation import evaluations

    return tuple(map(_look, evaluations(store, stages)))


def _look(one: Evaluation) -> Look:
    return Look(
        stage=one.stage,
        trial=one.trial,
        params=one.params,
        when=one.when,
        accuracy=one.score,
        interval=one.interval,
        images=one.examples,
        trained_on=one.trained_on,
        epochs=one.epochs,
        seed=one.seed,
    )


CURVES = 20
"""The best trials whose learning curves are shown."""


def gather(
    store: Store, search: str | None, *, stage: int | None = None, word: Callable[[Action | Argument], str] = str
) -> Material:
    """Everything that a report of a search shows.

    Args:
        store: The study database; it is only read.
        search: The search's name, or None for the only one there is.
        stage: The number of a stage: then the report is of it and of those that it came from.
        word: Puts actions and arguments into words.

    Raises:
        UnknownSearch: No such search or stage.
    """
    from hpsearch.reports.rows import curve_rows, used_only
    from hpsearch.search.findings import findings

    every = stages_of(store, search)
    stages = every if stage is None else ancestry(every, pick(every, stage))
    there = [StageTrials(one, used_only(store.trials(one), one)) for one in stages]
    latest = next((one.stage for one in reversed(there) if len(one.trials)), stages[0])
    return Material(
        stages=there,
        findings=findings(store, stages),
        curves=curve_rows(store, latest, top=CURVES),
        database=store.where,
        confirmations=confirmations(store, stages),
        looks=looks_at(store, every),
        word=word,
    )


_NEXT = "Next: "


def answer(material: Material) -> Answer:
    """The report's answer, in sentences."""
    # Which figure counts is said in the answer's own words.
    findings = material.findings
    said = [_sentence(one.worded(material.word), material) for one in findings.advice if one not in findings.figures]
    following = tuple(sentence for sentence in said if sentence.startswith(_NEXT))
    notes = tuple(sentence for sentence in said if not sentence.startswith(_NEXT))
    best = material.findings.best
    if best is None:
        why = none_complete(material.latest.trials)
        return Answer(score=why[0].upper() + why[1:], sure=(_no_score(material),), next=following, notes=notes)
    picked = _picked(material, best)
    values = {name: picked.params[name] for name in kinds.used(picked.stage, picked.params)}
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


def _picked(material: Material, best: BestTrial) -> _Picked:
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


def _score(best: BestTrial) -> str:
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


def _sure(material: Material, best: BestTrial) -> Iterator[str]:
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
        images = f" on {best.examples:,} validation images" if best.examples else ""
        expected = "" if best.corrected_interval is None else f"; on new images {between(best.corrected_interval)}"
        yield f"{who} with a score, measured{images}: {between(best.interval)}{expected}."


def _superseded(material: Material, best: BestTrial) -> bool:
    """Whether a single trial's score is no longer the figure that counts."""
    look = first_result(material.looks)
    tested = look is not None and look.stage in {best.stage, material.latest.stage.name}
    return tested or any(
        one.settings and not one.left and one.stage.name == best.stage for one in material.confirmations
    )


def _single_score(material: Material, best: BestTrial) -> str:
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
        confirmation_section(material.confirmations, material.metric),
        evaluation_section(material.looks),
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
