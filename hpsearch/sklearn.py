"""Staged random search as a scikit-learn estimator, beside `sklearn.model_selection.RandomizedSearchCV`.

Scikit-learn has no public way to run some candidates of a search and take the others from a database, so scorers,
``cv_results_`` and the choice of the best are made here, as `sklearn.model_selection.GridSearchCV` makes them.
"""

from __future__ import annotations

import numbers
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from joblib import hash as digest
from scipy.stats import rankdata
from sklearn import get_config
from sklearn.base import clone, is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import RandomizedSearchCV, check_cv
from sklearn.utils import check_random_state, indexable
from sklearn.utils.metadata_routing import process_routing

from hpsearch.distributions import parameter_of, stable_repr
from hpsearch.errors import BadArgument, StageConflict
from hpsearch.executors.base import InlineExecutor
from hpsearch.objectives.user.estimator import GRID, MEAN, EstimatorObjective, Folds, SearchFailure
from hpsearch.records import CV_RESULTS, Argument, NewStage, Stage, stage_seed
from hpsearch.search.narrowing import DEFAULT_TOP, narrow_stage
from hpsearch.search.runner import Runner
from hpsearch.search.stage import check_fingerprint, made_from, params_at, versions
from hpsearch.space import Categorical, Parameter, Space, Value, per_value, space_to_dict
from hpsearch.store import Store, open_store
from hpsearch.study_file import check_name, differences

__all__ = ["StagedRandomSearchCV"]

_LEAST = 2  # trials of a stage, as narrowing needs


class _Row(NamedTuple):
    """A trial in ``cv_results_``."""

    stage: int
    params: dict[str, Any]
    columns: Mapping[str, float]  # its times and scores; empty where it has none


class StagedRandomSearchCV(RandomizedSearchCV):  # type: ignore[misc]  # scikit-learn has no types
    """Randomized search on hyperparameters in stages, each in narrower ranges than the one before.

    It is used like `sklearn.model_selection.RandomizedSearchCV`, whose parameters, methods and attributes it has. After
    each stage the ranges are narrowed to where its best candidates are. All candidates are kept in a study database.

    Parameters
    ----------
    estimator : estimator object
        Has a ``score`` method, or ``scoring`` is given.

    param_distributions : dict or list of dicts
        The range of each parameter: ``loguniform``, ``uniform`` or ``randint`` of `scipy.stats`, a list of choices,
        an Optuna distribution, or `hpsearch.Float`, `hpsearch.Int`, `hpsearch.Categorical`. Of a list of dicts each
        candidate has the parameters of one.

    n_iter : int, default=10
        Number of candidates of all stages together, at least two a stage.

    stages : int, default=2
        Number of stages; 1 is a plain random search. Give each at least 10 candidates: with 5 or fewer a stage is no
        better than plain random search in simulations.

    top : int, default=None
        Number of a stage's best candidates that the next stage's ranges are made from. None: a quarter of them, from 3
        to 5.

    expand : bool, default=False
        Move a bound outwards where the score still rises towards it.

    storage : str, default=None
        SQLite file or SQLAlchemy URL of the study database. None: a temporary one. With a database a fit that was
        killed goes on when it is called again with the same data: no candidate is fitted twice.

    name : str, default=None
        Name of the search in the database. None: the estimator's class.

    scoring, n_jobs, refit, cv, verbose, pre_dispatch, random_state, error_score, return_train_score
        As of `RandomizedSearchCV`. Of several metrics the one named by ``refit`` ranks candidates, otherwise the
        first. A candidate of which a fold has no score counts as failed, and its stage is narrowed by the others.

    Attributes
    ----------
    cv_results_ : dict of numpy (masked) ndarrays
        That of `RandomizedSearchCV`, and ``stage``, the number of each candidate's stage.

    spaces_ : list of dict
        The ranges of each stage, as hpsearch's parameters by name.

    best_estimator_, best_score_, best_params_, best_index_, scorer_, n_splits_, refit_time_, multimetric_, classes_, \
n_features_in_, feature_names_in_
        As of `RandomizedSearchCV`.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> from hpsearch.sklearn import StagedRandomSearchCV
    >>> search = StagedRandomSearchCV(
    ...     SVC(), {"C": loguniform(1e-2, 1e4), "gamma": loguniform(1e-5, 1e1)}, n_iter=40, random_state=0
    ... )
    >>> search.fit(*load_iris(return_X_y=True)).best_score_ > 0.97
    True
    """

    def __init__(
        self,
        estimator: Any,
        param_distributions: Any,
        *,
        n_iter: int = 10,
        stages: int = 2,
        top: int | None = None,
        expand: bool = False,
        storage: str | Path | None = None,
        name: str | None = None,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: bool | str | Callable[[Mapping[str, Any]], int] = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        random_state: Any = None,
        error_score: float | str = np.nan,
        return_train_score: bool = False,
    ) -> None:
        super().__init__(
            estimator,
            param_distributions,
            n_iter=n_iter,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            random_state=random_state,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.stages = stages
        self.top = top
        self.expand = expand
        self.storage = storage
        self.name = name

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:  # noqa: N803  # scikit-learn's name
        """Search, and fit the best estimator to all data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training vectors.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Their targets.

        **params : dict of str -> object
            Passed to the estimator's ``fit``, the scorer and the splitter, as `RandomizedSearchCV` does.

        Returns
        -------
        self : object
            The fitted search.

        Raises
        ------
        BadArgument
            A parameter that makes no sense.
        StageConflict
            The database has a search of this name with other data or settings.
        """
        X, y = indexable(X, y)  # noqa: N806  # scikit-learn's name
        self.scorer_ = _scorers(self)
        fit_params, split_params = _routed(self, params)
        splitter = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        folds = Folds(self.cv, splitter.split(X, y, **split_params))
        space, objects = _space(self.param_distributions)
        objective = EstimatorObjective(
            self.estimator,
            X,
            y,
            folds,
            space,
            {key: getattr(self, key) for key in _OPTIONS},
            params,
            self.refit if isinstance(self.refit, str) else None,
            objects,
        )
        # A temporary database is not met again.
        fingerprint = "" if self.storage is None else digest((X, y, params, folds.folds), hash_name="sha1")
        rows: list[_Row] = []
        self.spaces_ = []
        try:
            with _opened(self.storage) as store:
                for stage in _run(self, store, objective, fingerprint):
                    rows += _rows(store, stage, objective)
                    self.spaces_.append(dict(stage.space))
        except SearchFailure as failure:
            raise failure.args[0] from None
        if not any(row.columns for row in rows):
            raise objective.error or ValueError("all candidates failed in an earlier fit; give another name")
        self.n_splits_ = len(folds.folds)
        self.cv_results_ = _cv_results(rows, self.error_score)
        self.multimetric_ = f"{MEAN}score" not in self.cv_results_
        _choose(self)
        if self.refit:
            _refit(self, X, y, fit_params)
        return self


_OPTIONS = ("scoring", "n_jobs", "verbose", "pre_dispatch", "error_score", "return_train_score")


def _scorers(search: StagedRandomSearchCV) -> Any:
    """Return the scorer, or of several metrics a dict of them."""
    scoring = search.scoring
    if callable(scoring):
        return scoring
    if scoring is None or isinstance(scoring, str):
        return check_scoring(search.estimator, scoring=scoring)
    named = scoring if isinstance(scoring, Mapping) else {name: name for name in scoring}
    scorers = {name: check_scoring(search.estimator, scoring=scorer) for name, scorer in named.items()}
    _check_refit(search.refit, scorers)
    return scorers


def _check_refit(refit: Any, metrics: Mapping[str, Any]) -> None:
    if refit is not False and not callable(refit) and not (isinstance(refit, str) and refit in metrics):
        allowed = f"name one of {', '.join(metrics)}, or give a function of cv_results_, or False"
        raise _Invalid("refit", refit, "there are several metrics", allowed)


class _Invalid(BadArgument, ValueError):
    """A parameter of the constructor that makes no sense: a ValueError, as scikit-learn raises."""


def _routed(search: StagedRandomSearchCV, params: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the metadata that the estimator's ``fit`` gets, and those of the splitter's ``split``."""
    if get_config()["enable_metadata_routing"]:
        routed = process_routing(search, "fit", **params)
        return routed.estimator.fit, routed.splitter.split
    return {name: value for name, value in params.items() if name != "groups"}, {"groups": params.get("groups")}


def _space(distributions: Any) -> tuple[Space, Mapping[str, Mapping[Value, Any]]]:
    """Return the ranges of ``param_distributions``, and the objects that choices stand for, by parameter."""
    several = distributions if isinstance(distributions, list | tuple) else [distributions]
    if not several or not all(isinstance(ranges, Mapping) for ranges in several):
        raise _Invalid("param_distributions", stable_repr(distributions)[:60], "give a dict, or a list of dicts")
    space: dict[str, Parameter] = {}
    objects: dict[str, Mapping[Value, Any]] = {}
    if len(several) > 1:
        space[GRID] = Categorical(tuple(range(len(several))))
    for number, ranges in enumerate(several):
        for name, distribution in ranges.items():
            parameter, choices = parameter_of(name, distribution)
            named = per_value(name, GRID, {number: parameter}) if len(several) > 1 else {name: parameter}
            space |= named
            objects |= dict.fromkeys(named, choices)
    return space, objects


@contextmanager
def _opened(storage: str | Path | None) -> Iterator[Store]:
    """Open the database of a fit, a temporary one where none is given."""
    with tempfile.TemporaryDirectory(prefix="hpsearch-") as folder:
        place = Path(folder) / "search.db" if storage is None else storage
        with closing(open_store(str(place), create=True, write=True)) as store:
            yield store


def _sizes(search: StagedRandomSearchCV) -> list[int]:
    """Return the number of candidates of each stage."""
    n_iter, stages, top = search.n_iter, search.stages, _LEAST if search.top is None else search.top
    for name, value, least in (("n_iter", n_iter, 1), ("stages", stages, 1), ("top", top, _LEAST)):
        if not _is_int(value) or value < least:
            raise _Invalid(name, value, f"give a whole number from {least}")
    each, more = divmod(n_iter, stages)
    if stages > 1 and each < top:
        problem = f"each of {stages} stages needs {top} candidates"
        raise _Invalid("n_iter", n_iter, problem, "use more, or fewer stages")
    return [each + (number < more) for number in range(stages)]


def _is_int(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _run(
    search: StagedRandomSearchCV, store: Store, objective: EstimatorObjective, fingerprint: str
) -> Iterator[Stage]:
    """Run all stages, or what is left of them; yield each when it is complete."""
    sizes = _sizes(search)
    stage = _begin(search, store, objective, fingerprint, sizes[0])
    for number, size in enumerate(sizes, 1):
        if number > 1:
            stage = _next(search, store, stage, size)
        objective.space = stage.space
        while store.counts(stage).finished < size:
            Runner(store, stage, objective, InlineExecutor(), until=size).run()
        yield stage


def _begin(
    search: StagedRandomSearchCV, store: Store, objective: EstimatorObjective, fingerprint: str, size: int
) -> Stage:
    """Return stage 1, a new one or that of an earlier fit."""
    name = check_name(search.name or type(search.estimator).__name__)
    seed = search.random_state
    if not _is_int(seed) or seed < 0:
        seed = check_random_state(seed).randint(2**31 - 1)
    plain: dict[str, Any] = {
        "name": name,
        "objective": {
            "estimator": stable_repr(search.estimator),
            "metric": _metric(search),
            "direction": "maximize",
            "scoring": stable_repr(search.scoring),
            "cv": len(objective.folds.folds),
            "search": {key: getattr(search, key) for key in ("n_iter", "stages", "top", "expand")},
        },
        "trials": {"count": size, "seed": int(seed), "sampler": "random"},
        "space": space_to_dict(objective.space),
    }
    facts: dict[str, Any] = {"fingerprint": fingerprint, "sizes": objective.folds.sizes, "versions": versions(plain)}
    new = NewStage(name, 1, "maximize", int(seed), objective.space, plain, **facts)
    stage = next(iter(store.stages(name)), None) or store.create_stage(new)
    check_fingerprint(stage, fingerprint)
    if search.random_state is None:
        plain["trials"] = {**plain["trials"], "seed": stage.seed}
    if changed := "; ".join(differences(stage.study_file, plain)):
        raise StageConflict(f"{name} was begun with other settings ({changed}); give {{}}", Argument("name"))
    return stage


def _metric(search: StagedRandomSearchCV) -> str:
    """Return the name of the metric that ranks candidates."""
    if isinstance(search.scoring, str):
        return search.scoring
    if isinstance(search.refit, str):
        return search.refit
    return str(next(iter(search.scorer_))) if isinstance(search.scorer_, dict) else "score"


def _next(search: StagedRandomSearchCV, store: Store, stage: Stage, size: int) -> Stage:
    """Return the stage after a complete one: that of an earlier fit, or a new one."""
    stages = store.stages(stage.search)
    for later in stages:
        if later.number == stage.number + 1:
            return later
    complete = store.counts(stage).complete
    if complete < _LEAST:  # nothing is known of where good values lie
        number = stage.number + 1
        seed = stage_seed(stages[0].seed, number)
        return store.create_stage(made_from(stage, number=number, seed=seed, space=stage.space))
    top = min(search.top or min(max(3, size // 4), DEFAULT_TOP), complete)
    narrowed = narrow_stage(store, stages, number=stage.number, top=top, expand=search.expand).stage
    assert narrowed is not None
    return narrowed


def _rows(store: Store, stage: Stage, objective: EstimatorObjective) -> Iterator[_Row]:
    """Yield the finished trials of a stage, by number."""
    columns = store.columns(stage, states=("COMPLETE", "FAIL"))
    results = store.attribute(stage, columns["number"], CV_RESULTS)
    for at, number in enumerate(columns["number"]):
        of_trial = {name: float(value) for name, value in results.get(number, {}).items()}
        yield _Row(stage.number, objective.params(params_at(stage, columns, at)), of_trial)


def _cv_results(rows: Sequence[_Row], error_score: float | str) -> dict[str, Any]:
    """Return ``cv_results_``, with the columns of `RandomizedSearchCV` in its order, and the stages."""
    names = next((list(row.columns) for row in rows if row.columns), [])
    results: dict[str, Any] = {}
    for name in names:
        if name.partition("_")[0].startswith("split") and "params" not in results:
            results |= _param_columns([row.params for row in rows])
        missing = error_score if "_test_" in name or "_train_" in name else np.nan
        results[name] = np.array([row.columns.get(name, missing) for row in rows], float)
        if name.startswith("std_test_"):
            metric = name.removeprefix("std_test_")
            results[f"rank_test_{metric}"] = _ranks(results[f"{MEAN}{metric}"])
    results["stage"] = np.array([row.stage for row in rows])
    return results


def _ranks(means: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Return the rank of each mean score, 1 for the best; those without one share the last."""
    ranks = rankdata(-means, method="min", nan_policy="omit")
    return np.asarray(np.nan_to_num(ranks, nan=1 + np.sum(~np.isnan(means))), np.int32)


def _param_columns(candidates: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a masked array for each parameter, masked where a candidate does not have it; and the candidates."""
    columns: dict[str, Any] = {}
    for name in dict.fromkeys(name for candidate in candidates for name in candidate):
        at = [index for index, candidate in enumerate(candidates) if name in candidate]
        values = [candidates[index][name] for index in at]
        simple = all(isinstance(value, bool | int | float | np.generic) for value in values)
        masked = np.ma.MaskedArray(np.empty(len(candidates), np.array(values).dtype if simple else object), mask=True)
        for index, value in zip(at, values, strict=True):
            masked[index] = value
        columns[f"param_{name}"] = masked
    return {**columns, "params": list(candidates)}


def _choose(search: StagedRandomSearchCV) -> None:
    """Set the attributes of the best candidate, by ``refit`` or by rank."""
    results, refit = search.cv_results_, search.refit
    if search.multimetric_:
        metrics = {name.removeprefix(MEAN): None for name in results if name.startswith(MEAN)}
        _check_refit(refit, metrics)
        if refit is False:
            return
    metric = refit if search.multimetric_ else "score"
    if callable(refit):
        index = refit(results)
        if not _is_int(index):
            raise TypeError("best_index_ returned is not an integer")
        if not 0 <= index < len(results["params"]):
            raise IndexError("best_index_ index out of range")
    else:
        index = results[f"rank_test_{metric}"].argmin()
        search.best_score_ = results[f"{MEAN}{metric}"][index]
    search.best_index_ = index
    search.best_params_ = results["params"][index]


def _refit(search: StagedRandomSearchCV, x: Any, y: Any, fit_params: Mapping[str, Any]) -> None:
    """Fit the best candidate to all data."""
    # The values too: a candidate may have estimators among them.
    best = clone(search.estimator).set_params(**clone(search.best_params_, safe=False))
    began = time.time()
    search.best_estimator_ = best.fit(x, **fit_params) if y is None else best.fit(x, y, **fit_params)
    search.refit_time_ = time.time() - began
    if hasattr(best, "feature_names_in_"):
        search.feature_names_in_ = best.feature_names_in_
