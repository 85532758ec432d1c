"""Evaluation on the test set: the chosen values, fitted to everything else and scored on it once.

Where a trial is chosen, not values, it is the trial's own model that is scored: where its kind can,
it is trained again with its seed on the training examples alone, the same to the bit.

Nothing else in hpsearch reads the test set. A second evaluation makes its score one that was selected for, so each is
claimed in the database before the test set is read, and the second is refused unless it is explicit.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hpsearch.errors import EvaluatedAlready
from hpsearch.objectives import kinds
from hpsearch.records import Argument, Stage, draw_seed
from hpsearch.search.best import Choice
from hpsearch.search.stage import check_fingerprint, kept_study, no_study_file, versions
from hpsearch.space import delivered
from hpsearch.statistics.intervals import Interval
from hpsearch.store.schema import EVALUATIONS
from hpsearch.study_file import Pruning, StudyFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from hpsearch.objectives.base import Data, Fitted
    from hpsearch.objectives.base import Evaluation as Result
    from hpsearch.space import Value
    from hpsearch.store import Store


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation on the test set, as the database keeps it."""

    stage: str
    trial: int
    # on the test set; None for an evaluation that broke off
    score: float | None = field(metadata={"json": "accuracy"})  # as in 0.2
    interval: Interval | None
    examples: int | None = field(metadata={"json": "images"})  # as in 0.2
    epochs: int | None = None
    seed: int | None = None
    evaluations: int = field(default=1, metadata={"json": "looks"})  # as in 0.2; of the search so far
    current: bool = True  # whether these are still its final values: no later stage has been run, or none was better
    params: Mapping[str, Value] = field(default_factory=dict, repr=False)
    when: str = field(default="", repr=False)
    trained_on: int | None = field(default=None, repr=False)  # number of examples that the model was fitted to
    metric: str = field(default="score", repr=False)

    @property
    def answers(self) -> bool:
        """True if this is the search's final score."""
        return self.current and self.score is not None


def evaluations(store: Store, stages: Sequence[Stage]) -> tuple[Evaluation, ...]:
    """Return every evaluation of a search on its test set, the first one first."""
    return _parsed(stages[0], store.study_attribute(stages[0], EVALUATIONS) or [])


def _parsed(first: Stage, entries: Sequence[Mapping[str, Any]]) -> tuple[Evaluation, ...]:
    kind = kinds.kind_of(first.study_file)
    parsed = []
    for entry in entries:
        result = kind.held_out(entry)
        score: dict[str, Any] = {"score": None, "interval": None, "examples": None}
        if result is not None:
            score = {"score": result.score, "interval": None, "examples": result.examples, "metric": result.metric}
            if result.low is not None and result.high is not None:
                score["interval"] = Interval(result.low, result.high, result.level or 0.95)
        names = ("stage", "trial", "epochs", "seed", "params", "when", "trained_on")
        kept = {name: entry[name] for name in names if name in entry}
        parsed.append(Evaluation(**score, **kept, evaluations=len(entries)))
    return tuple(parsed)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """The values to be fitted and scored."""

    first: Stage  # the search's first stage, which keeps the list of evaluations
    choice: Choice
    study: StudyFile  # the study file with those values; nothing is sampled
    data: Data
    seed: int
    own: bool  # whether the trial's own model is trained again, and no new one with its values
    again: bool
    data_dir: Path | None

    @property
    def trained_on(self) -> int:
        """Number of examples that the model is fitted to."""
        return self.data.sizes["train"] if self.own else sum(self.data.sizes.values())

    def fit(self, on_epoch: Callable[[Any], None] | None = None) -> Fitted:
        """Fit a model to the training and validation examples together, or train the trial's own again."""
        runtime, sections, given = self.study.kind.runtime(), self.study.sections, {"on_epoch": on_epoch}
        if self.own:
            return runtime.retrain(sections, self.data, seed=self.seed, number=self.choice.trial, **given)
        return runtime.fit(sections, self.data, seed=self.seed, **given)


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """The result of an evaluation."""

    entry: Mapping[str, Any]  # as the database keeps it
    count: int  # of the evaluations of this search so far
    result: Result


def prepare(
    store: Store,
    stages: Sequence[Stage],
    *,
    number: int | None = None,
    trial: int | None = None,
    by: str | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    again: bool = False,
    data_dir: Path | None = None,
) -> Prepared:
    """Choose the values and load their data; the test set is not read. See `hpsearch.Search.evaluate`."""
    from hpsearch.search.recommendation import choose  # NumPy, which quick commands do without

    first, choice = stages[0], choose(store, stages, number=number, trial=trial, by=by)
    if not again:
        _refuse(first, evaluations(store, stages))
    if not kinds.trainable(choice.stage):
        raise no_study_file(choice.stage)
    stored = kept_study(choice.stage)
    data = stored.load(data_dir=data_dir)
    check_fingerprint(choice.stage, data.fingerprint)
    runtime = stored.kind.runtime()
    runtime.held_out(stored.sections, data)
    sections = runtime.with_values(stored.sections, delivered(choice.stage.space, choice.params), epochs=epochs)
    study = replace(stored, sections=sections, space={}, pruning=Pruning())
    own = choice.by == "asked" or by == "best"
    own = own and stored.kind.retrains and epochs is None and seed is None
    if seed is None:
        seed = choice.stage.seed if own else draw_seed(first.seed, 1, "evaluate")
    return Prepared(first, choice, study, data, seed, own, again, data_dir)


def evaluate(
    store: Store, prepared: Prepared, fitted: Fitted, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Evaluated:
    """Score a model on the test set, once. EvaluatedAlready if another process has evaluated the search meanwhile.

    The evaluation is in the database before the test set is read. One that ends in between stays there without a
    result, and counts.
    """
    first, study = prepared.first, prepared.study
    ours = {
        "id": uuid.uuid4().hex,
        "when": now().isoformat(timespec="seconds"),
        "stage": prepared.choice.stage.name,
        "trial": prepared.choice.trial,
        "chosen": prepared.choice.by,
        "params": dict(prepared.choice.params),
        "epochs": study.epochs,
        "seed": prepared.seed,
        "trained_on": prepared.trained_on,
        "data_fingerprint": prepared.data.fingerprint,
        "versions": versions(prepared.choice.stage.study_file),
    }

    def claim(before: Any | None) -> Any:
        if not prepared.again:
            _refuse(first, _parsed(first, before or []))
        return [*(before or []), ours]

    every = store.change_study_attribute(first, EVALUATIONS, claim)
    result = study.kind.runtime().evaluate(fitted, study.sections, prepared.data, data_dir=prepared.data_dir)
    entry = ours | study.kind.held_out_record(result.score)
    store.change_study_attribute(
        first, EVALUATIONS, lambda before: [entry if known["id"] == ours["id"] else known for known in before or []]
    )
    return Evaluated(entry, len(every), result)


def _refuse(first: Stage, before: Sequence[Evaluation]) -> None:
    if not before:
        return
    earliest = before[0]  # nothing was chosen by its result
    times = "" if len(before) == 1 else f" (the first of {len(before)} times)"
    when = f"{first.search} was evaluated on {earliest.when[:16].replace('T', ' ')} UTC{times}"
    if earliest.score is None:
        result = "that evaluation did not end, and the test set may have been read"
    else:
        ends = earliest.interval
        interval = "" if ends is None else f", 95 % interval {ends.low:.3f} .. {ends.high:.3f}"
        result = f"test {earliest.metric} {earliest.score:.4g}{interval} ({earliest.stage} trial {earliest.trial})"
    raise EvaluatedAlready(
        f"{when}: {result}. After another evaluation on the same test set no score is an unbiased estimate; {{}} "
        "evaluates all the same",
        Argument("again"),
    )
