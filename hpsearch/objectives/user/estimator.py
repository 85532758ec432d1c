"""A scikit-learn estimator as the objective: its mean score over the folds of a cross-validation."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import clone
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.utils.metadata_routing import get_routing_for_object

from hpsearch.errors import BadData, BadInput, EvaluationFailure, nearest
from hpsearch.functions import imported
from hpsearch.objectives.base import HeldOut
from hpsearch.objectives.network.evaluation import NetworkEvaluation, confusion
from hpsearch.objectives.network.runtime import load, load_test
from hpsearch.objectives.network.sections import Data, NetworkSections
from hpsearch.objectives.user.child import KEPT_BYTES, MOST
from hpsearch.records import CV_RESULTS, ENDED, FOLDS, METRICS, OUTPUT, SECONDS, Completed, Failed, Trial
from hpsearch.space import Space, Value, delivered
from hpsearch.statistics import wilson
from hpsearch.text import reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hpsearch.objectives.user.sections import EstimatorSections
    from hpsearch.objectives.user.trial import Trial as TrialOfFunction
    from hpsearch.records import Outcome, Paused, Report

GRID = "param_distributions"  # the parameter that says which of several dicts of ranges a trial's values are of
TEST = "test_"  # what the results of `cross_validate` with scores begin with
MEAN = "mean_test_"  # what the columns of ``cv_results_`` with mean scores begin with
_BATCH_S = 1.0  # seconds of work in a batch: what a killed run loses


def made(name: str, folder: str) -> Any:
    """Return a new estimator.

    Args:
        name: Of its class, or of a function that makes one: ``sklearn.svm:SVC`` or ``models.py:make``.
        folder: Where a file is looked for, before the working folder.

    Raises:
        NotFound: There is nothing of that name.
        TypeError: It makes no estimator.
    """
    estimator = _maker(name, folder, os.getcwd())()
    if not (hasattr(estimator, "fit") and hasattr(estimator, "get_params")):
        raise TypeError(f"it makes a {type(estimator).__name__}, which is no scikit-learn estimator")
    return estimator


@cache
def _maker(name: str, *folders: str) -> Callable[..., Any]:
    return imported(name, folders)


def check_scorers(estimator: Any, scoring: str | Sequence[str] | None) -> None:
    """Check that an estimator can be scored so; BadInput, ValueError or TypeError where it cannot."""
    for name in (scoring,) if scoring is None or isinstance(scoring, str) else scoring:
        if name is not None and name not in (known := get_scorer_names()):
            raise BadInput(f"no scorer {name!r}{nearest(name, known)}")
        check_scoring(estimator, scoring=name)


def score(trial: TrialOfFunction) -> dict[str, Any]:
    """Return the scores of an estimator in a trial, and those on each fold: the function of the estimators' kind."""
    facts = trial.study.user_attrs
    x, y = _examples(json.dumps(facts["data"]), facts["data_dir"], facts["fingerprint"])
    estimator = _with_values(made(facts["estimator"], facts["folder"]), trial.params, trial.seed)
    scoring = facts["scoring"]
    results = cross_validate(estimator, x, y, cv=facts["cv"], scoring=scoring, error_score="raise")
    folds = {name.removeprefix(TEST): values.tolist() for name, values in results.items() if name.startswith(TEST)}
    first, *others = ["score"] if scoring is None or isinstance(scoring, str) else scoring
    return {"score": fmean(folds[first]), FOLDS: folds[first], **{name: fmean(folds[name]) for name in others}}


def _with_values(estimator: Any, values: Mapping[str, Any], seed: int) -> Any:
    """Return an estimator with these parameters, and this seed as each ``random_state`` that it has not been given."""
    states = [name for name, value in estimator.get_params().items() if value is None]
    seeds = {name: seed for name in states if name.rpartition("__")[2] == "random_state"}
    return estimator.set_params(**{**seeds, **values})


@dataclass(frozen=True, slots=True)
class FittedEstimator:
    """An estimator that was fitted to the training and validation examples, for an evaluation."""

    model: Any
    seconds: float  # of fitting


def fit(sections: EstimatorSections, data: Any, seed: int) -> FittedEstimator:
    """Fit an estimator with the fixed values to the training and validation examples."""
    x, y = _examples(json.dumps(sections.data.model_dump()), data.data_dir, data.fingerprint)
    began, of = time.perf_counter(), sections.objective
    try:
        model = _with_values(made(of.estimator, of.folder), sections.fixed, seed).fit(x, y)
    except Exception as error:  # of the user's estimator
        raise EvaluationFailure(
            f"{of.estimator} cannot be fitted: {reason(error)}; the test set was not read"
        ) from error
    return FittedEstimator(model, time.perf_counter() - began)


def evaluate(model: Any, sections: EstimatorSections, data_dir: Path | None) -> NetworkEvaluation:
    """Read the test set and score an estimator on it, by the scorer that ranks the trials."""
    networks = NetworkSections(data=sections.data)
    split, (x, y) = load(networks, data_dir=data_dir), load_test(networks, data_dir=data_dir)
    predictions, scoring = np.asarray(model.predict(x), dtype=np.int64), sections.objective.scoring
    first = scoring[0] if isinstance(scoring, tuple) else scoring or "accuracy"
    score = HeldOut(first, float(check_scoring(model, scoring=first)(model, x, y)), len(y))
    if first == "accuracy":
        hits = int(np.sum(predictions == y))
        interval = wilson(hits, len(y))
        score = score._replace(hits=hits, low=interval.low, high=interval.high, level=interval.level)
    matrix = confusion(y, predictions, split.classes)
    return NetworkEvaluation(score, matrix, None, x, split.class_names, split.preprocessing.shape)


@cache
def _examples(section: str, data_dir: Path | None, fingerprint: str) -> tuple[Any, Any]:
    """Return all examples of a section ``[data]``, and their classes."""
    data = load(NetworkSections(data=Data(**json.loads(section))), data_dir=data_dir)
    if data.fingerprint != fingerprint:
        raise BadData(
            "the data on this worker differ from those that the run was started with; copy them to every machine"
        )
    x, y = (data.x_train, data.x_validation), (data.y_train, data.y_validation)
    return np.concatenate(x), np.concatenate(y)


class SearchFailure(BaseException):  # no trial's failure, which an `Exception` would be
    """An error that ends the whole search, as its argument."""


class Folds:
    """The folds of a cross-validation, the same whenever they are taken; a splitter as scikit-learn has them."""

    def __init__(self, splitter: Any, folds: Sequence[Any]) -> None:
        self._splitter, self.folds = splitter, list(folds)

    def split(self, X: Any = None, y: Any = None, groups: Any = None, **params: Any) -> list[Any]:  # noqa: N803
        """Return the rows of the training and test part of each."""
        return self.folds

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None, **params: Any) -> int:  # noqa: N803
        """Return their number."""
        return len(self.folds)

    def get_metadata_routing(self) -> Any:
        """Return what the splitter that made them asks for."""
        return get_routing_for_object(self._splitter)

    @property
    def sizes(self) -> dict[str, int]:
        """Return the number of examples that a model is fitted to and scored on, by part."""
        parts = zip(*((len(train), len(test)) for train, test in self.folds), strict=True)
        return {name: round(sum(part) / len(part)) for name, part in zip(("train", "validation"), parts, strict=True)}


@dataclass(eq=False)
class EstimatorObjective:
    """Scores an estimator with a trial's parameters as `sklearn.model_selection.GridSearchCV` does.

    Raises:
        SearchFailure: What scikit-learn raises where it is not that fits fail.
    """

    estimator: Any
    x: Any  # (N, ...)
    y: Any  # (N,), (N, outputs) or None
    folds: Folds
    space: Space
    options: Mapping[str, Any] = field(default_factory=dict)  # further ones of GridSearchCV
    fit_params: Mapping[str, Any] = field(default_factory=dict)
    metric: str | None = None  # the one that trials are ranked by; None: the only one, or the first
    objects: Mapping[str, Mapping[Value, Any]] = field(default_factory=dict)  # what choices stand for, by parameter
    error: ValueError | None = None  # the last one that scikit-learn raised because all fits failed
    _seconds: float = math.inf  # of a trial
    _known: dict[Any, dict[str, float]] = field(default_factory=dict)  # the scores and times of candidates, by values

    @property
    def independent(self) -> bool:
        return self._jobs() == 1

    def lanes(self, trial: Trial | None = None) -> int:
        """Return so many that a batch keeps all of joblib's processes busy, for about a second."""
        jobs = self._jobs()
        return MOST if jobs == 1 else min(max(jobs, int(_BATCH_S / max(self._seconds, 1e-9))), MOST)

    def _jobs(self) -> int:
        return int(effective_n_jobs(self.options.get("n_jobs")))

    def structures(self) -> int:
        return 1

    def group(self, trials: Sequence[Trial]) -> list[list[Trial]]:
        return [list(trials)] if trials else []

    def params(self, values: Mapping[str, Value]) -> dict[str, Any]:
        """Return a trial's values as the estimator's parameters."""
        objects = {name: self.objects.get(name, {}).get(value, value) for name, value in values.items()}
        return {name: value for name, value in delivered(self.space, objects).items() if name != GRID}

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome | Paused]]:
        """Fit and score all trials on all folds, equal ones once; see `hpsearch.objectives.base.Objective`."""
        began = time.perf_counter()
        keys = [tuple(trial.params.items()) for trial in trials]
        new = {key: dict(key) for key in keys if key not in self._known}
        try:
            if new:
                self._known |= zip(new, self._fitted([self.params(values) for values in new.values()]), strict=True)
        except Exception as error:
            raise SearchFailure(error) from error
        self._seconds = (time.perf_counter() - began) / len(trials)
        yield [self._outcome(trial.number, self._known[key]) for trial, key in zip(trials, keys, strict=True)]

    def _fitted(self, candidates: Sequence[dict[str, Any]]) -> list[dict[str, float]]:
        """Return the scores and times of candidates by their names in ``cv_results_``, but for ranks, which change.

        Where all fits of all candidates fail scikit-learn raises a ValueError, whose text is all that is known of them.
        """
        for candidate in candidates:  # an unknown parameter is no fit's failure
            clone(self.estimator).set_params(**clone(candidate, safe=False))
        grid = [{name: [value] for name, value in candidate.items()} for candidate in candidates]
        search = GridSearchCV(self.estimator, grid, cv=self.folds, refit=False, **self.options)
        try:
            results = search.fit(self.x, self.y, **self.fit_params).cv_results_
        except ValueError as error:
            if self.options.get("error_score") == "raise":
                raise
            self.error = error
            return [{} for _ in candidates]
        names = [name for name in results if not name.startswith(("param", "rank_"))]
        return [{name: float(results[name][at]) for name in names} for at in range(len(candidates))]

    def _outcome(self, number: int, columns: Mapping[str, float]) -> Outcome:
        facts: dict[str, Any] = {SECONDS: round(self._seconds, 6)}
        if not columns:
            text = str(self.error).strip()
            reason = text.rpartition("\n")[2].strip()[:500]
            return Failed(number, reason, attributes={**facts, ENDED: "exception", OUTPUT: text[-KEPT_BYTES:]})
        facts[CV_RESULTS] = {name: value if math.isfinite(value) else str(value) for name, value in columns.items()}
        means = {name.removeprefix(MEAN): value for name, value in columns.items() if name.startswith(MEAN)}
        metric = self.metric if self.metric in means else next(iter(means))
        score = means[metric]
        folds = [columns[f"split{fold}_test_{metric}"] for fold in range(len(self.folds.folds))]
        of_folds = [value for name, value in columns.items() if name.startswith("split") and "_test_" in name]
        # The same as alone, where scikit-learn raises: which others are in its batch is a matter of time.
        no_fit = all(value == self.options.get("error_score") for value in of_folds)
        if no_fit or not math.isfinite(score):
            unscored = len(folds) if no_fit else sum(not math.isfinite(fold) for fold in folds)
            reason = f"{unscored} of {len(folds)} folds have no score; scikit-learn has warned of the cause"
            return Failed(number, reason, attributes={**facts, ENDED: "exception"})
        others = {name: mean for name, mean in means.items() if name != metric and math.isfinite(mean)}
        return Completed(number, score, attributes={**facts, FOLDS: folds, **({METRICS: others} if others else {})})
