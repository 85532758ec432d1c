"""The parts of a search's page. Quick ones read a sample of the trials; the others are what its report says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hpsearch.objectives.kinds import curve_bounds
from hpsearch.records import Stage
from hpsearch.reports import figures, sections
from hpsearch.reports.figures import StageTrials
from hpsearch.reports.figures.style import words
from hpsearch.reports.figures.trials import evenly
from hpsearch.reports.page import Answer, Section, Table
from hpsearch.reports.report import Material, answer_of
from hpsearch.reports.sections import page_figure, phone_layout
from hpsearch.reports.tables import by_column, status_table, trials_table
from hpsearch.search.progress import View, Watcher
from hpsearch.search.stage import latest_with_trials
from hpsearch.service.problems import word
from hpsearch.space import describe
from hpsearch.store.queries import trials_frame
from hpsearch.text import counted, duration

if TYPE_CHECKING:
    from hpsearch.search.checklist import Checklist
    from hpsearch.store import Store

MOST = 1500  # trials of a stage that quick figures are made of
_BEST = 20  # trials of a table, and of those that every sample holds
PANELS = 8  # parameters of the scatter
_CURVES = 30  # learning curves of trials that have finished
_RATE_OF = 100  # trials that the speed is measured by, those that finished last
_RATE_OVER_S = 60.0
_TOGETHER_S = 1.0


@dataclass(frozen=True, slots=True)
class Look:
    """A search at a moment, with an open database."""

    store: Store
    stages: Sequence[Stage]  # at least one, by number

    def latest(self) -> Stage:
        """Return the last stage that has a trial."""
        return latest_with_trials(self.store, self.stages)


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a search, in words."""

    view: View
    percent: int
    pace: str  # the speed and the time that is left; empty where nothing runs
    table: Table  # of the stages and confirmations


def progress(look: Look) -> Progress:
    """Return how far the search is."""
    view = Watcher(look.store, look.stages[0].search).read()
    shown, counts = view.shown, view.shown.counts
    pace = _pace(look.store, shown.stage, view.until - counts.finished) if counts.running else ""
    every = [*view.stages, *view.confirmations]
    table = status_table(
        [(row.stage, row.counts, None if row.best is None else row.best[1], row.error) for row in every]
    )
    percent = min(100, round(100 * counts.finished / max(view.until, 1)))
    return Progress(view, percent, pace, Table("The stages, and the confirmations that run.", table))


def _pace(store: Store, stage: Stage, left: int) -> str:
    latest, now = store.latest(stage, _RATE_OF), datetime.now(UTC).replace(tzinfo=None)
    took = sorted(seconds or 0.0 for seconds in latest["seconds"])
    # Not those of an earlier run, before a pause.
    window = max(_RATE_OVER_S, 4 * took[len(took) // 2]) if took else 0.0
    ages = [(now - when).total_seconds() for when in latest["finished"]]
    ages = [age for age in ages if age <= window]
    first = max(ages, default=0.0)
    # Trials of a batch end together: those that ended first only say when counting began.
    count = len(ages) if len(ages) == _RATE_OF else sum(age < first - _TOGETHER_S for age in ages)
    if not count or first <= 0:
        return ""
    rate = count / first
    pace = f"{rate:.1f} trials/s" if rate >= 1 else f"{duration(1 / rate)} a trial"
    return f"{pace}, {duration(left / rate)} left" if left > 0 else pace


def sampled(store: Store, stage: Stage, most: int = MOST) -> StageTrials:
    """Return a stage with its trials, or with an even sample of them and the best."""
    count = store.sampled(stage)
    if count <= most:
        return StageTrials.of(stage, store.trials(stage))
    numbers = {*evenly(count, most / count).tolist(), *store.columns(stage, top=_BEST)["number"]}
    return StageTrials.of(stage, trials_frame(store.columns(stage, numbers=sorted(numbers))))


def scatter(look: Look) -> Iterator[Section]:
    """Return the scores of the latest stage by each parameter."""
    stage = look.latest()
    count, parameters = look.store.sampled(stage), max(len(stage.space) // 2, 1)
    if not count:
        return
    trials = sampled(look.store, stage, MOST // parameters)
    shown, space = len(trials.trials), list(trials.varied.items())[:PANELS]
    which = "Every trial" if shown == count else f"{shown:,} of {count:,} trials, the best among them"
    more = "" if len(space) == len(trials.varied) else f" {len(space)} of {len(trials.varied)} parameters are plotted."
    made = tuple(
        page_figure(
            f"scatter-{place}",
            name,
            f"Sampled from {describe(parameter)}.",
            figures.score_by_parameters(trials, {name: parameter}).update_layout(height=320),
            half=True,
        )
        for place, (name, parameter) in enumerate(space, start=1)
    )
    yield Section(
        "trials", f"Trials of stage {stage.number}", "trials", (f"{which}; the best 5 are marked.{more}",), figures=made
    )


def curves(look: Look) -> Iterator[Section]:
    """Return the learning curves of trials that run, of those that finished last, and of the best one."""
    store, stage = look.store, look.latest()
    running = store.columns(stage, states=("RUNNING",))["number"]
    finished, best = store.latest(stage, _CURVES)["number"], store.columns(stage, top=1)["number"]
    points = store.points(stage, {*running, *finished, *best})
    if not points:
        return
    groups = {
        "finished last": [number for number in finished if number not in best],
        "running": running,
        "the best": best,
    }
    named = {name: {number: points.get(number, ()) for number in numbers} for name, numbers in groups.items()}
    bounds = curve_bounds(stage).get(stage.metric.removeprefix("validation_"))
    figure = page_figure(
        "curves-now",
        f"{words(stage.metric).capitalize()} by epoch",
        f"The {words(stage.metric)} of trials of stage {stage.number} after each epoch.",
        figures.curves_together(named, metric=stage.metric, bounds=bounds),
    )
    yield Section("learning", "Learning curves", "learning curves", figures=(figure,))


def ranges(look: Look) -> Iterator[Section]:
    """Return the ranges of all stages, nested."""
    share = max(100, MOST // len(look.stages))
    stages = [sampled(look.store, stage, share) for stage in look.stages]
    figure = page_figure(
        "nested",
        "Stage by stage",
        "Thin lines lead from the ends of a range to those of the ranges narrowed from it.",
        figures.lineage(stages),
        narrow=phone_layout(figures.lineage(stages, columns=1)),
    )
    yield Section("nested-ranges", "The ranges", "ranges", figures=(figure,))


Quick = Callable[[Look], Iterator[Section]]
QUICK: Mapping[str, Quick] = {"scatter": scatter, "curves": curves, "nested": ranges}


def evidence(material: Material) -> Iterator[Section]:
    """Return what the trials say of each parameter: a table, and sentences."""
    findings = material.checklist.ranges
    rows = [
        {
            "parameter": name,
            "range": describe(finding.before),
            "next range": describe(finding.advised),
            "kept": f"{finding.kept:.0%}",
            "p": None if finding.evidence is None else float(f"{finding.evidence:.2g}"),
            "evidence": finding.verdict or "not known",
        }
        for name, finding in findings.items()
    ]
    section = sections.ranges(material, word)
    caption = "p: how often trials differ so much by chance where the parameter does not matter."
    tables: tuple[Table, ...] = (Table(caption, by_column(rows)),) if rows else ()
    tables += tuple(section.tables)
    yield Section("evidence", "What matters", "what matters", section.sentences, section.points, tables=tables)


def more(material: Material) -> Iterator[Section]:
    """Return the rest of the report."""
    made = (
        sections.scientific(material),
        sections.failures(material),
        sections.lineage(material),
        sections.confirmation_section(material, word),
        sections.test_section(material),
        sections.provenance(material),
    )
    yield from (section for section in made if section is not None)


# Each is kept for all who look: a whole, not an iterator.
FROM_REPORT: Mapping[str, Callable[[Material], Answer | Checklist | tuple[Section, ...]]] = {
    "answer": lambda material: replace(answer_of(material, word), next=""),  # the checklist has it, with buttons
    "checklist": lambda material: material.checklist,
    "evidence": lambda material: tuple(evidence(material)),
    "more": lambda material: tuple(more(material)),
    "scores": lambda material: tuple(sections.figure_sections(material, only="scores")),
    "parameters": lambda material: tuple(sections.figure_sections(material, only="parameters")),
}


def best(look: Look, stage: Stage) -> tuple[list[int], Table | None]:
    """Return the numbers of a stage's best trials, and their table."""
    columns = look.store.columns(stage, top=_BEST)
    numbers = columns["number"]
    if not numbers:
        return [], None
    table = trials_table(stage, columns)
    return numbers, Table(f"The best {counted(len(numbers), 'trial')} of stage {stage.number}.", table)
